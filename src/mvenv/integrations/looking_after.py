"""A quick look at an environment before it is used, and healing what may be healed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mvenv.diagnose.examination import examine
from mvenv.diagnose.model import Level
from mvenv.diagnose.subject import open_subject
from mvenv.doctor.model import DoctorRequest, Fate, Outcome
from mvenv.errors import MvenvError
from mvenv.integrations.words import LogReporter
from mvenv.locking import lock_folder
from mvenv.store.layout import StoreLayout, open_layout
from mvenv.store.runs import sweep_runs
from mvenv.surroundings import Surroundings

__all__ = ["look_after"]

_WRONG = (Fate.LEFT, Fate.FAILED)
_SHOWN = 3


def look_after(folder: Path, said: Surroundings) -> tuple[str, str]:
    """Look at an environment, and heal it; return what was healed and what is wrong.

    Each as one line, empty where there is nothing to say. What the user did on purpose
    is neither. `MvenvError` where it cannot be looked at. What killed runs left in the
    store is deleted.
    """
    layout = open_layout(said.store)
    sweep_runs(layout)
    if _is_right(folder, layout):
        return "", ""
    from mvenv.doctor import doctor  # seldom needed

    report = doctor(
        DoctorRequest(
            folders=(folder,),
            start=folder,
            active=None,
            every=False,
            whole_store=False,
            level=Level.QUICK,
            check=False,
            dry_run=False,
            fix=False,
            restore=False,
            only=frozenset(),
            store=Path(said.store),
            store_chosen=False,
            fetch=said.fetch,
            environ=said.environ,
        ),
        LogReporter(detailed=False),
    )
    healed = [one for one in report.outcomes if one.fate is Fate.HEALED]
    wrong = [one for one in report.outcomes if one.fate in _WRONG]
    return (
        f"healed by mvenv: {_named(healed)}" if healed else "",
        _named(wrong) if wrong else "",
    )


def _is_right(folder: Path, layout: StoreLayout) -> bool:
    """Return whether each file has the stamp that it must have.

    What is behind them in the store is not looked at: nobody is going to run that.
    """
    try:
        with lock_folder(folder, exclusive=False):
            subject = open_subject(folder, layout)
            seen = examine(subject, Level.QUICK)
    except (MvenvError, OSError):
        return False  # it has words for it
    findings = (*subject.findings, *seen.findings)
    # What had to be hashed is put down by the other, and is known the next time.
    return not seen.rehashed and all(one.drift for one in findings)


def _named(outcomes: Iterable[Outcome]) -> str:
    said = []
    for one in outcomes:
        where = one.finding.path or str(one.finding.where)
        said.append(f"{where} {one.finding.detail}")
    more = f" and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    return "; ".join(said[:_SHOWN]) + more
