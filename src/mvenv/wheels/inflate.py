"""Inflating and CRC-32: by `isal` where it is installed, else by `zlib`.

The one door to `isal` (the extra ``mvenv[fast]``): it takes half of zlib's time for
wheels, and inflating is most of what unpacking them takes (docs/figures.md).
"""

from __future__ import annotations

import zlib
from typing import Any, Protocol

__all__ = ["FAST", "Inflater", "crc32", "inflate_error", "inflater"]


class Inflater(Protocol):
    """What inflates one stream, as `zlib.decompressobj` gives it."""

    @property
    def eof(self) -> bool:
        """Tell whether the stream's end was met."""

    @property
    def unconsumed_tail(self) -> bytes:
        """Return the input that is still to be given again."""

    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes:
        """Return at most ``max_length`` bytes more."""


def _engine() -> Any:
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib
    return isal_zlib


_ENGINE = _engine()
FAST = _ENGINE is not zlib
"""Whether `isal` is there."""
inflate_error: type[Exception] = _ENGINE.error
"""What is raised for a stream that cannot be inflated."""


def inflater() -> Inflater:
    """Return what inflates one raw stream of deflate, as zip archives have it."""
    made: Inflater = _ENGINE.decompressobj(-zlib.MAX_WBITS)
    return made


def crc32(content: bytes, before: int = 0) -> int:
    """Return the CRC-32 of ``content``, going on from ``before``."""
    value: int = _ENGINE.crc32(content, before)
    return value
