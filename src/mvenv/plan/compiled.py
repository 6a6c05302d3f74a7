"""The bytecode of what is planned: pure, like the plan."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mvenv.env.compiled import CACHE
from mvenv.link.tree import FileLink, FolderLinks
from mvenv.plan.model import PlannedBytecode, Provided
from mvenv.store.entries import StoredWheel
from mvenv.store.layout import StoreKey
from mvenv.wheels.manifest import ManifestFile

__all__ = ["AvailableBytecode", "CompiledFiles", "plan_bytecode"]


class AvailableBytecode(NamedTuple):
    """What was compiled for one tag of interpreters."""

    tag: str
    by_wheel: Mapping[StoreKey, StoredWheel]
    """By the wheel that it was compiled from."""


@dataclass(frozen=True, slots=True)
class CompiledFiles:
    """The bytecode that belongs to the files of a plan."""

    planned: PlannedBytecode
    rows: tuple[tuple[int, str, str, int], ...]
    """For each file the number of its distribution, its path, sha256 and size."""


def plan_bytecode(
    files: Iterable[tuple[int, str, tuple[str, FileLink] | None]],
    distributions: Sequence[Provided],
    available: AvailableBytecode | None,
    *,
    taken: Container[str],
) -> CompiledFiles | None:
    """Return the bytecode for ``files``: owner, path, and where each comes from.

    What a distribution ships at one of the paths, in ``taken``, stays.
    """
    if available is None:
        return None
    sources = [_Source.of(one, available) for one in distributions]
    groups: dict[tuple[str, str], list[FileLink]] = {}
    rows = []
    for owner, path, origin in files:
        source = sources[owner]
        if source is None or origin is None or not path.endswith(".py"):
            continue
        inside = origin[0][len(source.tree) + 1 :]
        stem = origin[1].source.removesuffix(".py")
        made = source.files.get(f"{inside}/{stem}" if inside else stem)
        if made is None:
            continue
        folder, _, name = path.rpartition("/")
        target = f"{folder}/{CACHE}" if folder else CACHE
        link = _link(made, f"{name.removesuffix('.py')}.{available.tag}.pyc")
        if f"{target}/{link.target}" in taken:
            continue
        place = f"{source.bytecode}/{inside}" if inside else source.bytecode
        groups.setdefault((place, target), []).append(link)
        rows.append((owner, f"{target}/{link.target}", made.sha256, made.size))
    links = [FolderLinks(*places, tuple(some)) for places, some in groups.items()]
    planned = PlannedBytecode(available.tag, tuple(links))
    return CompiledFiles(planned, tuple(rows)) if rows else None


class _Source(NamedTuple):
    """Where the bytecode of one distribution comes from."""

    tree: str
    """The folder of its files."""
    bytecode: str
    files: dict[str, ManifestFile]
    """By the path of the module without its suffix."""

    @classmethod
    def of(cls, one: Provided, available: AvailableBytecode) -> _Source | None:
        if one.wheel is None or not one.shared:
            return None
        compiled = available.by_wheel.get(one.wheel.key)
        if compiled is None:
            return None
        end = len(f".{available.tag}.pyc")
        files = {file.path[:-end]: file for file in compiled.manifest.files}
        return cls(str(one.wheel.tree), str(compiled.tree), files)


def _link(made: ManifestFile, target: str) -> FileLink:
    return FileLink(
        source=made.path.rpartition("/")[2],
        target=target,
        size=made.size,
        mode=made.mode,
        mtime_ns=made.mtime_ns,
        private=False,
        executable=False,
        sha256=made.sha256,
        xxh3=made.xxh3,
    )
