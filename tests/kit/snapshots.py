"""What a folder holds, as a value that can be compared."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import NamedTuple

__all__ = ["Entry", "tree_snapshot"]


class Entry(NamedTuple):
    """One name below a folder."""

    type: str
    """``file``, ``folder``, ``link`` or ``other``."""
    mode: int
    """Permission bits; 0 for links, whose bits mean nothing."""
    size: int
    """Bytes; 0 for what is no file."""
    sha256: str
    """Of a file's content, else empty."""
    target: str
    """Of a link, else empty."""


def _entry(path: str) -> Entry:
    status = os.lstat(path)
    bits = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return Entry("link", 0, 0, "", os.readlink(path))
    if stat.S_ISDIR(status.st_mode):
        return Entry("folder", bits, 0, "", "")
    if stat.S_ISREG(status.st_mode):
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        return Entry("file", bits, status.st_size, digest, "")
    return Entry("other", bits, 0, "", "")


def tree_snapshot(folder: Path) -> dict[str, Entry]:
    """Return all that is below ``folder``, by relative path, sorted."""
    found = {}
    for base, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(base, name)
            found[os.path.relpath(path, folder)] = _entry(path)
    return dict(sorted(found.items()))
