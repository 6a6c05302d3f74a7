"""Digests: sha256 decides trust, xxh3_128 finds accidental damage fast.

The one door to `xxhash`.
"""

from __future__ import annotations

import functools
import hashlib
import os
from dataclasses import dataclass
from typing import Protocol

import xxhash

__all__ = [
    "CHUNK",
    "Digest",
    "DigestingReader",
    "digest_bytes",
    "digest_file",
    "quick_digest",
    "quick_file",
    "sha256_file",
]

CHUNK = 1 << 18
"""Bytes read at a time; large enough that the calls vanish beside the hashing."""


class _Readable(Protocol):
    """What gives bytes, no more than asked for."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, none at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What identifies a file's content."""

    sha256: str
    """Lower-case hexadecimal."""
    xxh3: str
    """xxh3_128, lower-case hexadecimal."""
    size: int
    """Bytes."""


class DigestingReader:
    """A binary reader that digests all that is read through it."""

    def __init__(self, stream: _Readable) -> None:
        self._stream = stream
        self._sha256 = hashlib.sha256()
        self._xxh3 = xxhash.xxh3_128()
        self._size = 0

    def read(self, size: int = -1, /) -> bytes:
        """Read as the stream beneath does."""
        chunk = self._stream.read(size)
        self._sha256.update(chunk)
        self._xxh3.update(chunk)
        self._size += len(chunk)
        return chunk

    def digest(self) -> Digest:
        """Return the digest of what was read so far."""
        return Digest(
            sha256=self._sha256.hexdigest(),
            xxh3=self._xxh3.hexdigest(),
            size=self._size,
        )


def digest_bytes(content: bytes) -> Digest:
    """Return the digest of ``content``."""
    return Digest(
        sha256=hashlib.sha256(content).hexdigest(),
        xxh3=xxhash.xxh3_128_hexdigest(content),
        size=len(content),
    )


def digest_file(path: str | os.PathLike[str], *, dir_fd: int | None = None) -> Digest:
    """Return the digest of the file at ``path``; `OSError` where it cannot be read."""
    # An opener, since `open` closes what that gives it when the path is a folder.
    opener = functools.partial(os.open, dir_fd=dir_fd)
    with open(path, "rb", buffering=0, opener=opener) as stream:
        reader = DigestingReader(stream)
        while reader.read(CHUNK):
            pass
        return reader.digest()


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Return the sha256 of the file at ``path`` in hexadecimal."""
    with open(path, "rb", buffering=0) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def quick_digest(content: bytes) -> str:
    """Return the xxh3_128 of ``content``: for checksums, never for trust."""
    return xxhash.xxh3_128_hexdigest(content)


def quick_file(path: str | os.PathLike[str]) -> str:
    """Return the xxh3_128 of the file at ``path``: several times faster than sha256."""
    digest = xxhash.xxh3_128()
    with open(path, "rb", buffering=0) as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
