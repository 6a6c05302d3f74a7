"""Scratch folders that belong to a living process, and the sweep of dead ones.

A folder lives as long as the lock file in it is locked. Process numbers would say
nothing across containers that share a disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from mvenv.paths import StrPath

__all__ = ["ScratchFolder", "is_abandoned", "sweep_scratch"]

_LOCK = ".lock"


class ScratchFolder:
    """A folder of a new name in ``parent``, deleted with the context.

    `OSError` where it cannot be made; nothing is left then.
    """

    def __init__(self, parent: StrPath, prefix: str, *, mode: int = 0o700) -> None:
        self._parent = os.fspath(parent)
        self._prefix = prefix
        self._mode = mode
        self._count = 0
        self._lock = -1
        self.path_text = self._parent
        while not self._claim():
            pass

    def _claim(self) -> bool:
        """Make and lock a folder; false where a sweep took it before the lock."""
        name = f"{self._prefix}{os.urandom(4).hex()}"
        self.path_text = os.path.join(self._parent, name)
        try:
            os.mkdir(self.path_text, self._mode)
        except OSError:
            raise
        except BaseException:
            # A signal, whose handler raises when the folder is made already.
            _delete(self.path_text)
            raise
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._lock = os.open(f"{self.path_text}/{_LOCK}", flags, 0o600)
        except FileNotFoundError:
            return False
        except BaseException:
            _delete(self.path_text)
            raise
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            if os.path.samestat(
                os.stat(f"{self.path_text}/{_LOCK}"), os.fstat(self._lock)
            ):
                return True
        except FileNotFoundError:
            pass
        except BaseException:
            self.remove()
            raise
        os.close(self._lock)
        return False

    @property
    def path(self) -> Path:
        """Return the folder."""
        from pathlib import Path

        return Path(self.path_text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def new_path(self) -> Path:
        """Return a path in the folder that nothing has yet. Not for threads."""
        self._count += 1
        return self.path / str(self._count)

    @property
    def lock(self) -> int:
        """Return the descriptor of the lock: whoever has it keeps the folder alive."""
        return self._lock

    def let_go(self) -> None:
        """Leave the folder to another process, which has its lock."""
        os.close(self._lock)

    def remove(self) -> None:
        """Delete the folder; what cannot be deleted now is swept by a later run."""
        try:
            _delete(self.path_text)
        except BaseException:
            # A signal, whose handler raises: the one that comes is the last.
            _delete(self.path_text)
            raise
        finally:
            with contextlib.suppress(OSError):
                os.close(self._lock)


def _delete(folder: str) -> None:
    """Delete a scratch folder, its lock last: what has none is never swept."""
    with contextlib.suppress(OSError):
        opened = _open_folder(folder)
        try:
            for name in os.listdir(opened):
                if name != _LOCK:
                    _delete_entry(name, opened)
            if os.listdir(opened) == [_LOCK]:
                os.unlink(_LOCK, dir_fd=opened)
        finally:
            os.close(opened)
        os.rmdir(folder)


def _open_folder(folder: StrPath) -> int:
    # In a folder that others can write to, the name may lead elsewhere by now.
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(folder, flags)


def _delete_entry(name: str, folder: int) -> None:
    with contextlib.suppress(OSError):
        seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(seen.st_mode):
            import shutil

            shutil.rmtree(name, ignore_errors=True, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)


def is_abandoned(folder: StrPath) -> bool:
    """Return whether a scratch folder's process is dead; its lock is taken to ask.

    Never of a folder that has nothing but its lock: between its making and its locking
    it looks dead, and there is nothing in it to be told of. Writes nothing.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        opened = _open_folder(folder)
    except OSError:
        return False
    try:
        if os.listdir(opened) == [_LOCK]:
            return False
        lock = os.open(_LOCK, flags, dir_fd=opened)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            # Else its process had just deleted all of it, and then let go.
            return os.path.samestat(os.stat(_LOCK, dir_fd=opened), os.fstat(lock))
        finally:
            os.close(lock)
    except OSError:
        # It has no lock: about to be made, or killed before it was. Or it is held.
        return False
    finally:
        os.close(opened)


def sweep_scratch(parent: StrPath, prefix: str) -> None:
    """Delete one's own scratch folders in ``parent`` whose processes are dead."""
    with contextlib.suppress(OSError):
        with os.scandir(parent) as entries:
            found = [
                entry.path
                for entry in entries
                if entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False)
            ]
        for folder in found:
            _sweep_one(folder)


def _sweep_one(folder: str) -> None:
    with contextlib.suppress(OSError):
        opened = _open_folder(folder)
        try:
            if os.fstat(opened).st_uid != os.geteuid():
                return
            flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
            lock = os.open(_LOCK, flags, dir_fd=opened)
        except FileNotFoundError:
            # Killed before its lock was made, or about to make it: then it sees
            # that the folder is gone and makes another.
            os.rmdir(folder)
            return
        finally:
            os.close(opened)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _delete(folder)
        finally:
            os.close(lock)
