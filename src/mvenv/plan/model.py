"""The values of planning: what is provided, and what is planned."""

from __future__ import annotations

import itertools

from mvenv.env.receipt import Installed
from mvenv.link.tree import FolderLinks
from mvenv.store.layout import StoreKey
from mvenv.store.names import BYTECODE, TREE
from mvenv.values import NamedTuple, dataclass
from mvenv.wheels.manifest import ManifestFile

TYPE_CHECKING = False
if TYPE_CHECKING:  # a plan that is read needs none of what planning does
    from collections.abc import Iterator

    from mvenv.store.entries import StoredWheel
    from mvenv.wheels.facts import WheelFacts

__all__ = [
    "Conflict",
    "LiftedFile",
    "Plan",
    "PlannedBytecode",
    "PlannedFile",
    "PlannedRecord",
    "PlannedScript",
    "PlannedWheel",
    "Provided",
]


class LiftedFile(NamedTuple):
    """A file of an editable install, taken from a scratch environment."""

    path: str
    """Below the environment, "/" between."""
    content: bytes
    executable: bool


class PlannedFile(NamedTuple):
    """A file to write."""

    path: str
    content: bytes
    executable: bool


class PlannedScript(NamedTuple):
    """A script to write behind the shebang of the environment's interpreter."""

    path: str
    body: bytes
    arguments: bytes
    """What follows the interpreter in the shebang."""
    interpreter: str = "python"
    """Its name beside ``python``: installers write the one that they were run by."""

    def shebang_of(self, python: str) -> str:
        """Return the interpreter to name, where the environment's own is ``python``."""
        return f"{python.rpartition('/')[0]}/{self.interpreter}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provided:
    """One distribution, ready to be installed."""

    name: str
    version: str
    dist_info: str
    """Name of its metadata folder."""
    direct_url: bytes | None
    """Content of ``direct_url.json`` (PEP 610), where it is not from an index."""
    scripts: tuple[PlannedScript, ...]
    """What is written for it behind the environment's shebang: launchers of entry
    points, scripts of an editable install. Those a wheel ships are not here."""
    wheel: StoredWheel | None = None
    facts: WheelFacts | None = None
    shared: bool = True
    """Its files may be hard links; never for local folders."""
    lifted: tuple[LiftedFile, ...] = ()
    """Files besides a wheel's; all of them, of an editable install."""
    installer: str = "mvenv"
    """Who says to have installed it (PEP 376)."""
    requested: bool = True
    """Somebody asked for it, and not another distribution or a tool (PEP 376)."""


class PlannedRecord(NamedTuple):
    """A RECORD to write: rows known now, and files whose rows are known later."""

    path: str
    site: str
    """The folder that its paths are relative to."""
    rows: str
    scripts: tuple[str, ...]
    """Paths of scripts, below the environment."""


class PlannedBytecode(NamedTuple):
    """What was compiled from the files of a plan, for one tag of interpreters.

    It is worth nothing: where it is missing or other, Python makes its own.
    """

    tag: str
    """As in the names of bytecode, like ``cpython-312`` (PEP 3147)."""
    links: tuple[FolderLinks, ...]

    def folders(self) -> Iterator[str]:
        """Yield the folders that it goes to; their parents are the plan's."""
        return iter(dict.fromkeys(group.target for group in self.links))

    def paths(self) -> Iterator[str]:
        """Yield the path of each file."""
        return (
            f"{group.target}/{file.target}"
            for group in self.links
            for file in group.files
        )


class PlannedWheel(NamedTuple):
    """One wheel that files come from."""

    key: StoreKey
    filename: str
    root: str
    """Absolute path of its folder; gone after the run where it is not shared."""
    shared: bool
    """It is in the store."""
    rest: tuple[ManifestFile, ...]
    """Its files that no link of the plan brings: RECORD, scripts that are rewritten,
    what another distribution's file took the place of."""

    @property
    def tree(self) -> str:
        """Return the folder of its files."""
        return f"{self.root}/{TREE}"

    def bytecode(self, tag: str) -> str:
        """Return the folder of what was compiled from its files."""
        return f"{self.root}/{BYTECODE}/{tag}/{TREE}"


class Conflict(NamedTuple):
    """One path that several distributions ship with different content."""

    path: str
    winner: str
    losers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that is to be made; paths are below the environment, "/" between."""

    folders: tuple[str, ...]
    """Parents first."""
    links: tuple[FolderLinks, ...]
    late_links: tuple[FolderLinks, ...]
    """``.pth`` files: Python runs them, so everything else is there before them."""
    files: tuple[PlannedFile, ...]
    scripts: tuple[PlannedScript, ...]
    records: tuple[PlannedRecord, ...]
    conflicts: tuple[Conflict, ...]
    distributions: tuple[Installed, ...]
    wheels: tuple[PlannedWheel, ...]
    bytecode: PlannedBytecode | None = None

    def paths(self) -> frozenset[str]:
        """Return every path that the plan makes."""
        linked = (
            f"{folder.target}/{file.target}" if folder.target else file.target
            for folder in itertools.chain(self.links, self.late_links)
            for file in folder.files
        )
        return frozenset(
            itertools.chain(
                self.folders,
                linked,
                (file.path for file in self.files),
                (script.path for script in self.scripts),
                (record.path for record in self.records),
                () if self.bytecode is None else self.bytecode.folders(),
                () if self.bytecode is None else self.bytecode.paths(),
            )
        )
