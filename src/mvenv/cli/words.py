"""Numbers and paths as people read them."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from mvenv.paths import StrPath

__all__ = ["ago_in_words", "counted", "in_words", "shortest", "table"]

_UNITS = ("B", "kB", "MB", "GB", "TB")
_STEP = 1000


def in_words(size: float) -> str:
    """Return bytes with a unit, in powers of 1,000."""
    for unit in _UNITS[:-1]:
        if size < _STEP:
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= _STEP
    return f"{size:,.1f} {_UNITS[-1]}"


def shortest(path: StrPath) -> str:
    """Return the path as seen from here where it is below, as people would type it."""
    here, text = os.getcwd(), os.fspath(path)
    return "." if text == here else text.removeprefix(os.path.join(here, ""))


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def ago_in_words(seconds: float) -> str:
    """Return how long ago something was, in the largest whole unit."""
    for unit, length in _TIMES:
        if seconds >= length:
            return f"{counted(int(seconds // length), unit)} ago"
    return "just now"


_TIMES = (("year", 31_557_600), ("day", 86_400), ("hour", 3_600), ("minute", 60))


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Collection[int]
) -> list[str]:
    """Return aligned lines; ``right`` are the columns of numbers."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return [
        "  ".join(
            text.rjust(width) if column in right else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
