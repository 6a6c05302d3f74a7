"""Bytecode that came from the store: as it was compiled, or of this environment alone.

Python replaces bytecode by a rename, so what it makes anew shares nothing. What has
other bytes and is still shared, or still has the date it came with, was changed by
something else: Python would run it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field

from mvenv.diagnose.model import Finding, HealClass
from mvenv.diagnose.reading import opened, sha256_at
from mvenv.diagnose.scanning import Sure, scan
from mvenv.diagnose.subject import Subject
from mvenv.link.tree import FileLink
from mvenv.plan.model import PlannedBytecode

__all__ = ["CompiledLook"]


@dataclass(slots=True, kw_only=True)
class CompiledLook:
    """One look at the bytecode of a plan."""

    subject: Subject
    sure: Sure
    findings: list[Finding] = field(default_factory=list)
    settled: set[str] = field(default_factory=set)
    """Paths of bytecode of which nothing more is to be found out."""
    files: dict[str, dict[str, FileLink]] = field(default_factory=dict)
    """By folder and name."""

    def look(self, root: int, bytecode: PlannedBytecode) -> None:
        """Look at all of it; ``root`` is a descriptor of the environment's folder.

        What is missing, and what Python made in its place, is right as it is.
        """
        files = self.files
        for group in bytecode.links:
            names = files.setdefault(group.target, {})
            names.update({file.target: file for file in group.files})
        scanned = scan(root, list(files), files, {}, self.sure)
        for folder, inodes in scanned.inodes.items():
            self.settled.update([f"{folder}/{name}" for name in inodes])
        for folder in scanned.odd:
            known = scanned.inodes.get(folder, {})
            self._judge(root, folder, files[folder], known, whole=self.sure.whole)

    def look_at(self, root: int, folder: str, file: FileLink) -> int:
        """Hash one file that looked right, and return how many bytes that were."""
        path = f"{folder}/{file.target}"
        if path not in self.settled:
            return 0
        self._judge(root, folder, {file.target: file}, {}, whole=True)
        return file.size

    def _judge(
        self,
        root: int,
        folder: str,
        files: Mapping[str, FileLink],
        known: Mapping[str, int],
        *,
        whole: bool,
    ) -> None:
        """Judge what is in a folder and is not surely as it came."""
        try:
            with opened(root, folder) as cache:
                for name in sorted(set(os.listdir(cache)) & set(files) - set(known)):
                    detail = self._wrong(name, cache, files[name], whole=whole)
                    if detail is not None:
                        path = f"{folder}/{name}"
                        self.settled.add(path)
                        self.findings.append(
                            self.subject.finding("F18", HealClass.PLAIN, detail, path)
                        )
        except OSError:
            # A folder that is a link, or cannot be read, is not one of Python's.
            return

    def _wrong(
        self, name: str, cache: int, file: FileLink, *, whole: bool
    ) -> str | None:
        seen = os.stat(name, dir_fd=cache, follow_symlinks=False)
        if not stat.S_ISREG(seen.st_mode):
            return None
        shared = self.sure.hard_links and seen.st_nlink > 1
        dated = seen.st_mtime_ns == file.mtime_ns and seen.st_size == file.size
        if not (shared or (dated and whole)):
            return None
        if sha256_at(name, cache) == file.sha256:
            return None
        if shared:
            return "has other bytes, through a link that others share"
        return "has other bytes behind the right size and date"
