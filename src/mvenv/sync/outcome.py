"""What a sync or a rollback did, for people and programs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mvenv.apply.present import Before
from mvenv.env.receipt import Installed, Receipt
from mvenv.plan.model import Conflict, Plan
from mvenv.sync.difference import Difference
from mvenv.sync.drift import ForeignDistribution
from mvenv.sync.work import Outcome

__all__ = ["Changed", "Synced", "changed_between", "restored_names", "summed_up"]


class Changed(NamedTuple):
    """A distribution that is another one now."""

    name: str
    old: str | None
    """Version; `None`: it is new."""
    new: str | None
    """`None`: it was removed."""

    def as_json(self) -> dict[str, str | None]:
        """Return what ``--json`` prints of it."""
        return {"name": self.name, "old": self.old, "new": self.new}


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What became of the environment, or what would."""

    path: Path
    lockfile: str | None
    dry_run: bool
    untouched: bool
    """Nothing had to be done."""
    changed: tuple[Changed, ...]
    restored: tuple[str, ...]
    """Distributions that stay, and of which files were missing or changed."""
    taken_out: tuple[ForeignDistribution, ...]
    back: tuple[str, ...]
    """Name and version of what was installed by hand and is there again."""
    left: tuple[ForeignDistribution, ...]
    """Installed by hand, and left."""
    edited: tuple[str, ...]
    """Files of distributions under ``mvenv edit`` that differ and were left."""
    rescued: tuple[tuple[str, Path], ...]
    """The user's bytes that were replaced or removed: path, and where they are."""
    conflicts: tuple[Conflict, ...]
    put: int
    removed: int
    fetched: int
    built: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "path": str(self.path),
            "lockfile": self.lockfile,
            "dry_run": self.dry_run,
            "untouched": self.untouched,
            "changed": [one.as_json() for one in self.changed],
            "restored": list(self.restored),
            "taken_out": [one.as_json() for one in self.taken_out],
            "back": list(self.back),
            "left": [one.as_json() for one in self.left],
            "edited": list(self.edited),
            "rescued": [
                {"path": path, "kept": str(kept)} for path, kept in self.rescued
            ],
            "conflicts": [
                {"path": one.path, "winner": one.winner, "losers": list(one.losers)}
                for one in self.conflicts
            ],
            "files_put": self.put,
            "files_removed": self.removed,
            "fetched": self.fetched,
            "built": self.built,
            "seconds": round(self.seconds, 3),
        }


def summed_up(
    now: Receipt,
    *,
    before: Before,
    plan: Plan,
    outcome: Outcome,
    foreign: Sequence[ForeignDistribution],
    taken: Sequence[ForeignDistribution],
    fetched: int,
    built: int,
    started: float,
) -> Synced:
    """Return what was done, told from what was and what is."""
    brought = outcome.brought
    return Synced(
        path=Path(now.path),
        lockfile=now.lockfile,
        dry_run=False,
        untouched=brought is None,
        changed=changed_between(before.plan.distributions, plan.distributions),
        restored=restored_names(outcome.difference, before.plan, plan),
        taken_out=tuple(taken),
        back=(),
        left=tuple(one for one in foreign if one not in taken),
        edited=tuple(sorted(outcome.difference.edited)),
        rescued=tuple(sorted(brought.rescued.items())) if brought else (),
        conflicts=plan.conflicts,
        put=brought.put if brought else 0,
        removed=brought.removed if brought else 0,
        fetched=fetched,
        built=built,
        seconds=time.monotonic() - started,
    )


def changed_between(
    old: Iterable[Installed], new: Iterable[Installed]
) -> tuple[Changed, ...]:
    """Return the distributions that differ, by name."""
    had = {one.name: one for one in old}
    has = {one.name: one for one in new}
    return tuple(
        Changed(
            name,
            had[name].version if name in had else None,
            has[name].version if name in has else None,
        )
        for name in sorted(had.keys() | has.keys())
        if name not in had
        or name not in has
        or (had[name].version, had[name].wheel) != (has[name].version, has[name].wheel)
    )


def restored_names(difference: Difference, old: Plan, new: Plan) -> tuple[str, ...]:
    """Return distributions of both plans whose files had to be put there again."""
    had = {one.name: one for one in old.distributions}
    same = {one.name for one in new.distributions if had.get(one.name) == one}
    found = {
        step.wanted.owner
        for step in difference.puts
        if step.wanted is not None and step.again
    }
    return tuple(sorted(name for name in found if name in same and name))
