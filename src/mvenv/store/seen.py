"""What a stored tree was when each of its files was as its manifest says.

No name comes into a folder, leaves it or gets another inode without moving the
folder's ctime, which no program can set. So a tree whose folders have the inodes and
ctimes that were put down has the files that were put down, and a file that is hard
linked elsewhere need not be looked at twice. It is a memory for quick looks only:
where it is lost, or does not agree, the files themselves are looked at.
"""

from __future__ import annotations

import contextlib
import os
import time
from array import array
from pathlib import Path

from mvenv.errors import Busy
from mvenv.hashes import quick_digest
from mvenv.link.tree import TEMPORARY
from mvenv.locking import lock_folder
from mvenv.records import read_record, seal_record
from mvenv.store.names import MANIFEST, SEEN, TREE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["folders_of", "is_as_seen", "put_down"]

_KIND = "seen"
_FORMAT = 1
_MOMENT = 1.0
"""Seconds; others hold that lock only to ask."""
_SETTLED = 10**9
"""Nanoseconds: times of files are as coarse as the system's clock tick."""


def folders_of(paths: Iterable[str]) -> list[str]:
    """Return all folders of a tree with these files, sorted, itself (empty) first."""
    found = {""}
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return sorted(found)


def put_down(root: Path, paths: Iterable[str], *, shared: bool = True) -> None:
    """Remember a tree as it is; call it when each of its files was found right.

    ``shared``: others can have changed it until just now. Then nothing is remembered
    of a tree that is so new that a change could not be told by its time.
    """
    with contextlib.suppress(OSError, Busy):
        folders = folders_of(paths)
        before, latest = _digest_of(root, folders)
        if shared and abs(time.time_ns() - latest) < _SETTLED:
            return
        inodes = array("Q", sorted(_inodes(root, folders)))
        if before == _digest_of(root, folders)[0]:
            said = f"{before} {quick_digest(inodes.tobytes())}"
            _replace(root, seal_record(_KIND, _FORMAT, said.encode()))


def _replace(root: Path, content: bytes) -> None:
    """Put the record in place; under a name that doctor knows as a killed run's.

    Who sees that name asks for the lock.
    """
    temporary = root / TEMPORARY
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with lock_folder(root, exclusive=True, patience=_MOMENT):
        descriptor = os.open(temporary, flags, 0o444)
        try:
            with open(descriptor, "wb") as stream:
                stream.write(content)
            os.replace(temporary, root / SEEN)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def is_as_seen(root: Path, folders: list[str], inodes: Iterable[int]) -> bool:
    """Return whether a tree is as it was put down, its files being these ``inodes``.

    ``folders`` as `folders_of` gives them; `OSError` where one cannot be looked at.
    """
    said = read_record(root / SEEN, _KIND, _FORMAT)
    if said is None:
        return False
    now = quick_digest(array("Q", sorted(inodes)).tobytes())
    return said == f"{_digest_of(root, folders)[0]} {now}".encode()


def _digest_of(root: Path, folders: Iterable[str]) -> tuple[str, int]:
    """Return a digest of what tells any change of names, and the latest change."""
    manifest = os.stat(root / MANIFEST, follow_symlinks=False)
    numbers = array("Q", (manifest.st_ino, manifest.st_size, manifest.st_ctime_ns))
    latest = manifest.st_ctime_ns
    tree = f"{root}/{TREE}/"
    for folder in folders:
        seen = os.lstat(tree + folder)
        numbers.append(seen.st_ino)
        numbers.append(seen.st_ctime_ns)
        latest = max(latest, seen.st_ctime_ns)
    return quick_digest(numbers.tobytes()), latest


def _inodes(root: Path, folders: Iterable[str]) -> Iterator[int]:
    for folder in folders:
        with os.scandir(f"{root}/{TREE}/{folder}") as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    yield entry.inode()
