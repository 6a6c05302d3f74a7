"""Bring an environment to what is wanted: kept, put on record, changed, made known.

What is replaced is kept first, then the journal says what is under way, then each
name is changed at once, then come the plan and, last, the receipt; at the end the
journal becomes the record of the generation that keeps what was before. Whoever is
killed leaves the old or the new bytes under each name, and a journal to go on from.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mvenv.apply.changing import Changer
from mvenv.apply.present import rescue_folder, stored_put
from mvenv.env.generations import (
    FILES,
    GENERATIONS,
    NEXT_PLAN,
    SYNCING,
    Journal,
    Kept,
    begin,
    complete,
    forget,
    make_generation,
    sweep_generations,
)
from mvenv.env.receipt import PLAN, Generated, Receipt, write_receipt
from mvenv.errors import MvenvError, SystemFault
from mvenv.link.files import share_file
from mvenv.link.modes import LinkChoice, LinkMode
from mvenv.plan.changes import (
    Proof,
    Put,
    Remove,
    RemoveFolder,
    Rescue,
    SetAside,
)
from mvenv.plan.model import PlannedBytecode
from mvenv.plan.wanted import WantedFile, wanted_bytecode
from mvenv.store.layout import StoreLayout
from mvenv.store.plans import keep_plan
from mvenv.sync.difference import Difference, Keeping, Step

__all__ = ["Brought", "Destination", "bring"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """What the environment is to become."""

    receipt: Receipt
    """But for what was written, which is known at the end."""
    record: bytes
    """The plan."""
    back_to: int | None = None
    """The generation that a rollback leads to."""
    added: tuple[tuple[str, str], ...] = ()
    """What is in no plan: path and sha256."""
    undoes: bool = False
    """It is what was there before a change that is under way."""
    bytecode: PlannedBytecode | None = None
    """What is put beside the sources where Python has made none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What was done."""

    put: int
    removed: int
    rescued: Mapping[str, Path]
    """Where the user's bytes are that were replaced or removed, by their path."""
    linked_bytes: int
    """Of files that were brought from the store."""


def bring(
    place: Path,
    difference: Difference,
    puts: Mapping[str, Put],
    destination: Destination,
    journal: Journal | None,
    *,
    layout: StoreLayout,
    choice: LinkChoice,
    shipped: frozenset[str],
    fresh_inode: Callable[[Put], None],
    register: Callable[[], None],
) -> Brought:
    """Carry out ``difference`` and make it known.

    ``puts`` say how each wanted file is made. ``journal`` is that of a run that was
    killed on the same way, which is finished. ``shipped`` is bytecode that wheels
    bring. ``fresh_inode`` gives a stored file that takes no more links a new inode,
    ``register`` lets the store know what the environment is now.
    `SystemFault` where the disk refuses, `DamagedEntry` where a stored file was
    changed meanwhile; the same run again finishes then.
    """
    work = _Bringing(
        place,
        difference=difference,
        puts=puts,
        destination=destination,
        choice=choice,
        shipped=shipped,
        fresh_inode=fresh_inode,
    )
    try:
        journal = work.keep(journal, layout)
        work.change()
        work.share_bytecode()
        return work.make_known(journal, register)
    except MvenvError as error:
        _tell(error, place)
        raise
    except OSError as error:
        doing = "cannot change the environment"
        fault = SystemFault.from_os_error(error, doing)
        _tell(fault, place)
        raise fault from error
    finally:
        work.close()


def _tell(error: MvenvError, place: Path) -> None:
    """Add to an error what can be done about a change that was begun."""
    if (place / SYNCING).exists():
        error.kept = error.kept or (
            "each file is what it was or what it is to be; the same command goes on"
            " from here, `mvenv rollback` goes back"
        )


class _Bringing:
    def __init__(
        self,
        place: Path,
        *,
        difference: Difference,
        puts: Mapping[str, Put],
        destination: Destination,
        choice: LinkChoice,
        shipped: frozenset[str],
        fresh_inode: Callable[[Put], None],
    ) -> None:
        self._place = place
        self._difference = difference
        self._puts = puts
        self._destination = destination
        self._choice = choice
        self._fresh_inode = fresh_inode
        # Kept files come back as another name of them, in every mode.
        modes = [mode for mode in choice.modes if mode is not LinkMode.COPY]
        if LinkMode.HARDLINK not in modes:
            modes.append(LinkMode.HARDLINK)
        self._changer = Changer(
            place, rescue=rescue_folder(place), modes=modes, keep=shipped, by_link=True
        )
        self._keeper: Changer | None = None

    def close(self) -> None:
        self._changer.close()
        if self._keeper is not None:
            self._keeper.close()

    def keep(self, journal: Journal | None, layout: StoreLayout) -> Journal:
        """Keep what will be replaced and put down what is under way."""
        place, destination = self._place, self._destination
        number = journal.number if journal else _next_number(place)
        plan = destination.receipt.plan
        if journal is None:
            folder = make_generation(place, number)
        else:
            folder = place / GENERATIONS / str(number)
        self._keeper = Changer(place, rescue=folder / FILES, by_link=True)
        for step in self._difference.steps():
            if step.keeping is Keeping.RESCUED:
                self._changer.make(Rescue(step.path))
            elif step.keeping is Keeping.GENERATION and not destination.undoes:
                self._keeper.make(Rescue(step.path))
        kept = keep_plan(layout, destination.record, plan)
        share_file(kept, place / NEXT_PLAN, self._choice.modes, destination.record)
        if journal is None:
            journal = Journal(
                number=number,
                plan=plan,
                back_to=destination.back_to,
                absent=tuple(self._difference.absent),
                other=tuple(self._others()),
                added=destination.added,
            )
            begin(place, journal)
        return journal

    def _others(self) -> Iterator[Kept]:
        keeper = self._keeper
        for path, had in self._difference.other.items():
            kept = self._changer.rescued.get(path)
            if kept is None and keeper is not None:
                kept = keeper.rescued.get(path)
            if kept is not None:
                yield Kept(*had, os.path.relpath(kept, self._place))

    def change(self) -> None:
        """Change name after name."""
        found, make = self._difference, self._changer.make
        for folder in found.aside:
            make(SetAside(folder))
        for step in found.cleared:
            make(Remove(step.path))
        for path in found.emptied:
            below = (one for one in found.folders if one.startswith(f"{path}/"))
            for folder in (*below, path):
                make(RemoveFolder(folder))
            make(SetAside(path))
        for step in found.puts:
            self._put(step)
        for step in found.removed:
            make(Remove(step.path))
        for folder in found.folders:
            make(RemoveFolder(folder))

    def share_bytecode(self) -> None:
        """Put bytecode where there is none; it is worth nothing, so it never fails."""
        bytecode = self._destination.bytecode
        if bytecode is None:
            return
        shares = LinkMode.HARDLINK in self._choice.modes
        for wanted in _missing(self._place, bytecode):
            put = stored_put(wanted)
            if put is not None:
                with contextlib.suppress(MvenvError):
                    self._changer.make(put._replace(link=put.link and shares))

    def _put(self, step: Step) -> None:
        put = self._puts[step.path]
        if put.proof is Proof.STAMP and LinkMode.HARDLINK not in self._choice.modes:
            put = put._replace(link=False)
        try:
            self._changer.make(put)
        except SystemFault as fault:
            cause = fault.__cause__
            if not isinstance(cause, OSError) or cause.errno != errno.EMLINK:
                raise
            self._fresh_inode(put)
            self._changer.make(put)
        if put.content is not None:
            seen = os.lstat(self._place / step.path)
            self._difference.generated[step.path] = Generated(
                step.path, put.sha256, put.size, put.mode, seen.st_mtime_ns
            )

    def make_known(self, journal: Journal, register: Callable[[], None]) -> Brought:
        """Put the plan and the receipt in place, then end the journal."""
        place, found = self._place, self._difference
        os.replace(place / NEXT_PLAN, place / PLAN)
        # A rename between two names of one file leaves both (`rename(2)`).
        (place / NEXT_PLAN).unlink(missing_ok=True)
        receipt = replace(
            self._destination.receipt,
            # Names and private files are not on the disk yet.
            flushed=False,
            generated=tuple(row for _, row in sorted(found.generated.items())),
        )
        write_receipt(place, receipt)
        register()
        if self._destination.undoes:
            forget(place, journal)
        else:
            complete(place, journal)
            sweep_generations(place, keep=journal.number)
        puts = [self._puts[step.path] for step in found.puts]
        return Brought(
            put=len(puts),
            removed=len(found.cleared) + len(found.removed),
            rescued=dict(self._changer.rescued),
            linked_bytes=sum(put.size for put in puts if put.content is None),
        )


def _missing(place: Path, bytecode: PlannedBytecode) -> Iterator[WantedFile]:
    """Yield the bytecode that is not there as it came, beside a source that is."""
    end = f".{bytecode.tag}.pyc"
    folder, beside = "", frozenset[str]()
    for wanted in wanted_bytecode(bytecode):
        here, _, name = wanted.path.rpartition("/")
        if here != folder:
            folder = here
            beside = _names(place / here.rpartition("/")[0])
        if f"{name.removesuffix(end)}.py" in beside and not _is_there(place, wanted):
            yield wanted


def _is_there(place: Path, wanted: WantedFile) -> bool:
    try:
        return wanted.is_met_by(os.lstat(f"{place}/{wanted.path}"))
    except OSError:
        return False


def _names(folder: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()


def _next_number(place: Path) -> int:
    try:
        names = os.listdir(place / GENERATIONS)
    except FileNotFoundError:
        names = []
    return max((int(name) for name in names if name.isdecimal()), default=0) + 1
