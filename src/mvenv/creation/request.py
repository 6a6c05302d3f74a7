"""What `create` is asked for, and what it answers."""

from __future__ import annotations

from mvenv.env.compiled import Bytecode
from mvenv.env.receipt import Installed
from mvenv.link.modes import LinkMode, LinkPolicy, PassedOver
from mvenv.link.tree import Tally
from mvenv.plan.model import Conflict
from mvenv.selection.groups import GroupOptions
from mvenv.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mvenv.fetch.settings import FetchSettings
    from mvenv.paths import StrPath

__all__ = ["CreateRequest", "Created"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRequest:
    """What to create, from what, and how."""

    folder: StrPath
    lockfile: StrPath | None
    """`None`: the nearest one, upward from ``start``."""
    start: StrPath
    python: str | None
    groups: GroupOptions
    policy: LinkPolicy
    require_link: bool
    seeds: tuple[str, ...] | None
    """Names of what is installed beside, like pip; `None`: as the interpreter's own
    `venv` has it."""
    bytecode: Bytecode
    prompt: str | None
    system_site_packages: bool
    clear: bool
    store: StrPath
    seal: bool
    fetch: FetchSettings
    environ: Mapping[str, str]
    locked: bool = True
    """False: from no lockfile at all, nothing but the seeds."""
    bundled_seeds: bool = False
    """Install those that came with the interpreter, not those of virtualenv."""
    upgrade_seeds: bool = False
    """Install their newest releases."""
    copies: bool = False
    """Copy the interpreter in place of linking to it."""
    scm_ignore: bool = True
    """With the ``.gitignore`` that newer versions of `venv` write."""
    keep: tuple[str, ...] = ()
    """Names at the top of the folder that are somebody else's: they stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """What was created."""

    path: str
    version: str
    """Of the interpreter."""
    python: str
    lockfile: str | None
    store: str
    distributions: tuple[Installed, ...]
    tally: Tally
    private_files: int
    """Files of this environment alone: private by rule, or generated."""
    shared_bytes: int
    new_bytes: int
    """Bytes of files that share nothing; folders are not counted."""
    stored_bytes: int
    """Bytes that the store took in now."""
    link_mode: LinkMode
    passed_over: tuple[PassedOver, ...]
    conflicts: tuple[Conflict, ...]
    fetched: int
    built: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "path": self.path,
            "python": self.python,
            "version": self.version,
            "lockfile": self.lockfile,
            "store": self.store,
            "link_mode": self.link_mode.value,
            "passed_over": [
                {"mode": one.mode.value, "reason": one.reason}
                for one in self.passed_over
            ],
            "distributions": [
                {"name": one.name, "version": one.version, "shared": one.shared}
                for one in self.distributions
            ],
            "files": {mode.value: self.tally.files[mode] for mode in LinkMode},
            "private_files": self.private_files,
            "shared_bytes": self.shared_bytes,
            "new_bytes": self.new_bytes,
            "stored_bytes": self.stored_bytes,
            "conflicts": [
                {"path": one.path, "winner": one.winner, "losers": list(one.losers)}
                for one in self.conflicts
            ],
            "fetched": self.fetched,
            "built": self.built,
            "seconds": round(self.seconds, 3),
        }
