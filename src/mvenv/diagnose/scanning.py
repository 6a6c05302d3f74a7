"""Look at many folders, by stats alone or by hashes too, as fast as that goes.

What is surely as it must be is done with; every other folder is odd, and somebody else
looks at it closely.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from mvenv.diagnose.expected import EXECUTABLE, PLAIN
from mvenv.diagnose.reading import has_content
from mvenv.env.receipt import Generated
from mvenv.link.tree import FileLink
from mvenv.workers import at_once, processors

__all__ = ["Scanned", "Sure", "scan"]

_WORTH_IT = 2_000
"""Folders and files for which another process is worth its start."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_Files = Mapping[str, Mapping[str, FileLink | Generated]]
_Folders = Mapping[str, Mapping[str, str]]


class Scanned(NamedTuple):
    """What was found in some folders."""

    inodes: dict[str, dict[str, int]]
    """By folder, the names and inodes of files that are surely as they must be."""
    strangers: list[tuple[str, str, bool]]
    """Folder and name of what is in no plan, and whether it is a folder."""
    odd: list[str]
    """Folders in which something is missing or not surely right, or which cannot be
    listed."""


@dataclass(frozen=True, slots=True)
class Sure:
    """Tells a file that is surely as it must be."""

    owner: int
    hard_links: bool
    whole: bool
    """By its bytes too."""
    alone: bool = False
    """By its bytes too where nobody else has a link of it."""

    def is_sure(self, one: FileLink | Generated, seen: os.stat_result) -> bool:
        """Return whether owner, size, mode, date and sharing are as they must be."""
        if (
            seen.st_mtime_ns != one.mtime_ns
            or seen.st_size != one.size
            or seen.st_uid != self.owner
        ):
            return False
        mode = seen.st_mode
        if self.hard_links:
            if seen.st_nlink > 1:
                return mode == stat.S_IFREG | one.mode
            if one.size and isinstance(one, FileLink) and not one.private:
                return False
        return mode == stat.S_IFREG | (EXECUTABLE if one.mode & 0o100 else PLAIN)


def scan(
    root: int, paths: Sequence[str], files: _Files, folders: _Folders, sure: Sure
) -> Scanned:
    """Look at the folders ``paths`` of an environment.

    ``root`` is a descriptor of its folder. ``files`` and ``folders`` say what must be
    in each. Large ones are shared out to as many processes as there are processors.
    """
    work = partial(_scan, root, files, folders, sure)
    parts = _shared_out(paths, files)
    if len(parts) == 1:
        return Scanned(*work(paths))
    whole = Scanned({}, [], [])
    for inodes, strangers, odd in at_once(work, parts):
        whole.inodes.update(inodes)
        whole.strangers.extend(strangers)
        whole.odd.extend(odd)
    return whole


def _shared_out(paths: Sequence[str], files: _Files) -> list[Sequence[str]]:
    count = processors()
    if count == 1:
        return [paths]
    total = len(paths) + sum(map(len, files.values()))
    count = min(count, max(1, total // _WORTH_IT))
    parts: list[Sequence[str]] = []
    begun = weight = 0
    for number, path in enumerate(paths, 1):
        weight += 1 + len(files.get(path, ()))
        if weight * count >= total * (len(parts) + 1):
            parts.append(paths[begun:number])
            begun = number
    return parts or [paths]


def _scan(
    root: int, files: _Files, folders: _Folders, sure: Sure, paths: Sequence[str]
) -> tuple[dict[str, dict[str, int]], list[tuple[str, str, bool]], list[str]]:
    """Do it, in this process: nearly all of the time of a quick check goes here."""
    inodes: dict[str, dict[str, int]] = {}
    strangers: list[tuple[str, str, bool]] = []
    odd: list[str] = []
    nothing: Mapping[str, FileLink | Generated] = {}
    no_folders: Mapping[str, str] = {}
    is_sure, whole = sure.is_sure, sure.whole
    stamps = not (whole or sure.alone)
    for path in paths:
        wanted = files.get(path, nothing)
        below = folders.get(path, no_folders)
        found: dict[str, int] = {}
        inside = 0
        folder = None
        try:
            # With a descriptor the system has a name to follow for each file, where it
            # has a whole path without: a fifth of the time.
            folder = os.open(path or ".", _FOLDER, dir_fd=root)
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = entry.name
                    known = wanted.get(name)
                    if known is not None:
                        seen = entry.stat(follow_symlinks=False)
                        if is_sure(known, seen) and (
                            stamps
                            or (seen.st_nlink > 1 and not whole)
                            or has_content(name, known, folder)
                        ):
                            found[name] = seen.st_ino
                    elif name in below:
                        inside += entry.is_dir(follow_symlinks=False)
                    else:
                        is_folder = entry.is_dir(follow_symlinks=False)
                        strangers.append((path, name, is_folder))
        except OSError:
            odd.append(path)
            continue
        finally:
            if folder is not None:
                os.close(folder)
        inodes[path] = found
        if len(found) != len(wanted) or inside != len(below):
            odd.append(path)
    return inodes, strangers, odd
