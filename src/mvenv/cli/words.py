"""Numbers and paths as people read them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["in_words", "shortest"]

_UNITS = ("B", "kB", "MB", "GB", "TB")
_STEP = 1000


def in_words(size: float) -> str:
    """Return bytes with a unit, in powers of 1,000."""
    for unit in _UNITS[:-1]:
        if size < _STEP:
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= _STEP
    return f"{size:,.1f} {_UNITS[-1]}"


def shortest(path: Path) -> str:
    """Return the path as seen from here where it is below, as people would type it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
