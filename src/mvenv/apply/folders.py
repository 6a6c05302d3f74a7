"""Folders below one folder, opened without following links."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from mvenv.errors import EnvironmentFault

__all__ = ["FOLDER_FLAGS", "open_below"]

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a folder is opened that must not be a link."""


def open_below(root: Path, path: str, *, make: bool) -> int:
    """Return a descriptor of a folder below ``root``, made with ``make``.

    No link is followed: it could lead out. `EnvironmentFault` where something else
    stands in the way, `OSError` where the system refuses.
    """
    opened = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in filter(None, path.split("/")):
            below = _step_into(part, opened, path, make=make)
            os.close(opened)
            opened = below
    except BaseException:
        os.close(opened)
        raise
    return opened


def _step_into(part: str, opened: int, path: str, *, make: bool) -> int:
    try:
        return os.open(part, FOLDER_FLAGS, dir_fd=opened)
    except FileNotFoundError:
        if not make:
            raise
        os.mkdir(part, 0o755, dir_fd=opened)
        return os.open(part, FOLDER_FLAGS, dir_fd=opened)
    except OSError as error:
        seen = os.stat(part, dir_fd=opened, follow_symlinks=False)
        if stat.S_ISDIR(seen.st_mode):
            raise
        raise EnvironmentFault(
            f"a file or link stands where the folder `{path}` belongs"
        ) from error
