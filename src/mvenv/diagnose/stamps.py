"""Dates of files that somebody touched and whose bytes were found right.

Backup tools and ``touch`` move dates. Such a file is hashed once, and what was seen is
put on record in ``.mvenv/stamps``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mvenv.diagnose.model import Touched
from mvenv.env.receipt import FOLDER
from mvenv.records import load_json, store_json

__all__ = ["STAMPS", "load_stamps", "save_stamps"]

STAMPS = f"{FOLDER}/stamps"
_KIND = "stamps"
_FORMAT = 1


def load_stamps(place: Path) -> dict[str, tuple[int, int]]:
    """Return size and date, in nanoseconds, of each file that was found right."""
    value: Any = load_json(place / STAMPS, _KIND, _FORMAT)
    try:
        return {
            str(path): (int(size), int(mtime)) for path, (size, mtime) in value.items()
        }
    # Not there, or of another version.
    except (AttributeError, TypeError, ValueError):
        return {}


def save_stamps(
    place: Path, known: Mapping[str, tuple[int, int]], touched: Iterable[Touched]
) -> None:
    """Put down the dates of files that share nothing; `OSError` where that fails.

    Those of shared ones are the store's, and are put back instead.
    """
    stamps = dict(known)
    new = {one.path: (one.size, one.mtime_ns) for one in touched if not one.shared}
    if new:
        store_json(place / STAMPS, _KIND, _FORMAT, stamps | new)
