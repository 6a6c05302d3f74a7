"""An environment under its lock: what sync and rollback do to it alike."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mvenv.apply.changing import Changer
from mvenv.apply.present import (
    Before,
    as_before,
    before_change,
    next_plan,
    restored,
    still_edited,
    stored_put,
    tidy,
)
from mvenv.env.again import render_again
from mvenv.env.bare import BareEnvironment
from mvenv.env.generations import (
    FILES,
    NEXT_PLAN,
    Journal,
    complete,
    generation_folder,
    generation_receipt,
    last_generation,
    read_journal,
    sweep_generations,
)
from mvenv.env.paths import python_in
from mvenv.env.receipt import FOLDER, Receipt, read_receipt, write_receipt
from mvenv.errors import DamagedEntry, EnvironmentFault, MvenvError, SystemFault
from mvenv.hashes import digest_file
from mvenv.link.modes import LinkChoice, LinkPolicy
from mvenv.link.probe import probe
from mvenv.link.tree import TEMPORARY
from mvenv.plan.changes import Proof, Put, Remove
from mvenv.plan.model import Plan
from mvenv.plan.wanted import WantedFile, wanted_files
from mvenv.progress import Reporter
from mvenv.store.durability import boot_id
from mvenv.store.entries import StaleWheels, WheelStore
from mvenv.store.layout import StoreKey, StoreLayout
from mvenv.store.registry import Root, find_root, register
from mvenv.store.runs import RunFolder
from mvenv.sync.bringing import Brought, Destination, bring
from mvenv.sync.difference import Difference, compare, folders_above
from mvenv.target import Target

__all__ = ["Outcome", "Work", "bare_of", "is_registered"]

_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an environment."""

    difference: Difference
    brought: Brought | None
    """`None` where nothing had to be done."""


def bare_of(
    receipt: Receipt, target: Target, layout: StoreLayout | None
) -> BareEnvironment:
    """Return the bare environment that ``receipt`` speaks of."""
    memory = None if layout is None else layout.interpreters
    return render_again(receipt, target, receipt.path, memory)


@dataclass(slots=True, kw_only=True)
class Work:
    """What is known of the environment while its lock is held."""

    place: Path
    now: Receipt
    store: WheelStore
    run: RunFolder
    bare: BareEnvironment
    reporter: Reporter
    _choice: LinkChoice | None = field(default=None, init=False)
    _before: tuple[Receipt, int | None, Before] | None = field(default=None, init=False)

    @property
    def layout(self) -> StoreLayout:
        """Return the store's layout."""
        return self.store.layout

    def wanted(self, plan: Plan, receipt: Receipt) -> dict[str, WantedFile]:
        """Return what ``plan`` wants of the environment."""
        rows = {row.path: row for row in receipt.generated}
        return wanted_files(plan, python_in(self.now.path), rows)

    # What killed runs left

    def unfinished(self, plan: str, back_to: int | None) -> Journal | None:
        """Return the journal of a killed run that led where this one leads.

        Any other is undone, or done where only its record was missing.
        """
        journal = read_journal(self.place)
        if journal is None:
            tidy(self.place)
            (self.place / NEXT_PLAN).unlink(missing_ok=True)
            last = last_generation(self.place)
            sweep_generations(self.place, keep=last.number if last else None)
            return None
        if (journal.plan, journal.back_to) == (plan, back_to):
            self._sweep(journal)
            return journal
        if self.now.plan == journal.plan:
            complete(self.place, journal)
        else:
            self.undo(journal)
        return None

    def _sweep(self, journal: Journal) -> None:
        """Delete files that a killed run was about to give their names."""
        tidy(self.place)
        plans = [next_plan(self.place, journal, self.layout)]
        with contextlib.suppress(EnvironmentFault):
            plans.append(self.before(journal).plan)
        folders = {folder for plan in plans if plan for folder in plan.folders}
        folders |= folders_above(one.path for one in journal.other)
        with Changer(self.place, rescue=self.place / FOLDER) as changer:
            for folder in sorted(folders):
                with contextlib.suppress(EnvironmentFault):
                    changer.make(Remove(f"{folder}/{TEMPORARY}"))

    def before(self, journal: Journal | None) -> Before:
        """Return what the environment was before the change in ``journal``.

        A large plan takes a while to read: it is read once while nothing changes.
        """
        number = None if journal is None else journal.number
        known = self._before
        if known is None or known[0] is not self.now or known[1] != number:
            before = before_change(self.place, self.now, journal, self.layout)
            known = self._before = (self.now, number, before)
        return known[2]

    def undo(self, journal: Journal) -> Outcome:
        """Go back to what was there before a change that is under way."""
        self._sweep(journal)
        before = self.before(journal)
        was = restored(self.place, journal, self.wanted(before.plan, before.receipt))
        half = next_plan(self.place, journal, self.layout)
        outcome = self.bring_to(
            was,
            Destination(
                receipt=as_before(before.receipt, self.now),
                record=before.record,
                undoes=True,
                bytecode=before.plan.bytecode,
            ),
            before=replace(before, plan=half or before.plan),
            journal=journal,
            resolve=lambda one: self.kept_put(one, journal.number),
            gone=dict(journal.added),
            private=still_edited(before.receipt, half or before.plan),
        )
        self.now = read_receipt(self.place) or before.receipt
        self.reporter.note("a change that had been interrupted was undone first")
        return outcome

    # What is done

    def bring_to(
        self,
        wanted: Mapping[str, WantedFile],
        destination: Destination,
        *,
        before: Before,
        journal: Journal | None,
        resolve: Callable[[WantedFile], Put | None],
        gone: Mapping[str, str | None] | None = None,
        private: Collection[str] = frozenset(),
    ) -> Outcome:
        """Compare, and bring the environment to what is wanted where it differs."""
        gone = dict(gone or {})
        if journal is not None and not destination.undoes:
            # Taken out by the run that was killed, with what told of it.
            gone = {one.path: one.sha256 for one in journal.other} | gone
        old = self.wanted(before.plan, self.now)
        difference = compare(
            self.place,
            old,
            wanted,
            fixed=frozenset(self.bare.folders),
            private=private,
            gone=gone,
        )
        for row in self.now.generated:
            of_no_plan = row.path not in old and row.path not in wanted
            if of_no_plan or row.path in difference.edited:
                difference.generated[row.path] = row
        if journal is None and self._is_so(difference, destination):
            return Outcome(difference=difference, brought=None)
        puts = self._resolve(difference, resolve)
        choice = self._probe()
        both = (before.receipt, destination.receipt)
        wheels = self._needed(*both) if destination.undoes else _wheels(*both)
        self._register(before.receipt, wheels)
        try:
            brought = bring(
                self.place,
                difference,
                puts,
                replace(
                    destination,
                    receipt=replace(
                        destination.receipt,
                        boot_id=boot_id(),
                        store=str(self.layout.root),
                        link_mode=choice.best.value,
                    ),
                ),
                journal,
                layout=self.layout,
                choice=choice,
                shipped=frozenset(path for path in wanted if path.endswith(".pyc")),
                fresh_inode=self._fresh_inode,
                register=lambda: self._register(destination.receipt, wheels),
            )
        except DamagedEntry as error:
            raise self._stale(wanted.values()) or error from None
        return Outcome(difference=difference, brought=brought)

    def _is_so(self, difference: Difference, destination: Destination) -> bool:
        """Return whether nothing is to be done but, perhaps, to write the receipt."""
        new, now = destination.receipt, self.now
        if not difference.is_empty() or new.plan != now.plan:
            return False
        if replace(new, generated=now.generated) != now:
            write_receipt(self.place, new)
            self._register(new, self._needed(now, new))
        elif not is_registered(self.layout, now):
            self._register(now, self._needed(now))
        return True

    def _resolve(
        self, difference: Difference, resolve: Callable[[WantedFile], Put | None]
    ) -> dict[str, Put]:
        puts: dict[str, Put] = {}
        missing: list[WantedFile] = []
        for step in difference.puts:
            if step.wanted is None:
                continue
            put = resolve(step.wanted)
            if put is None:
                missing.append(step.wanted)
            else:
                puts[step.path] = put
        if missing:
            raise self._stale(missing) or _lost(missing)
        return puts

    def _stale(self, missing: Iterable[WantedFile]) -> StaleWheels | None:
        """Return the stored wheels whose files are not what they must be."""
        keys = {
            key
            for one in missing
            if one.content is None
            and (key := self._key(one)) is not None
            and stored_put(one) is None
        }
        return StaleWheels(frozenset(keys)) if keys else None

    def _key(self, one: WantedFile) -> StoreKey | None:
        """Return the stored wheel that a file comes from."""
        prefix = f"{self.layout.root}/wheels/"
        if one.source is None or not one.source.startswith(prefix):
            return None
        return StoreKey(one.source[len(prefix) :].split("/")[1])

    def _fresh_inode(self, put: Put) -> None:
        prefix = f"{self.layout.root}/wheels/"
        if put.source is None or not put.source.startswith(prefix):
            raise SystemFault(f"`{put.source}` takes no more links")
        _, key, _, path = put.source[len(prefix) :].split("/", 3)
        self.store.fresh_inode(StoreKey(key), path, self.run)

    def kept_put(self, one: WantedFile, number: int) -> Put | None:
        """Return how to put a file there from the store or a generation, verified."""
        put = stored_put(one)
        if put is not None:
            return put
        kept = generation_folder(self.place, number) / FILES / one.path
        for source in dict.fromkeys((str(kept), one.source)):
            if source is None:
                continue
            with contextlib.suppress(OSError):
                if digest_file(source).sha256 == one.sha256:
                    return Put(
                        one.path,
                        one.sha256,
                        one.size,
                        one.mode,
                        one.mtime_ns,
                        source=source,
                        # What was rescued stays a file of its own.
                        link=source == str(kept),
                        proof=Proof.HASH,
                    )
        return None

    def _probe(self) -> LinkChoice:
        if self._choice is None:
            self._choice = probe(
                self.run.path,
                self.place / FOLDER,
                LinkPolicy(self.now.asked.policy),
                same_owner=self.place.stat().st_uid == os.geteuid(),
            )
        return self._choice

    def _needed(self, *receipts: Receipt) -> tuple[StoreKey, ...]:
        """Return the wheels of these and of the generation that stays."""
        last = last_generation(self.place)
        kept = generation_receipt(self.place, last.number) if last else None
        return _wheels(*receipts, kept) if kept else _wheels(*receipts)

    def _register(self, receipt: Receipt, wheels: tuple[StoreKey, ...]) -> None:
        register(
            self.layout,
            Root(
                id=receipt.id,
                path=receipt.path,
                wheels=wheels,
                plan=receipt.plan,
                lockfile=receipt.lockfile,
            ),
        )


def is_registered(layout: StoreLayout, receipt: Receipt) -> bool:
    """Return whether the store knows the environment as its receipt has it."""
    root = find_root(layout, receipt.id)
    return root is not None and (root.path, root.plan, root.lockfile) == (
        receipt.path,
        receipt.plan,
        receipt.lockfile,
    )


def _wheels(*receipts: Receipt) -> tuple[StoreKey, ...]:
    """Return what an environment and its previous generation need of the store."""
    return tuple(
        dict.fromkeys(
            StoreKey(one.wheel)
            for receipt in receipts
            for one in receipt.distributions
            if one.shared and one.wheel
        )
    )


def _lost(missing: list[WantedFile]) -> MvenvError:
    shown = ", ".join(f"`{one.path}`" for one in missing[:_SHOWN])
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    return EnvironmentFault(
        f"the bytes of {shown}{more} are neither in the store nor kept",
        hint="`mvenv sync --from` with the lockfile of then fetches them again",
        kept="nothing was changed",
    )
