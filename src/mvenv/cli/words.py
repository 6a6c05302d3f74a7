"""Numbers as people read them."""

from __future__ import annotations

__all__ = ["in_words"]

_UNITS = ("B", "kB", "MB", "GB", "TB")
_STEP = 1000


def in_words(size: float) -> str:
    """Return bytes with a unit, in powers of 1,000."""
    for unit in _UNITS[:-1]:
        if size < _STEP:
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= _STEP
    return f"{size:,.1f} {_UNITS[-1]}"
