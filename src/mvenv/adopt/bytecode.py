"""Bytecode that stays valid while its source gets another stamp.

Python compares the time and size in its head with those of the source. The source's
bytes stay the same, so what was valid is valid with the new time.
"""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path

from mvenv.hashes import digest_bytes
from mvenv.plan.changes import Put

__all__ = ["BYTECODE", "Bytecode"]

BYTECODE = "__pycache__"
"""Where Python keeps what it compiles, beside the source."""
_HEAD = struct.Struct("<4sLLL")
"""PEP 552: magic, flags (0: by time), time, size."""
_TIME_AT = 8
_MASK = 0xFFFFFFFF
_SECOND = 10**9


class Bytecode:
    """The bytecode below one environment."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = ""
        self._names: dict[str, list[str]] = {}

    def follow(
        self, source: str, seen: os.stat_result, mtime_ns: int
    ) -> tuple[frozenset[str], tuple[Put, ...]]:
        """Make what was compiled from ``source`` valid for its new time.

        ``seen`` is the source as it is now. Return the bytecode that is not to be
        removed with it, and that which must be replaced by a file of its own, since it
        has other names. What was not valid is in neither.
        """
        if not source.endswith(".py"):
            return frozenset(), ()
        valid, puts = set(), []
        for path in self._compiled_from(source):
            with contextlib.suppress(OSError, struct.error):
                put = self._retime(path, seen, mtime_ns)
                valid.add(path)
                if put is not None:
                    puts.append(put)
        return frozenset(valid), tuple(puts)

    def _compiled_from(self, source: str) -> list[str]:
        folder, _, name = source.rpartition("/")
        cache = f"{folder}/{BYTECODE}" if folder else BYTECODE
        if cache != self._folder:
            self._folder, self._names = cache, {}
            with contextlib.suppress(OSError):
                for one in os.listdir(self._root / cache):
                    if one.endswith(".pyc"):
                        stem = one.partition(".")[0]
                        self._names.setdefault(stem, []).append(one)
        stem = name.removesuffix(".py")
        # `a.b.py` is no module, and its bytecode would be taken for that of `a.py`.
        return [f"{cache}/{one}" for one in self._names.get(stem, ())]

    def _retime(self, path: str, seen: os.stat_result, mtime_ns: int) -> Put | None:
        """Set the time in one head; `OSError` where it is not valid, or not ours."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._root / path, flags)
        try:
            mine = os.fstat(descriptor)
            _, kind, time, size = _HEAD.unpack(os.pread(descriptor, _HEAD.size, 0))
            if kind:
                # By the hash of the source, which stays.
                return None
            if (time, size) != (
                seen.st_mtime_ns // _SECOND & _MASK,
                seen.st_size & _MASK,
            ):
                raise OSError("not valid")
            new = struct.pack("<L", mtime_ns // _SECOND & _MASK)
            if mine.st_nlink == 1 and self._write(path, mine, new):
                return None
            content = bytearray()
            while piece := os.read(descriptor, 1 << 20):
                content += piece
        finally:
            os.close(descriptor)
        content[_TIME_AT : _TIME_AT + len(new)] = new
        digest = digest_bytes(bytes(content))
        return Put(
            path,
            digest.sha256,
            digest.size,
            mine.st_mode & 0o777,
            None,
            content=bytes(content),
        )

    def _write(self, path: str, mine: os.stat_result, new: bytes) -> bool:
        """Write four bytes in place, which are there as a whole or not at all.

        Only ever into a file without another name.
        """
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(self._root / path, flags)
        except OSError:
            return False
        try:
            now = os.fstat(descriptor)
            if not os.path.samestat(now, mine) or now.st_nlink != 1:
                return False
            return os.pwrite(descriptor, new, _TIME_AT) == len(new)
        finally:
            os.close(descriptor)
