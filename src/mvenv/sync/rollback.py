"""``mvenv rollback``: back to what the environment was before its last change."""

from __future__ import annotations

import os
import time
from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from mvenv.apply.present import (
    Before,
    as_before,
    find_plan,
    receipt_of,
    restored,
    still_edited,
)
from mvenv.env.generations import (
    Journal,
    generation_folder,
    generation_receipt,
    last_generation,
    read_generation,
    read_journal,
)
from mvenv.env.receipt import PLAN
from mvenv.env.state import EnvironmentState, observe
from mvenv.errors import EnvironmentFault
from mvenv.interpreters import inspect_interpreter
from mvenv.locking import lock_folder
from mvenv.progress import Reporter
from mvenv.store.attempts import until_sound
from mvenv.store.entries import WheelStore
from mvenv.store.layout import StoreLayout, open_layout
from mvenv.store.locking import using
from mvenv.store.runs import RunFolder
from mvenv.sync.bringing import Destination
from mvenv.sync.drift import ForeignDistribution, find_foreign, ours_of
from mvenv.sync.outcome import Synced, summed_up
from mvenv.sync.work import Outcome, Work, bare_of
from mvenv.target import Target

__all__ = ["RollbackRequest", "rollback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackRequest:
    """What to bring back, and how."""

    folder: Path
    store: Path | None
    """`None`: the one it was made from."""
    seal: bool


def rollback(request: RollbackRequest, reporter: Reporter) -> Synced:
    """Bring an environment back to its previous generation.

    What is there now becomes the previous generation, so a second rollback is a redo.
    A change that was interrupted is undone instead. Bytes come from the store, else
    from the generation, verified by their hash; `EnvironmentFault` where neither has
    them, or where there is no previous generation: nothing is changed then.
    """
    started = time.monotonic()
    state = observe(request.folder)
    receipt = receipt_of(state)
    layout = open_layout(request.store or Path(receipt.store))
    target = inspect_interpreter(receipt.interpreter, memory=layout.interpreters)
    store = WheelStore(layout, seal=request.seal)
    back = _Back(request, state, store, target, reporter, started)
    with using(layout), RunFolder(layout) as run:
        return until_sound(lambda: back.go(run), store, reporter)


@dataclass(frozen=True, slots=True)
class _Back:
    request: RollbackRequest
    state: EnvironmentState
    store: WheelStore
    target: Target
    reporter: Reporter
    started: float

    def go(self, run: RunFolder) -> Synced:
        layout: StoreLayout = self.store.layout
        with lock_folder(self.state.place, exclusive=True):
            now = receipt_of(observe(self.request.folder))
            work = Work(
                place=self.state.place,
                now=now,
                store=self.store,
                run=run,
                bare=bare_of(now, self.target, layout),
                reporter=self.reporter,
            )
            journal = read_journal(work.place)
            if journal and journal.back_to is None and now.plan != journal.plan:
                # A sync that was interrupted: its generation is where it began.
                before = work.before(journal)
                outcome = work.undo(journal)
                return self._told(work, before, before, outcome, journal)
            return self._go_back(work, journal)

    def _go_back(self, work: Work, journal: Journal | None) -> Synced:
        if journal is None or journal.back_to is None:
            work.unfinished("", None)
            journal, aim = None, last_generation(work.place)
        else:
            journal = work.unfinished(journal.plan, journal.back_to)
            aim = read_generation(work.place, journal.back_to or 0) if journal else None
        before, was = work.before(journal), self._previous(work, aim)
        if aim is None or was is None:
            raise EnvironmentFault(
                f"`{work.now.path}` has no previous generation",
                hint="there is one after `mvenv sync` has changed something",
            )
        wanted = restored(work.place, aim, work.wanted(was.plan, was.receipt))
        private = still_edited(before.receipt, was.plan)
        number = aim.number
        foreign = self._foreign(work, before)
        outcome = work.bring_to(
            wanted,
            Destination(
                receipt=replace(
                    as_before(was.receipt, work.now),
                    edits=tuple(sorted(private.union(was.receipt.edits))),
                ),
                record=was.record,
                back_to=number,
                bytecode=was.plan.bytecode,
                added=tuple((one.path, one.sha256) for one in aim.other),
            ),
            before=before,
            journal=journal,
            resolve=lambda one: work.kept_put(one, number),
            gone=_gone(foreign, was, aim, wanted),
            private=private,
        )
        told = self._told(work, before, was, outcome, aim)
        return replace(told, taken_out=_taken_out(foreign, work.place))

    def _previous(self, work: Work, aim: Journal | None) -> Before | None:
        """Return what a generation has on record."""
        if aim is None:
            return None
        receipt = generation_receipt(work.place, aim.number)
        if receipt is None:
            return None
        paths = [generation_folder(work.place, aim.number) / PLAN]
        record, plan = find_plan(paths, receipt.plan, work.layout)
        return Before(receipt=receipt, plan=plan, record=record) if plan else None

    def _foreign(self, work: Work, before: Before) -> tuple[ForeignDistribution, ...]:
        """Return what was installed by hand, and is there."""
        return find_foreign(
            work.place,
            (self.target.scheme.purelib, self.target.scheme.platlib),
            ours_of(before.plan.distributions, (before.plan,)),
            aliases=work.bare.folder_links(),
            reserved=work.bare.paths(),
        )

    def _told(
        self,
        work: Work,
        before: Before,
        was: Before,
        outcome: Outcome,
        aim: Journal,
    ) -> Synced:
        told = summed_up(
            was.receipt,
            before=before,
            plan=was.plan,
            outcome=outcome,
            foreign=(),
            taken=(),
            fetched=0,
            built=0,
            started=self.started,
        )
        back = tuple(sorted(filter(None, (_named(one.path) for one in aim.other))))
        return replace(told, path=Path(work.now.path), back=back)


def _gone(
    foreign: Iterable[ForeignDistribution],
    was: Before,
    aim: Journal,
    wanted: Container[str],
) -> dict[str, str | None]:
    """Return what is in no plan and was not there then."""
    gone: dict[str, str | None] = dict(aim.added)
    names = {one.name for one in was.plan.distributions}
    for one in foreign:
        if one.name in names and f"{one.metadata}/RECORD" not in wanted:
            gone.update(one.files)
    return gone


def _taken_out(
    foreign: Iterable[ForeignDistribution], place: Path
) -> tuple[ForeignDistribution, ...]:
    """Return what was installed by hand, and is there no more."""
    return tuple(
        one
        for one in foreign
        if one.files and not os.path.lexists(place / one.metadata / "RECORD")
    )


def _named(path: str) -> str | None:
    """Return name and version of the distribution whose RECORD this is."""
    folder, _, name = path.rpartition("/")
    if name != "RECORD" or not folder.endswith(".dist-info"):
        return None
    return folder.rpartition("/")[2].removesuffix(".dist-info").replace("-", " ", 1)
