"""The rolling scrub: each look hashes a few more files, the longest unseen first.

Files are hashed in the plan's order, round and round, for a given time each. One that
takes longer is hashed to its end, and the next looks make up for it.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mvenv.diagnose.files import FilesLook
from mvenv.diagnose.model import Scrubbed
from mvenv.env.receipt import FOLDER, Generated
from mvenv.link.tree import FileLink
from mvenv.records import load_json, store_json

__all__ = ["SCRUB", "load_scrub", "save_scrub", "scrub"]

SCRUB = f"{FOLDER}/scrub"
_KIND = "scrub"
_FORMAT = 1


def load_scrub(place: Path, plan: str) -> Scrubbed:
    """Return how far earlier scrubs of this plan came; from its start if unknown."""
    value: Any = load_json(place / SCRUB, _KIND, _FORMAT)
    try:
        known = Scrubbed(str(value[0]), int(value[1]), float(value[2]))
    # Not there, or of another version.
    except (TypeError, ValueError, KeyError, IndexError):
        known = Scrubbed(plan, 0, 0.0)
    return known if known.plan == plan and known.next >= 0 else Scrubbed(plan, 0, 0.0)


def save_scrub(place: Path, scrubbed: Scrubbed) -> None:
    """Keep how far a scrub came; `OSError` where that fails."""
    store_json(place / SCRUB, _KIND, _FORMAT, list(scrubbed))


def scrub(look: FilesLook, root: int, known: Scrubbed, seconds: float) -> Scrubbed:
    """Hash files for ``seconds``, from the one on that was hashed longest ago."""
    budget = seconds - known.debt
    if budget <= 0:
        return known._replace(debt=known.debt - seconds)
    count, position = 0, known.next
    started = time.monotonic()
    spent = 0.0
    for folder, one in _from(look, known.next):
        look.look_at(root, folder, one)
        count += 1
        spent = time.monotonic() - started
        if spent >= budget:
            break
    total = _total(look)
    position = (known.next + count) % total if total else 0
    return known._replace(next=position, debt=max(0.0, spent - budget))


def _total(look: FilesLook) -> int:
    known = (look.grove.files, look.compiled.files)
    return sum(sum(map(len, folders.values())) for folders in known)


def _folders(
    look: FilesLook,
) -> Iterator[tuple[str, Mapping[str, FileLink | Generated]]]:
    yield from look.grove.files.items()
    yield from look.compiled.files.items()


def _from(look: FilesLook, start: int) -> Iterator[tuple[str, FileLink | Generated]]:
    """Yield every file once, beginning with number ``start``."""
    total = _total(look)
    start = start % total if total else 0
    yield from _after(look, start)
    yield from itertools.islice(_after(look, 0), start)


def _after(look: FilesLook, count: int) -> Iterator[tuple[str, FileLink | Generated]]:
    """Yield every file but the first ``count``."""
    for folder, files in _folders(look):
        if count < len(files):
            for one in itertools.islice(files.values(), count, None):
                yield folder, one
            count = 0
        else:
            count -= len(files)
