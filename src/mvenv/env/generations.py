"""What an environment was before it was changed, and a change that is under way.

``.mvenv/generations/<n>/`` has the receipt and the plan of before, links to them, and
under ``files/`` what was replaced or removed. While a change is under way its journal
is ``.mvenv/syncing``; it becomes the generation's ``record`` by one rename, which
ends the change. So a generation with a record is whole, and an environment with a
journal is neither the old one nor the new one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mvenv.env.receipt import FOLDER, PLAN, RECEIPT, Receipt, read_receipt
from mvenv.link.modes import NEXT_MODE
from mvenv.records import load_json, store_json

__all__ = [
    "FILES",
    "GENERATIONS",
    "NEXT_PLAN",
    "SYNCING",
    "Journal",
    "Kept",
    "begin",
    "complete",
    "forget",
    "generation_folder",
    "generation_receipt",
    "is_tidy",
    "last_generation",
    "make_generation",
    "read_generation",
    "read_journal",
    "sweep_generations",
]

SYNCING = f"{FOLDER}/syncing"
"""There from the first change of a sync or a rollback until after its last."""
NEXT_PLAN = f"{FOLDER}/plan.next"
"""The plan that the environment is being brought to."""
GENERATIONS = f"{FOLDER}/generations"
FILES = "files"
"""In a generation: what was replaced or removed, by path."""

_RECORD = "record"
_KIND = "generation"
_FORMAT = 1


class Kept(NamedTuple):
    """A file that stood in the environment and is in no plan of it."""

    path: str
    sha256: str
    size: int
    mode: int
    mtime_ns: int
    place: str
    """Where its bytes are kept, below the environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """A change of an environment: under way, or done and on record."""

    number: int
    """Of the generation that keeps what was before."""
    plan: str
    """sha256 of the record of the plan that it leads to."""
    back_to: int | None
    """The generation that a rollback leads to; `None` for a sync."""
    absent: tuple[str, ...]
    """Paths of the plan of before that were not there."""
    other: tuple[Kept, ...]
    """What stood there besides the plan of before, or in place of it."""
    added: tuple[tuple[str, str], ...]
    """What it brings that is in no plan: path and sha256."""


def generation_folder(place: Path, number: int) -> Path:
    """Return the folder of a generation, there or not."""
    return place / GENERATIONS / str(number)


def generation_receipt(place: Path, number: int) -> Receipt | None:
    """Return the receipt that a generation keeps, or `None` where it is damaged."""
    return read_receipt(generation_folder(place, number))


def read_journal(place: Path) -> Journal | None:
    """Return the change that is under way, or `None`; damaged is as good as none."""
    return _load(place / SYNCING)


def read_generation(place: Path, number: int) -> Journal | None:
    """Return the record of a generation, or `None` where it is damaged or not whole."""
    return _load(generation_folder(place, number) / _RECORD)


def last_generation(place: Path) -> Journal | None:
    """Return the newest generation that is whole, or `None`."""
    for number in sorted(_numbers(place), reverse=True):
        found = read_generation(place, number)
        if found is not None:
            return found
    return None


def begin(place: Path, journal: Journal) -> None:
    """Put a change on record, flushed, before its first change.

    Its generation, with all that is kept, is there already.
    """
    _store(place / SYNCING, journal)
    for path in (place / SYNCING, place / FOLDER):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def complete(place: Path, journal: Journal) -> None:
    """Let a change be done: its journal becomes the generation's record."""
    os.rename(place / SYNCING, generation_folder(place, journal.number) / _RECORD)


def forget(place: Path, journal: Journal) -> None:
    """Take away the journal of a change that was undone, and its generation."""
    (place / SYNCING).unlink()
    shutil.rmtree(generation_folder(place, journal.number), ignore_errors=True)


def sweep_generations(place: Path, *, keep: int | None) -> None:
    """Delete all generations but one; their record first, so none is ever a part."""
    for number in _numbers(place):
        if number == keep:
            continue
        folder = generation_folder(place, number)
        with contextlib.suppress(OSError):
            (folder / _RECORD).unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)


def is_tidy(place: Path) -> bool:
    """Return whether no killed run has left anything here."""
    numbers = _numbers(place)
    whole = all(read_generation(place, number) for number in numbers)
    begun = {name.rpartition("/")[2] for name in (SYNCING, NEXT_PLAN)}
    # Probes and records without a name yet begin with a dot.
    left = any(
        name.startswith(".") or name in begun for name in os.listdir(place / FOLDER)
    )
    return len(numbers) <= 1 and whole and not left


def make_generation(place: Path, number: int) -> Path:
    """Make a generation's folder, with the receipt and the plan that are there now."""
    folder = generation_folder(place, number)
    (folder / FOLDER).mkdir(mode=0o755, parents=True, exist_ok=True)
    for name in (RECEIPT, PLAN):
        _keep(place / name, folder / name)
    return folder


def _keep(origin: Path, kept: Path) -> None:
    kept.unlink(missing_ok=True)
    try:
        os.link(origin, kept)
    except FileNotFoundError:
        # An environment whose plan is lost can still be brought to a lock.
        return
    except OSError as error:
        if error.errno not in NEXT_MODE and error.errno != errno.EMLINK:
            raise
        shutil.copy2(origin, kept)


def _numbers(place: Path) -> list[int]:
    try:
        if (place / GENERATIONS).is_symlink():
            return []
        names = os.listdir(place / GENERATIONS)
    except OSError:
        return []
    return [int(name) for name in names if name.isdecimal() and name.isascii()]


def _store(path: Path, journal: Journal) -> None:
    store_json(path, _KIND, _FORMAT, asdict(journal))


def _load(path: Path) -> Journal | None:
    value: Any = load_json(path, _KIND, _FORMAT)
    try:
        journal = Journal(
            number=int(value["number"]),
            plan=str(value["plan"]),
            back_to=value["back_to"],
            absent=tuple(value["absent"]),
            other=tuple(Kept(*row) for row in value["other"]),
            added=tuple((path, sha256) for path, sha256 in value["added"]),
        )
        paths = [*journal.absent, *(path for path, _ in journal.added)]
        for one in journal.other:
            paths += (one.path, one.place)
        return journal if all(map(_is_inside, paths)) else None
    # Of another version, or by another hand: environments come with what people clone.
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _is_inside(path: str) -> bool:
    return (
        bool(path)
        and not path.startswith("/")
        and "\0" not in path
        and posixpath.normpath(path) == path
        and path.split("/", 1)[0] != ".."
    )
