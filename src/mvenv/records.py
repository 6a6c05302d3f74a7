"""Self-checksummed bytes under a name: interpreters, registry entries, receipts.

A record is one header line, ``mvenv <kind> <format> <xxh3_128 of the rest>``, and
the payload. It is written beside its name and renamed over it, so a reader sees the
old bytes or the new, never a part; what does not match its checksum is as good as
absent.
"""

from __future__ import annotations

import contextlib
import itertools
import os

from mvenv.hashes import quick_digest
from mvenv.paths import read_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mvenv.paths import StrPath

__all__ = [
    "from_json",
    "load_json",
    "read_record",
    "replace_bytes",
    "seal_record",
    "store_json",
    "sweep_temporaries",
    "to_json",
    "unseal_record",
    "write_record",
]

_counter = itertools.count()
_COMPACT = frozenset("{[")
"""How what we write begins."""
_TEMPORARY = r"\..+\.\d+\.\d+"


class _Plain:
    """What `json.JSONDecoder` says to its C half when nothing is asked of it."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = float
    parse_int = int

    @staticmethod
    def parse_constant(text: str) -> float:
        """Return what `json` has for NaN and the infinities."""
        return float(text)


def _refuse(value: object) -> None:
    raise TypeError(f"{type(value).__name__} is not for JSON")


try:  # the two halves of `json` that are C, without what it compiles in Python
    from _json import encode_basestring, make_encoder, make_scanner
except ImportError:
    _json_parts = _scan_json = None
else:
    _json_parts = make_encoder(
        None, _refuse, encode_basestring, None, ":", ",", False, False, True
    )
    _scan_json = make_scanner(_Plain)  # type: ignore[arg-type]  # it has all that is asked of it


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


def write_record(
    path: StrPath, kind: str, version: int, payload: bytes, *, mode: int = 0o644
) -> None:
    """Write a record under its name at once; `OSError` where that fails."""
    replace_bytes(path, seal_record(kind, version, payload), mode=mode)


def read_record(path: StrPath, kind: str, version: int) -> bytes | None:
    """Return the payload at ``path``, or `None` where it is absent or damaged."""
    try:
        content = read_bytes(path)
    except OSError:
        return None
    return unseal_record(kind, version, content)


def store_json(
    path: StrPath, kind: str, version: int, value: Any, *, mode: int = 0o644
) -> None:
    """Write ``value`` as a JSON record."""
    write_record(path, kind, version, to_json(value), mode=mode)


def load_json(path: StrPath, kind: str, version: int) -> Any:
    """Return the value of a JSON record, or `None` where absent or damaged."""
    payload = read_record(path, kind, version)
    if payload is None:
        return None
    try:
        return from_json(payload)
    # The checksum is against accidents: anybody can make one that is right.
    except (ValueError, RecursionError):
        return None


def to_json(value: Any) -> bytes:
    """Return a value as compact JSON; paths that are no UTF-8 come out as they are."""
    if _json_parts is not None:
        text = "".join(_json_parts(value, 0))
    else:
        import json

        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogateescape")


def from_json(content: bytes) -> Any:
    """Return the value of what `to_json` wrote; `ValueError` where it is no JSON."""
    text = content.decode("utf-8", "surrogateescape")
    if _scan_json is not None and text[:1] in _COMPACT:
        try:
            value, end = _scan_json(text, 0)
        except StopIteration as error:
            raise ValueError("no JSON") from error
        if end == len(text):
            return value
    import json

    return json.loads(text)


def replace_bytes(path: StrPath, content: bytes, *, mode: int = 0o644) -> None:
    """Put ``content`` under ``path`` by a rename: a reader never sees a part of it."""
    folder, name = os.path.split(path)
    own = f".{name[:64]}.{os.getpid()}.{next(_counter)}"
    temporary = os.path.join(folder, own)
    try:
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode
        )
        with open(descriptor, "wb") as stream:
            stream.write(content)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def sweep_temporaries(folder: StrPath, *, before_ns: int | None = None) -> None:
    """Delete what killed writers left in ``folder``: files that never got their name.

    ``before_ns`` spares those changed since, whose writers may live: a time of the
    same file system, since clocks differ. `None` where there are no other writers.
    """
    import re

    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if not re.fullmatch(_TEMPORARY, name):
                continue
            path = os.path.join(folder, name)
            if before_ns is None or os.lstat(path).st_mtime_ns < before_ns:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
