"""An environment to look at: what is known of it, and from where. Never writes.

What is lost is looked for elsewhere: the plan in the store, in an environment of the
same plan, by the registry. An environment whose records are gone is never taken for
an empty one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mvenv.diagnose.model import Finding, HealClass
from mvenv.env.generations import SYNCING
from mvenv.env.receipt import BUILDING, FOLDER, PLAN, RECEIPT, Receipt, read_receipt
from mvenv.env.state import EnvironmentState, Standing, observe
from mvenv.errors import Busy, EnvironmentFault
from mvenv.hashes import digest_bytes
from mvenv.plan.model import Plan
from mvenv.plan.record import load_plan
from mvenv.scratch import is_abandoned
from mvenv.store.durability import boot_id
from mvenv.store.layout import StoreLayout
from mvenv.store.plans import recall_plan
from mvenv.store.registry import Root, find_root, roots

__all__ = ["Subject", "open_subject"]

_BESIDE = ".mvenv-build-"
_CONFIGURATION = "pyvenv.cfg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One environment, and what is on record of it."""

    path: Path
    """Absolute, as given: what is written into the environment's files."""
    place: Path
    """Where the folder really is."""
    layout: StoreLayout
    standing: Standing
    receipt: Receipt | None
    plan: Plan | None
    """Its own, or the same from elsewhere where that is lost."""
    root: Root | None
    """Its entry in the registry, by its identifier, else by its place."""
    findings: tuple[Finding, ...]
    """What opening it brought."""
    unfinished: bool = False
    """A create or sync was killed in it: its files are of no single plan."""

    @property
    def unflushed(self) -> bool:
        """Return whether its private files may have been lost with the power.

        They were not flushed when it was made, and the machine has started anew since.
        """
        receipt, boot = self.receipt, boot_id()
        if receipt is None or receipt.flushed or not receipt.boot_id or not boot:
            return False
        return receipt.boot_id != boot

    def finding(
        self,
        code: str,
        heal: HealClass,
        detail: str,
        path: str | None = None,
        *,
        drift: bool = False,
        remedy: str | None = None,
    ) -> Finding:
        """Return a finding about this environment."""
        return Finding(
            code=code,
            where=self.place,
            heal=heal,
            detail=detail,
            path=path,
            drift=drift,
            remedy=remedy,
        )


def open_subject(folder: Path, layout: StoreLayout) -> Subject:
    """Look at the environment in ``folder`` and at what is on record of it.

    `EnvironmentFault` where there is no environment, `Busy` where one is being made,
    `SystemFault` where it cannot be read.
    """
    state = observe(folder)
    place = state.place
    known = None
    if not _opens_as_folder(place / FOLDER):
        known = _registered_at(place, layout)
    _check(state, known)
    opening = _Opening(place, state.path, layout)
    unfinished = opening.look_for_unfinished(state.standing)
    receipt = opening.receipt()
    root = opening.root(receipt, known)
    plan = (
        None if state.standing is Standing.HALF_BUILT else opening.plan(receipt, root)
    )
    if not unfinished:
        opening.compare_places(receipt, root)
    return Subject(
        path=state.path,
        place=place,
        layout=layout,
        standing=state.standing,
        receipt=receipt,
        plan=plan,
        root=root,
        findings=tuple(opening.findings),
        unfinished=unfinished,
    )


def _check(state: EnvironmentState, known: Root | None) -> None:
    """Raise `EnvironmentFault` where there is no environment of mvenv's.

    One that has lost ``pyvenv.cfg``, or all of mvenv's records, still is one.
    """
    if state.standing is Standing.HALF_BUILT or known is not None:
        return
    ours = os.path.lexists(state.place / FOLDER)
    if state.standing is Standing.ENVIRONMENT and not ours:
        raise EnvironmentFault(
            f"`{state.path}` was not made by mvenv",
            hint="`mvenv adopt` takes it over, with all that is in it",
        )
    if state.standing is not Standing.ENVIRONMENT and not (
        ours and os.path.lexists(state.place / RECEIPT)
    ):
        raise EnvironmentFault(
            f"`{state.path}` is not a virtual environment",
            hint="name the folder of an environment; `mvenv create` makes one",
        )


def _registered_at(place: Path, layout: StoreLayout) -> Root | None:
    """Return the registry's entry of a place, however its path was given then."""
    with contextlib.suppress(OSError):
        seen = place.stat()
        for root in roots(layout):
            with contextlib.suppress(OSError, ValueError):
                if os.path.samestat(os.stat(root.path), seen):
                    return root
    return None


class _Opening:
    def __init__(self, place: Path, path: Path, layout: StoreLayout) -> None:
        self._place, self._path, self._layout = place, path, layout
        self._own = _opens_as_folder(place / FOLDER)
        self.findings: list[Finding] = []

    def _find(
        self,
        code: str,
        heal: HealClass,
        detail: str,
        path: str | None = None,
        *,
        where: Path | None = None,
        users: tuple[Path, ...] = (),
        remedy: str | None = None,
    ) -> None:
        self.findings.append(
            Finding(
                code=code,
                where=where or self._place,
                heal=heal,
                detail=detail,
                path=path,
                users=users,
                remedy=remedy,
            )
        )

    def look_for_unfinished(self, standing: Standing) -> bool:
        """Find what killed runs left, in the environment and beside it."""
        for name in _abandoned_beside(self._place.parent):
            detail = "was left by a create that was killed"
            self._find("F36", HealClass.PLAIN, detail, name, where=self._place.parent)
        mark = self._place / BUILDING
        if self._own and os.path.lexists(mark):
            if not _is_free(mark):
                raise Busy(
                    f"another mvenv is filling `{self._path}`",
                    hint="wait until it has ended, and run the same command again",
                )
            self._find(
                "F36",
                HealClass.PLAIN,
                "a create was killed before it was done",
                BUILDING,
                remedy="run the same `mvenv create` again: it finishes it",
            )
            return True
        if self._own and os.path.lexists(self._place / SYNCING):
            self._find(
                "F36",
                HealClass.REPORT,
                "a sync was killed before it was done",
                SYNCING,
                remedy="run `mvenv sync` again to finish it, or `mvenv rollback`",
            )
            return True
        return standing is Standing.HALF_BUILT

    def receipt(self) -> Receipt | None:
        """Return the receipt; one that is lost is a finding."""
        if not self._own:
            what = _what_is(self._place / FOLDER)
            self._find("F28", HealClass.PLAIN, f"its folder {what}", FOLDER)
            return None
        receipt = None
        if _is_file(self._place / RECEIPT):
            receipt = read_receipt(self._place)
        if receipt is None and not self._has_unfinished():
            present = os.path.lexists(self._place / RECEIPT)
            what = "is damaged" if present else "is missing"
            self._find("F28", HealClass.PLAIN, f"the receipt {what}", RECEIPT)
        return receipt

    def _has_unfinished(self) -> bool:
        return any(one.path == BUILDING for one in self.findings)

    def root(self, receipt: Receipt | None, known: Root | None) -> Root | None:
        """Return the registry's entry: by the identifier, else by the place."""
        if receipt is not None:
            return find_root(self._layout, receipt.id)
        return known or _registered_at(self._place, self._layout)

    def plan(self, receipt: Receipt | None, root: Root | None) -> Plan | None:
        """Return the plan; one that is not where it must be is a finding."""
        place = self._place / PLAN
        content = _read(place) if self._own and _is_file(place) else None
        wanted = receipt.plan if receipt else root.plan if root else None
        if content is not None and wanted in {None, digest_bytes(content).sha256}:
            plan = load_plan(content, self._layout)
            if plan is not None:
                return plan
        if self._own:
            what = "is missing" if content is None else "is damaged"
            self._find("F28", HealClass.PLAIN, f"its plan {what}", PLAN)
        if wanted is None:
            return None
        for content in self._plans_elsewhere(wanted):
            plan = load_plan(content, self._layout)
            if plan is not None:
                return plan
        return None

    def _plans_elsewhere(self, wanted: str) -> Iterator[bytes]:
        found = recall_plan(self._layout, wanted)
        if found is not None:
            yield found
        with contextlib.suppress(OSError):
            for root in roots(self._layout):
                content = _read(Path(root.path, PLAN)) if root.plan == wanted else None
                if content is not None and digest_bytes(content).sha256 == wanted:
                    yield content

    def compare_places(self, receipt: Receipt | None, root: Root | None) -> None:
        """Find out whether it was moved or copied, and whether it is on record."""
        if receipt is None:
            return
        if not _is_same(Path(receipt.path), self._place):
            self._tell_moved(receipt)
        elif (
            root is None or not _is_same(Path(root.path), self._place)
        ) and _same_store(receipt.store, self._layout.root):
            self._find("F48", HealClass.PLAIN, "is not on record in its store")

    def _tell_moved(self, receipt: Receipt) -> None:
        before = Path(receipt.path)
        seen = self._place.stat()
        same = (seen.st_dev, seen.st_ino) == receipt.identity
        other = None if same else read_receipt(before)
        if other is not None and other.id == receipt.id:
            self._find(
                "F34",
                HealClass.PLAIN,
                f"is a copy of `{before}`: both have one identifier, and its scripts"
                " start the interpreter there",
                users=(before,),
            )
            return
        self._find(
            "F33",
            HealClass.FIX,
            f"was made at `{before}`: its scripts and settings name that place",
        )


def _same_store(told: str, store: Path) -> bool:
    """Return whether an environment's store is this one, or is gone."""
    return not os.path.isdir(told) or _is_same(Path(told), store)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def _abandoned_beside(parent: Path) -> Iterator[str]:
    """Yield the folders in which an environment was being built, and nobody is."""
    try:
        names = sorted(name for name in os.listdir(parent) if name.startswith(_BESIDE))
    except OSError:
        return
    for name in names:
        if is_abandoned(parent / name):
            yield name


def _is_free(lock: Path) -> bool:
    """Return whether nobody holds a lock; it is taken, shared, only to ask."""
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        opened = os.open(lock, flags)
    except OSError:
        # Not there: about to be made, or killed before it was.
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks: nobody can hold one.
        return True
    finally:
        os.close(opened)
    return True


def _opens_as_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _what_is(path: Path) -> str:
    if not os.path.lexists(path):
        return "is missing"
    return "is a link, and not its own" if path.is_symlink() else "is no folder"


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
