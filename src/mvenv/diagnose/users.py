"""Which environments have a stored file, and where: from their plans.

A plan is asked for once, from the store or from the environment itself, and only when
something is wrong: a healthy look needs none of them.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mvenv.diagnose.model import Expected
from mvenv.env.receipt import PLAN
from mvenv.hashes import digest_bytes
from mvenv.link.tree import FileLink
from mvenv.plan.model import Plan
from mvenv.plan.record import load_plan
from mvenv.store.inodes import StoredName, names_of_inode
from mvenv.store.layout import StoreKey, StoreLayout
from mvenv.store.names import TREE
from mvenv.store.plans import recall_plan
from mvenv.store.registry import Root
from mvenv.wheels.manifest import LARGE, Manifest, ManifestFile

__all__ = ["Place", "Users", "manifest_from_plan"]


class Place(NamedTuple):
    """A file of an environment."""

    environment: Path
    path: str
    """Below it, "/" between."""
    link: FileLink
    """As its plan has it."""

    @property
    def file(self) -> Path:
        """Return where it is."""
        return self.environment / self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    plan: Plan
    places: dict[StoreKey, dict[str, list[tuple[str, FileLink]]]]
    large: dict[str, list[tuple[str, FileLink]]]
    """By sha256, of whichever wheel."""


class Users:
    """The environments of one store."""

    def __init__(self, layout: StoreLayout, roots: Iterable[Root]) -> None:
        self._layout = layout
        self.roots = tuple(roots)
        self._known: dict[str, _Known | None] = {}

    def of(self, key: StoreKey) -> tuple[Root, ...]:
        """Return the environments that have files of a wheel."""
        return tuple(root for root in self.roots if key in root.wheels)

    def hit(self, key: StoreKey) -> tuple[Path, ...]:
        """Return where environments are that have files of a wheel now.

        Not those that are gone, nor those that had it before their last sync: for a
        rollback they keep the files. What cannot be read may have it.
        """
        return tuple(
            Path(root.path)
            for root in self.of(key)
            if not _is_gone(root.path) and self._may_have(root, key)
        )

    def _may_have(self, root: Root, key: StoreKey) -> bool:
        plan = self.plan(root)
        return plan is None or any(wheel.key == key for wheel in plan.wheels)

    def at(self, place: Path) -> Root | None:
        """Return the environment that is on record in a place."""
        return next(
            (one for one in self.roots if os.path.realpath(one.path) == str(place)),
            None,
        )

    def keys(self) -> frozenset[StoreKey]:
        """Return every wheel that an environment has files of."""
        return frozenset(key for root in self.roots for key in root.wheels)

    def places(self, key: StoreKey, member: str) -> Iterator[Place]:
        """Yield where a file of a wheel is, in environments that can be read."""
        for root in self.of(key):
            known = self._plan_of(root)
            if known is not None:
                folder = Path(os.path.realpath(root.path))
                for path, link in known.places.get(key, {}).get(member, ()):
                    yield Place(folder, path, link)

    def alike(self, expected: Expected) -> Iterator[Place]:
        """Yield where a large file is under the name of any wheel; others nowhere."""
        for root in self.roots if expected.size >= LARGE else ():
            known = self._plan_of(root)
            if known is not None:
                folder = Path(os.path.realpath(root.path))
                for path, link in known.large.get(expected.sha256, ()):
                    yield Place(folder, path, link)

    def stored_alike(
        self, expected: Expected, inode: tuple[int, int]
    ) -> Iterator[StoredName]:
        """Yield the names in the store that a large file has, of any wheel."""
        sha256, size = expected.sha256, expected.size
        yield from names_of_inode(self._layout, sha256, size, inode)

    def sharing(self, expected: Expected, inode: tuple[int, int]) -> list[Place]:
        """Return where a file is the very ``inode`` (device, inode).

        A large one under the names of other wheels too.
        """
        found = []
        places = itertools.chain(
            self.places(expected.wheel, expected.member) if expected.wheel else (),
            self.alike(expected),
        )
        for place in dict.fromkeys(places):
            try:
                seen = place.file.lstat()
            except OSError:
                continue
            if (seen.st_dev, seen.st_ino) == inode and stat.S_ISREG(seen.st_mode):
                found.append(place)
        return found

    def was_stored(self, expected: Expected, inode: tuple[int, int]) -> bool:
        """Return whether ``inode`` was the store's, and was set aside with its wheel.

        By a create or a sync, which heal the store for themselves alone. A large file
        may be the store's still, under the name of another wheel, or was so.
        """
        if expected.size >= LARGE and (
            any(self.stored_alike(expected, inode)) or self._was_set_aside(inode)
        ):
            return True
        member = expected.member
        name = self._layout.rescued_from(expected.wheel or StoreKey(""))
        for kept in self._layout.rescued.glob(f"{name}*"):
            for place in (kept / member, kept / TREE / member):
                try:
                    seen = place.lstat()
                except OSError:
                    continue
                if (seen.st_dev, seen.st_ino) == inode:
                    return True
        return False

    def _was_set_aside(self, inode: tuple[int, int]) -> bool:
        """Return whether a file that was set aside with any wheel is ``inode``."""
        for folder, _, names in os.walk(self._layout.rescued):
            for name in names:
                with contextlib.suppress(OSError):
                    seen = os.lstat(os.path.join(folder, name))
                    if (seen.st_dev, seen.st_ino) == inode:
                        return True
        return False

    def manifests(self, key: StoreKey) -> Iterator[Manifest]:
        """Yield what each plan says that a wheel is, each answer once."""
        seen = set()
        for root in self.of(key):
            plan = self.plan(root)
            manifest = manifest_from_plan(plan, key) if plan is not None else None
            if manifest is not None and manifest not in seen:
                seen.add(manifest)
                yield manifest

    def plan(self, root: Root) -> Plan | None:
        """Return an environment's plan, or `None` where it cannot be read."""
        known = self._plan_of(root)
        return known.plan if known is not None else None

    def _plan_of(self, root: Root) -> _Known | None:
        if root.plan not in self._known:
            content = recall_plan(self._layout, root.plan) or _own(root)
            plan = load_plan(content, self._layout) if content is not None else None
            self._known[root.plan] = _know(plan) if plan is not None else None
        return self._known[root.plan]


def _is_gone(place: str) -> bool:
    try:
        os.lstat(place)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _own(root: Root) -> bytes | None:
    try:
        content = Path(root.path, PLAN).read_bytes()
    except OSError:
        return None
    return content if digest_bytes(content).sha256 == root.plan else None


def _know(plan: Plan) -> _Known:
    places: dict[StoreKey, dict[str, list[tuple[str, FileLink]]]] = {}
    large: dict[str, list[tuple[str, FileLink]]] = {}
    trees = {wheel.tree: wheel.key for wheel in plan.wheels}
    for folder in itertools.chain(plan.links, plan.late_links):
        tree, inside = _split(folder.source, trees)
        files = places.setdefault(trees[tree], {})
        for link in folder.files:
            member = f"{inside}/{link.source}" if inside else link.source
            path = f"{folder.target}/{link.target}" if folder.target else link.target
            files.setdefault(member, []).append((path, link))
            if link.size >= LARGE:
                large.setdefault(link.sha256, []).append((path, link))
    return _Known(plan=plan, places=places, large=large)


def _split(source: str, trees: dict[str, StoreKey]) -> tuple[str, str]:
    """Return the wheel's tree and the folder in it."""
    tree = source
    while tree not in trees:
        tree = tree.rpartition("/")[0]
    return tree, source[len(tree) + 1 :]


def manifest_from_plan(plan: Plan, key: StoreKey) -> Manifest | None:
    """Return the whole manifest of a wheel, which each plan that has it tells.

    `None` where the plan has no files of it, or where one is missing from it.
    """
    wheel = next((one for one in plan.wheels if one.key == key), None)
    if wheel is None:
        return None
    files = {file.path: file for file in wheel.rest}
    for folder in itertools.chain(plan.links, plan.late_links):
        if folder.source == wheel.tree or folder.source.startswith(f"{wheel.tree}/"):
            inside = folder.source[len(wheel.tree) + 1 :]
            for link in folder.files:
                path = f"{inside}/{link.source}" if inside else link.source
                files[path] = ManifestFile(
                    path, link.sha256, link.xxh3, link.size, link.mode, link.mtime_ns
                )
    return Manifest(
        sha256=key,
        filename=wheel.filename,
        boot_id="",
        files=tuple(files[path] for path in sorted(files)),
    )
