"""Taking out of a store what nobody needs; which that is, the caller knows.

Everything here but `survey` and `is_untouched` is for who has the store alone
(`mvenv.store.locking`): whoever is about to link a wheel must find it or not.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from mvenv.errors import StoreError
from mvenv.hashes import quick_file
from mvenv.records import load_json, unseal_record
from mvenv.store.entries import WheelStore
from mvenv.store.layout import StoreKey, StoreLayout, entry_key
from mvenv.store.listing import all_keys
from mvenv.store.names import ENTRY_NAMES, MANIFEST, TREE
from mvenv.store.plans import ANSWER, RECIPE
from mvenv.store.runs import bury
from mvenv.wheels.manifest import Manifest

__all__ = [
    "Entry",
    "Removal",
    "is_untouched",
    "remove_entry",
    "remove_locks",
    "survey",
    "unneeded_answers",
    "unneeded_builds",
    "unneeded_plans",
]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_BUILD = ("build", 1)
"""Kind and format of the records in ``builds/``, as `mvenv.ensure.building` has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a store."""

    key: StoreKey
    root: Path
    filename: str
    """Of its wheel; empty where its manifest is damaged."""
    size: int
    """Bytes of its files, as its manifest says."""
    used_ns: int
    """When it was last taken for an environment, since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What became of an entry that was taken out."""

    grave: Path | None
    """Where it waits for deletion."""
    rescued: Path | None
    """Where files are that were not the wheel's: somebody may have written them."""


def survey(layout: StoreLayout) -> Iterator[Entry]:
    """Yield all entries of a store, sorted by key."""
    for key in all_keys(layout):
        root = layout.entry(key)
        try:
            used = root.stat().st_mtime_ns
        except FileNotFoundError:
            continue
        manifest = _manifest(root)
        yield Entry(
            key=key,
            root=root,
            filename=manifest.filename if manifest is not None else "",
            size=sum(file.size for file in manifest.files) if manifest else 0,
            used_ns=used,
        )


def _manifest(root: Path) -> Manifest | None:
    try:
        return Manifest.from_bytes((root / MANIFEST).read_bytes())
    except OSError:
        return None


def is_untouched(root: Path) -> bool:
    """Return whether an entry has nothing but bytes of its wheel; reads all of it.

    A file that is missing is nothing that could be lost.
    """
    manifest = _manifest(root)
    if manifest is None:
        return False
    known = {file.path: file for file in manifest.files}
    tree = root / TREE
    try:
        if set(os.listdir(root)) - ENTRY_NAMES:
            return False
        for path, seen in _walk(tree):
            file = known.get(path)
            if not seen.st_size and stat.S_ISREG(seen.st_mode):
                continue
            if (
                file is None
                or not stat.S_ISREG(seen.st_mode)
                or seen.st_size != file.size
                or quick_file(tree / path) != file.xxh3
            ):
                return False
    except OSError:
        return False
    return True


def _walk(tree: Path) -> Iterator[tuple[str, os.stat_result]]:
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        with os.scandir(tree / folder) as entries:
            for entry in entries:
                path = f"{folder}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{path}/")
                else:
                    yield path, entry.stat(follow_symlinks=False)


def remove_entry(store: WheelStore, key: StoreKey, *, untouched: bool) -> Removal:
    """Take an entry out by one rename; what is not its wheel's is kept in ``rescued``.

    `OSError` where the store cannot be written to.
    """
    if untouched:
        return Removal(grave=bury(store.layout, store.layout.entry(key)), rescued=None)
    return Removal(grave=None, rescued=store.take_out(key))


def unneeded_plans(layout: StoreLayout, needed: Container[str]) -> list[Path]:
    """Return the plans that no environment has."""
    return [
        path
        for path in _listed(layout.plans)
        if _SHA256.fullmatch(path.name) and path.name not in needed
    ]


def unneeded_answers(layout: StoreLayout, gone: Container[str] = ()) -> list[Path]:
    """Return the records that name a plan which the store does not have, or none.

    ``gone`` are the names of plans that are about to be taken out.
    """
    found = []
    for path in _listed(layout.ready):
        if path.name.startswith("."):
            continue
        plan = _answered(path)
        if plan is None or plan in gone or not (layout.plans / plan).exists():
            found.append(path)
    return found


def _answered(path: Path) -> str | None:
    if path.suffix == RECIPE:
        return path.stem
    value = load_json(path, *ANSWER)
    named = isinstance(value, list) and value and isinstance(value[0], str)
    return value[0] if named and _SHA256.fullmatch(value[0]) else None


def unneeded_builds(layout: StoreLayout, gone: Container[StoreKey] = ()) -> list[Path]:
    """Return the records of what was built to wheels that are not there.

    ``gone`` are wheels that are about to be taken out.
    """
    found = []
    for path in _listed(layout.builds):
        if path.name.startswith("."):
            continue
        key = _built(path)
        if key is None or key in gone or not layout.entry(key).exists():
            found.append(path)
    return found


def _built(path: Path) -> StoreKey | None:
    try:
        payload = unseal_record(*_BUILD, path.read_bytes())
    except OSError:
        return None
    text = payload.decode("ascii", "replace").strip('"') if payload is not None else ""
    return entry_key(text) if _SHA256.fullmatch(text) else None


def remove_locks(layout: StoreLayout) -> None:
    """Remove the lock files of wheels that are not there, as far as nobody holds them.

    Who waits for one would lock a file without a name, so this is for who is alone.
    """
    for path in _listed(layout.root / "locks"):
        with contextlib.suppress(OSError, StoreError):
            if layout.entry(entry_key(path.name.removesuffix(".lock"))).exists():
                continue
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
