"""Zip archives written byte by byte, so that they can be as wrong as wanted."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Entry", "write_wheel", "write_zip"]

STORED, DEFLATED = 0, 8
INFO = "demo-1.0.dist-info"
METADATA = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
WHEEL = b"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\n"


@dataclass(frozen=True, slots=True)
class Entry:
    """One member, and what to say wrongly of it."""

    name: str | bytes
    content: bytes = b"x = 1\n"
    mode: int = 0o100644
    method: int = DEFLATED
    flags: int = 0x800
    crc: int | None = None
    size: int | None = None
    local_name: bytes | None = None
    shares: int | None = None
    """Number of the member whose local header this one points to."""


def _deflate(content: bytes) -> bytes:
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return engine.compress(content) + engine.flush()


def write_zip(path: Path, entries: Sequence[Entry]) -> Path:
    """Write an archive."""
    body = b""
    directory = b""
    offsets: list[int] = []
    for entry in entries:
        name = entry.name if isinstance(entry.name, bytes) else entry.name.encode()
        deflated = entry.method == DEFLATED
        data = _deflate(entry.content) if deflated else entry.content
        crc = zlib.crc32(entry.content) if entry.crc is None else entry.crc
        size = len(entry.content) if entry.size is None else entry.size
        middle = struct.pack(
            "<HHHHHIII", 20, entry.flags, entry.method, 0, 33, crc, len(data), size
        )
        offset = len(body) if entry.shares is None else offsets[entry.shares]
        offsets.append(offset)
        if entry.shares is None:
            local = name if entry.local_name is None else entry.local_name
            body += b"PK\x03\x04" + middle + struct.pack("<HH", len(local), 0)
            body += local + data
        directory += b"PK\x01\x02" + struct.pack("<H", 20 | 3 << 8) + middle
        directory += struct.pack("<HHHHH", len(name), 0, 0, 0, 0)
        directory += struct.pack("<II", entry.mode << 16, offset) + name
    end = b"PK\x05\x06" + struct.pack(
        "<HHHHIIH", 0, 0, len(entries), len(entries), len(directory), len(body), 0
    )
    path.write_bytes(body + directory + end)
    return path


def write_wheel(
    path: Path,
    entries: Sequence[Entry] = (),
    *,
    metadata: bytes | None = METADATA,
    wheel: bytes | None = WHEEL,
    record: bytes | None = b"",
    info: str = INFO,
) -> Path:
    """Write the wheel of ``demo`` 1.0 with further members; `None` leaves one out."""
    own = {"METADATA": metadata, "WHEEL": wheel, "RECORD": record}
    made = [
        Entry(f"{info}/{name}", content)
        for name, content in own.items()
        if content is not None
    ]
    return write_zip(path, [*entries, *made])
