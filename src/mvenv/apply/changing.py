"""Carry out changes below one folder, each at once, and never through a link.

Every folder on the way is opened without following links, every file is made beside
its name and renamed over it, and what is to be kept is copied, flushed and compared
before it is replaced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Self

from mvenv.apply.folders import FOLDER_FLAGS, open_below
from mvenv.errors import DamagedEntry, EnvironmentFault, SystemFault
from mvenv.hashes import digest_bytes, digest_file
from mvenv.link.files import copy_file, hard_link, reflink_file, replace_name, write_new
from mvenv.link.modes import NEXT_MODE, LinkMode
from mvenv.link.tree import TEMPORARY
from mvenv.plan.changes import (
    Change,
    MakeFolder,
    Proof,
    Put,
    Remove,
    RemoveFolder,
    Rescue,
    Seal,
    SetAside,
    Symlink,
)

__all__ = ["Changer"]

_BYTECODE = "__pycache__"


class Changer:
    """Carries out changes below ``root``; to be closed, as a context does.

    ``rescue`` is a folder, there or not, for what is kept. ``modes`` are how files may
    come from a source, best first. ``keep`` are bytecode files that a wheel ships:
    other bytecode is removed with its source. With ``by_link`` what is kept may be
    another name of the same file: enough where its name is about to go to another.
    """

    def __init__(
        self,
        root: Path,
        *,
        rescue: Path,
        modes: Sequence[LinkMode] = (LinkMode.COPY,),
        keep: Container[str] = frozenset(),
        by_link: bool = False,
    ) -> None:
        self.root = root
        self._rescue = rescue
        self._modes = tuple(modes)
        self._keep = keep
        self._by_link = by_link
        self._opened: tuple[str, int] | None = None
        self._source: tuple[str, int] | None = None
        self.rescued: dict[str, Path] = {}
        """What was kept: path below the root, and where it is now."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folders that are open."""
        self._close_source()
        self._close_opened()

    def _close_opened(self) -> None:
        if self._opened is not None:
            os.close(self._opened[1])
            self._opened = None

    def make(self, change: Change) -> None:
        """Carry out one change.

        `DamagedEntry` where a source's bytes are not what they must be,
        `EnvironmentFault` where something is in the way, `SystemFault` where the
        system refuses; what was there is there then.
        """
        try:
            match change:
                case Put():
                    self._put(change)
                case Symlink():
                    self._symlink(change)
                case Remove():
                    self._remove(change)
                case RemoveFolder():
                    self._remove_folder(change.path)
                case Rescue():
                    self._keep_bytes(change.path, *self._place(change.path, make=False))
                case SetAside():
                    self._set_aside(change)
                case Seal():
                    self._seal(change)
                case MakeFolder():
                    self._folder(change.path, make=True)
        except OSError as error:
            doing = f"cannot change `{change.path}`"
            raise SystemFault.from_os_error(error, doing) from error

    def _put(self, put: Put) -> None:
        folder, name = self._place(put.path, make=True)
        if put.rescue:
            self._keep_bytes(put.path, folder, name)
        if self._linked_at_once(put, folder, name):
            return
        _forget(TEMPORARY, folder)
        self._fill(put, folder)
        _check_free(name, folder, put.path)
        replace_name(TEMPORARY, name, folder)
        self._drop_bytecode(put.path, folder, name)

    def _fill(self, put: Put, folder: int) -> None:
        """Make the temporary file, with bytes that are right."""
        if put.source is None:
            content = put.content or b""
            if digest_bytes(content).sha256 != put.sha256:
                raise DamagedEntry(f"what was to be written to `{put.path}` is wrong")
            write_new(content, TEMPORARY, folder, mode=put.mode, mtime_ns=put.mtime_ns)
            return
        source, name = self._source_of(put.source)
        try:
            self._bring(put, name, source, folder)
            if put.proof is Proof.HASH:
                self._check_bytes(put, folder)
        except BaseException:
            _forget(TEMPORARY, folder)
            raise

    def _linked_at_once(self, put: Put, folder: int, name: str) -> bool:
        """Return whether a name that was free could be had by one link.

        A link is there whole or not at all, and nothing can be compiled from what was
        not there.
        """
        first = self._modes[0] is LinkMode.HARDLINK and put.proof is Proof.STAMP
        if not (first and put.link) or put.source is None:
            return False
        source, member = self._source_of(put.source)
        _look_at_source(put, member, source)
        try:
            hard_link(member, name, source, folder)
        except OSError as error:
            # What stands there is replaced, what cannot be linked is copied.
            if error.errno not in NEXT_MODE | {errno.EEXIST}:
                raise
            return False
        return True

    def _source_of(self, path: str) -> tuple[int, str]:
        """Return a descriptor of a source's folder, which stays open, and its name."""
        above, _, name = path.rpartition("/")
        if self._source is None or self._source[0] != above:
            self._close_source()
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            try:
                self._source = (above, os.open(above, flags))
            except (FileNotFoundError, NotADirectoryError):
                raise DamagedEntry(f"`{path}` is not there") from None
        return self._source[1], name

    def _close_source(self) -> None:
        if self._source is not None:
            os.close(self._source[1])
            self._source = None

    def _bring(self, put: Put, name: str, source: int, folder: int) -> None:
        seen = _look_at_source(put, name, source)
        stamp = seen.st_mtime_ns if put.mtime_ns is None else put.mtime_ns
        for mode in (*self._modes, LinkMode.COPY):
            try:
                if mode is LinkMode.HARDLINK:
                    if not put.link:
                        continue
                    hard_link(name, TEMPORARY, source, folder)
                else:
                    way = reflink_file if mode is LinkMode.REFLINK else copy_file
                    way(name, TEMPORARY, source, folder, mode=put.mode, mtime_ns=stamp)
            except OSError as error:
                if error.errno not in NEXT_MODE or mode is LinkMode.COPY:
                    raise
            else:
                return

    def _check_bytes(self, put: Put, folder: int) -> None:
        digest = digest_file(TEMPORARY, dir_fd=folder)
        if (digest.sha256, digest.size) != (put.sha256, put.size):
            raise DamagedEntry(f"`{put.source}` is not what its manifest says")

    def _symlink(self, link: Symlink) -> None:
        folder, name = self._place(link.path, make=True)
        if link.rescue:
            self._keep_bytes(link.path, folder, name)
        _forget(TEMPORARY, folder)
        os.symlink(link.points_to, TEMPORARY, dir_fd=folder)
        _check_free(name, folder, link.path)
        replace_name(TEMPORARY, name, folder)

    def _remove(self, remove: Remove) -> None:
        try:
            folder, name = self._place(remove.path, make=False)
        except FileNotFoundError:
            return
        if remove.rescue:
            self._keep_bytes(remove.path, folder, name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        self._drop_bytecode(remove.path, folder, name)

    def _remove_folder(self, path: str) -> None:
        # Not there, not empty, or no folder: then there is nothing to remove.
        with contextlib.suppress(OSError, EnvironmentFault):
            folder, name = self._place(path, make=False)
            os.rmdir(name, dir_fd=folder)

    def _set_aside(self, aside: SetAside) -> None:
        try:
            folder, name = self._place(aside.path, make=False)
            os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return
        place = self._rescue_place(aside.path)
        os.rename(name, place, src_dir_fd=folder)
        self.rescued[aside.path] = place

    def _seal(self, seal: Seal) -> None:
        folder, name = self._place(seal.path, make=False)
        # Without waiting for somebody to write into what may be a pipe by now.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(name, flags, dir_fd=folder)
        except PermissionError:
            _make_readable(name, folder)
            descriptor = os.open(name, flags, dir_fd=folder)
        try:
            os.fchmod(descriptor, seal.mode)
            os.utime(descriptor, ns=(seal.mtime_ns, seal.mtime_ns))
        finally:
            os.close(descriptor)

    def _keep_bytes(self, path: str, folder: int, name: str) -> None:
        """Copy what is there, flush the copy and compare it."""
        try:
            seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(seen.st_mode):
            self._set_aside(SetAside(path))
            return
        if self._by_link and self._keep_link(path, folder, name):
            return
        place = self._rescue_place(path)
        target = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if stat.S_ISREG(seen.st_mode):
                stamp, mode = seen.st_mtime_ns, 0o600 | stat.S_IMODE(seen.st_mode)
                copy_file(name, place.name, folder, target, mode=mode, mtime_ns=stamp)
                _compare(name, folder, place)
            elif stat.S_ISLNK(seen.st_mode):
                os.symlink(os.readlink(name, dir_fd=folder), place)
            else:
                # A pipe or a device holds no bytes; what it was is told by its move.
                os.rename(name, place, src_dir_fd=folder)
            os.fsync(target)
        finally:
            os.close(target)
        self.rescued[path] = place

    def _keep_link(self, path: str, folder: int, name: str) -> bool:
        """Return whether what is there could be kept as another name of it."""
        first = self._rescue / path
        with contextlib.suppress(OSError):
            # A run that was killed had kept it already.
            if os.path.samestat(
                first.lstat(), os.stat(name, dir_fd=folder, follow_symlinks=False)
            ):
                self.rescued[path] = first
                return True
        place = self._rescue_place(path)
        try:
            os.link(name, place, src_dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            if error.errno not in NEXT_MODE and error.errno != errno.EMLINK:
                raise
            return False
        self.rescued[path] = place
        return True

    def _rescue_place(self, path: str) -> Path:
        """Return a name for what is kept that nothing has yet."""
        place = self._rescue / path
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        number = 0
        while os.path.lexists(place):
            number += 1
            place = place.with_name(f"{os.path.basename(path)}~{number}")
        return place

    def _drop_bytecode(self, path: str, folder: int, name: str) -> None:
        """Remove what was compiled from the source that stood here before."""
        if not name.endswith(".py"):
            return
        of_it = re.compile(re.escape(name[:-2]) + r"[\w-]+(\.opt-\w+)?\.pyc")
        above = path.rpartition("/")[0]
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            cache = os.open(_BYTECODE, FOLDER_FLAGS, dir_fd=folder)
            try:
                for cached in os.listdir(cache):
                    shipped = f"{above}/{_BYTECODE}/{cached}" in self._keep
                    if of_it.fullmatch(cached) and not shipped:
                        os.unlink(cached, dir_fd=cache)
            finally:
                os.close(cache)

    def _place(self, path: str, *, make: bool) -> tuple[int, str]:
        above, _, name = path.rpartition("/")
        return self._folder(above, make=make), name

    def _folder(self, path: str, *, make: bool) -> int:
        """Return a descriptor of a folder below the root, which stays open."""
        if self._opened is not None:
            if self._opened[0] == path:
                return self._opened[1]
            self._close_opened()
        self._opened = (path, open_below(self.root, path, make=make))
        return self._opened[1]


def _look_at_source(put: Put, name: str, folder: int) -> os.stat_result:
    """Raise `DamagedEntry` where it is gone, or has not the stamp that proves it."""
    try:
        seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        raise DamagedEntry(f"`{put.source}` is not there") from None
    if put.sealed is not None and put.proof is Proof.STAMP:
        found = (seen.st_mode, seen.st_mtime_ns, seen.st_size)
        if found != (stat.S_IFREG | put.sealed[0], put.sealed[1], put.size):
            raise DamagedEntry(f"`{put.source}` is not what its manifest says")
    return seen


def _check_free(name: str, folder: int, path: str) -> None:
    """Raise `EnvironmentFault` where a folder has the name."""
    with contextlib.suppress(FileNotFoundError):
        seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(seen.st_mode):
            _forget(TEMPORARY, folder)
            raise EnvironmentFault(f"a folder stands where `{path}` belongs")


def _make_readable(name: str, folder: int) -> None:
    """Let its owner read a file; what is no regular file is left as it is."""
    descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        seen = os.fstat(descriptor)
        if stat.S_ISREG(seen.st_mode):
            # By the descriptor, since the name may be another file's by now.
            os.chmod(f"/proc/self/fd/{descriptor}", stat.S_IMODE(seen.st_mode) | 0o400)
    finally:
        os.close(descriptor)


def _forget(name: str, folder: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _compare(name: str, folder: int, kept: Path) -> None:
    """Flush what was kept, and raise `SystemFault` where it is not the same bytes."""
    with kept.open("rb") as stream:
        os.fsync(stream.fileno())
    if digest_file(name, dir_fd=folder) != digest_file(kept):
        raise SystemFault(
            f"`{name}` changed while it was copied to `{kept}`; it was left as it is",
            hint="run the same command again when nothing writes to it",
        )
