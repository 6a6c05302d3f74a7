"""Stored files that are one inode under the names of several entries.

Large files alone are, see `mvenv.store.large`. Which those are is not looked up in its
records, which may be lost: the manifests say it. That takes a while, and is asked only
where something is wrong.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mvenv.errors import DamagedEntry
from mvenv.hashes import digest_file
from mvenv.link.files import copy_file
from mvenv.link.tree import TEMPORARY
from mvenv.store.layout import StoreKey, StoreLayout
from mvenv.store.listing import all_keys
from mvenv.store.names import MANIFEST, TREE
from mvenv.wheels.manifest import LARGE, Manifest, ManifestFile

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "StoredName",
    "is_contested",
    "names_of",
    "names_of_inode",
    "renew",
    "seal_again",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredName:
    """A file of an entry."""

    key: StoreKey
    file: ManifestFile
    """As the entry's manifest has it."""
    place: Path


def names_of(layout: StoreLayout, sha256: str, size: int) -> Iterator[StoredName]:
    """Yield the large files that must have a content, by what the manifests say.

    None where ``size`` is not large.
    """
    if size < LARGE:
        return
    for key in all_keys(layout):
        root = layout.entry(key)
        try:
            content = (root / MANIFEST).read_bytes()
        except OSError:
            continue
        # To take each manifest apart would take twenty times as long.
        if sha256.encode() not in content:
            continue
        manifest = Manifest.from_bytes(content)
        for file in manifest.files if manifest and manifest.sha256 == key else ():
            if (file.sha256, file.size) == (sha256, size):
                yield StoredName(key=key, file=file, place=root / TREE / file.path)


def names_of_inode(
    layout: StoreLayout, sha256: str, size: int, inode: tuple[int, int]
) -> Iterator[StoredName]:
    """Yield the stored names of one inode (device, inode), whatever its bytes are.

    ``sha256`` and ``size`` are those that it must have.
    """
    for name in names_of(layout, sha256, size):
        with contextlib.suppress(OSError):
            seen = name.place.lstat()
            if (seen.st_dev, seen.st_ino) == inode and stat.S_ISREG(seen.st_mode):
                yield name


def seal_again(layout: StoreLayout, place: Path, file: ManifestFile) -> None:
    """Give a stored file with the right bytes its mode and stamp.

    And an inode of its own where another entry has that very file under others: else
    each of the two would undo what heals the other.
    """
    seal = (file.mode, file.mtime_ns)
    if not is_contested(layout, place, file.sha256, file.size, seal):
        place.chmod(file.mode)
        os.utime(place, ns=(file.mtime_ns, file.mtime_ns))
        return
    copy = place.with_name(TEMPORARY)
    # Only a run that was killed leaves one.
    copy.unlink(missing_ok=True)
    if not renew(place, copy, file):
        raise DamagedEntry(f"`{place}` was changed just now")


def is_contested(
    layout: StoreLayout, place: Path, sha256: str, size: int, seal: tuple[int, int]
) -> bool:
    """Return whether another entry has this very file under another mode or stamp.

    ``seal`` is the mode and the stamp that ``place`` must have. Two manifests differ
    where one was written again from what environments had of an earlier ingest.
    """
    seen = place.lstat()
    if seen.st_nlink == 1:
        return False
    names = names_of_inode(layout, sha256, size, (seen.st_dev, seen.st_ino))
    return any(
        name.place != place and (name.file.mode, name.file.mtime_ns) != seal
        for name in names
    )


def renew(place: Path, copy: Path, file: ManifestFile) -> bool:
    """Give a stored file an inode of its own, sealed, by way of the new path ``copy``.

    False where its bytes are not the manifest's: then it stays. `OSError` where there
    is no room.
    """
    source = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        target = os.open(copy.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            copy_file(
                place.name,
                copy.name,
                source,
                target,
                mode=file.mode,
                mtime_ns=file.mtime_ns,
            )
        finally:
            os.close(target)
    finally:
        os.close(source)
    try:
        with copy.open("rb") as stream:
            # The entry is marked as flushed already.
            os.fsync(stream.fileno())
        if digest_file(copy).sha256 != file.sha256:
            return False
        os.replace(copy, place)
    finally:
        copy.unlink(missing_ok=True)
    return True
