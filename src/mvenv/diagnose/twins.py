"""A quick look at stored wheels by way of an environment that was looked at.

A hard link of a file that was found right is right under all its names, and the number
of its inode comes with the listing of a folder. So nothing is asked of most files, and
no manifest is taken apart, as long as everything is as the environment's plan has it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mvenv.diagnose.model import Examination
from mvenv.diagnose.subject import Subject
from mvenv.link.modes import LinkMode
from mvenv.link.tree import FileLink
from mvenv.store.durability import boot_id
from mvenv.store.entries import IMPORTED, MANIFEST, REBUILT, SYNCED, TREE
from mvenv.store.layout import StoreKey
from mvenv.wheels.manifest import ManifestFile, manifest_facts

__all__ = ["Twins"]

_ENTRY_NAMES = frozenset({IMPORTED, MANIFEST, REBUILT, SYNCED, TREE, "bytecode"})
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class _Known:
    """What one environment's plan says of one wheel."""

    environment: Path
    folders: dict[str, list[tuple[str, tuple[FileLink, ...]]]] = field(
        default_factory=dict
    )
    """By folder of the tree: where in the environment files of it are, and which."""
    rest: dict[str, dict[str, ManifestFile]] = field(default_factory=dict)
    files: int = 0


class Twins:
    """Environments that were looked at, and the wheels they have hard links of."""

    def __init__(self, looks: Iterable[tuple[Subject, Examination]]) -> None:
        self._known: dict[StoreKey, _Known] = {}
        for subject, examination in looks:
            receipt, plan = subject.receipt, subject.plan
            if receipt is None or plan is None:
                continue
            # What the user changed on purpose was not looked at.
            changed = {one.distribution for one in examination.findings if one.drift}
            changed.update(receipt.edits)
            if receipt.link_mode == LinkMode.HARDLINK.value:
                self._learn(subject, changed)

    def _learn(self, subject: Subject, changed: Container[str | None]) -> None:
        plan = subject.plan
        if plan is None:
            return
        trees: dict[str, _Known] = {}
        left = {one.wheel for one in plan.distributions if one.name in changed}
        for wheel in plan.wheels:
            if wheel.shared and wheel.key not in self._known and wheel.key not in left:
                known = _Known(subject.place)
                trees[wheel.tree] = self._known[wheel.key] = known
                for file in wheel.rest:
                    folder, _, name = file.path.rpartition("/")
                    known.rest.setdefault(folder, {})[name] = file
                known.files = len(wheel.rest)
        for group in (*plan.links, *plan.late_links):
            tree = group.source
            while tree and tree not in trees:
                tree = tree.rpartition("/")[0]
            if tree:
                known = trees[tree]
                inside = known.folders.setdefault(group.source[len(tree) + 1 :], [])
                inside.append((group.target, group.files))
                known.files += len(group.files)

    def vouch_for(self, key: StoreKey, root: Path) -> int:
        """Return how many files an entry has, all right by what ``stat`` can see.

        0 where that is not so, or cannot be told from here: look at it closely then.
        """
        known = self._known.get(key)
        try:
            if known is None or not _is_sound(key, root):
                return 0
            folders = {*known.folders, *known.rest, ""}
            for folder in tuple(folders):
                above = folder
                while above := above.rpartition("/")[0]:
                    folders.add(above)
            right = all(_matches(folder, folders, known, root) for folder in folders)
        except OSError:
            return 0
        return known.files if right else 0


def _is_sound(key: StoreKey, root: Path) -> bool:
    """Return whether an entry has a manifest and was flushed, and nothing alien."""
    facts = manifest_facts((root / MANIFEST).read_bytes())
    names = frozenset(os.listdir(root))
    if facts is None or facts[0] != key or not names <= _ENTRY_NAMES:
        return False
    return SYNCED in names or bool(facts[2] and facts[2] == boot_id())


def _matches(
    folder: str, folders: frozenset[str] | set[str], known: _Known, root: Path
) -> bool:
    opened = os.open(root / TREE / folder, _FOLDER)
    try:
        with os.scandir(opened) as entries:
            left = {entry.name: entry.inode() for entry in entries}
        here = os.fstat(opened).st_dev
        for target, files in known.folders.get(folder, ()):
            inodes = _inodes(known.environment / target, here)
            for file in files:
                inode = left.pop(file.source, None)
                if inode is None:
                    return False
                if inodes.get(file.target) != inode and not _is(
                    file.source, opened, file
                ):
                    return False
        for name, row in known.rest.get(folder, {}).items():
            if left.pop(name, None) is None or not _is(name, opened, row):
                return False
        prefix = f"{folder}/" if folder else ""
        return all(prefix + name in folders for name in left)
    finally:
        os.close(opened)


def _inodes(folder: Path, device: int) -> Mapping[str, int]:
    """Return the inodes in a folder, by name; none on another file system."""
    opened = os.open(folder, _FOLDER)
    try:
        if os.fstat(opened).st_dev != device:
            return {}
        with os.scandir(opened) as entries:
            return {entry.name: entry.inode() for entry in entries}
    finally:
        os.close(opened)


def _is(name: str, folder: int, file: FileLink | ManifestFile) -> bool:
    seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
    return (
        seen.st_size == file.size
        and seen.st_mtime_ns == file.mtime_ns
        and seen.st_mode == stat.S_IFREG | file.mode
    )
