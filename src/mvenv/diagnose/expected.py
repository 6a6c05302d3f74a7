"""What each file of an environment must be, from its plan and its receipt."""

from __future__ import annotations

import contextlib
import itertools
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field

from mvenv.diagnose.model import Expected, Kind
from mvenv.diagnose.subject import Subject
from mvenv.env.paths import python_in
from mvenv.env.receipt import FOLDER, Generated, Installed
from mvenv.link.modes import LinkMode
from mvenv.link.tree import FileLink, FolderLinks
from mvenv.plan.model import Plan, PlannedRecord
from mvenv.store.layout import StoreKey

__all__ = [
    "EXECUTABLE",
    "PLAIN",
    "UNKNOWN",
    "Ownership",
    "claimed_paths",
    "expected_files",
    "generated_rows",
    "ownership",
    "path_of_row",
]

EXECUTABLE, PLAIN = 0o755, 0o644
_SAMPLE = 32
UNKNOWN = -1
"""mtime of a file that was written when nobody noted the time."""


@dataclass(slots=True)
class Ownership:
    """Whose a file of a plan is."""

    plan: Plan
    hard_links: bool
    """Files that are shared are hard links."""
    by_wheel: dict[StoreKey, Installed] = field(default_factory=dict)
    by_folder: dict[str, Installed] = field(default_factory=dict)
    """By the folder of their metadata."""
    by_file: dict[str, Installed] = field(default_factory=dict)
    """Of files that are written here, outside of those folders."""
    _trees: dict[str, StoreKey] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Sort the distributions."""
        for one in self.plan.distributions:
            self.by_folder[one.dist_info] = one
            if one.wheel is not None:
                self.by_wheel[StoreKey(one.wheel)] = one
        for record in self.plan.records:
            owner = self.by_folder.get(record.path.rpartition("/")[0])
            if owner is None:
                continue
            self.by_file.update(dict.fromkeys(record.scripts, owner))
            if owner.wheel is None:
                # An editable install: its files stand anywhere in the site folder.
                self.by_file.update(dict.fromkeys(claimed_paths(record), owner))
        self.by_file |= self._adopted_scripts()
        self._trees = {wheel.tree: wheel.key for wheel in self.plan.wheels}

    def _adopted_scripts(self) -> dict[str, Installed]:
        """Return scripts that another tool wrote: their RECORDs tell whose they are."""
        apart = {one.path for one in self.plan.files if one.path.startswith("bin/")}
        apart.update(one.path for one in self.plan.scripts)
        apart -= self.by_file.keys()
        found: dict[str, Installed] = {}
        for record in self.plan.records if apart else ():
            owner = self.by_folder.get(record.path.rpartition("/")[0])
            for row in record.rows.splitlines():
                # The few that are not in the site folder.
                if owner is not None and row.startswith(("../", '"../')):
                    found[path_of_row(row, record.site)] = owner
        return {path: owner for path, owner in found.items() if path in apart}

    def of_link(self, folder: FolderLinks, link: FileLink) -> Expected:
        """Return what a file that comes from the store must be."""
        tree = folder.source
        while tree not in self._trees:
            tree = tree.rpartition("/")[0]
        key = self._trees[tree]
        inside = folder.source[len(tree) + 1 :]
        owner = self.by_wheel.get(key)
        mode = EXECUTABLE if link.executable else PLAIN
        return Expected(
            path=f"{folder.target}/{link.target}" if folder.target else link.target,
            sha256=link.sha256,
            size=link.size,
            mode=link.mode if self.hard_links and not link.private else mode,
            mtime_ns=link.mtime_ns,
            kind=Kind.PRIVATE if link.private else Kind.LINKED,
            distribution=owner.name if owner else None,
            wheel=key,
            member=f"{inside}/{link.source}" if inside else link.source,
            sealed_mode=link.mode,
        )

    def of_generated(self, row: Generated) -> Expected:
        """Return what a file that was written here must be."""
        owner = self.owner_of_generated(row.path)
        return Expected(
            path=row.path,
            sha256=row.sha256,
            size=row.size,
            mode=row.mode,
            mtime_ns=row.mtime_ns,
            kind=Kind.GENERATED,
            distribution=owner.name if owner else None,
            wheel=None,
            member="",
            sealed_mode=row.mode,
        )

    def owner_of_generated(self, path: str) -> Installed | None:
        """Return whose a generated file is; `None`: the environment's own."""
        folder = path.rpartition("/")[0]
        return self.by_folder.get(folder) or self.by_file.get(path)


def claimed_paths(record: PlannedRecord) -> Iterator[str]:
    """Yield the paths that a planned RECORD lists, below the environment."""
    yield from record.scripts
    for line in record.rows.splitlines():
        yield path_of_row(line, record.site)


def path_of_row(row: str, site: str) -> str:
    """Return the path that a row of a RECORD is about, below the environment."""
    name = row.rsplit(",", 2)[0]
    if name.startswith('"'):
        name = name[1:-1].replace('""', '"')
    return posixpath.normpath(f"{site}/{name}")


def ownership(subject: Subject, plan: Plan) -> Ownership:
    """Return whose the files of a subject's plan are."""
    receipt = subject.receipt
    if receipt is not None:
        return Ownership(plan, receipt.link_mode == LinkMode.HARDLINK.value)
    return Ownership(plan, _has_links(subject, plan))


def _has_links(subject: Subject, plan: Plan) -> bool:
    """Return whether files are hard links, by a few of them."""
    shared = (
        subject.place / group.target / file.target
        for group in plan.links
        for file in group.files
        if not file.private
    )
    for path in itertools.islice(shared, _SAMPLE):
        with contextlib.suppress(OSError):
            if path.lstat().st_nlink > 1:
                return True
    return False


def generated_rows(subject: Subject) -> dict[str, Generated]:
    """Return the files that were written here, by path.

    Without a receipt they are made from the plan again; when they were written is
    not known then, nor what the bare environment had.
    """
    if subject.receipt is not None:
        return {row.path: row for row in subject.receipt.generated if _is_sound(row)}
    if subject.plan is None:
        return {}
    path = subject.root.path if subject.root else str(subject.path)
    from mvenv.plan.wanted import wanted_files

    wanted = wanted_files(subject.plan, python_in(path), {})
    return {
        one.path: Generated(one.path, one.sha256, one.size, one.mode, UNKNOWN)
        for one in wanted.values()
        if one.content is not None
    }


def _is_sound(row: Generated) -> bool:
    """Return whether a row can be meant: a receipt may be by another hand."""
    path = row.path
    numbers = (row.size, row.mode, row.mtime_ns)
    return (
        isinstance(path, str)
        and isinstance(row.sha256, str)
        and all(type(number) is int for number in numbers)
        and bool(path)
        and "\0" not in path
        and posixpath.normpath(path) == path
        and path.split("/", 1)[0] not in {"", ".", "..", FOLDER}
    )


def expected_files(subject: Subject) -> Iterator[Expected]:
    """Yield what every file must be, as far as plan and receipt are known."""
    plan = subject.plan
    if plan is None:
        return
    owned = ownership(subject, plan)
    for folder in itertools.chain(plan.links, plan.late_links):
        for link in folder.files:
            yield owned.of_link(folder, link)
    for row in generated_rows(subject).values():
        yield owned.of_generated(row)
