"""What has to be done so that an environment is what is wanted; reads, never writes.

Each file is looked at by one ``lstat``. What is neither as it must be nor as it was
installed is hashed: only the user's own bytes are rescued.
"""

from __future__ import annotations

import enum
import os
import stat
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mvenv.env.receipt import Generated
from mvenv.errors import EnvironmentFault, SystemFault
from mvenv.hashes import digest_file
from mvenv.plan.wanted import WantedFile

__all__ = ["Difference", "Had", "Keeping", "Step", "compare", "folders_above"]

_BYTECODE = "__pycache__"


class Keeping(enum.Enum):
    """Where what stands there goes."""

    NOWHERE = "it is worth nothing, or nothing is there"
    GENERATION = "installed bytes: they go with the generation"
    RESCUED = "the user's bytes: they stay until the user takes them"


class Step(NamedTuple):
    """One name to change."""

    path: str
    wanted: WantedFile | None
    """`None`: to be removed."""
    keeping: Keeping
    again: bool = False
    """What was installed there was not there any more, or was changed."""


class Had(NamedTuple):
    """A file that is not of a plan, as it was found."""

    path: str
    sha256: str
    size: int
    mode: int
    mtime_ns: int


@dataclass(slots=True)
class Difference:
    """All that has to be done, in the order of its lists."""

    aside: list[str] = field(default_factory=list)
    """Folders, and links to folders, that stand where something else belongs."""
    cleared: list[Step] = field(default_factory=list)
    """To be removed before anything is put there; also what Python runs at start."""
    emptied: list[str] = field(default_factory=list)
    """Folders that make room for files."""
    puts: list[Step] = field(default_factory=list)
    removed: list[Step] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    """To be removed where nothing is left in them, the deepest first."""
    generated: dict[str, Generated] = field(default_factory=dict)
    """What was written here and stays, as it is."""
    absent: list[str] = field(default_factory=list)
    """What was there no more, of distributions that were uninstalled."""
    other: dict[str, Had] = field(default_factory=dict)
    """What is there besides what was installed, and will not be."""
    edited: dict[str, str | None] = field(default_factory=dict)
    """Files that differ and stay: they may, by ``mvenv edit``. With their owner."""

    def steps(self) -> Iterator[Step]:
        """Yield all steps that change a file."""
        yield from self.cleared
        yield from self.puts
        yield from self.removed

    def is_empty(self) -> bool:
        """Return whether nothing has to be done."""
        return not (self.aside or self.cleared or self.puts or self.removed)


def compare(
    place: Path,
    old: Mapping[str, WantedFile],
    new: Mapping[str, WantedFile],
    *,
    fixed: Container[str],
    private: Collection[str],
    gone: Mapping[str, str | None],
) -> Difference:
    """Return the difference between what is in ``place`` and ``new``.

    ``old`` is what was installed. ``fixed`` are folders of the environment itself;
    ``private`` distributions whose files the user may change, ``gone`` are files of
    distributions that are taken out, with the sha256 that their RECORD has.
    """
    work = _Comparison(place, old, new, fixed=fixed, private=private, gone=gone)
    try:
        return work.compare()
    except OSError as error:
        doing = "cannot look into the environment"
        raise SystemFault.from_os_error(error, doing) from error


class _Comparison:
    def __init__(
        self,
        place: Path,
        old: Mapping[str, WantedFile],
        new: Mapping[str, WantedFile],
        *,
        fixed: Container[str],
        private: Collection[str],
        gone: Mapping[str, str | None],
    ) -> None:
        self._root = str(place)
        self._old, self._new, self._gone = old, new, gone
        self._fixed = fixed
        # What was uninstalled is not edited.
        self._private = frozenset(private) - {
            one.owner
            for one in new.values()
            if one.owner in private
            and one.path.endswith(".dist-info/RECORD")
            and not os.path.lexists(f"{place}/{one.path}")
        }
        self._found = Difference()
        self._new_folders = folders_above(new)
        self._strange: tuple[str, ...] = ()

    def compare(self) -> Difference:
        found = self._found
        self._strange = tuple(self._look_at_folders())
        for path, wanted in self._new.items():
            self._file(path, wanted)
        for path in dict.fromkeys((*self._old, *self._gone)):
            if path not in self._new:
                self._leftover(path)
        above = folders_above((*self._old, *self._gone)) - self._new_folders
        found.folders = [
            folder
            for one in sorted(above, key=lambda path: (-path.count("/"), path))
            if one not in self._fixed
            for folder in (f"{one}/{_BYTECODE}", one)
        ]
        uninstalled = {
            self._old[path].owner
            for path in found.absent
            if path.endswith(".dist-info/RECORD")
        }
        found.absent = [
            path for path in found.absent if self._old[path].owner in uninstalled
        ]
        found.puts.sort(key=lambda step: bool(step.wanted and step.wanted.late))
        return found

    def _look_at_folders(self) -> Iterator[str]:
        """Yield what is no folder where one belongs: what is below is not ours."""
        for folder in sorted({*folders_above(self._old), *self._new_folders}):
            seen = self._look(folder)
            if seen is None or stat.S_ISDIR(seen.st_mode):
                continue
            yield f"{folder}/"
            if folder not in self._new_folders:
                continue
            if folder in self._fixed:
                raise EnvironmentFault(
                    f"`{folder}` is a link or a file, and not a folder of the"
                    " environment's own"
                )
            if folder not in self._old and folder not in self._gone:
                self._found.aside.append(folder)

    def _look(self, path: str) -> os.stat_result | None:
        if self._strange and path.startswith(self._strange):
            return None
        try:
            return os.lstat(f"{self._root}/{path}")
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _file(self, path: str, wanted: WantedFile) -> None:
        found = self._found
        seen = self._look(path)
        had = self._old.get(path)
        if seen is not None and wanted.is_met_by(seen):
            self._stays(wanted, seen)
            return
        protected = wanted.owner is not None and wanted.owner in self._private
        if seen is None:
            if protected and had is not None:
                found.edited[path] = wanted.owner
                return
            if had is not None:
                found.absent.append(path)
            again = had is not None
            found.puts.append(Step(path, wanted, Keeping.NOWHERE, again))
        elif stat.S_ISDIR(seen.st_mode):
            found.emptied.append(path)
            found.puts.append(Step(path, wanted, Keeping.NOWHERE))
        elif had is not None and had.is_met_by(seen):
            found.puts.append(Step(path, wanted, Keeping.GENERATION))
        else:
            self._changed(path, wanted, seen, protected=protected)

    def _changed(
        self, path: str, wanted: WantedFile, seen: os.stat_result, *, protected: bool
    ) -> None:
        found = self._found
        sha256 = self._digest(path, seen)
        if sha256 == wanted.sha256 and wanted.content is not None:
            self._stays(wanted, seen)
        elif sha256 == wanted.sha256 and not protected:
            found.puts.append(Step(path, wanted, Keeping.NOWHERE, again=True))
        elif protected:
            found.edited[path] = wanted.owner
        else:
            keeping = self._keeping(path, sha256, seen)
            again = path in found.other or keeping is Keeping.RESCUED
            found.puts.append(Step(path, wanted, keeping, again))

    def _stays(self, wanted: WantedFile, seen: os.stat_result) -> None:
        if wanted.content is not None:
            self._found.generated[wanted.path] = Generated(
                wanted.path,
                wanted.sha256,
                wanted.size,
                stat.S_IMODE(seen.st_mode),
                seen.st_mtime_ns,
            )

    def _leftover(self, path: str) -> None:
        seen = self._look(path)
        had = self._old.get(path)
        if seen is None:
            if had is not None:
                self._found.absent.append(path)
            return
        if stat.S_ISDIR(seen.st_mode):
            return
        if had is not None and had.is_met_by(seen):
            keeping = Keeping.GENERATION
        elif had is None and _is_cache(path):
            keeping = Keeping.NOWHERE
        else:
            keeping = self._keeping(path, self._digest(path, seen), seen)
        step = Step(path, None, keeping)
        early = path in self._new_folders or path.endswith(".pth")
        if early or path.startswith(self._making_room()):
            self._found.cleared.append(step)
        else:
            self._found.removed.append(step)

    def _making_room(self) -> tuple[str, ...]:
        return tuple(f"{path}/" for path in self._found.emptied)

    def _digest(self, path: str, seen: os.stat_result) -> str | None:
        """Return the sha256, or `None` of what is no file."""
        if not stat.S_ISREG(seen.st_mode):
            return None
        return digest_file(f"{self._root}/{path}").sha256

    def _keeping(self, path: str, sha256: str | None, seen: os.stat_result) -> Keeping:
        """Return where bytes go that are not as they were installed, and note them."""
        had = self._old.get(path)
        if had is not None and sha256 == had.sha256:
            return Keeping.GENERATION
        if sha256 is not None:
            mode = stat.S_IMODE(seen.st_mode)
            row = Had(path, sha256, seen.st_size, mode, seen.st_mtime_ns)
            self._found.other[path] = row
        listed = self._gone.get(path, "")
        installed = listed == sha256 or (listed is None and path.endswith("/RECORD"))
        return Keeping.GENERATION if installed and sha256 else Keeping.RESCUED


def _is_cache(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return name.endswith(".pyc") and folder.endswith(_BYTECODE)


def folders_above(paths: Iterable[str]) -> frozenset[str]:
    """Return every folder above ``paths``."""
    known: set[str] = set()
    for nearest in {path.rpartition("/")[0] for path in paths}:
        folder = nearest
        while folder and folder not in known:
            known.add(folder)
            folder = folder.rpartition("/")[0]
    return frozenset(known)
