"""A stored wheel made again from the environments that were made from it.

No network: each file is found by its hash. What only the wheel had (its RECORD,
launchers that nobody installs) is left out, and the entry says so in ``rebuilt``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mvenv.apply.donors import Donors
from mvenv.errors import DamagedEntry, InvalidWheel, SystemFault
from mvenv.hashes import digest_file
from mvenv.records import replace_bytes
from mvenv.store.durability import boot_id, flush_file_system
from mvenv.store.entries import StoredWheel, WheelStore
from mvenv.store.inodes import seal_again
from mvenv.store.large import LargeFiles
from mvenv.store.layout import StoreKey, StoreLayout
from mvenv.store.names import MANIFEST, REBUILT, SYNCED, TREE
from mvenv.store.runs import RunFolder
from mvenv.wheels.launchers import is_launcher_name, parse_entry_points
from mvenv.wheels.manifest import Manifest, ManifestFile
from mvenv.wheels.metadata import find_dist_info

__all__ = ["Rebuilt", "flush_rebuilt", "rebuild_wheel"]

_WRITTEN_ANEW = ("RECORD", "INSTALLER", "REQUESTED")
"""Of the dist-info: whoever installs writes them, whatever the wheel has."""
_EXECUTABLE = 0o100


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What became of an entry of the store."""

    key: StoreKey
    wheel: StoredWheel | None
    """The entry; `None` where it could not be completed, and nothing was changed."""
    made: tuple[str, ...] = ()
    """Files that were not there, or not right, and now are."""
    left_out: tuple[str, ...] = ()
    """Files that only the wheel had; nobody installs them."""
    missing: tuple[str, ...] = ()
    """Files that nobody has; they keep it from being complete."""
    changed: tuple[str, ...] = ()
    """Files that are not what they must be and were left."""
    donors: tuple[Path, ...] = ()
    """Environments that files were taken from."""


def rebuild_wheel(
    key: StoreKey,
    donors: Donors,
    *,
    store: WheelStore,
    run: RunFolder,
    flush: bool = True,
) -> Rebuilt:
    """Make a lost or damaged entry whole again from environments.

    Of an entry that is there only what is missing is filled in, so that what
    environments share with it stays shared; a file that was changed is left. ``flush``
    writes it to the disk and marks it; else `flush_rebuilt` does so for several at
    once.
    `SystemFault` where the disk refuses: what was there is there then.
    """
    try:
        with store.locked(key):
            rebuilt = _Rebuilding(key, donors, store, run).rebuild()
    except OSError as error:
        doing = "cannot make a stored wheel again"
        raise SystemFault.from_os_error(error, doing) from error
    if flush:
        flush_rebuilt([rebuilt], store)
    return rebuilt


def flush_rebuilt(several: Iterable[Rebuilt], store: WheelStore) -> None:
    """Write entries to the disk, and then put down that they are there.

    `SystemFault` where the disk reports an error: they are taken out again, where
    they were made as a whole.
    """
    new = [
        one.wheel
        for one in several
        if one.wheel is not None and not (one.wheel.root / SYNCED).exists()
    ]
    if not new:
        return
    try:
        flush_file_system(store.layout.root)
    except SystemFault:
        for wheel in new:
            store.throw_away(wheel)
        raise
    for wheel in new:
        store.mark_synced(wheel)


@dataclass(slots=True)
class _Rebuilding:
    """One wheel, locked."""

    key: StoreKey
    donors: Donors
    store: WheelStore
    run: RunFolder
    givers: set[Path] = field(default_factory=set, init=False)
    stage: Path = field(init=False)

    def __post_init__(self) -> None:
        self.stage = self.run.new_path()

    @property
    def final(self) -> Path:
        return self.store.layout.entry(self.key)

    def rebuild(self) -> Rebuilt:
        known = self._known()
        if known is None:
            return Rebuilt(key=self.key, wheel=None)
        filename, files, disputed = known
        present, changed = self._look(files)
        wanted = [
            file
            for file in files
            if file.path not in present and file.path not in changed
        ]
        try:
            absent = self._gather(wanted)
            missing = sorted(disputed | self._needed(absent, files))
            if missing:
                return Rebuilt(
                    key=self.key,
                    wheel=None,
                    missing=tuple(missing),
                    changed=tuple(sorted(changed)),
                )
            manifest = Manifest(
                sha256=self.key,
                filename=filename,
                boot_id=boot_id(),
                files=tuple(file for file in files if file.path not in absent),
            )
            made = [file for file in wanted if file.path not in absent]
            self._commit(manifest, made, present)
        finally:
            shutil.rmtree(self.stage, ignore_errors=True)
        return Rebuilt(
            key=self.key,
            wheel=StoredWheel(key=self.key, root=self.final, manifest=manifest),
            made=tuple(file.path for file in made),
            left_out=tuple(sorted(absent)),
            changed=tuple(sorted(changed)),
            donors=tuple(sorted(self.givers)),
        )

    def _known(self) -> tuple[str, tuple[ManifestFile, ...], frozenset[str]] | None:
        """Return what the wheel was: its manifest says so, else the plans do."""
        manifest = self.store.find_manifest(self.key)
        if manifest is not None:
            return manifest.filename, manifest.files, frozenset()
        wheel = self.donors.wheel(self.key)
        if wheel is None:
            return None
        return wheel.filename, wheel.files, wheel.disputed

    def _look(self, files: Iterable[ManifestFile]) -> tuple[set[str], set[str]]:
        """Return which files are right, and which are something else."""
        right: set[str] = set()
        changed: set[str] = set()
        tree = self.final / TREE
        if not tree.is_dir():
            return right, changed
        for file in files:
            place = tree / file.path
            if not os.path.lexists(place):
                continue
            regular = stat.S_ISREG(place.lstat().st_mode)
            with contextlib.suppress(OSError):
                if regular and digest_file(place).sha256 == file.sha256:
                    right.add(file.path)
                    continue
            changed.add(file.path)
        return right, changed

    def _gather(self, wanted: Iterable[ManifestFile]) -> dict[str, ManifestFile]:
        """Make files in the scratch folder; return those that nobody has."""
        tree = self.stage / TREE
        absent = {}
        folders = {""}
        _make_folder(tree)
        for file in wanted:
            _make_folders(tree, file.path.rpartition("/")[0], folders)
            new = tree / file.path
            giver = self.donors.bring(file, new)
            if giver is None:
                absent[file.path] = file
                continue
            if giver != new:
                self.givers.add(giver)
            if new.stat().st_mtime_ns != file.mtime_ns:
                raise DamagedEntry(
                    f"the stamp of `{file.path}` cannot be set in the store: was that"
                    " moved to a file system with coarser times?",
                    hint="use another store with `--store`",
                )
        return absent

    def _needed(
        self, absent: Iterable[str], files: Iterable[ManifestFile]
    ) -> frozenset[str]:
        """Return which of ``absent`` an environment could ever want."""
        absent = frozenset(absent)
        paths = {file.path for file in files}
        try:
            dist_info = find_dist_info(paths)
            points = self._points(f"{dist_info}/entry_points.txt", paths)
        except InvalidWheel:
            return absent
        dropped = {f"{dist_info}/{name}" for name in _WRITTEN_ANEW}
        return frozenset(
            path
            for path in absent - dropped
            if not (
                ".data/scripts/" in path
                and is_launcher_name(path.rpartition("/")[2], points)
            )
        )

    def _points(self, path: str, paths: set[str]) -> frozenset[str]:
        if path not in paths:
            return frozenset()
        for tree in (self.stage / TREE, self.final / TREE):
            with contextlib.suppress(OSError):
                console, gui = parse_entry_points((tree / path).read_bytes(), path)
                return frozenset(point.name for point in (*console, *gui))
        return frozenset()

    def _commit(
        self,
        manifest: Manifest,
        made: list[ManifestFile],
        present: set[str],
    ) -> None:
        if not self.final.exists():
            for name, content in self._marks(manifest, made):
                replace_bytes(self.stage / name, content, mode=0o444)
            self.final.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            large = LargeFiles(self.store.layout)
            with large.committing(self.stage / TREE, manifest, stamps=True):
                os.rename(self.stage, self.final)
        else:
            self._fill(manifest, made, present)

    def _marks(
        self, manifest: Manifest, made: list[ManifestFile]
    ) -> list[tuple[str, bytes]]:
        lines = [f"made {len(made)} of {len(manifest.files)} files again, from:"]
        lines += [f"  {folder}" for folder in sorted(self.givers)]
        text = "\n".join([*lines, ""]).encode("utf-8", "backslashreplace")
        # The manifest last: without it nobody takes the entry for a whole one.
        return [(REBUILT, text), (MANIFEST, manifest.to_bytes())]

    def _fill(
        self,
        manifest: Manifest,
        made: list[ManifestFile],
        present: set[str],
    ) -> None:
        """Put what was made into an entry that is there, each file by a rename."""
        tree = self.final / TREE
        folders = set()
        for file in made:
            # The entry may be marked as flushed already.
            _flush(self.stage / TREE / file.path)
            place = tree / file.path
            place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            os.rename(self.stage / TREE / file.path, place)
            folders.add(place.parent)
        for file in manifest.files:
            if file.path in present:
                _seal(self.store.layout, tree / file.path, file)
        for folder in folders:
            _flush(folder)
        found = self.store.find_manifest(self.key)
        if found is None or found.files != manifest.files:
            (self.final / SYNCED).unlink(missing_ok=True)
            for name, content in self._marks(manifest, made):
                replace_bytes(self.final / name, content, mode=0o444)
        elif made:
            name, content = self._marks(manifest, made)[0]
            replace_bytes(self.final / name, content, mode=0o444)


def _make_folder(folder: Path) -> None:
    folder.mkdir(mode=0o755, parents=True)
    folder.chmod(0o755)


def _make_folders(tree: Path, path: str, made: set[str]) -> None:
    """Make a folder and those above it, whatever the umask."""
    if path in made:
        return
    _make_folders(tree, path.rpartition("/")[0], made)
    _make_folder(tree / path)
    made.add(path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _seal(layout: StoreLayout, place: Path, file: ManifestFile) -> None:
    seen = place.lstat()
    if stat.S_IMODE(seen.st_mode) != file.mode or seen.st_mtime_ns != file.mtime_ns:
        seal_again(layout, place, file)
