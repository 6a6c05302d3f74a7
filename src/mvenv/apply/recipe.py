"""A plan in the form in which it is carried out: shared out, and read at once.

It follows from the plan alone, and is kept beside it so that an environment that is
made again takes apart no JSON, and each process reads its own part. It is read with
`marshal`, as bytecode is, so it comes only ever from the store, which nobody but its
owner can write to; the checksum is against accidents.
"""

from __future__ import annotations

import contextlib
import functools
import marshal
import os

from mvenv.apply.parts import Part, ToWrite, share_out
from mvenv.env.receipt import Installed
from mvenv.errors import StoreError
from mvenv.link.tree import FileLink, FolderLinks
from mvenv.plan.model import (
    Conflict,
    Plan,
    PlannedRecord,
    PlannedScript,
    PlannedWheel,
)
from mvenv.records import read_record, write_record
from mvenv.store.entries import StaleWheels
from mvenv.store.layout import StoreKey, StoreLayout, entry_key
from mvenv.store.names import SYNCED, TREE
from mvenv.store.plans import RECIPE, plan_text, recall_plan
from mvenv.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    _Group = tuple[str, str, list[tuple[Any, ...]]]

__all__ = ["Recipe", "keep_recipe", "recall_recipe"]

_KIND = "recipe"
_FORMAT = 1
_INSTALLED = tuple(Installed.__slots__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that an environment is made from, but for the environment's own path."""

    wheels: tuple[PlannedWheel, ...]
    distributions: tuple[Installed, ...]
    conflicts: tuple[Conflict, ...]
    scripts: tuple[PlannedScript, ...]
    late_links: tuple[FolderLinks, ...]
    trunk: tuple[str, ...]
    """Folders above those of several parts, parents first."""
    parts: tuple[Callable[[], Part], ...]
    """Give what one process makes."""
    paths: Callable[[], frozenset[str]]
    """Gives every path that is made."""

    @classmethod
    def of(cls, plan: Plan, processes: int) -> Recipe:
        """Return a plan's, shared out for so many processes."""
        trunk, parts = _shared_out(plan, processes)
        return cls(
            wheels=plan.wheels,
            distributions=plan.distributions,
            conflicts=plan.conflicts,
            scripts=plan.scripts,
            late_links=plan.late_links,
            trunk=tuple(trunk),
            parts=tuple(functools.partial(_given, part) for part in parts),
            paths=plan.paths,
        )


def _given(part: Part) -> Part:
    return part


def _shared_out(plan: Plan, processes: int) -> tuple[Sequence[str], list[Part]]:
    files = [ToWrite(*file) for file in plan.files]
    files += [ToWrite(record.path, record, False) for record in plan.records]
    return share_out(plan, files, processes)


def keep_recipe(
    layout: StoreLayout, plan: Plan, sha256: str, *, processes: int
) -> None:
    """Keep a plan's recipe, where the plan is in the store and all of it is shared."""
    trunk, parts = _shared_out(plan, processes)
    root = layout.root_text
    value = (
        marshal.version,
        _stamp_of(layout, sha256),
        [(one.key, one.filename) for one in plan.wheels],
        _flushed(plan),
        [
            tuple(getattr(one, name) for name in _INSTALLED)
            for one in plan.distributions
        ],
        [tuple(one) for one in plan.conflicts],
        [tuple(one) for one in plan.scripts],
        _groups(plan.late_links, root),
        tuple(trunk),
        [
            marshal.dumps(
                (
                    part.folders,
                    _groups(part.links, root),
                    [_written(one) for one in part.files],
                )
            )
            for part in parts
        ],
    )
    with contextlib.suppress(OSError):
        write_record(_place(layout, sha256), _KIND, _FORMAT, marshal.dumps(value))


def recall_recipe(layout: StoreLayout, sha256: str) -> Recipe | None:
    """Return the recipe of a plan in the store; `None` where it, or a wheel, is not.

    That a wheel is there says nothing of its files: each is checked as it is linked.
    """
    payload = read_record(_place(layout, sha256), _KIND, _FORMAT)
    if payload is None:
        return None
    try:
        return _loaded(marshal.loads(payload), layout, sha256)  # noqa: S302 our own
    # Of another version, or of whoever else can make a checksum.
    except (AttributeError, EOFError, LookupError, TypeError, ValueError, StoreError):
        return None


def _loaded(value: Sequence[Any], layout: StoreLayout, sha256: str) -> Recipe | None:
    version, stamp, wheels, flushed, *rest = value
    distributions, conflicts, scripts, late, trunk, parts = rest
    root = layout.root_text
    if version != marshal.version or stamp != _stamp_of(layout, sha256):
        return None
    planned = tuple(
        PlannedWheel(
            key, filename, layout.entry_text(entry_key(key)), shared=True, rest=()
        )
        for key, filename in wheels
    )
    marks = [f"{one.root}/{SYNCED}" for one in planned]
    marks += [f"{planned[number].root}/{below}" for number, below in flushed]
    if not all(map(os.path.exists, marks)):
        return None
    keys = frozenset(one.key for one in planned)
    return Recipe(
        wheels=planned,
        distributions=tuple(
            Installed(**dict(zip(_INSTALLED, one, strict=True)))
            for one in distributions
        ),
        conflicts=tuple(Conflict(*one) for one in conflicts),
        scripts=tuple(PlannedScript(*one) for one in scripts),
        late_links=tuple(_loaded_groups(late, root)),
        trunk=trunk,
        parts=tuple(functools.partial(_loaded_part, one, root) for one in parts),
        paths=functools.partial(_paths, layout, sha256, keys),
    )


def _place(layout: StoreLayout, sha256: str) -> str:
    return f"{layout.ready_text}/{sha256}{RECIPE}"


def _stamp_of(layout: StoreLayout, sha256: str) -> tuple[int, int, int] | None:
    """Return what tells a plan's record from another one under its name."""
    try:
        seen = os.lstat(plan_text(layout, sha256))
    except OSError:
        return None
    return (seen.st_ino, seen.st_size, seen.st_mtime_ns)


def _flushed(plan: Plan) -> list[tuple[int, str]]:
    """Return the marks of bytecode that has to be flushed: wheel, and path in it."""
    if plan.bytecode is None:
        return []
    tag = plan.bytecode.tag
    numbers = {one.bytecode(tag): number for number, one in enumerate(plan.wheels)}
    used: dict[int, str] = {}
    for group in plan.bytecode.links:
        head, tree, _ = group.source.partition(f"/{tag}/{TREE}")
        number = numbers[head + tree]
        below = f"{head}/{tag}".removeprefix(f"{plan.wheels[number].root}/")
        used[number] = f"{below}/{SYNCED}"
    return list(used.items())


def _groups(folders: Iterable[FolderLinks], root: str) -> list[_Group]:
    """Return links in plain values; sources below the store, without the digests."""
    return [
        (
            folder.source.removeprefix(root),
            folder.target,
            [(*file[:-2], "", "") for file in folder.files],
        )
        for folder in folders
    ]


def _loaded_groups(groups: Iterable[_Group], root: str) -> list[FolderLinks]:
    make = functools.partial(tuple.__new__, FileLink)
    return [
        FolderLinks(root + source, target, tuple(map(make, files)))
        for source, target, files in groups
    ]


def _written(one: ToWrite) -> tuple[Any, ...]:
    content = one.content
    told = tuple(content) if isinstance(content, PlannedRecord) else content
    return one.path, told, one.executable


def _loaded_part(content: bytes, root: str) -> Part:
    folders, groups, files = marshal.loads(content)  # noqa: S302 as the whole of it
    written = [
        ToWrite(
            path,
            content if isinstance(content, bytes) else PlannedRecord(*content),
            executable,
        )
        for path, content, executable in files
    ]
    return Part(folders, _loaded_groups(groups, root), written)


def _paths(
    layout: StoreLayout, sha256: str, keys: frozenset[StoreKey]
) -> frozenset[str]:
    from mvenv.plan.record import load_plan

    record = recall_plan(layout, sha256)
    plan = load_plan(record, layout) if record is not None else None
    if plan is None:
        # Lost in this very moment: it is made again, from the lockfile.
        raise StaleWheels(frozenset(keys))
    return plan.paths()
