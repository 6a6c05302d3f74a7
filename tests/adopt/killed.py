"""Run mvenv, and end it without warning at one of its changes of the disk."""

from __future__ import annotations

import os
import signal
import sys

CHANGES = frozenset(
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
        "open",
    }
)

if __name__ == "__main__":
    left = int(sys.argv.pop(1))

    def count(event: str, arguments: tuple[object, ...]) -> None:
        """Count what changes the disk, as the interpreter tells (PEP 578)."""
        global left  # noqa: PLW0603  one script, one number
        if event not in CHANGES:
            return
        if event == "open" and not int(str(arguments[2] or 0)) & os.O_CREAT:
            return
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    from mvenv.cli import main

    sys.addaudithook(count)
    main()
