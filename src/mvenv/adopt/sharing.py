"""Replace an environment's files by links to the store, each proven by its hash."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mvenv.adopt.bytecode import BYTECODE, Bytecode
from mvenv.adopt.installed import Environment, Row
from mvenv.adopt.matching import Match
from mvenv.apply.changing import Changer
from mvenv.errors import DamagedEntry, SystemFault
from mvenv.hashes import sha256_file
from mvenv.link.extents import file_bytes, same_extents
from mvenv.link.modes import LinkMode
from mvenv.link.tree import TEMPORARY
from mvenv.plan.changes import Proof, Put
from mvenv.store.entries import StoredWheel, WheelStore
from mvenv.store.runs import RunFolder
from mvenv.wheels.layout import PlacedFile, Placing

__all__ = ["Shared", "Sharer", "own_bytes", "state_of"]

_BLOCK = 512
"""Bytes, whatever the file system's own are (``stat(2)``)."""
_WORTH_ASKING = 1 << 14
"""Bytes from which on the file system is asked whether two files share theirs."""


def own_bytes(path: Path, seen: os.stat_result) -> int:
    """Return the bytes on the disk that nobody else has: no other name, no reflink.

    The fewest where that is not clear.
    """
    if seen.st_nlink > 1:
        return 0
    taken = seen.st_blocks * _BLOCK
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = file_bytes(descriptor, sync=False)
        finally:
            os.close(descriptor)
    except OSError:
        return 0
    return taken if found is None else min(taken, found.own)


@dataclass(slots=True)
class Shared:
    """What became of the files of one distribution."""

    linked: int = 0
    """Files that share the store's bytes now, and did not before."""
    already: int = 0
    private: int = 0
    """Files that every environment has for itself."""
    edited: list[str] = field(default_factory=list)
    """Files that are not what they were installed as; left as they are."""
    missing: list[str] = field(default_factory=list)
    apart: list[str] = field(default_factory=list)
    """Links, and files of other users or behind links; left as they are."""
    damaged: list[str] = field(default_factory=list)
    """Files that are right here and not in the store; left as they are."""
    freed: int = 0
    """Bytes on the disk that were nobody else's."""

    @property
    def shares(self) -> bool:
        """Return whether it shares anything with the store."""
        return bool(self.linked or self.already)


@dataclass(slots=True)
class Sharer:
    """Shares the files of one environment, which is locked."""

    environment: Environment
    store: WheelStore
    run: RunFolder
    modes: tuple[LinkMode, ...]
    rescue: Path
    dry: bool
    proven: Mapping[str, tuple[int, ...]]
    """Files whose bytes were hashed already in this run, and their state then."""
    _keep: set[str] = field(default_factory=set, init=False)
    _changer: Changer = field(init=False)
    _bytecode: Bytecode = field(init=False)

    def __post_init__(self) -> None:
        place = self.environment.place
        self._bytecode = Bytecode(place)
        self._changer = Changer(
            place, rescue=self.rescue, modes=self.modes, keep=self._keep
        )

    def close(self) -> None:
        """Let go of the folder that is open."""
        self._changer.close()

    def share(self, match: Match, paths: Sequence[str]) -> Shared:
        """Share the files ``paths`` of a distribution."""
        done = Shared()
        if not self.dry:
            self._tidy(paths)
        # What Python runs at its start comes last, as with create.
        for path in sorted(paths, key=lambda one: match.files[one].is_pth):
            self._share_file(match, path, done)
        return done

    def look_at_rest(self, rows: Iterable[Row], done: Shared) -> None:
        """Put down files that no entry brings: what became of them is told, no more."""
        for row in rows:
            seen = self._look(row.path, done)
            if seen is None:
                continue
            with contextlib.suppress(OSError):
                found = sha256_file(self.environment.place / row.path)
                if found == row.sha256:
                    done.private += 1
                    continue
            done.edited.append(row.path)

    def _tidy(self, paths: Iterable[str]) -> None:
        """Delete what a killed run left in the folders of ``paths``."""
        for path in {one.rpartition("/")[0]: one for one in paths}.values():
            folder = (self.environment.place / path).parent
            if self.environment.is_inside(path):
                for name in (TEMPORARY, f"{BYTECODE}/{TEMPORARY}"):
                    with contextlib.suppress(OSError):
                        os.unlink(folder / name)

    def _share_file(self, match: Match, path: str, done: Shared) -> None:
        placed = match.files[path]
        seen = self._look(path, done)
        if seen is None:
            return
        link = placed.how is Placing.LINK
        if self._is_so(match.wheel, path, placed, seen, link=link):
            done.already += link
            done.private += not link
            return
        if not self._is_same(path, placed, seen):
            done.edited.append(path)
            return
        freed = own_bytes(self.environment.place / path, seen) if link else 0
        try:
            if not self.dry and not self._put(match, path, seen, link=link):
                done.edited.append(path)
                return
        except DamagedEntry:
            done.damaged.append(path)
            return
        done.linked += link
        done.private += not link
        done.freed += freed

    def _look(self, path: str, done: Shared) -> os.stat_result | None:
        """Return what is there, if it is a file of this user and this environment."""
        try:
            seen = (self.environment.place / path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            done.missing.append(path)
            return None
        except OSError:
            done.apart.append(path)
            return None
        own = stat.S_ISREG(seen.st_mode) and seen.st_uid == os.geteuid()
        if own and self.environment.is_inside(path):
            return seen
        done.apart.append(path)
        return None

    def _is_so(
        self,
        wheel: StoredWheel,
        path: str,
        placed: PlacedFile,
        seen: os.stat_result,
        *,
        link: bool,
    ) -> bool:
        """Return whether it is as create would have made it, as far as stat tells."""
        if link and self.modes[0] is LinkMode.HARDLINK:
            try:
                stored = (wheel.tree / placed.source).lstat()
            except OSError:
                return False
            return os.path.samestat(stored, seen)
        bits = 0o755 if placed.executable else 0o644
        return (
            seen.st_nlink == 1
            and seen.st_mtime_ns == placed.file.mtime_ns
            and seen.st_size == placed.file.size
            and stat.S_IMODE(seen.st_mode) == bits
            and not (link and self._is_apart(wheel, path, placed))
        )

    def _is_apart(self, wheel: StoredWheel, path: str, placed: PlacedFile) -> bool:
        """Return whether it is known to have bytes of its own: it is no reflink."""
        if placed.file.size < _WORTH_ASKING:
            return False
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
            both = []
            for file in (wheel.tree / placed.source, self.environment.place / path):
                both.append(os.open(file, flags))
                opened.callback(os.close, both[-1])
            return same_extents(*both) is False
        return False

    def _is_same(self, path: str, placed: PlacedFile, seen: os.stat_result) -> bool:
        """Return whether it has the entry's bytes, and is no less executable there."""
        if seen.st_size != placed.file.size:
            return False
        if seen.st_mode & 0o100 and not placed.executable:
            return False
        if self.proven.get(path) == state_of(seen):
            return True
        try:
            place = self.environment.place / path
            return sha256_file(place) == placed.file.sha256
        except OSError:
            return False

    def _put(
        self,
        match: Match,
        path: str,
        seen: os.stat_result,
        *,
        link: bool,
    ) -> bool:
        """Replace one file; false where it was written to in the meantime."""
        wheel, placed = match.wheel, match.files[path]
        file = placed.file
        put = Put(
            path,
            file.sha256,
            file.size,
            0o755 if placed.executable else 0o644,
            file.mtime_ns,
            source=str(wheel.tree / placed.source) if file.size else None,
            content=None if file.size else b"",
            link=link,
            # What was just learned was hashed as it was written.
            proof=Proof.STAMP if match.learned else Proof.HASH,
            sealed=(file.mode, file.mtime_ns),
        )
        valid, puts = self._bytecode.follow(path, seen, file.mtime_ns)
        self._keep |= valid
        now = (self.environment.place / path).lstat()
        if state_of(now) != state_of(seen):
            return False
        try:
            self._changer.make(put)
        except SystemFault as fault:
            cause = fault.__cause__
            if not isinstance(cause, OSError) or cause.errno != errno.EMLINK:
                raise
            self.store.fresh_inode(wheel.key, placed.source, self.run)
            self._changer.make(put)
        for one in puts:
            self._changer.make(one)
        return True


def state_of(seen: os.stat_result) -> tuple[int, ...]:
    """Return what tells that nobody wrote to a file between two looks."""
    return (
        seen.st_dev,
        seen.st_ino,
        seen.st_size,
        seen.st_mtime_ns,
        seen.st_ctime_ns,
    )
