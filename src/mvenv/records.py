"""Self-checksummed bytes under a name: interpreters, registry entries, receipts.

A record is one header line, ``mvenv <kind> <format> <xxh3_128 of the rest>``, and
the payload. It is written beside its name and renamed over it, so a reader sees the
old bytes or the new, never a part; what does not match its checksum is as good as
absent.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
from pathlib import Path
from typing import Any

from mvenv.hashes import quick_digest

__all__ = [
    "load_json",
    "read_record",
    "replace_bytes",
    "seal_record",
    "store_json",
    "sweep_temporaries",
    "unseal_record",
    "write_record",
]

_counter = itertools.count()
_TEMPORARY = re.compile(r"\..+\.\d+\.\d+")


def seal_record(kind: str, version: int, payload: bytes) -> bytes:
    """Return ``payload`` behind its header."""
    return b"%s\n%s" % (_header(kind, version, payload), payload)


def _header(kind: str, version: int, payload: bytes) -> bytes:
    return f"mvenv {kind} {version} {quick_digest(payload)}".encode()


def unseal_record(kind: str, version: int, content: bytes) -> bytes | None:
    """Return the payload, or `None` where kind, version or checksum are off."""
    header, newline, payload = content.partition(b"\n")
    if not newline or header != _header(kind, version, payload):
        return None
    return payload


def write_record(path: Path, kind: str, version: int, payload: bytes) -> None:
    """Write a record under its name at once; `OSError` where that fails."""
    replace_bytes(path, seal_record(kind, version, payload))


def read_record(path: Path, kind: str, version: int) -> bytes | None:
    """Return the payload at ``path``, or `None` where it is absent or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return unseal_record(kind, version, content)


def store_json(path: Path, kind: str, version: int, value: Any) -> None:
    """Write ``value`` as a JSON record."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    write_record(path, kind, version, text.encode("utf-8", "surrogateescape"))


def load_json(path: Path, kind: str, version: int) -> Any:
    """Return the value of a JSON record, or `None` where absent or damaged."""
    payload = read_record(path, kind, version)
    if payload is None:
        return None
    try:
        return json.loads(payload.decode("utf-8", "surrogateescape"))
    # The checksum is against accidents: anybody can make one that is right.
    except (ValueError, RecursionError):
        return None


def replace_bytes(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Put ``content`` under ``path`` by a rename: a reader never sees a part of it."""
    temporary = path.with_name(f".{path.name[:64]}.{os.getpid()}.{next(_counter)}")
    try:
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode
        )
        with open(descriptor, "wb") as stream:
            stream.write(content)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sweep_temporaries(folder: Path, *, before_ns: int | None = None) -> None:
    """Delete what killed writers left in ``folder``: files that never got their name.

    ``before_ns`` spares those changed since, whose writers may live: a time of the
    same file system, since clocks differ. `None` where there are no other writers.
    """
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if not _TEMPORARY.fullmatch(name):
                continue
            path = folder / name
            if before_ns is None or path.lstat().st_mtime_ns < before_ns:
                path.unlink(missing_ok=True)
