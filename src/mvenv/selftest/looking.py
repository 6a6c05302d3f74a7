"""What a scene holds, as a value: taken before, between and after."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["Entry", "Snapshot", "differences", "digests_below", "look"]


class Entry(NamedTuple):
    """One name."""

    type: int
    mode: int
    mtime_ns: int
    """Of files; folders' times move with what is in them."""
    content: str
    """sha256 of a file's bytes, or where a link leads."""
    owner: int
    inode: int


Snapshot = Mapping[str, Entry]
"""By absolute path."""


def look(*folders: Path) -> dict[str, Entry]:
    """Return all names below some folders, and those themselves; follows no link."""
    found: dict[str, Entry] = {}
    hashed: dict[tuple[int, int], str] = {}
    for folder in folders:
        if os.path.lexists(folder):
            _add(str(folder), found, hashed)
    return found


def _add(
    path: str, found: dict[str, Entry], hashed: dict[tuple[int, int], str]
) -> None:
    seen = os.lstat(path)
    kind = stat.S_IFMT(seen.st_mode)
    content, mtime, mode = "", 0, stat.S_IMODE(seen.st_mode)
    if kind == stat.S_IFREG:
        inode = (seen.st_dev, seen.st_ino)
        content = hashed.get(inode) or _digest(path)
        hashed[inode] = content
        mtime = seen.st_mtime_ns
    elif kind == stat.S_IFLNK:
        content, mode = os.readlink(path), 0
    found[path] = Entry(kind, mode, mtime, content, seen.st_uid, seen.st_ino)
    if kind == stat.S_IFDIR:
        with os.scandir(path) as entries:
            names = sorted(entry.path for entry in entries)
        for name in names:
            _add(name, found, hashed)


def _digest(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            return hashlib.sha256(stream.read()).hexdigest()
    except PermissionError:
        return "unreadable"


def differences(
    before: Snapshot, after: Snapshot, *, inodes: bool = False
) -> Iterator[str]:
    """Yield the paths that are not the same, sorted; inodes count only on request."""
    for path in sorted(before.keys() | after.keys()):
        one, other = before.get(path), after.get(path)
        same = one is not None and other is not None and one[:5] == other[:5]
        if not same or (inodes and one != other):
            yield path


def digests_below(*folders: Path) -> set[str]:
    """Return the sha256 of every file below some folders."""
    return {
        entry.content for entry in look(*folders).values() if entry.type == stat.S_IFREG
    }
