"""The values of diagnosing: what a file must be, and what was found instead."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mvenv.store.layout import StoreKey

__all__ = [
    "Examination",
    "Expected",
    "Finding",
    "HealClass",
    "Kind",
    "Level",
    "Scrubbed",
    "Touched",
]


class HealClass(enum.StrEnum):
    """Who may heal a fault, and when."""

    PLAIN = "A"
    """Doctor does, by itself: nothing of the user's can be in it."""
    FIX = "B"
    """Only with ``--fix``, after the present bytes were rescued."""
    REPORT = "C"
    """Nobody: it is reported."""


class Level(enum.Enum):
    """How closely is looked."""

    QUICK = "what stat can see, and a slice of the rest"
    FULL = "every byte"


class Kind(enum.Enum):
    """How a file came into the environment."""

    LINKED = "shared with the store: a hard link, or a reflink or copy of it"
    PRIVATE = "copied from the store, never shared"
    GENERATED = "written here"


class Expected(NamedTuple):
    """What one file of an environment must be."""

    path: str
    """Below the environment, "/" between."""
    sha256: str
    size: int
    mode: int
    """As it must be here."""
    mtime_ns: int
    kind: Kind
    distribution: str | None
    """Of our own files none."""
    wheel: StoreKey | None
    """Where its bytes are, if anywhere in a store."""
    member: str
    """Its path in the wheel's tree."""
    sealed_mode: int
    """As it must be in the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it must be, or that the user should know."""

    code: str
    """Of its check: ``F01``."""
    where: Path
    """The environment or the store."""
    heal: HealClass
    detail: str
    """What was seen, in words: ``3 bytes, 120 belong there``."""
    path: str | None = None
    """Below ``where``."""
    distribution: str | None = None
    drift: bool = False
    """The user did it on purpose: reported, never a fault."""
    remedy: str | None = None
    """What the user can do, where nobody else may."""
    users: tuple[Path, ...] = ()
    """Environments that are hit too."""
    expected: Expected | None = None
    wheel: StoreKey | None = None
    """Of the entry in the store, where that is at fault."""
    files: tuple[Expected, ...] = ()
    """All files concerned, where it is about several."""

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints of it."""
        return {
            "code": self.code,
            "where": str(self.where),
            "path": self.path,
            "distribution": self.distribution,
            "class": self.heal.value,
            "drift": self.drift,
            "detail": self.detail,
            "remedy": self.remedy,
            "users": [str(path) for path in self.users],
            "wheel": self.wheel,
        }


class Touched(NamedTuple):
    """A file whose bytes were hashed and are right, behind another date."""

    path: str
    size: int
    mtime_ns: int
    shared: bool
    """A hard link: the date is that of the store's file too, and must be put back."""
    expected: Expected


class Scrubbed(NamedTuple):
    """How far the rolling scrub of an environment came."""

    plan: str
    """sha256 of the plan whose files are counted."""
    next: int
    """Number of the file that was hashed longest ago, in the plan's order."""
    debt: float
    """Seconds by which large files overran earlier time boxes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What a look at an environment or a store brought."""

    findings: tuple[Finding, ...]
    checked: int
    """Files that were looked at."""
    rehashed: int
    """Those of them whose bytes were read and hashed."""
    bytes_hashed: int
    touched: tuple[Touched, ...] = ()
    """No faults: to be put on record, so that they need not be hashed again."""
    scrubbed: Scrubbed | None = None
    """To be kept for the next look."""
    inodes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Of an environment's files that are right, as closely as was looked; by folder and
    name."""
