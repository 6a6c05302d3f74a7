"""The values of changing what is there: heal, sync, adopt and edit make them.

Each is one step that leaves the old or the new bytes under its name, whenever it is
cut off, and that does no harm when it is carried out again. Paths are below one
folder, "/" between: an environment, or a wheel's tree in the store.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

__all__ = [
    "Change",
    "MakeFolder",
    "Proof",
    "Put",
    "Remove",
    "RemoveFolder",
    "Rescue",
    "Seal",
    "SetAside",
    "Symlink",
]


class Proof(enum.Enum):
    """What shows that a source's bytes are right."""

    HASH = "hashed in this run"
    STAMP = "size, mode and stamp are what they were when it was verified"
    """As create has it; never for a heal."""


class Put(NamedTuple):
    """Put a file under a name, over whatever file or link is there."""

    path: str
    sha256: str
    size: int
    mode: int
    """Where it is no hard link."""
    mtime_ns: int | None
    """`None`: the time at which it is made."""
    source: str | None = None
    """Absolute path of a file with these bytes."""
    content: bytes | None = None
    """The bytes, where there is no source."""
    link: bool = False
    """A hard link to the source, where that works; else a private copy."""
    proof: Proof = Proof.HASH
    sealed: tuple[int, int] | None = None
    """Mode and mtime that a source proven by its stamp must have."""
    rescue: bool = False
    """Keep the bytes that are there now."""


class Symlink(NamedTuple):
    """Put a symbolic link under a name, over whatever file or link is there."""

    path: str
    points_to: str
    rescue: bool = False


class Remove(NamedTuple):
    """Remove a file or link; an absent one is as good."""

    path: str
    rescue: bool = False


class RemoveFolder(NamedTuple):
    """Remove a folder if nothing is in it."""

    path: str


class Rescue(NamedTuple):
    """Keep a copy of the bytes that are there, and change nothing yet."""

    path: str


class SetAside(NamedTuple):
    """Move whatever is there among the rescued files, with all that is in it."""

    path: str


class Seal(NamedTuple):
    """Set mode and mtime of a file whose bytes were hashed in this run."""

    path: str
    mode: int
    mtime_ns: int


class MakeFolder(NamedTuple):
    """Make a folder, and those above it."""

    path: str


Change = Put | Symlink | Remove | RemoveFolder | Rescue | SetAside | Seal | MakeFolder
