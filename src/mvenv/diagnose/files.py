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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mvenv.diagnose.expected import EXECUTABLE, PLAIN, Ownership
from mvenv.diagnose.judging import Judge, reason_of
from mvenv.diagnose.model import Expected, Finding, HealClass
from mvenv.diagnose.reading import opened
from mvenv.env.receipt import Generated
from mvenv.link.tree import FileLink, FolderLinks
from mvenv.plan.model import Plan

__all__ = ["FilesLook", "Grove", "Stranger"]


_Sure = Callable[[FileLink | Generated, os.stat_result], bool]


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
        for folder in (*plan.folders, *grove.files):
            grove._add_folder(folder)
        return grove

    def _add_folder(self, path: str) -> None:
        while path:
            above, _, name = path.rpartition("/")
            inside = self.folders.setdefault(above, {})
            if name in inside:
                return
            inside[name] = path
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
    checked: int = 0
    missing: list[Expected] = field(default_factory=list)
    strangers: list[Stranger] = field(default_factory=list)
    bytecode: list[str] = field(default_factory=list)
    """Folders of bytecode."""
    inodes: dict[str, dict[str, int]] = field(default_factory=dict)
    """Of files that are surely as they must be, by folder and name."""
    _sure: _Sure = field(default_factory=lambda: _is_never_sure)
    _root: int = -1
    _place: str = ""

    def look(self, root: int) -> None:
        """Look at everything below the folder ``root``."""
        if not self.whole:
            self._sure = self._is_sure()
        self._root, self._place = root, str(self.judge.subject.place)
        self._look_in("")

    def expected_of(self, folder: str, one: FileLink | Generated) -> Expected:
        """Return what a file of the grove must be."""
        if isinstance(one, Generated):
            return self.owned.of_generated(one)
        return self.owned.of_link(self.grove.group_of(folder, one), one)

    def _look_in(self, path: str) -> None:
        files = self.grove.files.get(path, {})
        below = self.grove.folders.get(path, {})
        suspects: list[tuple[FileLink | Generated, os.stat_result]] = []
        strangers: list[tuple[str, bool]] = []
        inodes: dict[str, int] = {}
        found = 0
        inside: list[str] = []
        is_sure = self._sure
        try:
            # By its path: a descriptor would take half as many system calls again.
            with os.scandir(f"{self._place}/{path}") as entries:
                for entry in entries:
                    name = entry.name
                    known = files.get(name)
                    if known is not None:
                        try:
                            seen = entry.stat(follow_symlinks=False)
                        except FileNotFoundError:
                            # Gone since: it is found missing below.
                            continue
                        found += 1
                        if is_sure(known, seen):
                            inodes[name] = seen.st_ino
                        else:
                            suspects.append((known, seen))
                    elif name not in below:
                        is_folder = entry.is_dir(follow_symlinks=False)
                        strangers.append((name, is_folder))
                    elif entry.is_dir(follow_symlinks=False):
                        inside.append(name)
        except OSError as error:
            self._unlisted(path, error)
            return
        self.checked += len(files)
        self.inodes[path] = inodes
        for name, is_folder in strangers:
            self._stranger(path, name, is_folder=is_folder)
        if suspects or found != len(files) or len(inside) != len(below):
            self._look_closely(path, suspects, below.keys() - inside)
        for name in inside:
            self._look_in(below[name])

    def _look_closely(
        self,
        path: str,
        suspects: Iterable[tuple[FileLink | Generated, os.stat_result]],
        no_folders: Iterable[str],
    ) -> None:
        """Look at what is not surely as it must be, with no link on the way to it."""
        try:
            with opened(self._root, path) as folder:
                self._look_for_missing(path, folder)
                for one, seen in suspects:
                    expected = self.expected_of(path, one)
                    self.judge.judge(expected, seen, folder, whole=self.whole)
                for name in sorted(no_folders):
                    self._no_folder(self.grove.folders[path][name], name, folder)
        except OSError as error:
            self._unlisted(path, error)

    def _look_for_missing(self, path: str, folder: int) -> None:
        for name, one in self.grove.files.get(path, {}).items():
            try:
                os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                self.missing.append(self.expected_of(path, one))

    def _is_sure(self) -> _Sure:
        """Return what tells a file that is surely as it must be, by its stat alone.

        Most of the time goes here: nothing in it is looked up twice.
        """
        owner, hard, regular = self.judge.owner, self.owned.hard_links, stat.S_IFREG
        executable, plain = regular | EXECUTABLE, regular | PLAIN

        def is_sure(one: FileLink | Generated, seen: os.stat_result) -> bool:
            if (
                seen.st_mtime_ns != one.mtime_ns
                or seen.st_size != one.size
                or seen.st_uid != owner
            ):
                return False
            mode = seen.st_mode
            if hard and seen.st_nlink > 1:
                return mode == regular | one.mode
            if hard and one.size and isinstance(one, FileLink) and not one.private:
                return False
            return mode == (executable if one.mode & 0o100 else plain)

        return is_sure

    def _stranger(self, path: str, name: str, *, is_folder: bool) -> None:
        full = f"{path}/{name}" if path else name
        if is_folder and name == "__pycache__":
            self.bytecode.append(full)
        else:
            self.strangers.append(Stranger(full, is_folder))

    def _unlisted(self, path: str, error: OSError) -> None:
        denied = isinstance(error, PermissionError)
        self._folder_finding(
            path,
            "F13" if denied else "F17",
            HealClass.REPORT,
            f"cannot be listed: {reason_of(error)}",
            files=False,
        )

    def _no_folder(self, path: str, name: str, folder: int) -> None:
        """Say what is in place of a folder of the plan."""
        try:
            seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            for above, one in self.grove.below(path):
                self.missing.append(self.expected_of(above, one))
                self.checked += 1
            return
        if stat.S_ISDIR(seen.st_mode):
            # There by now.
            self._look_in(path)
            return
        what = "a link" if stat.S_ISLNK(seen.st_mode) else "a file"
        detail = f"is {what}, and a folder belongs there"
        self._folder_finding(path, "F04", HealClass.FIX, detail, files=True)

    def _folder_finding(
        self, path: str, code: str, heal: HealClass, detail: str, *, files: bool
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
                files=below,
            )
        )

    def look_at(self, root: int, folder: str, one: FileLink | Generated) -> None:
        """Hash one file; what is not there is another look's business."""
        expected = self.expected_of(folder, one)
        name = expected.path.rpartition("/")[2]
        with contextlib.suppress(OSError), opened(root, folder) as inside:
            seen = os.stat(name, dir_fd=inside, follow_symlinks=False)
            self.judge.judge(expected, seen, inside, whole=True)


def _is_never_sure(_one: FileLink | Generated, _seen: os.stat_result) -> bool:
    return False
