"""Digests: sha256 decides trust, xxh3_128 finds accidental damage fast.

The one door to `xxhash`.
"""

from __future__ import annotations

import os
import sys

import xxhash

from mvenv.values import Protocol, dataclass

try:  # Python's own, for when OpenSSL is not there
    from _sha2 import (  # type: ignore[import-not-found]  # C
        sha256 as _own_sha256,
    )
except ImportError:
    try:
        from _sha256 import (  # type: ignore[import-not-found]  # before 3.12
            sha256 as _own_sha256,
        )
    except ImportError:  # left out where a certified OpenSSL is prescribed
        _own_sha256 = None

__all__ = [
    "CHUNK",
    "Digest",
    "DigestingReader",
    "digest_bytes",
    "digest_file",
    "quick_digest",
    "quick_file",
    "sha256_bytes",
    "sha256_file",
]

CHUNK = 1 << 18
"""Bytes read at a time; large enough that the calls vanish beside the hashing."""
_LITTLE = 1 << 18
"""Bytes that Python's own code hashes before OpenSSL, which is faster, is loaded."""


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


def sha256_bytes(content: bytes) -> str:
    """Return the sha256 of ``content`` in hexadecimal."""
    if len(content) > _LITTLE or "hashlib" in sys.modules or _own_sha256 is None:
        import hashlib

        return hashlib.sha256(content).hexdigest()
    return str(_own_sha256(content).hexdigest())


class DigestingReader:
    """A binary reader that digests all that is read through it."""

    def __init__(self, stream: _Readable) -> None:
        import hashlib

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
        sha256=sha256_bytes(content),
        xxh3=xxhash.xxh3_128_hexdigest(content),
        size=len(content),
    )


def digest_file(path: str | os.PathLike[str], *, dir_fd: int | None = None) -> Digest:
    """Return the digest of the file at ``path``; `OSError` where it cannot be read."""
    # An opener, since `open` closes what that gives it when the path is a folder.

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags, dir_fd=dir_fd)

    with open(path, "rb", buffering=0, opener=opener) as stream:
        reader = DigestingReader(stream)
        while reader.read(CHUNK):
            pass
        return reader.digest()


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Return the sha256 of the file at ``path`` in hexadecimal."""
    import hashlib

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
