"""The physical limit: the folders and links of an environment, made by a C program.

What ``limit.c`` is to do is read off a finished environment: every folder, and every
file that is a hard link. Private files, scripts and symbolic links are left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Folder", "build", "compose", "read_links", "share_out"]

_SOURCE = Path(__file__).with_suffix(".c")
_FINE = 4
"""Parts are put together from pieces of this fraction of a worker's share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder, the links in it, and the folders in it."""

    path: str
    """Below the environment; empty for the environment itself."""
    links: tuple[str, ...] = ()
    folders: tuple[Folder, ...] = ()
    weight: int = field(init=False)
    """System calls that it takes, near enough, with all that is below."""

    def __post_init__(self) -> None:
        below = sum(one.weight for one in self.folders)
        object.__setattr__(self, "weight", 2 + len(self.links) + below)

    def all(self) -> Iterable[Folder]:
        """Return this one and all below, each after the one it is in."""
        yield self
        for one in self.folders:
            yield from one.all()


def build(folder: Path) -> Path | None:
    """Return the compiled program; None where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    program = folder / "limit"
    subprocess.run([compiler, "-O2", "-o", program, _SOURCE], check=True)
    return program


def read_links(environment: Path, below: str = "") -> Folder:
    """Return the folders and links of a finished environment."""
    links, folders = [], []
    with os.scandir(environment / below) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(read_links(environment, path))
            elif entry.is_file(follow_symlinks=False) and (entry.stat().st_nlink > 1):
                links.append(entry.name)
    return Folder(path=below, links=tuple(links), folders=tuple(folders))


def share_out(
    root: Folder, workers: int
) -> tuple[list[Folder], list[tuple[Folder, ...]]]:
    """Return what is made first, without what is below, and subtrees for each worker.

    A subtree too large to share evenly is opened: it is made first, and its folders
    are shared out.
    """
    if workers < 2:  # noqa: PLR2004 one works alone
        return [root], [root.folders]
    most = root.weight / workers / _FINE
    first, pieces, waiting = [root], [], deque(root.folders)
    while waiting:
        one = waiting.popleft()
        if one.weight > most and one.folders:
            first.append(one)
            waiting.extend(one.folders)
        else:
            pieces.append(one)
    parts: list[list[Folder]] = [[] for _ in range(workers)]
    loads = [0] * workers
    for piece in sorted(pieces, key=lambda piece: -piece.weight):
        lightest = loads.index(min(loads))
        parts[lightest].append(piece)
        loads[lightest] += piece.weight
    return first, [tuple(part) for part in parts if part]


def compose(environment: Path, workers: int) -> bytes:
    """Return the list for ``limit.c`` that makes the folders and links of another."""
    first, parts = share_out(read_links(environment), workers)
    records: list[str] = []
    for folder in first:
        records += _records(environment, folder)
    for part in parts:
        records.append("P")
        for piece in part:
            for folder in piece.all():
                records += _records(environment, folder)
    return b"".join(os.fsencode(record) + b"\0" for record in records)


def _records(environment: Path, folder: Folder) -> list[str]:
    # The program makes the target itself.
    records = [f"D{folder.path}"] if folder.path else []
    if folder.links:
        records.append(f"S{environment / folder.path}")
        records += [f"L{name}" for name in folder.links]
    return records
