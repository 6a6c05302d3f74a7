"""A quick look at stored wheels by way of an environment that was looked at.

A hard link of a file that was found right is right under all its names, and its inode
is known by then. Where the folders of a stored tree are as they were put down, with
these inodes in them, nothing is asked of its files; else the folders are listed, and
the inodes come with the names. No manifest is taken apart for either.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mvenv.diagnose.model import Examination
from mvenv.diagnose.reading import has_content
from mvenv.diagnose.subject import Subject
from mvenv.link.modes import LinkMode
from mvenv.link.tree import FileLink, FolderLinks
from mvenv.plan.model import PlannedBytecode
from mvenv.store.durability import boot_id
from mvenv.store.layout import StoreKey
from mvenv.store.names import BYTECODE, ENTRY_NAMES, MANIFEST, SYNCED, TREE
from mvenv.store.seen import folders_of, is_as_seen
from mvenv.wheels.manifest import ManifestFile, manifest_facts

__all__ = ["Twins"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_Inodes = Mapping[str, Mapping[str, int]]


@dataclass
class _Known:
    """What one environment's plan says of one wheel."""

    inodes: _Inodes
    """Of the environment's files that are right, by folder and name."""
    folders: dict[str, list[tuple[str, tuple[FileLink, ...]]]] = field(
        default_factory=dict
    )
    """By folder of the tree: where in the environment files of it are, and which."""
    rest: dict[str, dict[str, ManifestFile]] = field(default_factory=dict)

    compiled: list[FolderLinks] = field(default_factory=list)
    """Its bytecode, for one tag."""
    tag: str = ""

    def paths(self) -> Iterator[str]:
        """Yield the paths of all files in the wheel's tree."""
        for inside in self.folders.items():
            prefix = f"{inside[0]}/" if inside[0] else ""
            for _, files in inside[1]:
                yield from (prefix + file.source for file in files)
        for rows in self.rest.values():
            yield from (row.path for row in rows.values())

    @cached_property
    def tree_folders(self) -> list[str]:
        """Return all folders of the wheel's tree."""
        return folders_of(f"{folder}/" for folder in (*self.folders, *self.rest))


class Twins:
    """Environments that were looked at, and the wheels they have hard links of.

    ``whole``: their files were hashed, and so is what they have no link of.
    """

    def __init__(
        self,
        store: Path,
        looks: Iterable[tuple[Subject, Examination]],
        *,
        whole: bool,
    ) -> None:
        self._whole = whole
        self._known: dict[StoreKey, _Known] = {}
        self.unseen: list[tuple[Path, tuple[str, ...]]] = []
        """Entries that had to be listed, all right; with the paths of their files."""
        for subject, examination in looks:
            receipt, plan = subject.receipt, subject.plan
            if receipt is None or plan is None:
                continue
            # What the user changed on purpose was not looked at.
            changed = {one.distribution for one in examination.findings if one.drift}
            changed.update(receipt.edits)
            if receipt.link_mode == LinkMode.HARDLINK.value and _on_one_system(
                store, subject.place
            ):
                self._learn(subject, examination.inodes, changed)

    def _learn(
        self, subject: Subject, inodes: _Inodes, changed: Container[str | None]
    ) -> None:
        plan = subject.plan
        if plan is None:
            return
        trees: dict[str, _Known] = {}
        left = {one.wheel for one in plan.distributions if one.name in changed}
        for wheel in plan.wheels:
            if wheel.shared and wheel.key not in self._known and wheel.key not in left:
                known = _Known(inodes)
                trees[wheel.tree] = self._known[wheel.key] = known
                for file in wheel.rest:
                    folder, _, name = file.path.rpartition("/")
                    known.rest.setdefault(folder, {})[name] = file
        for group in (*plan.links, *plan.late_links):
            tree = group.source
            while tree and tree not in trees:
                tree = tree.rpartition("/")[0]
            if tree:
                folder = group.source[len(tree) + 1 :]
                inside = trees[tree].folders.setdefault(folder, [])
                inside.append((group.target, group.files))

        if plan.bytecode is not None:
            self._learn_bytecode(plan.bytecode, trees)

    @staticmethod
    def _learn_bytecode(bytecode: PlannedBytecode, trees: dict[str, _Known]) -> None:
        by_root = {
            tree.removesuffix(f"/{TREE}"): known for tree, known in trees.items()
        }
        for group in bytecode.links:
            root = group.source.partition(f"/{BYTECODE}/{bytecode.tag}/{TREE}")[0]
            if root in by_root:
                by_root[root].compiled.append(group)
                by_root[root].tag = bytecode.tag

    def tags_of(self, key: StoreKey) -> tuple[str, ...]:
        """Return the tags whose bytecode is as the environment's plan has it."""
        known = self._known.get(key)
        if known is None or not known.compiled:
            return ()
        try:
            right = all(
                self._right_inode(f"{group.source}/{file.source}", file) is not None
                for group in known.compiled
                for file in group.files
            )
        except OSError:
            return ()
        return (known.tag,) if right else ()

    def vouch_for(self, key: StoreKey, root: Path) -> int:
        """Return how many files an entry has, all right by what ``stat`` can see.

        0 where that is not so, or cannot be told from here: look at it closely then.
        """
        known = self._known.get(key)
        if known is None:
            return 0
        try:
            return self._look(key, root, known)
        except OSError:
            return 0

    def _look(self, key: StoreKey, root: Path, known: _Known) -> int:
        names = frozenset(os.listdir(root))
        flushed = SYNCED in names
        inodes = self._inodes(known, root) if flushed else []
        if not names <= ENTRY_NAMES:
            return 0
        if inodes and is_as_seen(root, known.tree_folders, inodes):
            return len(inodes)
        folders = frozenset(known.tree_folders)
        if not _is_sound(key, root, flushed=flushed) or not all(
            self._matches(folder, folders, known, root) for folder in folders
        ):
            return 0
        paths = tuple(known.paths())
        self.unseen.append((root, paths))
        return len(paths)

    def _inodes(self, known: _Known, root: Path) -> list[int]:
        """Return the inodes of a tree if all of its files were found right, else none.

        That is by its stamp in the environment; of what the environment has no link of,
        by a look at the stored file.
        """
        found: list[int] = []
        tree = f"{root}/{TREE}/"
        for folder, groups in known.folders.items():
            for target, files in groups:
                here = known.inodes.get(target, {})
                for file in files:
                    inode = here.get(file.target)
                    if inode is None or file.private or not file.size:
                        place = f"{tree}{folder}/{file.source}"
                        inode = self._right_inode(place, file)
                    if inode is None:
                        return []
                    found.append(inode)
        for rows in known.rest.values():
            for row in rows.values():
                inode = self._right_inode(tree + row.path, row)
                if inode is None:
                    return []
                found.append(inode)
        return found

    def _right_inode(self, place: str, file: FileLink | ManifestFile) -> int | None:
        """Return the inode of a stored file, `None` unless it is as it must be."""
        seen = os.lstat(place)
        right = (
            seen.st_size == file.size
            and seen.st_mtime_ns == file.mtime_ns
            and seen.st_mode == stat.S_IFREG | file.mode
            and (not self._whole or has_content(place, file))
        )
        return seen.st_ino if right else None

    def _matches(
        self, folder: str, folders: frozenset[str], known: _Known, root: Path
    ) -> bool:
        prefix = f"{folder}/" if folder else ""
        tree = f"{root}/{TREE}/{prefix}"
        opened = os.open(tree, _FOLDER)
        try:
            with os.scandir(opened) as entries:
                left = {entry.name: entry.inode() for entry in entries}
            for target, files in known.folders.get(folder, ()):
                inodes = known.inodes.get(target, {})
                for file in files:
                    inode = left.pop(file.source, None)
                    if inode is None:
                        return False
                    if inodes.get(file.target) != inode and not self._right_inode(
                        tree + file.source, file
                    ):
                        return False
            for name, row in known.rest.get(folder, {}).items():
                if left.pop(name, None) is None or not self._right_inode(
                    tree + name, row
                ):
                    return False
            return all(prefix + name in folders for name in left)
        finally:
            os.close(opened)


def _on_one_system(store: Path, environment: Path) -> bool:
    try:
        return os.stat(store).st_dev == os.stat(environment).st_dev
    except OSError:
        return False


def _is_sound(key: StoreKey, root: Path, *, flushed: bool) -> bool:
    """Return whether an entry has its manifest, and was flushed."""
    facts = manifest_facts((root / MANIFEST).read_bytes())
    if facts is None or facts[0] != key:
        return False
    return flushed or bool(facts[2] and facts[2] == boot_id())
