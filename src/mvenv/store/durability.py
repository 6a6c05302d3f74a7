"""What survives a power cut, and how to tell; and what time the disk has."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path

from mvenv.errors import SystemFault

__all__ = ["boot_id", "flush_file_system", "now_ns"]


@cache
def boot_id() -> str:
    """Return what tells this run of the machine from others; empty where unknown."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        return ""
    return text.strip()


def flush_file_system(folder: Path) -> None:
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
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor):
            number = ctypes.get_errno()
            raise SystemFault(
                f"the disk reports an error while flushing {folder}:"
                f" {os.strerror(number).lower()}",
                hint="check the disk (`dmesg`), then run the same command again",
            )
    finally:
        os.close(descriptor)


def now_ns(folder: Path) -> int:
    """Return the time as the file system of ``folder`` has it, since the epoch.

    From the stamp of a file that was just made there; where the system has nameless
    files nothing in ``folder`` is touched.
    """
    # Few need it, and its import costs as much as reading the registry.
    import tempfile

    with tempfile.TemporaryFile(dir=folder) as stream:
        return os.fstat(stream.fileno()).st_mtime_ns
