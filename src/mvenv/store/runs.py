"""The scratch folder of one run, and what killed runs left behind."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import shutil
from pathlib import Path

from mvenv.store.durability import boot_id
from mvenv.store.layout import StoreLayout

__all__ = ["RunFolder", "discard", "sweep"]

_counter = itertools.count()
_LOCK = ".lock"


class RunFolder:
    """A scratch folder inside the store, gone with the context.

    Its owner lives as long as its lock file is locked: process numbers say nothing
    across containers.
    """

    def __init__(self, layout: StoreLayout) -> None:
        self._layout = layout
        name = f"{boot_id() or 'boot'}.{os.getpid()}.{next(_counter)}"
        self.path = layout.tmp / name
        self._lock = -1
        self._names = itertools.count()

    def __enter__(self) -> RunFolder:
        """Make the folder and lock it; `OSError` where that cannot be done."""
        while not self._claim():
            self.path = self.path.with_name(f"{self.path.name}.{next(_counter)}")
        return self

    def _claim(self) -> bool:
        """Make the folder; false where the name is taken or a sweep was faster."""
        try:
            self.path.mkdir(mode=0o700)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._lock = os.open(self.path / _LOCK, flags, 0o600)
        except (FileExistsError, FileNotFoundError):
            if not self._layout.tmp.is_dir():
                raise
            return False
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            if os.path.samestat(os.stat(self.path / _LOCK), os.fstat(self._lock)):
                return True
        except FileNotFoundError:
            pass
        os.close(self._lock)
        return False

    def __exit__(self, *_: object) -> None:
        """Delete the folder; what cannot be deleted now is swept by a later run."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)

    def new_path(self) -> Path:
        """Return a path in the folder that nothing has yet."""
        return self.path / str(next(self._names))


def discard(layout: StoreLayout, path: Path) -> None:
    """Delete a folder of the store: renamed into the trash, then removed."""
    grave = layout.trash / f"{path.name}.{os.getpid()}.{next(_counter)}"
    os.rename(path, grave)
    shutil.rmtree(grave, ignore_errors=True)


def sweep(layout: StoreLayout) -> None:
    """Delete what killed runs left in ``tmp/`` and ``trash/``."""
    for entry in list(os.scandir(layout.tmp)):
        with contextlib.suppress(OSError):
            if entry.is_dir(follow_symlinks=False) and not _is_alive(Path(entry.path)):
                discard(layout, Path(entry.path))
    for entry in list(os.scandir(layout.trash)):
        shutil.rmtree(entry.path, ignore_errors=True)


def _is_alive(folder: Path) -> bool:
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        # Just being made, or killed between mkdir and the lock: an empty folder can
        # go, and its owner would find it gone and make another.
        return any(os.scandir(folder))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
