"""Look at all files of an environment: one walk, no link followed.

Each folder of the plan is listed once, if the listing above has it as a folder, with
one ``stat`` a name. What is as it must be costs nothing more; the rest is judged, by
way of folders that are opened one below the other.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mvenv.diagnose.compiled import CompiledLook
from mvenv.diagnose.expected import Ownership
from mvenv.diagnose.judging import Judge, reason_of
from mvenv.diagnose.model import Expected, Finding, HealClass
from mvenv.diagnose.reading import opened
from mvenv.diagnose.scanning import scan
from mvenv.env.receipt import Generated
from mvenv.link.tree import FileLink, FolderLinks
from mvenv.plan.model import Plan

__all__ = ["FilesLook", "Grove", "Stranger"]


@dataclass(frozen=True, slots=True)
class Stranger:
    """A name in a folder of the plan that the plan does not know."""

    path: str
    is_folder: bool


@dataclass(slots=True)
class Grove:
    """The files and folders of a plan, by the folder in which they are."""

    files: dict[str, dict[str, FileLink | Generated]] = field(default_factory=dict)
    folders: dict[str, dict[str, str]] = field(default_factory=dict)
    """Names and paths of folders in a folder."""
    paths: list[str] = field(default_factory=lambda: [""])
    """Of all folders, the environment's own (empty) among them."""
    _groups: dict[str, list[FolderLinks]] = field(default_factory=dict)

    @classmethod
    def grow(cls, plan: Plan, rows: Mapping[str, Generated]) -> Grove:
        """Return the files of a plan and those that were written for it."""
        grove = cls()
        for group in itertools.chain(plan.links, plan.late_links):
            files: dict[str, FileLink | Generated] = {
                file.target: file for file in group.files
            }
            known = grove.files.setdefault(group.target, files)
            if known is not files:
                known.update(files)
            grove._groups.setdefault(group.target, []).append(group)
        for path, row in rows.items():
            folder, _, name = path.rpartition("/")
            grove.files.setdefault(folder, {})[name] = row
        # Nearly all of the second are among the first.
        for folder in dict.fromkeys(itertools.chain(plan.folders, grove.files)):
            grove._add_folder(folder)
        return grove

    def _add_folder(self, path: str) -> None:
        while path:
            above, _, name = path.rpartition("/")
            inside = self.folders.setdefault(above, {})
            if name in inside:
                return
            inside[name] = path
            self.paths.append(path)
            path = above

    def group_of(self, folder: str, link: FileLink) -> FolderLinks:
        """Return where a link comes from."""
        for group in self._groups[folder]:
            if link in group.files:
                return group
        raise KeyError(folder)

    def below(self, folder: str) -> Iterator[tuple[str, FileLink | Generated]]:
        """Yield all files below a folder, each with the folder in which it is."""
        for one in self.files.get(folder, {}).values():
            yield folder, one
        for path in self.folders.get(folder, {}).values():
            yield from self.below(path)


@dataclass(slots=True, kw_only=True)
class FilesLook:
    """One look at the files of one environment."""

    owned: Ownership
    grove: Grove
    judge: Judge
    whole: bool
    """Hash every file."""
    alone: bool
    """Hash every file that shares nothing."""
    compiled: CompiledLook
    """The look at the plan's bytecode."""
    checked: int = 0
    missing: list[Expected] = field(default_factory=list)
    strangers: list[Stranger] = field(default_factory=list)
    bytecode: list[str] = field(default_factory=list)
    """Folders of bytecode."""
    inodes: dict[str, dict[str, int]] = field(default_factory=dict)
    """Of files that are surely as they must be, by folder and name."""
    _closed: set[str] = field(default_factory=set)
    """Folders that are none, or cannot be listed: nothing is said of what is below."""

    def look(self, root: int) -> None:
        """Look at everything below the folder ``root``."""
        sure = self.compiled.sure
        paths = self.grove.paths
        scanned = scan(root, paths, self.grove.files, self.grove.folders, sure)
        for path in sorted(scanned.odd):
            if not self._is_closed(path):
                self._look_closely(root, path, scanned.inodes.get(path, {}))
        self.inodes = scanned.inodes
        if self._closed:
            for path in filter(self._is_closed, tuple(self.inodes)):
                del self.inodes[path]
        for path, name, is_folder in scanned.strangers:
            if not self._is_closed(path):
                self._stranger(path, name, is_folder=is_folder)
        self._count()

    def _count(self) -> None:
        """Count what was surely right; what was judged has been."""
        looked_at = map(self.grove.files.get, self.inodes, itertools.repeat(()))
        self.checked += sum(map(len, looked_at))
        if self.whole:
            for path, names in self.inodes.items():
                files = self._files_in(path)
                self.judge.rehashed += len(names)
                self.judge.bytes_hashed += sum(files[name].size for name in names)

    def _files_in(self, path: str) -> Mapping[str, FileLink | Generated]:
        return self.grove.files.get(path, {})

    def _is_closed(self, path: str) -> bool:
        if not self._closed:
            return False
        parts = path.split("/")
        above = (("/").join(parts[:count]) for count in range(1, len(parts) + 1))
        return "" in self._closed or not self._closed.isdisjoint(above)

    def expected_of(self, folder: str, one: FileLink | Generated) -> Expected:
        """Return what a file of the grove must be."""
        if isinstance(one, Generated):
            return self.owned.of_generated(one)
        return self.owned.of_link(self.grove.group_of(folder, one), one)

    def _look_closely(self, root: int, path: str, sure: Mapping[str, int]) -> None:
        """Look at one folder anew, with no link on the way to it; judge its files."""
        try:
            with opened(root, path) as folder, os.scandir(folder):
                for name, one in self._files_in(path).items():
                    if name not in sure:
                        self._look_at_file(path, folder, name, one)
                for name, below in self.grove.folders.get(path, {}).items():
                    self._look_for_folder(below, folder, name)
        except OSError as error:
            self._unlisted(path, error)

    def _look_at_file(
        self, path: str, folder: int, name: str, one: FileLink | Generated
    ) -> None:
        expected = self.expected_of(path, one)
        try:
            seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            self.missing.append(expected)
            return
        whole = self.whole or (self.alone and seen.st_nlink == 1)
        self.judge.judge(expected, seen, folder, whole=whole)

    def _stranger(self, path: str, name: str, *, is_folder: bool) -> None:
        full = f"{path}/{name}" if path else name
        if is_folder and name == "__pycache__":
            self.bytecode.append(full)
        else:
            self.strangers.append(Stranger(full, is_folder))

    def _unlisted(self, path: str, error: OSError) -> None:
        self._closed.add(path)
        denied = isinstance(error, PermissionError)
        self._folder_finding(
            path,
            "F13" if denied else "F17",
            HealClass.REPORT,
            f"cannot be listed: {reason_of(error)}",
            files=False,
            remedy=self._opening_of(path) if denied else None,
        )

    def _opening_of(self, path: str) -> str | None:
        """Return the command that opens a folder to the environment's owner."""
        place = self.judge.subject.place / path
        try:
            owner = place.lstat().st_uid
        except OSError:
            return None
        if owner == self.judge.owner:
            return f"chmod u+rwx {place}"
        return f"sudo chown -R {self.judge.owner} {place}"

    def _look_for_folder(self, path: str, folder: int, name: str) -> None:
        """Say what is in place of a folder of the plan, if it is none."""
        try:
            seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            self._closed.add(path)
            for above, one in self.grove.below(path):
                self.missing.append(self.expected_of(above, one))
                self.checked += 1
            return
        if not stat.S_ISDIR(seen.st_mode):
            self._closed.add(path)
            what = "a link" if stat.S_ISLNK(seen.st_mode) else "a file"
            detail = f"is {what}, and a folder belongs there"
            self._folder_finding(path, "F04", HealClass.FIX, detail, files=True)

    def _folder_finding(
        self,
        path: str,
        code: str,
        heal: HealClass,
        detail: str,
        *,
        files: bool,
        remedy: str | None = None,
    ) -> None:
        below: tuple[Expected, ...] = ()
        if files:
            every = (
                self.expected_of(above, one) for above, one in self.grove.below(path)
            )
            below = tuple(one for one in every if not self.judge.is_left_alone(one))
            self.checked += len(below)
            if not below:
                return
        self.judge.findings.append(
            Finding(
                code=code,
                where=self.judge.subject.place,
                heal=heal,
                detail=detail,
                path=path or None,
                distribution=below[0].distribution if below else None,
                remedy=remedy,
                files=below,
            )
        )

    def look_at(self, root: int, folder: str, one: FileLink | Generated) -> None:
        """Hash one file; what is not there is another look's business."""
        if isinstance(one, FileLink) and folder in self.compiled.files:
            self.judge.bytes_hashed += self.compiled.look_at(root, folder, one)
            self.judge.rehashed += 1
            return
        expected = self.expected_of(folder, one)
        name = expected.path.rpartition("/")[2]
        with contextlib.suppress(OSError), opened(root, folder) as inside:
            seen = os.stat(name, dir_fd=inside, follow_symlinks=False)
            self.judge.judge(expected, seen, inside, whole=True)
