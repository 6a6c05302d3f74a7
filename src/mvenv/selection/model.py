"""The values of a selection: each distribution, and where it comes from."""

from __future__ import annotations

from mvenv.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:  # the command line makes options before anything is read
    from pathlib import Path

    from packaging.utils import NormalizedName

__all__ = [
    "ArchiveChoice",
    "Chosen",
    "DirectoryChoice",
    "FileChoice",
    "IndexChoice",
    "Selection",
    "VcsChoice",
    "WheelChoice",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChoice:
    """One file of an index: a wheel or an sdist."""

    filename: str
    sha256: str | None
    """`None` where the lockfile has another hash only."""
    hashes: tuple[tuple[str, str], ...]
    """All hashes the lockfile has, (algorithm, hexadecimal), at least one."""
    url: str | None
    """Absolute URL where the lockfile has it; else the index is asked."""
    path: Path | None
    """Absolute path where the lockfile has it."""
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexChoice:
    """Files of an index, all of which would do."""

    wheels: tuple[FileChoice, ...]
    """Compatible wheels, best first (tags, then build number, as pip does)."""
    sdist: FileChoice | None
    index: str | None
    """URL of the index the lockfile names; `None` for the default one."""
    index_name: str | None
    """Its name in the lockfile, which credentials may go by."""
    rejections: tuple[str, ...]
    """A sentence for each wheel that does not fit."""

    @property
    def files(self) -> tuple[FileChoice, ...]:
        """Return all files, best first."""
        return (*self.wheels, self.sdist) if self.sdist else self.wheels


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveChoice:
    """A wheel or sdist by direct URL or by path (PEP 751 ``packages.archive``)."""

    file: FileChoice
    subdirectory: str | None

    @property
    def files(self) -> tuple[FileChoice, ...]:
        """Return the one file."""
        return (self.file,)


@dataclass(frozen=True, slots=True, kw_only=True)
class VcsChoice:
    """A commit of a repository."""

    kind: str
    """``git``."""
    url: str
    commit: str
    requested_revision: str | None
    subdirectory: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryChoice:
    """A folder with a project in it."""

    path: Path
    """Absolute, with the subdirectory."""
    editable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelChoice:
    """A wheel of a project that is being worked on: nobody else will want it."""

    path: Path
    """Absolute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One distribution to install."""

    name: NormalizedName
    version: str | None
    source: IndexChoice | ArchiveChoice | VcsChoice | DirectoryChoice | WheelChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """All distributions to install, in the lockfile's order, the root project last."""

    distributions: tuple[Chosen, ...]
    warnings: tuple[str, ...] = ()
    """What the user should know, like options that had no effect."""
