"""The value every lockfile becomes."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

from packaging.pylock import Pylock
from packaging.utils import NormalizedName

__all__ = ["Lockfile", "LockfileFormat", "RootProject"]


class LockfileFormat(enum.StrEnum):
    """The formats that are read."""

    POETRY = "poetry.lock"
    PYLOCK = "pylock.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class RootProject:
    """The project that a lockfile locks, installed last and editable."""

    name: NormalizedName
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Lockfile:
    """A lockfile, read.

    ``pylock`` is the inner model for every format: conditions are its markers, in
    terms of ``extras`` and ``dependency_groups`` (PEP 751).
    """

    path: Path
    sha256: str
    """Of the bytes that were read: the file can be another one by now."""
    format: LockfileFormat
    pylock: Pylock
    groups: frozenset[NormalizedName]
    """All dependency groups; Poetry's ``main`` is one."""
    default_groups: frozenset[NormalizedName]
    """Those installed when no option chooses others."""
    extras: frozenset[NormalizedName]
    root: RootProject | None
    warnings: tuple[str, ...]
    """What the user should know, like a stale lock."""
    index_names: tuple[tuple[str, str], ...] = ()
    """URLs of indexes with the names the lockfile has for them (Poetry's sources),
    which credentials may go by."""
    beside: tuple[tuple[Path, str], ...] = ()
    """What else decided this value, a pyproject.toml, and the sha256 of the bytes that
    were read; empty where there was no such file."""

    @property
    def digests(self) -> tuple[tuple[Path, str], ...]:
        """Return every file that was looked for, and the sha256 of what was read."""
        return ((self.path, self.sha256), *self.beside)

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Return every file whose bytes decided this value."""
        return tuple(path for path, digest in self.digests if digest)
