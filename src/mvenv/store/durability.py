"""What survives a power cut, and how to tell; and what time the disk has."""

from __future__ import annotations

import os
import sys

from mvenv.errors import SystemFault
from mvenv.workers import Beside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from mvenv.paths import StrPath

__all__ = ["Flushing", "boot_id", "flush_file_system", "now_ns"]

_HINT = "check the disk (`dmesg`), then run the same command again"

_BOOT_ID_LENGTH = 64
"""Bytes, more than it has."""
_BOOT_IDS: list[str] = []
"""The one, when it was asked for."""


def boot_id() -> str:
    """Return what tells this run of the machine from others; empty where unknown."""
    if not _BOOT_IDS:
        _BOOT_IDS.append(_read_boot_id())
    return _BOOT_IDS[0]


def _read_boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb", buffering=0) as stream:
            return stream.read(_BOOT_ID_LENGTH).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def flush_file_system(folder: StrPath) -> None:
    """Write everything of the file system that holds ``folder`` to its disk.

    One ``syncfs(2)`` for a whole batch of files; Linux reports write errors since
    5.8. `SystemFault` where the disk reports one: what was written since the last
    flush must then not be trusted.
    """
    if sys.platform != "linux":
        # No errors are reported by sync(2); doctor's hashes are what is left.
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor):
            number = ctypes.get_errno()
            raise SystemFault(
                f"the disk reports an error while flushing {folder}:"
                f" {os.strerror(number).lower()}",
                hint=_HINT,
            )
    finally:
        os.close(descriptor)


class Flushing:
    """A flush that is begun beside other work, so that its end is soon reached.

    A context manager.
    """

    def __init__(self, folder: StrPath, *, needed: bool = True) -> None:
        self._folder = folder
        self._beside = Beside(self._begin) if needed else None

    def __enter__(self) -> Self:
        if self._beside is not None:
            self._beside.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._beside is not None:
            self._beside.__exit__()

    def finish(self) -> None:
        """Flush all that was written until now, as `flush_file_system`."""
        # The kernel tells of an error once: the other process may have been told.
        told = None
        if self._beside is not None and self._beside.begun:
            told = self._beside.result()
            if told is None:
                told = (
                    "the process that flushed was ended, and what it was told is lost"
                )
        flush_file_system(self._folder)
        if told:
            raise SystemFault(told, hint=_HINT)

    def _begin(self) -> str:
        try:
            flush_file_system(self._folder)
        except SystemFault as error:
            return error.message
        return ""


def now_ns(folder: StrPath) -> int:
    """Return the time as the file system of ``folder`` has it, since the epoch.

    From the stamp of a file that was just made there; where the system has nameless
    files nothing in ``folder`` is touched.
    """
    # Few need it, and its import costs as much as reading the registry.
    import tempfile

    with tempfile.TemporaryFile(dir=folder) as stream:
        return os.fstat(stream.fileno()).st_mtime_ns
