"""What a store has, and whether it is still what it was when it came."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvenv.diagnose.model import Finding, Level
from mvenv.diagnose.roots import look_at_root
from mvenv.diagnose.store import examine_store
from mvenv.store.layout import StoreKey, StoreLayout, is_adopted
from mvenv.store.names import IMPORTED, REBUILT, SYNCED
from mvenv.store.pruning import survey
from mvenv.store.registry import roots

__all__ = [
    "StoreOverview",
    "StoreVerdict",
    "StoredEntry",
    "list_store",
    "verify_store",
]

_LEFTOVERS = frozenset({"F42", "F52"})
"""Of runs that were killed: in nobody's way, and swept by the next run."""
_MARKS = (IMPORTED, REBUILT)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry:
    """One wheel in the store."""

    key: StoreKey
    filename: str
    """Empty where its manifest is damaged."""
    size: int
    """Bytes of its files."""
    users: int
    """Environments on record that have files of it, or may come back."""
    used_ns: int
    """When it was last taken for an environment, since the epoch."""
    marks: tuple[str, ...]
    """Where it came from, if it was not fetched: ``imported``, ``rebuilt``, …"""

    @property
    def name(self) -> str:
        """Return the project's name, as its file has it."""
        return self.filename.split("-")[0] or "?"

    @property
    def version(self) -> str:
        """Return the version, as its file has it."""
        # `adopt` names what it learned, and no wheel came with, like this.
        return (*self.filename.removesuffix(".adopted").split("-"), "?", "?")[1]

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints for it."""
        return {
            "key": self.key,
            "name": self.name,
            "version": self.version,
            "filename": self.filename,
            "size": self.size,
            "users": self.users,
            "last_used": self.used_ns / 10**9,
            "marks": list(self.marks),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOverview:
    """All wheels of a store, sorted by name and version."""

    store: Path
    entries: tuple[StoredEntry, ...]

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "store": str(self.store),
            "wheels": [one.as_json() for one in self.entries],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreVerdict:
    """What a look at every byte of a store brought."""

    store: Path
    entries: int
    files: int
    bytes: int
    wrong: tuple[Finding, ...]
    leftovers: int
    """Of runs that were killed."""
    unsynced: int
    """Wheels that were never flushed to the disk; all the same their bytes are right,
    unless they are among what is wrong."""
    imported: int
    rebuilt: int
    adopted: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "store": str(self.store),
            "wheels": self.entries,
            "files": self.files,
            "bytes": self.bytes,
            "wrong": [one.as_json() for one in self.wrong],
            "leftovers": self.leftovers,
            "unsynced": self.unsynced,
            "imported": self.imported,
            "rebuilt": self.rebuilt,
            "adopted": self.adopted,
            "seconds": round(self.seconds, 3),
        }


def list_store(layout: StoreLayout) -> StoreOverview:
    """Return what a store has; a look, which writes nothing."""
    users: Counter[StoreKey] = Counter()
    if layout.envs.is_dir():
        for root in roots(layout):
            look = look_at_root(layout, root)
            if look.standing.needs_wheels:
                users.update(look.wheels)
    entries = [
        StoredEntry(
            key=one.key,
            filename=one.filename,
            size=one.size,
            users=users[one.key],
            used_ns=one.used_ns,
            marks=_marks(one.root, one.key),
        )
        for one in survey(layout)
    ]
    entries.sort(key=lambda one: (one.name.lower(), one.filename, one.key))
    return StoreOverview(store=layout.root, entries=tuple(entries))


def _marks(root: Path, key: StoreKey) -> tuple[str, ...]:
    marks = [name for name in _MARKS if (root / name).exists()]
    return (*marks, *(["adopted"] if is_adopted(key) else []))


def verify_store(layout: StoreLayout) -> StoreVerdict:
    """Hash every file of a store; writes nothing, and knows no environments."""
    started = time.monotonic()
    entries = list(survey(layout))
    found = examine_store(layout, None, Level.FULL, ())
    marks = Counter(mark for one in entries for mark in _marks(one.root, one.key))
    wrong = [
        one for one in found.findings if not one.drift and one.code not in _LEFTOVERS
    ]
    return StoreVerdict(
        store=layout.root,
        entries=len(entries),
        files=found.checked,
        bytes=found.bytes_hashed,
        wrong=tuple(wrong),
        leftovers=sum(one.code in _LEFTOVERS for one in found.findings),
        unsynced=sum(not (one.root / SYNCED).exists() for one in entries),
        imported=marks[IMPORTED],
        rebuilt=marks[REBUILT],
        adopted=marks["adopted"],
        seconds=time.monotonic() - started,
    )
