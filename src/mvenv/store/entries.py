"""Wheels in the store: found, taken in, verified, mended."""

from __future__ import annotations

import contextlib
import os
import stat
import time

from mvenv.errors import DamagedEntry
from mvenv.hashes import digest_file
from mvenv.store.durability import boot_id
from mvenv.store.layout import StoreKey, StoreLayout
from mvenv.store.names import BYTECODE, MANIFEST, SYNCED, TREE
from mvenv.store.runs import RunFolder, discard
from mvenv.values import dataclass, replace
from mvenv.wheels.manifest import Manifest, ManifestFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mvenv.store.large import LargeFiles

__all__ = [
    "FileFault",
    "Mending",
    "StaleWheels",
    "StoredWheel",
    "WheelStore",
    "stage_manifest",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWheel:
    """One unpacked wheel: in a store, or private to one run."""

    key: StoreKey
    root: Path
    manifest: Manifest
    shared: int = 0
    """Bytes that another wheel brought into the store; known of a new one alone."""

    @property
    def tree(self) -> Path:
        """Return the folder of its files."""
        return self.root / TREE


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFault:
    """A stored file that is not what its manifest says."""

    file: ManifestFile
    content: bool
    """The bytes differ or are missing; otherwise only the mode or the stamp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mending:
    """What became of a wheel in which something was off."""

    usable: bool
    changed: tuple[str, ...]
    """Files whose bytes were not the manifest's."""
    kept: Path | None
    """Where the changed files are now."""


class StaleWheels(Exception):
    """Stored files are not what they must be; nothing of them was used."""

    def __init__(self, keys: frozenset[str]) -> None:
        super().__init__(", ".join(sorted(keys)))
        self.keys = keys


class WheelStore:
    """The wheels of one store. Safe to use from threads and processes at once."""

    def __init__(self, layout: StoreLayout, *, seal: bool = True) -> None:
        self.layout = layout
        self.seal = seal

    def find(self, key: StoreKey) -> StoredWheel | None:
        """Return the wheel, or `None` where it is not there or cannot be trusted.

        An entry that was never flushed and comes from another run of the machine is
        hashed whole first: a power cut may have taken its bytes.
        """
        wheel = self._load(key)
        if wheel is None or self._is_durable(wheel):
            return wheel
        if self.verify(wheel):
            return None
        self.mark_synced(wheel)
        return wheel

    def find_manifest(self, key: StoreKey) -> Manifest | None:
        """Return what a wheel must be, whether or not it is; `None` without."""
        wheel = self._load(key)
        return wheel.manifest if wheel is not None else None

    def _load(self, key: StoreKey) -> StoredWheel | None:
        return self._load_from(self.layout.entry(key), key)

    def _load_from(self, root: Path, key: StoreKey) -> StoredWheel | None:
        try:
            content = (root / MANIFEST).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        manifest = Manifest.from_bytes(content)
        if manifest is None or manifest.sha256 != key:
            return None
        return StoredWheel(key=key, root=root, manifest=manifest)

    def _is_durable(self, wheel: StoredWheel) -> bool:
        this_boot = boot_id()
        if this_boot and wheel.manifest.boot_id == this_boot:
            return True
        return (wheel.root / SYNCED).exists()

    def mark_synced(self, wheel: StoredWheel) -> None:
        """Put down that the wheel's bytes are on the disk; only after a flush."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        with contextlib.suppress(FileNotFoundError):
            os.close(os.open(wheel.root / SYNCED, flags, 0o444))

    def throw_away(self, wheel: StoredWheel) -> None:
        """Take a wheel out whose bytes may not have reached the disk.

        Where even that fails it stays without its mark, and is hashed whole before it
        is used after the next start of the machine.
        """
        with contextlib.suppress(OSError), self.locked(wheel.key):
            discard(self.layout, wheel.root)

    @contextlib.contextmanager
    def locked(self, key: StoreKey) -> Iterator[None]:
        """Keep other threads and processes from taking in the same wheel."""
        # Warm runs lock nothing, and the import would take longer than they do.
        from filelock import FileLock

        path = self.layout.lock(key)
        with FileLock(path, thread_local=False):
            yield

    @staticmethod
    def get_ready() -> None:
        """Import what `ingest` takes, which it would do itself when there is work."""
        import filelock  # noqa: F401  for those who come after

        import mvenv.store.large
        import mvenv.wheels.unpack  # noqa: F401  likewise

    def ingest(
        self, archive: Path, key: StoreKey, filename: str, root: Path
    ) -> StoredWheel:
        """Take in a wheel file whose sha256 is ``key`` (verified by the caller).

        ``root`` is a new path in a run's scratch folder, to unpack it there first.
        The rename is the commit: a folder under its final name is complete. Whoever
        comes second gets the wheel of who came first. Large files that another wheel
        has are one file with it. `InvalidWheel` where it is refused: nothing is left
        then.
        """
        from mvenv.store.large import LargeFiles

        with self.locked(key):
            present = self.find(key)
            if present is not None:
                return present
            large = LargeFiles(self.layout, root.parent.name)
            manifest = self._unpack(archive, key, filename, root, large)
            with large.committing(root / TREE, manifest) as manifest:
                named = self._name(stage_manifest(root, manifest, key))
            return replace(named, shared=large.shared)

    def admit(self, staged: StoredWheel) -> bool:
        """Take in a wheel that was verified file by file; false where it is there."""
        from mvenv.store.large import LargeFiles

        with self.locked(staged.key):
            if self.find(staged.key) is not None:
                return False
            large = LargeFiles(self.layout)
            with large.committing(staged.tree, staged.manifest, stamps=True):
                self._name(staged)
            return True

    def _name(self, staged: StoredWheel) -> StoredWheel:
        """Give a whole wheel its name, in place of a damaged one."""
        # Warm runs take nothing in.
        from mvenv.store.seen import put_down

        final = self.layout.entry(staged.key)
        if final.exists():
            self._set_aside(staged.key)
        final.parent.mkdir(mode=0o755, exist_ok=True)
        put_down(
            staged.root, [file.path for file in staged.manifest.files], shared=False
        )
        os.rename(staged.root, final)
        return StoredWheel(key=staged.key, root=final, manifest=staged.manifest)

    def stage(
        self, archive: Path, key: StoreKey, filename: str, root: Path
    ) -> StoredWheel:
        """Unpack a wheel below ``root``, a new path where nobody shares it.

        Nor any file of it: its stamps may be set.
        """
        manifest = self._unpack(archive, key, filename, root, None)
        return stage_manifest(root, manifest, key)

    def _unpack(
        self,
        archive: Path,
        key: StoreKey,
        filename: str,
        root: Path,
        known: LargeFiles | None,
    ) -> Manifest:
        from mvenv.wheels.unpack import unpack

        root.mkdir(mode=0o755)
        return unpack(
            archive,
            filename=filename,
            sha256=key,
            destination=root / TREE,
            seal=self.seal,
            boot_id=boot_id(),
            moment=int(time.time()),
            known=known,
        )

    def verify(self, wheel: StoredWheel) -> tuple[FileFault, ...]:
        """Hash every file and return those that are not what the manifest says."""
        faults = []
        for file in wheel.manifest.files:
            path = wheel.tree / file.path
            try:
                seen = path.lstat()
                regular = stat.S_ISREG(seen.st_mode)
                right = regular and digest_file(path).sha256 == file.sha256
            except (FileNotFoundError, NotADirectoryError):
                right = False
            if not right:
                faults.append(FileFault(file=file, content=True))
            elif (
                stat.S_IMODE(seen.st_mode) != file.mode
                or seen.st_mtime_ns != file.mtime_ns
            ):
                faults.append(FileFault(file=file, content=False))
        return tuple(faults)

    def mend(self, key: StoreKey) -> Mending:
        """Make a wheel right again where its bytes are there; else set it aside."""
        with self.locked(key):
            wheel = self._load(key)
            if wheel is None:
                return Mending(usable=False, changed=(), kept=None)
            faults = self.verify(wheel)
            changed = tuple(fault.file.path for fault in faults if fault.content)
            if changed:
                return Mending(usable=False, changed=changed, kept=self._set_aside(key))
            for fault in faults:
                self._reseal(wheel, fault.file)
            self._mend_all_bytecode(wheel)
            return Mending(usable=True, changed=(), kept=None)

    def _reseal(self, wheel: StoredWheel, file: ManifestFile) -> None:
        from mvenv.store.inodes import seal_again

        path = wheel.tree / file.path
        seal_again(self.layout, path, file)
        if path.stat().st_mtime_ns != file.mtime_ns:
            raise DamagedEntry(
                f"the stamp of `{path}` cannot be set again: was the store moved to a"
                " file system with coarser times?",
                hint="use another store with `--store`",
            )

    def find_bytecode(self, wheel: StoredWheel, tag: str) -> StoredWheel | None:
        """Return what was compiled from a wheel, `None` where it cannot be trusted.

        ``tag`` is the interpreters', as in the names of their bytecode (PEP 3147).
        """
        compiled = self._load_from(wheel.root / BYTECODE / tag, wheel.key)
        if compiled is None or self._is_durable(compiled):
            return compiled
        if self.verify(compiled):
            return None
        self.mark_synced(compiled)
        return compiled

    def admit_bytecode(
        self, wheel: StoredWheel, tag: str, staged: StoredWheel
    ) -> StoredWheel:
        """Take in what was compiled from a wheel, in place of what cannot be trusted.

        Who comes second gets that of who came first. `StaleWheels` where the wheel is
        not the one any more that it was compiled from.
        """
        with self.locked(wheel.key):
            now = self._load(wheel.key)
            if now is None or now.manifest != wheel.manifest:
                raise StaleWheels(frozenset({wheel.key}))
            present = self.find_bytecode(wheel, tag)
            if present is not None:
                return present
            final = wheel.root / BYTECODE / tag
            if os.path.lexists(final):
                discard(self.layout, final)
            final.parent.mkdir(mode=0o755, exist_ok=True)
            os.rename(staged.root, final)
            return StoredWheel(key=wheel.key, root=final, manifest=staged.manifest)

    def mend_bytecode(self, key: StoreKey, tag: str) -> None:
        """Seal again what was compiled from a wheel; take out what has other bytes.

        It can be compiled again.
        """
        with self.locked(key):
            self._mend_bytecode(self.layout.entry(key) / BYTECODE / tag, key)

    def _mend_all_bytecode(self, wheel: StoredWheel) -> None:
        tags: list[str] = []
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            tags = os.listdir(wheel.root / BYTECODE)
        for tag in tags:
            self._mend_bytecode(wheel.root / BYTECODE / tag, wheel.key)

    def _mend_bytecode(self, root: Path, key: StoreKey) -> None:
        compiled = self._load_from(root, key)
        faults = self.verify(compiled) if compiled is not None else ()
        if compiled is None or any(fault.content for fault in faults):
            if os.path.lexists(root):
                discard(self.layout, root)
            return
        for fault in faults:
            self._reseal(compiled, fault.file)

    def take_out(self, key: StoreKey) -> Path | None:
        """Take an entry out, damaged or not; return where its changed files are now."""
        with self.locked(key):
            return self._set_aside(key)

    def _set_aside(self, key: StoreKey) -> Path | None:
        from mvenv.store.aside import set_aside

        wheel = self._load(key)
        if wheel is None:
            return set_aside(self.layout, key, None)
        changed = {one.file.path for one in self.verify(wheel) if one.content}
        right = {file.path for file in wheel.manifest.files} - changed
        return set_aside(self.layout, key, right)

    def fresh_inode(self, key: StoreKey, path: str, run: RunFolder) -> None:
        """Give a stored file an inode of its own, since its old one is full.

        Environments on the old inode are not damaged: it has the same bytes.
        `StaleWheels` where those are not the manifest's, or gone.
        """
        with self.locked(key):
            wheel = self._load(key)
            if wheel is None:
                raise StaleWheels(frozenset({key}))
            file = next(file for file in wheel.manifest.files if file.path == path)
            place = wheel.tree / path
            if place.stat().st_nlink < _FRESH_ENOUGH:
                return
            from mvenv.store.inodes import renew

            if not renew(place, run.new_path(), file):
                raise StaleWheels(frozenset({key}))


def stage_manifest(root: Path, manifest: Manifest, key: StoreKey) -> StoredWheel:
    """Put the manifest beside a tree that nobody shares yet."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(root / MANIFEST, flags, 0o444), "wb") as stream:
        stream.write(manifest.to_bytes())
    return StoredWheel(key=key, root=root, manifest=manifest)


_FRESH_ENOUGH = 100
"""Links: fewer than any file system's limit, so another process was faster."""
