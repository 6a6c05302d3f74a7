"""Run a command of mvenv and be killed at the nth call that changes the disk.

``python stopped.py N ARGUMENT...``; the calls are those that Python audits.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from mvenv.cli import main

_CHANGES = frozenset(
    {
        "os.chmod",
        "os.link",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.symlink",
        "os.truncate",
        "os.utime",
    }
)
_WRITES = os.O_WRONLY | os.O_RDWR


class Counter:
    """Counts down, and stops the process at zero."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Count what changes the disk."""
        if event in _CHANGES or (event == "open" and _is_writing(arguments)):
            self.left -= 1
            if self.left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def _is_writing(arguments: tuple[Any, ...]) -> bool:
    flags = arguments[2] if len(arguments) > 2 else 0
    return isinstance(flags, int) and bool(flags & _WRITES)


if __name__ == "__main__":
    sys.addaudithook(Counter(int(sys.argv[1])))
    main(sys.argv[2:])
