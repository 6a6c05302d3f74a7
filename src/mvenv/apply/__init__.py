"""Carry out a plan: the one thing that makes environments, and makes them known."""

from __future__ import annotations

import contextlib
import os

from mvenv import __version__
from mvenv.apply.filling import Filled, fill
from mvenv.apply.recipe import Recipe
from mvenv.env.bare import BareEnvironment
from mvenv.env.paths import python_in
from mvenv.env.place import Place, open_place
from mvenv.env.receipt import PLAN, Asked, Receipt, read_receipt, write_receipt
from mvenv.env.state import EnvironmentState, Standing
from mvenv.errors import LinkError, SystemFault
from mvenv.hashes import sha256_bytes
from mvenv.link.files import share_file
from mvenv.link.modes import LinkChoice, LinkMode, LinkPolicy
from mvenv.link.probe import probe
from mvenv.locking import lock_folder
from mvenv.store.durability import Flushing, boot_id, flush_file_system
from mvenv.store.entries import StaleWheels, StoredWheel, WheelStore
from mvenv.store.plans import keep_plan, plan_text
from mvenv.store.registry import Root, new_id, register, unregister
from mvenv.store.runs import RunFolder
from mvenv.target import Target
from mvenv.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Application", "Applied", "Origin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The lockfile that a plan comes from, if any, for the receipt."""

    path: str | None
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What was made, and how."""

    filled: Filled
    choice: LinkChoice
    leftover: Path | None
    """What could not be deleted of an environment that was replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """All that is decided; what is left is to do it."""

    recipe: Recipe
    record: bytes | None
    """The plan as `mvenv.plan.record` has it; `None` where the store has it."""
    sha256: str
    """Of that record."""
    bare: BareEnvironment
    state: EnvironmentState
    target: Target
    origin: Origin
    policy: LinkPolicy
    require_link: bool
    clear: bool
    store: WheelStore
    run: RunFolder
    new: Sequence[StoredWheel]
    """Wheels that were taken into the store in this run and are not flushed."""
    asked: Asked

    def carry_out(self) -> Applied:
        """Fill a place and make it the environment.

        `StaleWheels` where stored files turned out to be changed, `MvenvError` for
        what the place, the links or the disk refuse; nothing is made then.
        """
        root = Root(
            id=new_id(),
            path=self.state.path_text,
            wheels=tuple(wheel.key for wheel in self.recipe.wheels if wheel.shared),
            plan=self.sha256,
            lockfile=self.origin.path,
        )
        with (
            self._old_at_rest(),
            open_place(
                self.state, clear=self.clear, fingerprint=self._fingerprint()
            ) as place,
            Flushing(self.store.layout.root_text, needed=bool(self.new)) as flushing,
        ):
            choice = self._probe(place)
            register(self.store.layout, root)
            try:
                filled = self._fill(place, choice)
                self._leave_plan(place, choice)
                flushed = self._flush(place, flushing)
                self._leave_receipt(place, root, filled, choice, flushed=flushed)
                place.commit(lambda: self.bare.paths() | self.recipe.paths())
            except BaseException:
                self._forget(root)
                raise
        self._mark_used()
        old = self.state.receipt
        # A copy of an environment has the receipt of the one it was copied from.
        if old is not None and _is_same(old.path, root.path):
            # It is made, whatever becomes of the old one's record: prune sees to that.
            with contextlib.suppress(OSError):
                unregister(self.store.layout, old.id)
        return Applied(filled=filled, choice=choice, leftover=place.leftover)

    def _old_at_rest(self) -> contextlib.AbstractContextManager[None]:
        """Keep others from healing or syncing the environment that is replaced."""
        if self.state.standing is not Standing.ENVIRONMENT:
            return contextlib.nullcontext()
        return lock_folder(self.state.place, exclusive=True)

    def _leave_plan(self, place: Place, choice: LinkChoice) -> None:
        layout = self.store.layout
        if self.record is not None:
            keep_plan(layout, self.record, self.sha256)
        kept = plan_text(layout, self.sha256)
        try:
            share_file(kept, f"{place.folder_text}/{PLAN}", choice.modes, self.record)
        except FileNotFoundError:
            # Pruned since it was recalled: it is made again, from the lockfile.
            keys = frozenset(wheel.key for wheel in self.recipe.wheels)
            raise StaleWheels(keys) from None

    def _mark_used(self) -> None:
        """Put down when the wheels were last used: prune takes the oldest first."""
        for wheel in self.recipe.wheels:
            if wheel.shared:
                with contextlib.suppress(OSError):
                    os.utime(wheel.root)

    def _forget(self, root: Root) -> None:
        """Take the environment off the record, unless it took its name after all."""
        receipt = read_receipt(self.state.place_text)
        if receipt is None or receipt.id != root.id:
            with contextlib.suppress(OSError):
                unregister(self.store.layout, root.id)

    def _fingerprint(self) -> str:
        parts = [
            self.target.real_executable,
            self.target.version,
            self.state.path_text,
            *(f"{one.name} {one.version}" for one in self.recipe.distributions),
            *(wheel.key for wheel in self.recipe.wheels),
        ]
        return sha256_bytes("\n".join(parts).encode("utf-8", "surrogateescape"))

    def _probe(self, place: Place) -> LinkChoice:
        choice = probe(
            self.run.path_text,
            place.folder_text,
            self.policy,
            same_owner=os.stat(place.folder_text).st_uid == os.geteuid(),
        )
        if self.require_link and choice.best is LinkMode.COPY:
            reasons = "; ".join(
                f"{one.mode.value}: {one.reason}" for one in choice.passed_over
            )
            raise LinkError(
                "files could only be copied, and links are required"
                + (f" ({reasons})" if reasons else ""),
                hint="choose a store on the environment's file system with `--store`,"
                " or leave out `--require-link`",
            )
        return choice

    def _fill(self, place: Place, choice: LinkChoice) -> Filled:
        return fill(
            self.recipe,
            self.bare,
            place.folder_text,
            python=python_in(self.state.path_text),
            modes=choice.modes,
            replaces=place.replaces,
            require_link=self.require_link,
            store=self.store,
            run=self.run,
        )

    def _flush(self, place: Place, flushing: Flushing) -> bool:
        """Flush what was taken into the store now, and what was filled with it.

        With nothing new in the store nothing is flushed: the receipt says so, and
        doctor looks at the environment after a power cut.
        """
        if not self.new:
            return False
        root = self.store.layout.root
        try:
            flushing.finish()
        except SystemFault:
            # The kernel reports a write error once, and what it holds in memory then
            # proves nothing about the disk.
            for wheel in self.new:
                self.store.throw_away(wheel)
            raise
        for wheel in self.new:
            self.store.mark_synced(wheel)
        if place.folder.stat().st_dev != root.stat().st_dev:
            flush_file_system(place.folder)
        return True

    def _leave_receipt(
        self,
        place: Place,
        root: Root,
        filled: Filled,
        choice: LinkChoice,
        *,
        flushed: bool,
    ) -> None:
        write_receipt(
            place.folder_text,
            Receipt(
                id=root.id,
                path=root.path,
                mvenv=__version__,
                store=self.store.layout.root_text,
                boot_id=boot_id(),
                flushed=flushed,
                link_mode=choice.best.value,
                lockfile=self.origin.path,
                lockfile_sha256=self.origin.sha256,
                interpreter=self.target.executable,
                interpreter_version=self.target.version,
                interpreter_seen=self._interpreter_seen(),
                identity=_identity(place.folder_text),
                plan=root.plan,
                asked=self.asked,
                edits=(),
                distributions=self.recipe.distributions,
                generated=filled.generated,
            ),
        )

    def _interpreter_seen(self) -> tuple[str, int, int]:
        seen = os.stat(self.target.real_executable)
        return (self.target.real_executable, seen.st_size, seen.st_mtime_ns)


def _identity(folder: str) -> tuple[int, int]:
    seen = os.stat(folder)
    return (seen.st_dev, seen.st_ino)


def _is_same(one: str, other: str) -> bool:
    """Return whether two paths lead to one folder, by links or without."""
    return one == other or os.path.realpath(one) == os.path.realpath(other)
