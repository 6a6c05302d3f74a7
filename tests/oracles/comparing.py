"""Environments as installers leave them, and how two of them differ."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["Entry", "differences", "listed", "read_tree", "untrue_rows"]

_SHEBANG = re.compile(rb"\A#!/bin/sh\n'''exec' [^\n]*\n' '''\n|\A#![^\n]*\n")
_SEAL = {0o444: 0o644, 0o555: 0o755}
_BARE = re.compile(
    r"pyvenv\.cfg|\.gitignore|CACHEDIR\.TAG"
    r"|bin/(activate(\.\w+)?|Activate\.ps1|activate_this\.py|deactivate.*)"
)
"""Files of the environment itself: `venv` and mvenv make them, no installer."""
_OWN_FOLDERS = frozenset({"__pycache__", ".mvenv"})
_OF_THE_INSTALLER = re.compile(r".*\.dist-info/(RECORD|INSTALLER)")


class Entry(NamedTuple):
    """A file, link or folder; of modes only what the seal leaves to compare."""

    mode: int
    content: str
    """sha256, where a link points to, or ``folder``."""


def _walk(environment: Path) -> Iterator[tuple[str, Path]]:
    for folder, names, files in os.walk(environment):
        names[:] = sorted(set(names) - _OWN_FOLDERS)
        for name in (*names, *sorted(files)):
            path = Path(folder, name)
            yield path.relative_to(environment).as_posix(), path


def read_tree(environment: Path) -> dict[str, Entry]:
    """Return all that installers put there, without what is known to differ.

    RECORD (compared by what it means, see `listed`), INSTALLER (the tool's name),
    bytecode, shebang lines (they name the environment), the seal.
    """
    return {
        below: _entry(path, below)
        for below, path in _walk(environment)
        if not _BARE.fullmatch(below) and not _OF_THE_INSTALLER.fullmatch(below)
    }


def _entry(path: Path, below: str) -> Entry:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return Entry(0, os.readlink(path))
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISDIR(status.st_mode):
        return Entry(mode, "folder")
    content = path.read_bytes()
    if below.startswith("bin/"):
        content = _SHEBANG.sub(b"#!\n", content)
    return Entry(_SEAL.get(mode, mode), hashlib.sha256(content).hexdigest())


def differences(ours: Mapping[str, object], theirs: Mapping[str, object]) -> list[str]:
    """Return a line for each path that is not the same in both."""
    return [
        f"{path}: mvenv {ours.get(path)}, pip {theirs.get(path)}"
        for path in sorted(ours.keys() | theirs.keys())
        if ours.get(path) != theirs.get(path)
    ]


def _rows(environment: Path) -> Iterator[tuple[Path, Path, str, str]]:
    """Yield dist-info, file, hash and size for each row of each RECORD."""
    for record in sorted(environment.glob("lib/python*/site-packages/*/RECORD")):
        with record.open(newline="", encoding="utf-8") as stream:
            for path, digest, size in csv.reader(stream):
                file = Path(os.path.normpath(record.parents[1] / path))
                yield record.parent, file, digest, size


def listed(environment: Path) -> dict[str, frozenset[str]]:
    """Return, for each path that a RECORD lists, the dist-info folders that list it."""
    found: dict[str, set[str]] = defaultdict(set)
    for info, file, _, _ in _rows(environment):
        found[file.relative_to(environment).as_posix()].add(info.name)
    return {path: frozenset(owners) for path, owners in found.items()}


def untrue_rows(environment: Path) -> list[str]:
    """Return what RECORDs do not truly say of the files that are there."""
    problems = []
    seen: set[tuple[Path, Path]] = set()
    for info, file, digest, size in _rows(environment):
        if (info, file) in seen:
            problems.append(f"{info.name}: {file} twice")
        seen.add((info, file))
        if file == info / "RECORD":
            if digest or size:
                problems.append(f"{info.name}: RECORD with a hash of itself")
            continue
        if not file.is_file():
            problems.append(f"{info.name}: {file} is not there")
            continue
        content = file.read_bytes()
        real = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
        if digest != f"sha256={real.decode().rstrip('=')}" or size != str(len(content)):
            problems.append(f"{info.name}: {file} is another one")
    return problems
