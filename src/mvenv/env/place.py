"""Where an environment is built, and how it takes its name.

Beside its name and renamed, wherever that can be: a reader sees the old environment
or the new one. In place, file by file, where the folder cannot be replaced: a mount
point, a parent that cannot be written to, a file system that cannot exchange names.
A killed run leaves the old or the new bytes under each name, never none.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Protocol

from mvenv.env.beside import NEW, Holder, removed_later, sweep_beside
from mvenv.env.receipt import BUILDING, FOLDER
from mvenv.env.state import EnvironmentState, Standing
from mvenv.errors import EnvironmentExists, EnvironmentFault, SystemFault
from mvenv.link.probe import sweep_probes
from mvenv.records import sweep_temporaries

__all__ = ["Place", "check_free", "exchange", "open_place"]

_NOT_BESIDE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_RENAME_EXCHANGE = 2
"""``renameat2(2)``; macOS's ``RENAME_SWAP`` has the same value."""
_AT_FDCWD = -100


class Place(Protocol):
    """A folder to fill, which then becomes the environment."""

    @property
    def folder(self) -> Path:
        """Return where files are to be written."""

    @property
    def replaces(self) -> bool:
        """Return whether files may be there already."""

    @property
    def leftover(self) -> Path | None:
        """Return, after the end, the folder of what could not be deleted."""

    def commit(self, planned: Callable[[], frozenset[str]]) -> None:
        """Make the folder the environment; ``planned`` gives all that belongs there."""


@contextlib.contextmanager
def open_place(
    state: EnvironmentState, *, clear: bool, fingerprint: str
) -> Iterator[Place]:
    """Give a place for the environment; what was not committed is taken away again.

    ``clear`` allows an environment that is there to be replaced. ``fingerprint``
    tells whether a half-built environment is of the same making, so that it can be
    finished.
    """
    check_free(state, clear=clear)
    made = _make_parents(state.place.parent)
    try:
        sweep_beside(state.place)
        holder = None if _must_stay(state, clear=clear) else _make_holder(state)
        if holder is None:
            with _in_place(state, clear=clear, fingerprint=fingerprint) as place:
                yield place
            return
        beside = _Beside(holder, state)
        try:
            yield beside
        finally:
            if not (beside.replaced and removed_later(holder, beside.folder)):
                holder.remove()
                left = os.path.lexists(holder.path)
                beside.leftover = holder.path if left else None
    except BaseException:
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def check_free(state: EnvironmentState, *, clear: bool) -> None:
    """Raise `EnvironmentExists` where something is there that must not be replaced."""
    if state.standing is Standing.FOREIGN:
        raise EnvironmentExists(
            f"`{state.path}` is not empty and not a virtual environment",
            hint="choose another folder, or move its contents away; `--clear` only"
            " replaces virtual environments",
        )
    if state.standing is Standing.ENVIRONMENT and not clear:
        # Perhaps made by a run that was killed while it cleaned up.
        sweep_beside(state.place)
        raise EnvironmentExists(
            f"`{state.path}` is a virtual environment already",
            hint="`--clear` replaces it with a new one",
        )


def _must_stay(state: EnvironmentState, *, clear: bool) -> bool:
    """Return whether the folder is to be filled and not replaced.

    What a killed run began is finished where it is: only `_claim` can tell whether it
    is the same, and whether somebody is at it.
    """
    return state.mount_point or (state.standing is Standing.HALF_BUILT and not clear)


def _make_parents(parent: Path) -> list[Path]:
    made: list[Path] = []
    missing = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    try:
        for folder in reversed(missing):
            folder.mkdir()
            made.append(folder)
    except OSError as error:
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise SystemFault.from_os_error(error, "cannot make the folder") from error
    return made


def _make_holder(state: EnvironmentState) -> Holder | None:
    """Return a holder, or `None` where the environment must be filled in place."""
    present = state.standing is not Standing.ABSENT
    replaces = state.standing in {Standing.ENVIRONMENT, Standing.HALF_BUILT}
    try:
        holder = Holder(state.place.parent)
        try:
            if not replaces or _can_exchange(holder.path):
                return holder
        except BaseException:
            holder.remove()
            raise
    except OSError as error:
        if present and error.errno in _NOT_BESIDE:
            return None
        fault = SystemFault.from_os_error(error, "cannot make the environment")
        raise fault from error
    holder.remove()
    return None


class _Beside:
    """A place beside the environment's name."""

    replaces = False

    def __init__(self, holder: Holder, state: EnvironmentState) -> None:
        self._state = state
        self.folder = holder.path / NEW
        self.leftover: Path | None = None
        self.replaced = False
        """The old environment is where the new one was built."""

    def commit(self, planned: Callable[[], frozenset[str]]) -> None:
        """Rename, or exchange with what is there; the old one goes with the holder."""
        del planned
        place = self._state.place
        try:
            if self._state.standing in {Standing.ENVIRONMENT, Standing.HALF_BUILT}:
                self._replace(place)
            else:
                os.rename(self.folder, place)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                raise _made_meanwhile(place) from error
            fault = SystemFault.from_os_error(error, "cannot put the environment at")
            raise fault from error

    def _replace(self, place: Path) -> None:
        """Exchange with what was seen there, and with nothing else."""
        with _begun_by_nobody(self._state):
            if not self._is_what_was_seen(place):
                raise _made_meanwhile(place)
            exchange(self.folder, place)
            if not self._is_what_was_seen(self.folder):
                exchange(self.folder, place)
                raise _made_meanwhile(place)
            self.replaced = True

    def _is_what_was_seen(self, folder: Path) -> bool:
        seen = folder.lstat()
        return (seen.st_dev, seen.st_ino) == self._state.identity


def _made_meanwhile(place: Path) -> EnvironmentExists:
    return EnvironmentExists(
        f"`{place}` was made by somebody else in the meantime",
        hint="look at what is there; `--clear` replaces an environment",
    )


@contextlib.contextmanager
def _begun_by_nobody(state: EnvironmentState) -> Iterator[None]:
    """Keep others from filling the folder in place, or raise where one does."""
    try:
        mark = _open_mark(state.place, os.O_RDWR)
    except FileNotFoundError:
        yield
        return
    with open(mark, "r+b", buffering=0) as stream:
        _lock(stream, state)
        yield


class _InPlace:
    """The environment's own folder, which cannot be replaced."""

    replaces = True
    leftover = None

    def __init__(self, state: EnvironmentState, *, clear: bool) -> None:
        self.folder = state.place
        self._clear = clear

    def commit(self, planned: Callable[[], frozenset[str]]) -> None:
        """Take away what does not belong, then the mark that says unfinished."""
        if self._clear:
            _remove_others(self.folder, planned())
        (self.folder / BUILDING).unlink()


@contextlib.contextmanager
def _in_place(
    state: EnvironmentState, *, clear: bool, fingerprint: str
) -> Iterator[Place]:
    try:
        (state.place / FOLDER).mkdir(exist_ok=True)
        mark = _open_mark(state.place, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        fault = SystemFault.from_os_error(error, "cannot write into the environment")
        raise fault from error
    stream = FileIO(mark, "r+b")
    try:
        try:
            _claim(stream, state, clear=clear, fingerprint=fingerprint)
            _sweep_in_place(state.place)
        except OSError as error:
            doing = "cannot write into the environment"
            raise SystemFault.from_os_error(error, doing) from error
        yield _InPlace(state, clear=clear)
    finally:
        # What it says was flushed long ago: only the lock is given back.
        with contextlib.suppress(OSError):
            stream.close()


def _open_mark(place: Path, flags: int) -> int:
    """Open the mark, in the folder itself: never what a link leads to."""
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC
    folder, _, name = BUILDING.rpartition("/")
    inside = os.open(place / folder, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return os.open(name, flags, 0o644, dir_fd=inside)
    finally:
        os.close(inside)


def _lock(stream: FileIO, state: EnvironmentState) -> None:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise EnvironmentFault(
            f"another mvenv is filling `{state.path}`",
            hint="wait until it has ended",
        ) from None


def _claim(
    stream: FileIO, state: EnvironmentState, *, clear: bool, fingerprint: str
) -> None:
    """Lock the mark and write into it what is being made."""
    _lock(stream, state)
    mark = state.place / BUILDING
    if not _is_there(stream, mark):
        # Somebody finished, and took it away, between the opening and the lock.
        raise _made_meanwhile(state.path)
    started = stream.read().decode(errors="replace").strip()
    if not started and not clear and not _is_bare(state.place):
        # The mark is new, and somebody finished since the folder was observed.
        mark.unlink()
        raise _made_meanwhile(state.path)
    if started and started != fingerprint and not clear:
        raise EnvironmentExists(
            f"`{state.path}` holds an unfinished environment made from something else",
            hint="`--clear` replaces it; the same command as before finishes it",
        )
    stream.seek(0)
    stream.truncate()
    stream.write(fingerprint.encode())
    os.fsync(stream.fileno())


def _is_bare(folder: Path) -> bool:
    return set(os.listdir(folder)) <= {FOLDER, "lost+found"}


def _is_there(stream: FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


def _sweep_in_place(folder: Path) -> None:
    """Delete what a killed run left beside the names it wrote; the mark is locked."""
    sweep_temporaries(folder / FOLDER)
    sweep_probes(folder)


def _fail(error: OSError) -> None:
    raise error


def _remove_others(root: Path, planned: frozenset[str]) -> None:
    keep = {FOLDER, "lost+found"}
    # What cannot be looked into must not be taken for removed.
    for folder, names, files in os.walk(root, topdown=False, onerror=_fail):
        below = os.path.relpath(folder, root)
        prefix = "" if below == "." else f"{below}/"
        if prefix.split("/", 1)[0] in keep:
            continue
        for name in [*files, *names]:
            path = f"{prefix}{name}"
            if path in planned or path in keep:
                continue
            full = os.path.join(folder, name)
            with contextlib.suppress(FileNotFoundError):
                if os.path.isdir(full) and not os.path.islink(full):
                    os.rmdir(full)
                else:
                    os.unlink(full)


def exchange(one: Path, other: Path) -> None:
    """Exchange two names at once; `OSError` where the file system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        swap = getattr(libc, "renamex_np", None)
        arguments = (os.fsencode(one), os.fsencode(other), _RENAME_EXCHANGE)
    else:
        swap = getattr(libc, "renameat2", None)
        arguments = (
            _AT_FDCWD,
            os.fsencode(one),
            _AT_FDCWD,
            os.fsencode(other),
            _RENAME_EXCHANGE,
        )
    if swap is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(one))
    if swap(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))


def _can_exchange(folder: Path) -> bool:
    """Try it with two folders, which stay in ``folder``."""
    one, other = folder / "one", folder / "other"
    one.mkdir()
    other.mkdir()
    try:
        exchange(one, other)
    except OSError:
        return False
    return True
