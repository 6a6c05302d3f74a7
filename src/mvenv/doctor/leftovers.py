"""What killed runs left beside environments, removed."""

from __future__ import annotations

from mvenv.diagnose.model import Finding
from mvenv.doctor.means import Unhealable
from mvenv.doctor.steps import Repair
from mvenv.scratch import is_abandoned, sweep_scratch

__all__ = ["plan_removal"]

_BESIDE = ".mvenv-build-"


def plan_removal(finding: Finding) -> Repair:
    """Return what removes a folder that a run left; `Unhealable` for other things."""
    if finding.path is None or not finding.path.startswith(_BESIDE):
        raise Unhealable(finding.remedy or "run the same command again")
    folder = finding.where / finding.path

    def sweep() -> None:
        sweep_scratch(finding.where, _BESIDE)
        # A folder in it can be one that even its owner may not delete from.
        if is_abandoned(folder):
            raise Unhealable("it cannot be deleted whole: do it by hand")

    return Repair(finding=finding, words="removed", act=sweep)
