"""Find what environments share among themselves, and no longer with the store.

After a store was emptied or lost, and filled again, its files are other ones. Link
counts do not tell: the old files still have several names. So this asks for the stored
file of each, which is for thorough looks only.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterator
from pathlib import Path

from mvenv.diagnose.expected import ownership
from mvenv.diagnose.model import Examination, Expected, Finding, HealClass
from mvenv.diagnose.subject import Subject
from mvenv.link.tree import FileLink
from mvenv.store.layout import StoreKey
from mvenv.store.names import TREE

__all__ = ["find_apart"]

_CROWDED = 1_000
"""Names of one file, from which on its file system may refuse more: then the store has
a fresh one on purpose."""


def find_apart(
    subject: Subject, examination: Examination, keys: Container[StoreKey]
) -> Iterator[Finding]:
    """Yield one finding for each distribution with hard links to other files.

    Other than the store's, which are right too. Only of the wheels ``keys``: who keeps
    a file over a sync has a link to another wheel's on purpose.
    ``examination`` is what a look at the environment just brought.
    """
    plan = subject.plan
    if plan is None:
        return
    owned = ownership(subject, plan)
    if not owned.hard_links:
        return
    found: dict[str | None, list[Expected]] = {}
    known = {wheel.tree for wheel in plan.wheels}
    trees = {
        wheel.tree: subject.layout.entry(wheel.key) / TREE
        for wheel in plan.wheels
        if wheel.shared and wheel.key in keys
    }
    for group in (*plan.links, *plan.late_links):
        tree = _tree_of(group.source, known)
        if tree not in trees:
            continue
        here = examination.inodes.get(group.target, {})
        stored = trees[tree] / group.source[len(tree) + 1 :]
        place = subject.place / group.target
        for file in group.files:
            inode = here.get(file.target)
            if inode is None or file.private or not file.size:
                continue
            if _is_apart(place / file.target, inode, stored / file.source, file):
                expected = owned.of_link(group, file)
                found.setdefault(expected.distribution, []).append(expected)
    for name, files in found.items():
        yield _told(subject, name, files)


def _tree_of(source: str, trees: Container[str]) -> str:
    while source and source not in trees:
        source = source.rpartition("/")[0]
    return source


def _is_apart(place: Path, inode: int, stored: Path, file: FileLink) -> bool:
    """Return whether the store has a sound file of its own for one that is right."""
    try:
        seen = stored.lstat()
        if seen.st_ino == inode:
            return False
        mine = place.lstat()
    except OSError:
        return False
    return (
        mine.st_ino == inode
        and mine.st_nlink < _CROWDED
        and mine.st_dev == seen.st_dev
        and seen.st_size == file.size
        and seen.st_mtime_ns == file.mtime_ns
        and seen.st_mode == stat.S_IFREG | file.mode
    )


def _told(subject: Subject, name: str | None, files: list[Expected]) -> Finding:
    above = os.path.commonpath([os.path.dirname(one.path) for one in files])
    those = "file" if len(files) == 1 else "files"
    return Finding(
        code="F11",
        where=subject.place,
        heal=HealClass.PLAIN,
        detail=f"has {len(files):,} {those} that the store has apart",
        path=above or None,
        distribution=name,
        wheel=files[0].wheel,
        files=tuple(files),
    )
