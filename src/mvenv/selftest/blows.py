"""How bytes are hurt: through every name of a file, or behind one name alone."""

from __future__ import annotations

import contextlib
import os
import random
import stat
from collections.abc import Iterator
from pathlib import Path

__all__ = [
    "BLOCK",
    "edited",
    "flipped",
    "put_in_place_of",
    "scrambled_block",
    "stat_kept",
    "write_through",
]

BLOCK = 512
"""Bytes that a disk loses at a time."""
_LETTERS = b"abcdefghijklmnopqrstuvwxyz0123456789"


@contextlib.contextmanager
def stat_kept(path: Path) -> Iterator[None]:
    """Put mode and times back afterwards, as the most careful tools do."""
    seen = path.lstat()
    yield
    path.chmod(stat.S_IMODE(seen.st_mode))
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def write_through(path: Path, content: bytes) -> None:
    """Give new bytes to all names of a file, as ``cp`` and editors do."""
    seen = path.stat()
    path.chmod(stat.S_IMODE(seen.st_mode) | stat.S_IWUSR)
    with path.open("r+b") as stream:
        stream.write(content)
        stream.truncate()
    path.chmod(stat.S_IMODE(seen.st_mode))


def put_in_place_of(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Give one name a new file, as ``sed -i`` and ``git`` do."""
    kept = stat.S_IMODE(path.lstat().st_mode) if mode is None else mode
    beside = path.with_name(f"{path.name}.new-by-user")
    beside.write_bytes(content)
    beside.chmod(kept)
    beside.replace(path)


def edited(content: bytes, seed: random.Random, *, same_size: bool = False) -> bytes:
    """Return what a person made of it: never the same, never a part or a bit flip."""
    mark = f"# edited by hand, {seed.getrandbits(64):016x}\n".encode()
    if same_size:
        # Still text, and every letter another one: no disk does that.
        shift = seed.randint(1, len(_LETTERS) - 1)
        return content.translate(
            bytes.maketrans(_LETTERS, _LETTERS[shift:] + _LETTERS[:shift])
        )
    where = seed.choice((0, len(content) // 2, len(content)))
    return content[:where] + mark + content[where:]


def flipped(content: bytes, seed: random.Random) -> bytes:
    """Return it with one to three bits turned over, each really another."""
    changed = bytearray(content)
    for place in seed.sample(range(len(content) * 8), min(3, seed.randint(1, 3))):
        changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def scrambled_block(content: bytes, seed: random.Random) -> bytes:
    """Return it with one whole block of the disk turned to nulls or to noise."""
    start = seed.randrange(len(content) // BLOCK) * BLOCK
    block = content[start : start + BLOCK]
    other = bytes(BLOCK) if seed.random() < 0.5 else seed.randbytes(BLOCK)  # noqa: PLR2004  a coin
    if other == block:
        other = bytes(byte ^ 0xFF for byte in block)
    return content[:start] + other + content[start + BLOCK :]
