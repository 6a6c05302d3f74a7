"""What trees of files take on the disk, and what deleting them would give back.

Counted in blocks, as the file system does; each inode once. A hard link gives nothing
back as long as another name is left, a reflink only what no other file shares.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mvenv.link.extents import file_bytes

__all__ = ["Together", "Usage", "measure", "wake_file_system"]

_BLOCK = 512
"""Bytes of what ``st_blocks`` counts (``inode(7)``)."""
_WITHOUT_REFLINKS = frozenset({"ext2", "ext3", "ext4", "tmpfs", "ramfs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What trees take. All in bytes."""

    files: int
    """Names of files, not inodes."""
    apparent: int
    """Length of the files, each inode once."""
    on_disk: int
    """Blocks of files and folders, whoever else has them."""
    shared: int
    """Blocks that files elsewhere have too: they stay when the trees are deleted."""
    own: int
    """Blocks that come back when the trees are deleted."""
    exact: bool
    """The file system told all; else ``own`` is what comes back at the most."""


class _Inode(NamedTuple):
    """A file with further names."""

    path: str
    blocks: int
    links: int


class _Count:
    """A count under way."""

    def __init__(self) -> None:
        self.files = self.apparent = self.on_disk = self.shared = self.own = 0
        self.exact = True
        self._linked: dict[tuple[int, int], _Inode] = {}
        self._names: Counter[tuple[int, int]] = Counter()
        self._may: dict[int, bool] = {}
        self._kinds = _kinds()

    def add_tree(self, folder: str) -> None:
        """Count a tree, or a single file; what is gone by now takes nothing."""
        try:
            seen = os.lstat(folder)
        except FileNotFoundError:
            return
        except OSError:
            self.exact = False
            return
        if not stat.S_ISDIR(seen.st_mode):
            self._add_file(folder, seen)
            return
        self._add_folder(seen)
        waiting = [folder]
        while waiting:
            try:
                with os.scandir(waiting.pop()) as entries:
                    for entry in entries:
                        self._add_entry(entry, waiting)
            except FileNotFoundError:
                continue
            except OSError:
                self.exact = False

    def _add_entry(self, entry: os.DirEntry[str], waiting: list[str]) -> None:
        try:
            seen = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(seen.st_mode):
            self._add_folder(seen)
            waiting.append(entry.path)
        else:
            self._add_file(entry.path, seen)

    def _add_folder(self, seen: os.stat_result) -> None:
        self.on_disk += seen.st_blocks * _BLOCK
        self.own += seen.st_blocks * _BLOCK

    def _add_file(self, path: str, seen: os.stat_result) -> None:
        self.files += 1
        blocks = seen.st_blocks * _BLOCK
        if seen.st_nlink == 1:
            self.apparent += seen.st_size
            self.on_disk += blocks
            self._add_whole(path, blocks, seen)
            return
        identity = (seen.st_dev, seen.st_ino)
        if identity not in self._names:
            self.apparent += seen.st_size
            self.on_disk += blocks
            self._linked[identity] = _Inode(path, blocks, seen.st_nlink)
        self._names[identity] += 1

    def linked(self) -> dict[tuple[int, int], int]:
        """Return the blocks, in bytes, of each file with several names."""
        return {identity: one.blocks for identity, one in self._linked.items()}

    def add_linked(self) -> None:
        """Judge the files with several names, when all trees are counted."""
        for identity, inode in self._linked.items():
            if self._names[identity] < inode.links:
                self.shared += inode.blocks
                continue
            try:
                seen = os.lstat(inode.path)
            except OSError:
                self.exact = False
                continue
            self._add_whole(inode.path, inode.blocks, seen)

    def _add_whole(self, path: str, blocks: int, seen: os.stat_result) -> None:
        """Count an inode all of whose names are in the trees."""
        if not blocks or not stat.S_ISREG(seen.st_mode) or not self._may_share(seen):
            self.own += blocks
            return
        found = None
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                found = file_bytes(descriptor)
            finally:
                os.close(descriptor)
        except OSError:
            pass
        if found is None:
            self.exact = False
            self.own += blocks
        else:
            self.own += found.own
            self.shared += found.shared

    def _may_share(self, seen: os.stat_result) -> bool:
        known = self._may.get(seen.st_dev)
        if known is None:
            device = f"{os.major(seen.st_dev)}:{os.minor(seen.st_dev)}"
            known = self._kinds.get(device) not in _WITHOUT_REFLINKS
            self._may[seen.st_dev] = known
        return known


def measure(trees: Iterable[Path]) -> Usage:
    """Return what trees take together: a file that two of them have counts once."""
    count = _Count()
    for tree in trees:
        count.add_tree(os.fspath(tree))
    count.add_linked()
    return Usage(
        files=count.files,
        apparent=count.apparent,
        on_disk=count.on_disk,
        shared=count.shared,
        own=count.own,
        exact=count.exact,
    )


class Together:
    """What trees take on the disk together, and without some of them.

    A file that several of them have stays as long as the last of those.
    """

    def __init__(self, trees: Iterable[Path]) -> None:
        self.on_disk = 0
        """Blocks of the trees that are left, in bytes."""
        self._parts: dict[Path, tuple[int, dict[tuple[int, int], int]]] = {}
        self._holders: Counter[tuple[int, int]] = Counter()
        for tree in trees:
            count = _Count()
            count.add_tree(os.fspath(tree))
            linked = count.linked()
            alone = count.on_disk - sum(linked.values())
            self._parts[tree] = (alone, linked)
            new = (linked[one] for one in linked if not self._holders[one])
            self.on_disk += alone + sum(new)
            self._holders.update(linked.keys())

    def take_out(self, tree: Path) -> None:
        """Count a tree no more."""
        alone, linked = self._parts.pop(tree)
        self._holders.subtract(linked.keys())
        gone = (linked[one] for one in linked if not self._holders[one])
        self.on_disk -= alone + sum(gone)


def _kinds() -> dict[str, str]:
    """Return the kinds of mounted file systems by device, where the system tells."""
    found = {}
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                # proc(5): "36 35 98:0 /mnt1 /mnt2 rw shared:1 - ext3 /dev/root rw"
                mount, _, source = line.partition(" - ")
                found[mount.split()[2]] = source.split()[0]
    except (OSError, IndexError):
        pass
    return found


def wake_file_system(folder: Path) -> None:
    """Let the file system forget what was deleted just now, as far as it can be asked.

    XFS deletes in the background, and says until then that extents are shared.
    """
    with contextlib.suppress(OSError):
        os.statvfs(folder)
