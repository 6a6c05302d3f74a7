"""What survives a power cut, and how to tell."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path

from mvenv.errors import SystemFault

__all__ = ["boot_id", "flush_file_system"]


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
