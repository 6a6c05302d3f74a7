"""The values of the doctor: what is asked for, and what came of it."""

from __future__ import annotations

import enum
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mvenv.diagnose.model import Finding, Level

if TYPE_CHECKING:  # most runs fetch nothing
    from mvenv.fetch.settings import FetchSettings

__all__ = [
    "DoctorReport",
    "DoctorRequest",
    "Fate",
    "Looked",
    "Outcome",
    "Rescued",
    "Unchecked",
]

_REMAINS = 1
_UNCHECKED = 4
_BUSY = 75


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorRequest:
    """What to look at, how closely, and what may be done."""

    folders: tuple[Path, ...]
    """Environments; with ``every`` also folders that have some below them."""
    start: Path
    active: Path | None
    """The environment that is meant where none is named, if one is active."""
    every: bool
    """Also all environments that are on record."""
    whole_store: bool
    """All of the store, not only what the environments use."""
    level: Level
    check: bool
    """Write nothing at all."""
    dry_run: bool
    """Write nothing, but find out what would be done."""
    fix: bool
    restore: bool
    only: frozenset[str]
    """Codes of checks; empty: all."""
    store: Path
    store_chosen: bool
    """It was named, and does not only stand for the default."""
    fetch: FetchSettings
    environ: Mapping[str, str]
    seal: bool = True
    """Stored files that are made again are sealed."""
    behind: bool = True
    """Look at the store behind environments. False: only where something is wrong in
    one of them, or where what it has links of may never have reached the disk."""

    @property
    def writes(self) -> bool:
        """Return whether anything may be written."""
        return not (self.check or self.dry_run)


class Fate(enum.StrEnum):
    """What became of a finding."""

    HEALED = "healed"
    PLANNED = "would be healed"
    """In a dry run."""
    LEFT = "left"
    """It needs leave, a source, or a person."""
    FAILED = "failed"
    DRIFT = "drift"
    """The user's own doing: no fault."""


class Rescued(NamedTuple):
    """Bytes that were kept before others took their name."""

    kept: Path
    place: Path

    @property
    def command(self) -> str:
        """Return the command that brings them back."""
        words = ["cp", "--remove-destination", str(self.kept), str(self.place)]
        if self.kept.is_dir() and not self.kept.is_symlink():
            words = ["cp", "-a", "-T", str(self.kept), str(self.place)]
        return shlex.join(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A finding, and what became of it."""

    finding: Finding
    fate: Fate
    words: str
    """What was done, or why nothing was."""
    rescued: tuple[Rescued, ...] = ()
    face: Path | None = None
    """Where a person knows a stored file from: in an environment."""

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints of it."""
        return {
            **self.finding.as_json(),
            "face": str(self.face) if self.face is not None else None,
            "fate": self.fate.name.lower(),
            "words": self.words,
            "rescued": [
                {
                    "kept": str(one.kept),
                    "place": str(one.place),
                    "command": one.command,
                }
                for one in self.rescued
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """An environment or a store that was looked at."""

    path: Path
    checked: int
    rehashed: int
    bytes_hashed: int


class Unchecked(NamedTuple):
    """What could not be looked at."""

    path: Path
    reason: str
    busy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorReport:
    """What was looked at, what was found, and what became of it."""

    environments: tuple[Looked, ...]
    store: Looked | None
    outcomes: tuple[Outcome, ...]
    unchecked: tuple[Unchecked, ...]
    level: Level
    seconds: float

    def count(self, *fates: Fate) -> int:
        """Return how many findings had one of these fates."""
        return sum(one.fate in fates for one in self.outcomes)

    @property
    def remaining(self) -> int:
        """Return how many faults are there still."""
        return self.count(Fate.LEFT, Fate.FAILED, Fate.PLANNED)

    @property
    def exit_code(self) -> int:
        """Return 0, 1 where faults remain, 4 or 75 where something was not looked at.

        Drift alone is 0.
        """
        if self.remaining:
            return _REMAINS
        if not self.unchecked:
            return 0
        return _BUSY if all(one.busy for one in self.unchecked) else _UNCHECKED

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "environments": [_looked(one) for one in self.environments],
            "store": _looked(self.store) if self.store else None,
            "findings": [one.as_json() for one in self.outcomes],
            "unchecked": [
                {"path": str(one.path), "reason": one.reason, "busy": one.busy}
                for one in self.unchecked
            ],
            "full": self.level is Level.FULL,
            "healed": self.count(Fate.HEALED),
            "remaining": self.remaining,
            "exit_code": self.exit_code,
            "seconds": round(self.seconds, 3),
        }


def _looked(one: Looked) -> dict[str, Any]:
    return {
        "path": str(one.path),
        "checked": one.checked,
        "rehashed": one.rehashed,
        "bytes_hashed": one.bytes_hashed,
    }
