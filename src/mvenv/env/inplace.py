"""Environments filled where they are, file by file: their folder cannot be replaced.

A mark says what is being made, locked while somebody does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

from mvenv.env.receipt import BUILDING, FOLDER
from mvenv.env.state import EnvironmentState
from mvenv.errors import EnvironmentExists, EnvironmentFault, SystemFault
from mvenv.link.probe import sweep_probes
from mvenv.records import sweep_temporaries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mvenv.paths import StrPath

__all__ = ["begun_by_nobody", "in_place", "made_meanwhile"]


def made_meanwhile(place: StrPath) -> EnvironmentExists:
    """Return what to raise where something stands that was not there before."""
    return EnvironmentExists(
        f"`{place}` was made by somebody else in the meantime",
        hint="look at what is there; `--clear` replaces an environment",
    )


@contextlib.contextmanager
def begun_by_nobody(state: EnvironmentState) -> Iterator[None]:
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
        self.folder_text = state.place_text
        self._clear = clear
        self._kept = state.kept

    def commit(self, planned: Callable[[], frozenset[str]]) -> None:
        """Take away what does not belong, then the mark that says unfinished."""
        if self._clear:
            _remove_others(self.folder, planned(), self._kept)
        (self.folder / BUILDING).unlink()


@contextlib.contextmanager
def in_place(
    state: EnvironmentState, *, clear: bool, fingerprint: str
) -> Iterator[_InPlace]:
    """Give the folder itself to fill, marked as unfinished and locked."""
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
        raise made_meanwhile(state.path)
    started = stream.read().decode(errors="replace").strip()
    if not started and not clear and not _is_bare(state):
        # The mark is new, and somebody finished since the folder was observed.
        mark.unlink()
        raise made_meanwhile(state.path)
    if started and started != fingerprint and not clear:
        raise EnvironmentExists(
            f"`{state.path}` holds an unfinished environment made from something else",
            hint="`--clear` replaces it; the same command as before finishes it",
        )
    stream.seek(0)
    stream.truncate()
    stream.write(fingerprint.encode())
    os.fsync(stream.fileno())


def _is_bare(state: EnvironmentState) -> bool:
    return set(os.listdir(state.place)) <= {FOLDER, "lost+found", *state.kept}


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


def _remove_others(root: Path, planned: frozenset[str], kept: tuple[str, ...]) -> None:
    keep = {FOLDER, "lost+found", *kept}
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
