"""Locks on folders: shared for looking, exclusive for changing.

A folder itself is locked (``flock(2)``), so looking needs no file and writes nothing,
and a killed process holds nothing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time

from mvenv.errors import Busy
from mvenv.paths import read_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mvenv.paths import StrPath

__all__ = ["PATIENCE", "lock_folder"]

PATIENCE = 60.0
"""Seconds to wait for another mvenv."""
_PAUSE = 0.02
_UNLOCKABLE = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF})
"""Network file systems without locks, or with none on folders."""


@contextlib.contextmanager
def lock_folder(
    folder: StrPath, *, exclusive: bool, patience: float = PATIENCE
) -> Iterator[None]:
    """Hold a lock on ``folder``; `Busy` where another holds it for ``patience`` s.

    `OSError` where the folder cannot be opened. Where the file system has no locks
    there is none.
    """
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    deadline = time.monotonic() + patience
    while True:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _acquire(descriptor, kind, folder, deadline)
            # Whom we waited for may have put another folder there.
            if os.path.samestat(os.stat(folder), os.fstat(descriptor)):
                yield
                return
        finally:
            os.close(descriptor)


def _acquire(descriptor: int, kind: int, folder: StrPath, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise _busy(descriptor, folder) from None
            time.sleep(_PAUSE)
        except OSError as error:
            if error.errno not in _UNLOCKABLE:
                raise
            return
        else:
            return


def _busy(descriptor: int, folder: StrPath) -> Busy:
    holders = _holders(descriptor)
    named = f" (process {', '.join(holders)})" if holders else ""
    return Busy(
        f"another mvenv{named} is at work on `{folder}`",
        hint="wait until it has ended, and run the same command again",
    )


def _holders(descriptor: int) -> list[str]:
    """Return the processes that hold a lock on it, where the system tells."""
    inode = str(os.fstat(descriptor).st_ino)
    found = []
    with contextlib.suppress(OSError):
        for line in read_bytes("/proc/locks").decode("ascii").splitlines():
            # proc_locks(5): "1: FLOCK  ADVISORY  WRITE 708 08:01:393223 0 EOF"
            fields = line.split()
            if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == inode:
                found.append(fields[4])
    return found
