"""Where an environment is built, and how it takes its name.

Beside its name and renamed, wherever that can be: a reader sees the old environment
or the new one. In place, file by file, where the folder cannot be replaced: a mount
point, a parent that cannot be written to, a file system that cannot exchange names.
A killed run leaves the old or the new bytes under each name, never none.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys

from mvenv.env.beside import NEW, Holder, removed_later, sweep_beside
from mvenv.env.state import EnvironmentState, Standing
from mvenv.errors import EnvironmentExists, SystemFault
from mvenv.paths import parent_of
from mvenv.values import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mvenv.paths import StrPath

__all__ = ["Place", "check_free", "exchange", "open_place"]

_NOT_BESIDE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_RENAME_EXCHANGE = 2
"""``renameat2(2)``; macOS's ``RENAME_SWAP`` has the same value."""
_AT_FDCWD = -100


class Place(Protocol):
    """A folder to fill, which then becomes the environment."""

    @property
    def folder_text(self) -> str:
        """Return where files are to be written."""

    @property
    def folder(self) -> Path:
        """Return the same for those who need more than text."""

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
    parent = parent_of(state.place_text)
    made = _make_parents(parent)
    try:
        sweep_beside(state.place_text)
        holder = None if _must_stay(state, clear=clear) else _make_holder(state)
        if holder is None:
            from mvenv.env.inplace import in_place

            with in_place(state, clear=clear, fingerprint=fingerprint) as place:
                yield place
            return
        beside = _Beside(holder, state)
        try:
            yield beside
        finally:
            if not (beside.replaced and removed_later(holder, beside.folder_text)):
                holder.remove()
                left = os.path.lexists(holder.path_text)
                beside.leftover = holder.path if left else None
    except BaseException:
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
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
        sweep_beside(state.place_text)
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


def _make_parents(parent: str) -> list[str]:
    made: list[str] = []
    missing = []
    while not os.path.exists(parent):
        missing.append(parent)
        parent = parent_of(parent)
    try:
        for folder in reversed(missing):
            os.mkdir(folder)
            made.append(folder)
    except OSError as error:
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        raise SystemFault.from_os_error(error, "cannot make the folder") from error
    return made


def _make_holder(state: EnvironmentState) -> Holder | None:
    """Return a holder, or `None` where the environment must be filled in place."""
    present = state.standing is not Standing.ABSENT
    replaces = _is_taken(state)
    try:
        holder = Holder(parent_of(state.place_text))
        try:
            if not replaces or _can_exchange(holder.path_text):
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
        self.folder_text = f"{holder.path_text}/{NEW}"
        self.leftover: Path | None = None
        self.replaced = False
        """The old environment is where the new one was built."""

    @property
    def folder(self) -> Path:
        """Return where files are to be written."""
        from pathlib import Path

        return Path(self.folder_text)

    def commit(self, planned: Callable[[], frozenset[str]]) -> None:
        """Rename, or exchange with what is there; the old one goes with the holder."""
        del planned
        place = self._state.place_text
        try:
            if _is_taken(self._state):
                self._replace(place)
            else:
                os.rename(self.folder_text, place)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                from mvenv.env.inplace import made_meanwhile

                raise made_meanwhile(place) from error
            fault = SystemFault.from_os_error(error, "cannot put the environment at")
            raise fault from error

    def _replace(self, place: str) -> None:
        """Exchange with what was seen there, and with nothing else."""
        from mvenv.env.inplace import begun_by_nobody, made_meanwhile

        with begun_by_nobody(self._state):
            if not self._is_what_was_seen(place):
                raise made_meanwhile(place)
            self._carry_files(place)
            exchange(self.folder_text, place)
            if not self._is_what_was_seen(self.folder_text):
                exchange(self.folder_text, place)
                raise made_meanwhile(place)
            self._carry_folders(place)
            self.replaced = True

    def _carry_files(self, place: str) -> None:
        """Link what stays into the new folder: whoever holds a lock goes on so."""
        for name in self._state.kept:
            source = f"{place}/{name}"
            if os.path.islink(source) or not os.path.isdir(source):
                os.link(source, f"{self.folder_text}/{name}", follow_symlinks=False)

    def _carry_folders(self, place: str) -> None:
        """Move folders that stay; where one cannot be, all is as it was before."""
        old, carried = self.folder_text, []
        try:
            for name in self._state.kept:
                source = f"{old}/{name}"
                if os.path.isdir(source) and not os.path.islink(source):
                    os.rename(source, f"{place}/{name}")
                    carried.append(name)
        except BaseException:
            for name in carried:
                os.rename(f"{place}/{name}", f"{old}/{name}")
            exchange(old, place)
            raise

    def _is_what_was_seen(self, folder: str) -> bool:
        seen = os.lstat(folder)
        return (seen.st_dev, seen.st_ino) == self._state.identity


def _is_taken(state: EnvironmentState) -> bool:
    """Return whether names are there that a rename cannot take away."""
    unmade = {Standing.ABSENT, Standing.EMPTY, Standing.FOREIGN}
    return bool(state.kept) or state.standing not in unmade


def exchange(one: StrPath, other: StrPath) -> None:
    """Exchange two names at once; `OSError` where the file system cannot."""
    import ctypes

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


def _can_exchange(folder: str) -> bool:
    """Try it with two folders, which stay in ``folder``."""
    one, other = f"{folder}/one", f"{folder}/other"
    os.mkdir(one)
    os.mkdir(other)
    try:
        exchange(one, other)
    except OSError:
        return False
    return True
