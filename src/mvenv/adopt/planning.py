"""What an adopted environment must be from now on: its plan, with what was found."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from mvenv.adopt.installed import Environment, Installation
from mvenv.adopt.matching import Match
from mvenv.env.paths import python_in
from mvenv.env.receipt import Generated, Installed, Receipt
from mvenv.env.scripts import compose_script, shebang
from mvenv.hashes import digest_bytes, sha256_file
from mvenv.link.tree import FolderLinks
from mvenv.plan.model import Plan, PlannedFile, PlannedRecord, PlannedScript, Provided
from mvenv.plan.own import paths_of
from mvenv.plan.planning import make_plan
from mvenv.store.layout import StoreKey

__all__ = ["NO_PLAN", "Known", "NewPlan", "plan_environment", "sources_of"]

_MAX_CONTENT = 1 << 20
"""Bytes of a generated file that is kept in the plan; scripts have some hundred."""
_CONFIGURATION = "pyvenv.cfg"
_BARE_FILES = (_CONFIGURATION, ".gitignore", "CACHEDIR.TAG", ".lock")
"""The last is where uv locks an environment."""
_BARE_SCRIPTS = ("activate", "Activate", "deactivate", "pydoc.bat")
_BARE_MODULES = ("_virtualenv.py", "_virtualenv.pth")
NO_PLAN = Plan(
    folders=(),
    links=(),
    late_links=(),
    files=(),
    scripts=(),
    records=(),
    conflicts=(),
    distributions=(),
    wheels=(),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What mvenv knew of the environment before."""

    plan: Plan = NO_PLAN
    generated: dict[str, Generated] = field(default_factory=dict)
    edits: tuple[str, ...] = ()

    @property
    def adopted(self) -> bool:
        """Return whether another tool made the environment itself."""
        made_here = self.generated and _CONFIGURATION not in {
            file.path for file in self.plan.files
        }
        return not made_here

    @classmethod
    def of(cls, receipt: Receipt | None, plan: Plan | None) -> Known:
        """Return what receipt and plan say, if both are there."""
        if receipt is None or plan is None:
            return cls()
        return cls(
            plan=plan,
            generated={row.path: row for row in receipt.generated},
            edits=receipt.edits,
        )

    def unchanged(
        self, environment: Environment, installed: Iterable[Installation]
    ) -> dict[str, Installed]:
        """Return the distributions that are as mvenv left them, by dist-info.

        Their RECORD is, which each installer writes anew.
        """
        there = {one.dist_info for one in installed}
        return {
            one.dist_info: one
            for one in self.plan.distributions
            if one.dist_info in there
            and self._is_as_left(environment, f"{one.dist_info}/RECORD")
        }

    def _is_as_left(self, environment: Environment, path: str) -> bool:
        row = self.generated.get(path)
        try:
            found = sha256_file(environment.place / path)
        except OSError:
            return False
        return row is not None and row.sha256 == found

    def damaged(
        self, environment: Environment, installed: Iterable[Installation]
    ) -> list[Installed]:
        """Return distributions without dist-info that nobody took out on purpose.

        Some of their files are there, and no other version is.
        """
        installed = tuple(installed)
        names = {one.normalized for one in installed}
        there = {one.dist_info for one in installed}
        return [
            one
            for one in self.plan.distributions
            if one.dist_info not in there
            and one.name not in names
            and any(
                os.path.lexists(environment.place / path)
                for path, key in sources_of(self.plan).items()
                if key == one.wheel
            )
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPlan:
    """The plan, and what is on the disk of what it does not link."""

    plan: Plan
    generated: tuple[Generated, ...]


def sources_of(plan: Plan) -> dict[str, StoreKey]:
    """Return which wheel each linked file comes from, by path."""
    trees = {wheel.tree: wheel.key for wheel in plan.wheels}
    found = {}
    for folder in itertools.chain(plan.links, plan.late_links):
        key = trees[_tree_of(folder, trees)]
        before = f"{folder.target}/" if folder.target else ""
        found.update({before + file.target: key for file in folder.files})
    return found


def _tree_of(folder: FolderLinks, trees: dict[str, StoreKey]) -> str:
    tree = folder.source
    while tree not in trees:
        tree = tree.rpartition("/")[0]
    return tree


def plan_environment(
    matches: Sequence[Match],
    before: Known,
    here: Environment,
    *,
    kept: frozenset[str],
    same: frozenset[str],
) -> NewPlan:
    """Return the plan of ``matches``, and of what is ``kept`` as it was planned.

    Of the distributions ``same``, which mvenv installed, generated files are planned
    as before, and of others as they are. Both are named by their dist-info.
    """
    made = make_plan(
        [_provided(match) for match in _in_order(matches, here)],
        here.scheme,
        reserved=frozenset(),
        aliases=here.aliases,
    )
    linked = frozenset(sources_of(made))
    found = _Found(here, linked)
    if before.adopted:
        found.add_all(_bare_files(here))
    for match in matches:
        if match.installation.dist_info not in same:
            found.add_installation(match.installation)
    plan = _join(before.plan, made, found, kept=kept, same=same | kept)
    written = {
        *(file.path for file in plan.files),
        *(script.path for script in plan.scripts),
        *(record.path for record in plan.records),
    }
    of_old_plan = before.plan.paths()
    rows = {
        path: _dated(row, here)
        for path, row in before.generated.items()
        if path in written or path not in of_old_plan
    }
    rows |= found.rows
    return NewPlan(plan=plan, generated=tuple(rows.values()))


def _dated(row: Generated, here: Environment) -> Generated:
    """Return a row with the date that its file has by now, if that has its bytes.

    Who installed it again is known from now on, and no news.
    """
    place = here.place / row.path
    with contextlib.suppress(OSError):
        seen = place.lstat()
        new = stat.S_ISREG(seen.st_mode) and seen.st_mtime_ns != row.mtime_ns
        if new and here.is_inside(row.path) and sha256_file(place) == row.sha256:
            return row._replace(mtime_ns=seen.st_mtime_ns)
    return row


def _in_order(matches: Sequence[Match], here: Environment) -> list[Match]:
    """Return matches so that of two with one path the later is who has it here."""
    owners: dict[str, set[str]] = {}
    for match in matches:
        for path, placed in match.files.items():
            owners.setdefault(path, set()).add(placed.file.sha256)
    wins: Counter[str] = Counter()
    for path in (path for path, hashes in owners.items() if len(hashes) > 1):
        try:
            found = sha256_file(here.place / path)
        except OSError:
            continue
        for match in matches:
            mine = match.files.get(path)
            if mine is not None and mine.file.sha256 == found:
                wins[match.installation.dist_info] += 1
    return sorted(matches, key=lambda match: wins[match.installation.dist_info])


def _provided(match: Match) -> Provided:
    return Provided(
        name=match.installation.normalized,
        version=match.installation.version,
        dist_info=match.installation.dist_info.rpartition("/")[2],
        direct_url=None,
        scripts=(),
        wheel=match.wheel,
        facts=match.facts,
    )


def _join(
    old: Plan, made: Plan, found: _Found, *, kept: frozenset[str], same: frozenset[str]
) -> Plan:
    """Return ``made`` with what of the old plan stands, and what was found."""
    records = [one for one in old.records if one.path.rpartition("/")[0] in same]
    paths = {path for record in records for path in paths_of(record)}
    scripts = [one for one in old.scripts if one.path in paths]
    files = [one for one in old.files if one.path in paths]
    taken = {*sources_of(made), *found.rows}
    stays = [one for one in old.distributions if one.dist_info in kept]
    keys = {one.wheel for one in stays} - {wheel.key for wheel in made.wheels}
    wheels = tuple(one for one in old.wheels if one.key in keys)
    trees = {wheel.tree for wheel in wheels}
    planned = replace(
        made,
        links=(*made.links, *_of_trees(old.links, trees, taken)),
        late_links=(
            *made.late_links,
            *_of_trees(old.late_links, trees, taken),
        ),
        files=_unique([*files, *found.files], taken=sources_of(made)),
        scripts=_unique_scripts([*scripts, *found.scripts], sources_of(made)),
        records=(*records, *found.records),
        distributions=(*made.distributions, *stays),
        wheels=(*made.wheels, *wheels),
        conflicts=made.conflicts,
    )
    return replace(planned, folders=tuple(_folders(planned)))


def _of_trees(
    folders: Iterable[FolderLinks], trees: set[str], taken: Iterable[str]
) -> Iterator[FolderLinks]:
    """Yield the links from ``trees``, without those to paths that are ``taken``."""
    taken = frozenset(taken)
    for folder in folders:
        tree = folder.source
        while tree and tree not in trees:
            tree = tree.rpartition("/")[0]
        before = f"{folder.target}/" if folder.target else ""
        files = tuple(one for one in folder.files if before + one.target not in taken)
        if tree and files:
            yield folder._replace(files=files)


def _unique(
    files: Iterable[PlannedFile], taken: Iterable[str]
) -> tuple[PlannedFile, ...]:
    taken = frozenset(taken)
    by_path = {file.path: file for file in files if file.path not in taken}
    return tuple(by_path.values())


def _unique_scripts(
    scripts: Iterable[PlannedScript], taken: Iterable[str]
) -> tuple[PlannedScript, ...]:
    taken = frozenset(taken)
    return tuple({one.path: one for one in scripts if one.path not in taken}.values())


def _folders(plan: Plan) -> Iterator[str]:
    """Yield every folder above what is planned, parents first."""
    known = set()
    for path in sorted(plan.paths() - frozenset(plan.folders)):
        parts = path.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            folder = "/".join(parts[:count])
            if folder not in known:
                known.add(folder)
                yield folder


def _bare_files(here: Environment) -> Iterator[str]:
    """Yield the environment's own files, as far as every tool names them alike."""
    yield from _BARE_FILES
    scripts = here.scheme.scripts
    for name in sorted(os.listdir(here.place / scripts)):
        if name.startswith(_BARE_SCRIPTS):
            yield f"{scripts}/{name}"
    for site in here.sites:
        yield from (f"{site}/{name}" for name in _BARE_MODULES)


class _Found:
    """Files as they are, for the plan and for the receipt."""

    def __init__(self, here: Environment, linked: frozenset[str]) -> None:
        self._here = here
        self._linked = linked
        self.files: list[PlannedFile] = []
        self.scripts: list[PlannedScript] = []
        self.records: list[PlannedRecord] = []
        self.rows: dict[str, Generated] = {}

    def add_installation(self, one: Installation) -> None:
        """Add what whoever installed it has written for this environment."""
        path = f"{one.dist_info}/RECORD"
        content = self._row(path)
        if content is not None:
            text = content.decode("utf-8", "surrogateescape")
            self.records.append(PlannedRecord(path, one.site, text, ()))
        self.add_all(path for path in one.rows if not path.endswith(".pyc"))

    def add_all(self, paths: Iterable[str]) -> None:
        """Add those of ``paths`` that are there and not linked."""
        for path in paths:
            if path in self._linked or path in self.rows:
                continue
            content = self._row(path)
            if content is None:
                continue
            executable = bool(self.rows[path].mode & 0o100)
            script = self._script(path, content) if executable else None
            if script is None:
                self.files.append(PlannedFile(path, content, executable))
            else:
                self.scripts.append(script)

    def _script(self, path: str, content: bytes) -> PlannedScript | None:
        """Return a script without its shebang, if that is one mvenv could write.

        So it can be written for another place, should the environment be moved.
        """
        if not path.startswith(f"{self._here.scheme.scripts}/"):
            return None
        python = python_in(str(self._here.path))
        minor = os.path.basename(os.path.dirname(self._here.scheme.purelib))
        for name in dict.fromkeys(("python", "python3", minor)):
            one = PlannedScript(path, b"", b"", name)
            own = one.shebang_of(python)
            body = content.removeprefix(shebang(own))
            if compose_script(own, body) == content:
                return one._replace(body=body)
        return None

    def _row(self, path: str) -> bytes | None:
        try:
            seen = (self._here.place / path).lstat()
            if (
                not stat.S_ISREG(seen.st_mode)
                or seen.st_size > _MAX_CONTENT
                or not self._here.is_inside(path)
            ):
                return None
            content = (self._here.place / path).read_bytes()
        except OSError:
            return None
        self.rows[path] = Generated(
            path,
            digest_bytes(content).sha256,
            len(content),
            stat.S_IMODE(seen.st_mode),
            seen.st_mtime_ns,
        )
        return content
