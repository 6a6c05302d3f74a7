"""The store's files under their other names, in environments that were looked at.

A hard link of a file that was found right is right: one listing of two folders tells
which files of a wheel these are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from mvenv.diagnose.model import Examination
from mvenv.diagnose.subject import Subject
from mvenv.link.modes import LinkMode
from mvenv.store.entries import TREE
from mvenv.store.layout import StoreKey, StoreLayout

__all__ = ["Twins"]


class Twins:
    """Folders of environments, by the folder of a wheel that their files are of."""

    def __init__(self, looks: Iterable[tuple[Subject, Examination]]) -> None:
        self._folders: dict[str, Path] = {}
        self._layout: StoreLayout | None = None
        for subject, examination in looks:
            self._layout = subject.layout
            receipt, plan = subject.receipt, subject.plan
            if receipt is None or plan is None:
                continue
            # What the user changed on purpose was not looked at.
            changed = any(
                one.drift and one.distribution is not None
                for one in examination.findings
            )
            hard = receipt.link_mode == LinkMode.HARDLINK.value
            if hard and not (changed or receipt.edits):
                for group in plan.links:
                    place = subject.place / group.target
                    self._folders.setdefault(group.source, place)

    def inodes(self, key: StoreKey, folder: str, opened: int) -> Mapping[str, int]:
        """Return the inodes of such files, by name; none on another file system."""
        if self._layout is None:
            return {}
        tree = f"{self._layout.entry(key)}/{TREE}"
        twin = self._folders.get(f"{tree}/{folder}" if folder else tree)
        if twin is None:
            return {}
        try:
            if os.stat(twin).st_dev != os.fstat(opened).st_dev:
                return {}
            with os.scandir(twin) as entries:
                return {entry.name: entry.inode() for entry in entries}
        except OSError:
            return {}
