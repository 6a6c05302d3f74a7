"""``mvenv store prune`` and ``clean``: give the disk back what the store holds.

Prune goes by the registry, never by link counts alone. With links, environments keep
their files whatever is taken out of the store.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mvenv.diagnose.roots import RootLook, RootStanding, look_at_root
from mvenv.env.beside import sweep_beside
from mvenv.errors import StoreError, SystemFault, UsageError
from mvenv.link.usage import Together, Usage, measure, wake_file_system
from mvenv.progress import Reporter, Unit
from mvenv.store.durability import now_ns
from mvenv.store.entries import WheelStore
from mvenv.store.large import drop_lost, unneeded_large
from mvenv.store.layout import StoreKey, StoreLayout, open_layout
from mvenv.store.locking import alone
from mvenv.store.pruning import (
    Entry,
    is_untouched,
    remove_entry,
    remove_locks,
    survey,
    unneeded_answers,
    unneeded_builds,
    unneeded_plans,
)
from mvenv.store.registry import (
    mark_absent,
    mark_seen,
    roots,
    unreadable_records,
    unregister,
)
from mvenv.store.runs import deleting, sweep

__all__ = ["CleanRequest", "PruneRequest", "Pruned", "Waiting", "clean", "prune"]

_PATIENCE = 60.0
"""Seconds to wait for those who use the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRequest:
    """What to take out of which store."""

    store: Path
    older_than_ns: int | None = None
    """Only what was not used for so long, in nanoseconds."""
    max_size: int | None = None
    """Only as much as brings the store to so many bytes, the least recently used
    first; `None`: all that nobody needs."""
    forget: tuple[Path, ...] = ()
    """Environments to take off the record at once, since they are gone for good."""
    dry_run: bool = False
    patience: float = _PATIENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanRequest:
    """Which store to empty."""

    store: Path
    dry_run: bool = False
    patience: float = _PATIENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An environment that is not there, and whose wheels are kept all the same."""

    path: Path
    standing: RootStanding


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was taken out, or would be."""

    store: Path
    dry_run: bool
    removed: tuple[Entry, ...]
    bytes: int
    """What the disk really gets back."""
    exact: bool
    """The file system told all; else ``bytes`` is what comes back at the most."""
    left: int
    """Entries that are still in the store."""
    left_bytes: int | None
    """What the store takes now, where a size was asked for."""
    plans: int
    answers: int
    """Records of what was decided, whose plans are not there."""
    builds: int
    large: int
    """Records of large files that no wheel in the store has."""
    forgotten: tuple[Path, ...]
    """Environments that were taken off the record."""
    waiting: tuple[Waiting, ...]
    rescued: tuple[Path, ...]
    """Where files are that were not as the wheels have them."""
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "store": str(self.store),
            "dry_run": self.dry_run,
            "removed": [
                {"key": one.key, "filename": one.filename, "size": one.size}
                for one in self.removed
            ],
            "bytes": self.bytes,
            "exact": self.exact,
            "left": self.left,
            "left_bytes": self.left_bytes,
            "plans": self.plans,
            "answers": self.answers,
            "builds": self.builds,
            "large": self.large,
            "forgotten": [str(path) for path in self.forgotten],
            "waiting": [
                {"path": str(one.path), "why": one.standing.value}
                for one in self.waiting
            ],
            "rescued": [str(path) for path in self.rescued],
            "seconds": round(self.seconds, 3),
        }


def prune(request: PruneRequest, reporter: Reporter) -> Pruned:
    """Take out of the store what no environment needs.

    `StoreError` where the registry is damaged: then nothing is. `Busy` where others
    use the store all the time. A run that is killed leaves whole entries only.
    """
    started = time.monotonic()
    layout = open_layout(request.store)
    try:
        known = _look(layout, request.forget)
        chosen, left_bytes = _choose(layout, known, request)
        removing = _Removing(layout, request.dry_run, request.patience)
        pruned = removing.carry_out(chosen, known, request.forget, reporter)
    except OSError as error:
        raise SystemFault.from_os_error(error, "cannot prune the store") from error
    seconds = time.monotonic() - started
    return replace(pruned, left_bytes=left_bytes, seconds=seconds)


def clean(request: CleanRequest, reporter: Reporter) -> Pruned:
    """Take everything out of the store; environments stay on record, and keep working.

    `Busy` where others use the store all the time.
    """
    started = time.monotonic()
    layout = open_layout(request.store)
    try:
        removing = _Removing(layout, request.dry_run, request.patience)
        pruned = removing.carry_out(list(survey(layout)), None, (), reporter)
    except OSError as error:
        raise SystemFault.from_os_error(error, "cannot empty the store") from error
    return replace(pruned, seconds=time.monotonic() - started)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the registry says."""

    looks: tuple[RootLook, ...]
    forgotten: frozenset[str]
    """Identifiers of environments that count no more."""

    def live(self) -> tuple[RootLook, ...]:
        return tuple(one for one in self.looks if one.root.id not in self.forgotten)

    def wheels(self) -> frozenset[StoreKey]:
        return frozenset(key for look in self.live() for key in look.wheels)

    def plans(self) -> frozenset[str]:
        return frozenset(plan for look in self.live() for plan in look.plans)


def _look(layout: StoreLayout, forget: Iterable[Path]) -> _Known:
    """Look at every environment on record; `StoreError` where a record is damaged."""
    damaged = unreadable_records(layout)
    if damaged:
        raise StoreError(
            f"{len(damaged)} of the store's records of environments cannot be read"
            f" (`envs/{damaged[0]}`), so nobody knows what their environments need",
            hint="`mvenv doctor --whole-store` makes them again; nothing was pruned",
        )
    looks = tuple(look_at_root(layout, root) for root in roots(layout))
    gone = {one.root.id for one in looks if not one.standing.needs_wheels}
    for path in forget:
        gone |= _forgotten(path, looks)
    return _Known(looks=looks, forgotten=frozenset(gone))


def _forgotten(path: Path, looks: Iterable[RootLook]) -> set[str]:
    names = {os.path.abspath(path), os.path.realpath(path)}
    found = [one for one in looks if {one.root.path, str(one.place)} & names]
    if not found:
        raise UsageError(
            f"no environment on record was in `{path}`",
            hint="`mvenv list` shows which are",
        )
    for look in found:
        if look.standing in {RootStanding.PRESENT, RootStanding.UNREADABLE}:
            raise UsageError(
                f"the environment `{path}` is there: what it needs is not taken away",
                hint="delete it first",
            )
    return {look.root.id for look in found}


def _choose(
    layout: StoreLayout, known: _Known, request: PruneRequest
) -> tuple[list[Entry], int | None]:
    """Return what to take out, and how large the store is then if that matters."""
    needed = known.wheels()
    entries = list(survey(layout))
    dead = [one for one in entries if one.key not in needed]
    if request.older_than_ns is not None:
        before = now_ns(layout.tmp) - request.older_than_ns
        dead = [one for one in dead if one.used_ns < before]
    if request.max_size is None:
        return dead, None
    together = Together(one.root for one in entries)
    chosen = []
    for one in sorted(dead, key=lambda entry: entry.used_ns):
        if together.on_disk <= request.max_size:
            break
        together.take_out(one.root)
        chosen.append(one)
    return chosen, together.on_disk


@dataclass(frozen=True, slots=True)
class _Records:
    """Records that go, since what they are about is gone, or goes now."""

    plans: list[Path]
    answers: list[Path]
    builds: list[Path]
    large: list[Path]

    @classmethod
    def unneeded(
        cls, layout: StoreLayout, known: _Known | None, gone: Container[StoreKey] = ()
    ) -> _Records:
        plans = unneeded_plans(layout, known.plans() if known else ())
        answers = unneeded_answers(layout, {path.name for path in plans})
        builds, large = unneeded_builds(layout, gone), unneeded_large(layout, gone)
        return cls(plans, answers, builds, large)

    def all(self) -> tuple[Path, ...]:
        return (*self.plans, *self.answers, *self.builds, *self.large)


@dataclass(frozen=True, slots=True)
class _Removing:
    """One run that takes entries out."""

    layout: StoreLayout
    dry_run: bool
    patience: float

    def carry_out(
        self,
        chosen: Sequence[Entry],
        known: _Known | None,
        forget: tuple[Path, ...],
        reporter: Reporter,
    ) -> Pruned:
        """Take entries out; ``known`` `None`: all, whoever needs them."""
        store = WheelStore(self.layout)
        keys = {one.key for one in chosen}
        records = _Records.unneeded(self.layout, known, keys)
        wake_file_system(self.layout.root)
        freed = measure([*(one.root for one in chosen), *records.all()])
        if self.dry_run:
            return self._result(chosen, freed, known, records)
        untouched = self._untouched(chosen, reporter)
        # What killed runs left gives room too, and takes time that nobody waits for.
        sweep(self.layout)
        for look in known.live() if known is not None else ():
            sweep_beside(str(look.place))
        with deleting(self.layout):
            with alone(self.layout, patience=self.patience):
                # Who came while we looked is on record by now.
                known = _look(self.layout, forget) if known is not None else None
                needed = known.wheels() if known is not None else frozenset()
                taken = [one for one in chosen if one.key not in needed]
                if len(taken) < len(chosen):
                    freed = measure([*(one.root for one in taken), *records.all()])
                removals = [
                    remove_entry(store, one.key, untouched=untouched[one.key])
                    for one in taken
                ]
                records = _Records.unneeded(self.layout, known)
                for path in records.all():
                    path.unlink(missing_ok=True)
                drop_lost(self.layout)
                remove_locks(self.layout)
                self._put_down(known)
            for removal in removals:
                if removal.grave is not None:
                    shutil.rmtree(removal.grave, ignore_errors=True)
        done = self._result(taken, freed, known, records)
        rescued = (one.rescued for one in removals)
        return replace(done, rescued=tuple(path for path in rescued if path))

    def _untouched(
        self, chosen: Sequence[Entry], reporter: Reporter
    ) -> dict[StoreKey, bool]:
        """Return which entries have nothing that somebody may have written."""
        found = {}
        label = f"looking at {len(chosen):,} wheel{'' if len(chosen) == 1 else 's'}"
        with reporter.task(label, len(chosen), Unit.FILES) as task:
            for one in chosen:
                found[one.key] = is_untouched(one.root)
                task.advance(1)
        return found

    def _put_down(self, known: _Known | None) -> None:
        """Put down who is there, who is not, and who is so no more."""
        for look in known.looks if known is not None else ():
            # The disk may be full: then it is put down the next time.
            with contextlib.suppress(OSError):
                if known is not None and look.root.id in known.forgotten:
                    unregister(self.layout, look.root.id)
                elif look.standing is RootStanding.PRESENT:
                    mark_seen(self.layout, look.root.id)
                elif look.standing is RootStanding.ABSENT:
                    mark_absent(self.layout, look.root.id)

    def _result(
        self,
        taken: Sequence[Entry],
        freed: Usage,
        known: _Known | None,
        records: _Records,
    ) -> Pruned:
        left = sum(1 for _ in survey(self.layout))
        looks = known.looks if known else ()
        forgotten = known.forgotten if known else frozenset()
        return Pruned(
            store=self.layout.root,
            dry_run=self.dry_run,
            removed=tuple(taken),
            bytes=freed.own,
            exact=freed.exact,
            left=left - len(taken) if self.dry_run else left,
            left_bytes=None,
            plans=len(records.plans),
            answers=len(records.answers),
            builds=len(records.builds),
            large=len(records.large),
            forgotten=tuple(one.place for one in looks if one.root.id in forgotten),
            waiting=tuple(
                Waiting(path=one.place, standing=one.standing)
                for one in looks
                if one.root.id not in forgotten
                and one.standing is not RootStanding.PRESENT
            ),
            rescued=(),
            seconds=0.0,
        )
