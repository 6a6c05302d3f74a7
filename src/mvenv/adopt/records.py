"""What is left in an adopted environment and in the store, so that doctor knows it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from mvenv import __version__
from mvenv.adopt.planning import NewPlan
from mvenv.env.receipt import FOLDER, PLAN, Asked, Receipt, write_receipt
from mvenv.env.state import EnvironmentState
from mvenv.errors import EnvironmentFault
from mvenv.hashes import digest_bytes
from mvenv.link.files import share_file
from mvenv.link.modes import LinkChoice, LinkPolicy
from mvenv.plan.record import seal_plan
from mvenv.store.durability import boot_id, flush_file_system
from mvenv.store.layout import StoreLayout
from mvenv.store.plans import keep_plan
from mvenv.store.registry import Root, new_id, register
from mvenv.target import Target

__all__ = ["Records", "is_of"]


def is_of(receipt: Receipt, state: EnvironmentState, layout: StoreLayout) -> bool:
    """Return whether a receipt is of this store.

    `EnvironmentFault` where it came with a move or a copy: the scripts there start
    another interpreter, and nobody would know that any more.
    """
    if os.path.realpath(receipt.store) != os.path.realpath(layout.root):
        return False
    if os.path.realpath(receipt.path) != os.path.realpath(state.place):
        raise EnvironmentFault(
            f"`{state.path}` was made as `{receipt.path}`, and moved or copied since",
            hint="`mvenv doctor --fix` lets it be at home here",
        )
    return True


@dataclass(frozen=True, kw_only=True)
class Records:
    """The records of one environment."""

    state: EnvironmentState
    layout: StoreLayout
    target: Target
    choice: LinkChoice
    policy: LinkPolicy
    edits: tuple[str, ...]
    new: NewPlan

    @cached_property
    def _old(self) -> Receipt | None:
        receipt = self.state.receipt
        of_it = receipt is not None and is_of(receipt, self.state, self.layout)
        return receipt if of_it else None

    @cached_property
    def _content(self) -> bytes:
        return seal_plan(self.new.plan)

    @cached_property
    def _root(self) -> Root:
        plan = self.new.plan
        return Root(
            id=self._old.id if self._old else new_id(),
            # As its scripts have it.
            path=self._old.path if self._old else str(self.state.path),
            wheels=tuple(wheel.key for wheel in plan.wheels if wheel.shared),
            plan=digest_bytes(self._content).sha256,
            lockfile=self._old.lockfile if self._old else None,
        )

    def register(self) -> None:
        """Have the store know that its entries are in use, before they are."""
        keep_plan(self.layout, self._content, self._root.plan)
        register(self.layout, self._root)

    def leave(self) -> None:
        """Leave plan and receipt, the receipt last; all is on the disk before it."""
        place = self.state.place
        (place / FOLDER).mkdir(mode=0o755, exist_ok=True)
        kept = keep_plan(self.layout, self._content, self._root.plan)
        share_file(kept, place / PLAN, self.choice.modes, self._content)
        flush_file_system(place)
        write_receipt(place, self._receipt())

    def _receipt(self) -> Receipt:
        old = self._old
        seen = self.state.place.stat()
        base = os.stat(self.target.real_executable)
        names = {one.name for one in self.new.plan.distributions}
        return Receipt(
            id=self._root.id,
            path=self._root.path,
            mvenv=__version__,
            store=str(self.layout.root),
            boot_id=boot_id(),
            flushed=True,
            link_mode=self.choice.best.value,
            lockfile=old.lockfile if old else None,
            lockfile_sha256=old.lockfile_sha256 if old else None,
            interpreter=self.target.executable,
            interpreter_version=self.target.version,
            interpreter_seen=(
                self.target.real_executable,
                base.st_size,
                base.st_mtime_ns,
            ),
            identity=(seen.st_dev, seen.st_ino),
            plan=self._root.plan,
            # What is shared now is to stay so, also where copies had been asked for.
            asked=replace(
                old.asked if old else self._asked(names), policy=self.policy.value
            ),
            edits=tuple(name for name in self.edits if name in names),
            distributions=self.new.plan.distributions,
            generated=self.new.generated,
        )

    def _asked(self, names: Iterable[str]) -> Asked:
        """Return what its maker was asked for, as ``pyvenv.cfg`` tells."""
        said = {}
        content = (self.state.place / "pyvenv.cfg").read_text("utf-8", "replace")
        for line in content.splitlines():
            key, _, value = line.partition("=")
            said[key.strip().lower()] = value.strip()
        prompt = said.get("prompt", "").strip("'\"")
        system = said.get("include-system-site-packages", "").lower() == "true"
        return Asked(
            policy=self.policy.value,
            prompt=prompt or None,
            system_site_packages=system,
            seed="pip" in names,
            choices={},
        )
