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
    inputs: tuple[Path, ...]
    """Every file whose bytes decided this value: the lock, a pyproject.toml."""
    warnings: tuple[str, ...]
    """What the user should know, like a stale lock."""
    index_names: tuple[tuple[str, str], ...] = ()
    """URLs of indexes with the names the lockfile has for them (Poetry's sources),
    which credentials may go by."""
