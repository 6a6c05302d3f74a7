"""Look at one stored wheel: its manifest, its files, and what else lies there."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mvenv.diagnose.model import Expected, Finding, HealClass, Kind, Level
from mvenv.diagnose.users import Users
from mvenv.errors import Busy
from mvenv.hashes import CHUNK, digest_file
from mvenv.link.tree import TEMPORARY
from mvenv.locking import lock_folder
from mvenv.names import project_of
from mvenv.store.durability import boot_id
from mvenv.store.layout import StoreKey, StoreLayout
from mvenv.store.names import ENTRY_NAMES, MANIFEST, SYNCED, TREE
from mvenv.wheels.manifest import Manifest, ManifestFile

__all__ = ["Count", "EntryLook", "expected_in_store", "judge_content"]

_NULLS = bytes(CHUNK)
_MOMENT = 5.0
"""Seconds to wait for who writes one small file."""


@dataclass(slots=True)
class Count:
    """How much was looked at."""

    checked: int = 0
    rehashed: int = 0
    bytes_hashed: int = 0
    findings: list[Finding] = field(default_factory=list)


def expected_in_store(key: StoreKey, file: ManifestFile, distribution: str) -> Expected:
    """Return what a stored file must be; its path is the one in the wheel's tree."""
    return Expected(
        path=file.path,
        sha256=file.sha256,
        size=file.size,
        mode=file.mode,
        mtime_ns=file.mtime_ns,
        kind=Kind.LINKED,
        distribution=distribution,
        wheel=key,
        member=file.path,
        sealed_mode=file.mode,
    )


@dataclass(slots=True, kw_only=True)
class EntryLook:
    """One look at one entry; what it finds goes into ``count``."""

    layout: StoreLayout
    key: StoreKey
    level: Level
    users: Users
    count: Count
    manifest: Manifest | None = None
    """What the wheel is, where its own manifest is lost."""

    @property
    def root(self) -> Path:
        """Return the entry's folder."""
        return self.layout.entry(self.key)

    def look(self) -> None:
        """Look at all of it."""
        if not self.root.is_dir():
            self._absent()
            return
        manifest = self._manifest()
        if manifest is None:
            return
        whole = self.level is Level.FULL or self.manifest is not None
        unflushed = not self._is_durable(manifest)
        before = len(self.count.findings)
        self._look_at_files(manifest, whole=whole or unflushed, unflushed=unflushed)
        if unflushed and self.manifest is None and len(self.count.findings) == before:
            self._find(
                "F43",
                HealClass.PLAIN,
                "was never marked as flushed to the disk; all of its bytes are right",
                drift=True,
                name=manifest.filename,
            )

    def _absent(self) -> None:
        users = self.users.hit(self.key)
        if users:
            self._find(
                "F40",
                HealClass.PLAIN,
                "the wheel is not in the store",
                users=users,
                name=next((one.filename for one in self.users.manifests(self.key)), ""),
            )

    def look_at(self, members: Container[str]) -> None:
        """Look at some files alone, and hash them."""
        manifest = self._manifest()
        if manifest is None:
            return
        for file in manifest.files:
            if file.path not in members:
                continue
            folder = self.root / TREE / file.path.rpartition("/")[0]
            try:
                opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError:
                detail = "is missing"
                self._file(file, manifest.filename, "F41", HealClass.PLAIN, detail)
                continue
            try:
                self._look_at_file(
                    file, opened, manifest.filename, whole=True, unflushed=False
                )
            finally:
                os.close(opened)

    def _manifest(self) -> Manifest | None:
        if self.manifest is not None:
            return self.manifest
        try:
            content = (self.root / MANIFEST).read_bytes()
        except OSError as error:
            self._lost(f"its manifest cannot be read: {_reason(error)}")
            return None
        manifest = Manifest.from_bytes(content)
        if manifest is None or manifest.sha256 != self.key:
            self._lost("its manifest is damaged")
            return None
        return manifest

    def _lost(self, detail: str) -> None:
        known = next((one.filename for one in self.users.manifests(self.key)), "")
        users = self.users.hit(self.key)
        self._find("F45", HealClass.PLAIN, detail, users=users, name=known)

    def _is_durable(self, manifest: Manifest) -> bool:
        this_boot = boot_id()
        if this_boot and manifest.boot_id == this_boot:
            return True
        return (self.root / SYNCED).exists()

    def _look_at_files(
        self, manifest: Manifest, *, whole: bool, unflushed: bool
    ) -> None:
        name = manifest.filename
        for other in sorted(set(_names(self.root)) - ENTRY_NAMES):
            self._alien(other, name, other)
        by_folder: dict[str, dict[str, ManifestFile]] = {"": {}}
        for file in manifest.files:
            folder, _, base = file.path.rpartition("/")
            by_folder.setdefault(folder, {})[base] = file
        for folder in tuple(by_folder):
            above = folder
            while above := above.rpartition("/")[0]:
                by_folder.setdefault(above, {})
        for folder in by_folder:
            self._look_in_folder(
                folder, by_folder, name, whole=whole, unflushed=unflushed
            )

    def _look_in_folder(
        self,
        folder: str,
        by_folder: Mapping[str, Mapping[str, ManifestFile]],
        wheel: str,
        *,
        whole: bool,
        unflushed: bool,
    ) -> None:
        """Look at one folder of the tree: what it must have, and what else it has."""
        missing = dict(by_folder[folder])
        path = self.root / TREE / folder
        try:
            opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            opened = -1
        try:
            if opened >= 0:
                with os.scandir(opened) as entries:
                    listed = [(one, one.name) for one in entries]
                for entry, base in listed:
                    file = missing.pop(base, None)
                    if file is None:
                        below = f"{folder}/{base}" if folder else base
                        is_folder = entry.is_dir(follow_symlinks=False)
                        if not (is_folder and below in by_folder):
                            self._alien(f"{TREE}/{below}", wheel, base)
                    else:
                        self._look_at_file(
                            file, opened, wheel, whole=whole, unflushed=unflushed
                        )
        finally:
            if opened >= 0:
                os.close(opened)
        for file in missing.values():
            self.count.checked += 1
            self._file(file, wheel, "F41", HealClass.PLAIN, "is missing")

    def _look_at_file(
        self,
        file: ManifestFile,
        folder: int,
        name: str,
        *,
        whole: bool,
        unflushed: bool,
    ) -> None:
        self.count.checked += 1
        base = file.path.rpartition("/")[2]
        try:
            seen = os.stat(base, dir_fd=folder, follow_symlinks=False)
        except OSError:
            self._file(file, name, "F41", HealClass.PLAIN, "is missing")
            return
        if not stat.S_ISREG(seen.st_mode):
            what = "a folder" if stat.S_ISDIR(seen.st_mode) else "no regular file"
            self._file(file, name, "F04", HealClass.FIX, f"is {what}")
            return
        stamped = (
            seen.st_size == file.size
            and seen.st_mtime_ns == file.mtime_ns
            and stat.S_IMODE(seen.st_mode) == file.mode
        )
        if stamped and not whole:
            return
        self.count.rehashed += 1
        self.count.bytes_hashed += seen.st_size
        stamps = seen.st_mtime_ns == file.mtime_ns
        verdict = judge_content(base, folder, file.size, file.sha256, stamped=stamps)
        if verdict is not None:
            code, heal, detail = verdict
            if unflushed:
                code = "F43"
            inode = (seen.st_dev, seen.st_ino)
            self._file(file, name, code, heal, detail, inode=inode)
        elif not stamped:
            self._seal_broken(file, name, seen)

    def _seal_broken(self, file: ManifestFile, name: str, seen: os.stat_result) -> None:
        found = stat.S_IMODE(seen.st_mode)
        detail = f"has the mode {found:o} in place of {file.mode:o}"
        if touched := found == file.mode:
            # Backup tools move dates: nothing is wrong with the bytes.
            detail = "has another date"
        inode = (seen.st_dev, seen.st_ino)
        plain = HealClass.PLAIN
        self._file(file, name, "F44", plain, detail, inode=inode, drift=touched)

    def _alien(self, path: str, wheel: str, name: str) -> None:
        if name == TEMPORARY:
            if path == name and self._is_written_now(name):
                return
            self._find(
                "F52", HealClass.PLAIN, "was left by a killed run", path, name=wheel
            )
        else:
            self._find(
                "F46", HealClass.FIX, "belongs to no stored wheel", path, name=wheel
            )

    def _is_written_now(self, name: str) -> bool:
        """Return whether a file that is no leftover has got its own name meanwhile."""
        with (
            contextlib.suppress(OSError, Busy),
            lock_folder(self.root, exclusive=False, patience=_MOMENT),
        ):
            return not os.path.lexists(self.root / name)
        return False

    def _file(
        self,
        file: ManifestFile,
        wheel: str,
        code: str,
        heal: HealClass,
        detail: str,
        *,
        inode: tuple[int, int] | None = None,
        drift: bool = False,
    ) -> None:
        users: tuple[Path, ...] = ()
        expected = expected_in_store(self.key, file, project_of(wheel))
        if inode is not None:
            sharing = self.users.sharing(expected, inode)
            users = tuple(dict.fromkeys(place.environment for place in sharing))
        self._find(
            code,
            heal,
            detail,
            f"{TREE}/{file.path}",
            users=users,
            expected=expected,
            name=wheel,
            drift=drift,
        )

    def _find(
        self,
        code: str,
        heal: HealClass,
        detail: str,
        path: str | None = None,
        *,
        name: str = "",
        users: tuple[Path, ...] = (),
        expected: Expected | None = None,
        drift: bool = False,
    ) -> None:
        below = self.root.relative_to(self.layout.root).as_posix()
        self.count.findings.append(
            Finding(
                code=code,
                where=self.layout.root,
                heal=heal,
                detail=detail,
                path=f"{below}/{path}" if path else below,
                distribution=project_of(name) or None,
                users=users,
                expected=expected,
                wheel=self.key,
                drift=drift,
            )
        )


def judge_content(
    name: str, folder: int, size: int, sha256: str, *, stamped: bool
) -> tuple[str, HealClass, str] | None:
    """Return code, class and words for a file whose bytes are wrong, else `None`.

    ``stamped``: its mtime is that of the right content. What only the right bytes can
    tell (a lost end, turned bits) is told by whoever has them.
    """
    try:
        digest = digest_file(name, dir_fd=folder)
        # Memory and cables turn bits too: what is wrong once may be right twice.
        if sha256 in {digest.sha256, digest_file(name, dir_fd=folder).sha256}:
            return None
        nulls = digest.size > 0 and _only_nulls(name, folder)
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EPERM}:
            return "F13", HealClass.REPORT, _reason(error)
        return "F17", HealClass.PLAIN, f"cannot be read: {_reason(error)}"
    return _verdict(digest.size, size, nulls=nulls, stamped=stamped)


def _verdict(
    found: int, size: int, *, nulls: bool, stamped: bool
) -> tuple[str, HealClass, str]:
    if not found:
        return "F05", HealClass.PLAIN, f"is empty, {size:,} bytes belong there"
    if nulls:
        return "F07", HealClass.PLAIN, "has only null bytes"
    if found < size:
        return "F06", HealClass.FIX, f"has {found:,} of {size:,} bytes"
    if stamped and found == size:
        return "F09", HealClass.FIX, "has other bytes behind the right stamp"
    return "F08", HealClass.FIX, "has other bytes"


def _only_nulls(name: str, folder: int) -> bool:
    descriptor = os.open(
        name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder
    )
    try:
        while chunk := os.read(descriptor, CHUNK):
            if chunk != _NULLS[: len(chunk)]:
                return False
    finally:
        os.close(descriptor)
    return True


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
