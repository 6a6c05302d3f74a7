"""A repair as a value, and the one thing that carries repairs out.

A repair is a list of changes, each below one folder, in an order that may be cut off
anywhere: what is bad keeps its name until the good has been made, and the store's own
name is the last to go over, so that a second run finds what is left to do.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mvenv.apply.changing import Changer
from mvenv.diagnose.expected import UNKNOWN
from mvenv.diagnose.model import Expected, Finding
from mvenv.doctor.model import Rescued
from mvenv.errors import DamagedEntry, MvenvError, SystemFault
from mvenv.hashes import digest_file
from mvenv.link.modes import LinkMode
from mvenv.plan.changes import Change, Put

__all__ = [
    "Carrier",
    "Repair",
    "Root",
    "Step",
    "is_right_by_now",
    "is_sealed_as",
    "new_rescue",
    "put_of",
    "reason_of",
]


def put_of(expected: Expected, source: Path) -> Put:
    """Return what puts a file with the right bytes, ``source``, where it belongs."""
    return Put(
        path=expected.path,
        sha256=expected.sha256,
        size=expected.size,
        mode=expected.mode,
        mtime_ns=expected.mtime_ns,
        source=str(source),
    )


class Root(NamedTuple):
    """A folder that changes are made below."""

    folder: Path
    rescue: Path
    """Where what is kept of it goes."""
    modes: tuple[LinkMode, ...]
    keep: Container[str] = frozenset()
    """Bytecode that a wheel ships."""


class Step(NamedTuple):
    """One change below one folder."""

    root: Root
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What heals one finding."""

    finding: Finding
    words: str
    """What it does, for people: ``put back from the store``."""
    steps: tuple[Step, ...] = ()
    act: Callable[[], str | None] | Callable[[], None] | None = None
    """What no change can say, like putting an environment on record; it may return
    better words."""
    proofs: tuple[tuple[Path, Expected], ...] = ()
    """Files that must be right afterwards, below their folders."""
    first: bool = False
    """Other repairs build on it."""


def new_rescue(folder: Path) -> Path:
    """Return a folder for what this run keeps; made when the first file comes."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return folder / f"{moment}-{secrets.token_hex(3)}"


@dataclass(slots=True)
class Carrier:
    """Carries repairs out, one after the other."""

    renew: Callable[[str], bool]
    """Gives a stored file a fresh inode where its old one takes no more links."""
    _changers: dict[Path, Changer] = field(default_factory=dict)

    def carry_out(self, repair: Repair) -> tuple[str, tuple[Rescued, ...]]:
        """Heal one finding, and look at it again; `MvenvError` where that fails.

        Returns what was done, and what was kept.
        """
        words = repair.words
        before = {root: dict(one.rescued) for root, one in self._changers.items()}
        try:
            for step in repair.steps:
                self._make(step)
            if repair.act is not None:
                words = repair.act() or words
            for folder, expected in repair.proofs:
                _prove(folder, expected)
        finally:
            self.rest()
        return words, tuple(self._news(before))

    def _make(self, step: Step) -> None:
        root = step.root
        changer = self._changers.get(root.folder)
        if changer is None:
            changer = Changer(
                root.folder, rescue=root.rescue, modes=root.modes, keep=root.keep
            )
            self._changers[root.folder] = changer
        try:
            changer.make(step.change)
        except SystemFault as error:
            change = step.change
            cause = error.__cause__
            full = isinstance(cause, OSError) and cause.errno == errno.EMLINK
            if not (full and isinstance(change, Put) and change.source):
                raise
            if not self.renew(change.source):
                raise
            changer.make(change)

    def _news(self, before: dict[Path, dict[str, Path]]) -> list[Rescued]:
        return [
            Rescued(kept, changer.root / path)
            for folder, changer in self._changers.items()
            for path, kept in changer.rescued.items()
            if before.get(folder, {}).get(path) != kept
        ]

    def rest(self) -> None:
        """Let go of the folders that are open."""
        for changer in self._changers.values():
            changer.close()


def _prove(folder: Path, expected: Expected) -> None:
    """Raise `DamagedEntry` where a file is not right, after all that was done."""
    place = folder / expected.path
    with contextlib.suppress(OSError):
        seen = place.lstat()
        right = (
            stat.S_ISREG(seen.st_mode)
            and seen.st_size == expected.size
            and expected.mtime_ns in {seen.st_mtime_ns, UNKNOWN}
            and digest_file(place).sha256 == expected.sha256
        )
        if right:
            return
    raise DamagedEntry(f"`{place}` is still not what it must be")


def reason_of(error: MvenvError | OSError) -> str:
    """Return an error in one line."""
    if isinstance(error, MvenvError):
        return f"{error.message} ({error.hint})" if error.hint else error.message
    return (error.strerror or str(error)).lower()


def is_sealed_as(path: Path, expected: Expected, modes: Sequence[int]) -> bool:
    """Return whether a file could be the store's own: its owner, mode and stamp."""
    try:
        seen = path.lstat()
    except OSError:
        return False
    return (
        stat.S_ISREG(seen.st_mode)
        and seen.st_uid == os.geteuid()
        and stat.S_IMODE(seen.st_mode) in modes
        and seen.st_mtime_ns == expected.mtime_ns
        and seen.st_size == expected.size
    )


def is_right_by_now(finding: Finding) -> bool:
    """Return whether another process has healed a file meanwhile."""
    expected = finding.expected
    if expected is None or finding.code in {"F10", "F11", "F22"}:
        return False
    place = finding.where / (finding.path or "")
    try:
        seen = place.lstat()
        return (
            stat.S_ISREG(seen.st_mode)
            and seen.st_mtime_ns == expected.mtime_ns
            and seen.st_size == expected.size
            and (finding.code not in _OF_MODE or _has_mode(seen, expected))
            and digest_file(place).sha256 == expected.sha256
        )
    except OSError:
        return False


_OF_MODE = frozenset({"F12", "F44"})


def _has_mode(seen: os.stat_result, expected: Expected) -> bool:
    return stat.S_IMODE(seen.st_mode) == expected.mode
