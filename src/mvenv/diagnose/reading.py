"""Read files and folders of an environment without following a link out of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

__all__ = [
    "FOLDER_FLAGS",
    "begins",
    "content_at",
    "has_content",
    "only_nulls",
    "opened",
    "sha256_at",
]

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Without waiting for somebody to write into what may be a pipe by now."""
_CHUNK = 1 << 20


@contextlib.contextmanager
def opened(root: int, path: str) -> Iterator[int]:
    """Give a descriptor of the folder ``path`` below ``root``, each part no link."""
    current = os.dup(root)
    try:
        for part in filter(None, path.split("/")):
            below = os.open(part, FOLDER_FLAGS, dir_fd=current)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)


def _chunks(name: str | Path, folder: int | None) -> Iterator[bytes]:
    descriptor = os.open(name, _FILE_FLAGS, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(name)
        while chunk := os.read(descriptor, _CHUNK):
            yield chunk
    finally:
        os.close(descriptor)


def sha256_at(name: str | Path, folder: int | None = None) -> str:
    """Return the sha256 of a regular file; `OSError` where it cannot be read."""
    digest = hashlib.sha256()
    for chunk in _chunks(name, folder):
        digest.update(chunk)
    return digest.hexdigest()


class _Known(Protocol):
    @property
    def size(self) -> int: ...
    @property
    def sha256(self) -> str: ...


def has_content(place: str, known: _Known, folder: int | None = None) -> bool:
    """Return whether a file has the bytes it must have; false where it is unreadable.

    ``folder`` is a descriptor of the folder from which ``place`` leads to it. For very
    many files: each is read in as few calls as its size takes.
    """
    try:
        descriptor = os.open(place, _FILE_FLAGS, dir_fd=folder)
    except OSError:
        return False
    try:
        digest = hashlib.sha256()
        left = known.size
        while left >= 0:
            # One byte more than must be there: where less comes, that was the end.
            asked = min(left + 1, _CHUNK)
            chunk = os.read(descriptor, asked)
            digest.update(chunk)
            left -= len(chunk)
            if len(chunk) < asked:
                break
        return left == 0 and digest.hexdigest() == known.sha256
    except OSError:
        return False
    finally:
        os.close(descriptor)


def only_nulls(name: str, folder: int) -> bool:
    """Return whether a file has null bytes only."""
    return all(chunk.count(0) == len(chunk) for chunk in _chunks(name, folder))


def begins(name: str, folder: int, whole: Path) -> bool:
    """Return whether a file is the beginning of ``whole``; `OSError` if unreadable."""
    with whole.open("rb") as stream:
        for chunk in _chunks(name, folder):
            if stream.read(len(chunk)) != chunk:
                return False
    return True


def content_at(name: str, folder: int, most: int) -> bytes:
    """Return a file's content, at most ``most`` bytes of it."""
    found = b""
    for chunk in _chunks(name, folder):
        found += chunk
        if len(found) >= most:
            break
    return found[:most]
