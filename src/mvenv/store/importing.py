"""Archives of entries, read: every file is proven before the store has any of it."""

from __future__ import annotations

import io
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Self

from mvenv.errors import InvalidWheel, StoreError
from mvenv.hashes import CHUNK, Digest, DigestingReader
from mvenv.store.adopted import adopted_key
from mvenv.store.durability import boot_id, flush_file_system
from mvenv.store.entries import StoredWheel, WheelStore
from mvenv.store.exporting import (
    ARCHIVE_FORMAT,
    HEAD,
    REBUILT_MARK,
    Counter,
    place_in_archive,
)
from mvenv.store.layout import StoreKey, entry_key, is_adopted
from mvenv.store.names import IMPORTED, MANIFEST, REBUILT, TREE
from mvenv.store.runs import RunFolder
from mvenv.store.tarstream import TarReader
from mvenv.wheels.manifest import Manifest, ManifestFile
from mvenv.wheels.names import check_names

__all__ = ["Staged", "admit_all", "read_entries"]

_MAX_HEAD = 1 << 24
_MAX_MANIFEST = 1 << 26
"""Bytes: some 300,000 files, five times the largest wheel in use."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_XXH3 = re.compile(r"[0-9a-f]{32}")
_FILENAME = re.compile(r"[^/\\\x00-\x1f\x7f]{1,255}")
_MODES = frozenset({0o444, 0o555, 0o644, 0o755})
_MAX_STAMP = 1 << 62
_FOLDER_MODE = 0o755


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """All entries of an archive, verified, in a scratch folder."""

    new: tuple[StoredWheel, ...]
    present: tuple[StoreKey, ...]
    """What the store has already."""
    sha256: str
    """Of the whole archive."""


def read_entries(
    store: WheelStore,
    stream: IO[bytes],
    run: RunFolder,
    done: Counter = lambda _: None,
) -> Staged:
    """Read an archive to its end, and unpack what the store lacks into ``run``.

    Each file is hashed while it is written; nothing is in the store after it.
    `StoreError` or `InvalidWheel` where the archive is refused.
    """
    reader = TarReader(stream)
    work = _Reading(store, reader, run)
    new, present = [], []
    for key, rebuilt in work.contents():
        staged = work.entry(key)
        if staged is None:
            present.append(key)
        else:
            new.append(staged)
            if rebuilt:
                _write_new(staged.root / REBUILT, b"before it was exported\n")
        done(1)
    if (more := reader.next()) is not None:
        raise _refusal(f"it has `{more.name}`, which belongs to no entry")
    sha256 = reader.close()
    return Staged(new=tuple(new), present=tuple(present), sha256=sha256)


def admit_all(store: WheelStore, staged: Staged) -> tuple[StoredWheel, ...]:
    """Flush staged entries to the disk, then give each its name; return the new ones.

    `SystemFault` where the disk reports an error: nothing of them is taken in then.
    """
    mark = f"from an archive with the sha256 {staged.sha256}\n".encode()
    for wheel in staged.new:
        _write_new(wheel.root / IMPORTED, mark)
    if staged.new:
        flush_file_system(store.layout.root)
    for wheel in staged.new:
        store.mark_synced(wheel)
    return tuple(wheel for wheel in staged.new if store.admit(wheel))


@dataclass(slots=True)
class _Reading:
    """One archive that is read."""

    store: WheelStore
    reader: TarReader
    run: RunFolder

    def contents(self) -> list[tuple[StoreKey, bool]]:
        """Return what the archive says that it has, and what of it is rebuilt."""
        first, *lines = self._whole(HEAD, _MAX_HEAD).split(b"\n")
        if first != ARCHIVE_FORMAT:
            raise _refusal(
                f"it says `{_shown(first.decode('ascii', 'replace'))}`, and this"
                f" version reads `{ARCHIVE_FORMAT.decode()}`"
            )
        if not lines or lines.pop():
            raise _refusal("its list of entries is cut off")
        words = [line.removesuffix(REBUILT_MARK).decode("latin-1") for line in lines]
        try:
            keys = [entry_key(word) for word in words]
        except StoreError as error:
            raise _refusal("its list of entries has what is no key") from error
        if keys != sorted(frozenset(keys)):
            raise _refusal("its list of entries is not sorted")
        rebuilt = [line.endswith(REBUILT_MARK) for line in lines]
        return list(zip(keys, rebuilt, strict=True))

    def entry(self, key: StoreKey) -> StoredWheel | None:
        """Unpack the next entry; `None` where the store has it: that is skipped."""
        place = place_in_archive(self.store.layout, key)
        content = self._whole(f"{place}/{MANIFEST}", _MAX_MANIFEST)
        manifest = _checked(Manifest.from_bytes(content), key)
        if self.store.find(key) is not None:
            for file in manifest.files:
                self._expect(f"{place}/{TREE}/{file.path}", file.size)
            return None
        root = self.run.new_path()
        with _TreeWriter(root, seal=self.store.seal) as writer:
            files = []
            for file in manifest.files:
                self._expect(f"{place}/{TREE}/{file.path}", file.size)
                files.append(writer.write(file, self.reader))
        manifest = replace(manifest, boot_id=boot_id(), files=tuple(files))
        _write_new(root / MANIFEST, manifest.to_bytes())
        return StoredWheel(key=key, root=root, manifest=manifest)

    def _whole(self, name: str, limit: int) -> bytes:
        """Return the content of the next member, which has to be ``name``."""
        size = self._expect(name)
        if size > limit:
            raise _refusal(f"its member `{name}` is longer than {limit} bytes")
        return b"".join(iter(self.reader.read, b""))

    def _expect(self, name: str, size: int | None = None) -> int:
        """Go to the next member, and return its size."""
        member = self.reader.next()
        if member is None:
            raise _refusal(f"it ends where `{_shown(name)}` belongs")
        if member.name != name:
            raise _refusal(f"it has `{_shown(member.name)}` where `{_shown(name)}` is")
        if size is not None and member.size != size:
            raise _refusal(f"`{_shown(name)}` is not as long as its manifest says")
        return member.size


def _checked(manifest: Manifest | None, key: StoreKey) -> Manifest:
    """Return a manifest that came from elsewhere, when nothing in it is odd."""
    if manifest is None:
        raise _refusal(f"the manifest of `{key}` is damaged")
    if manifest.sha256 != key:
        raise _refusal(f"the manifest of `{key}` is that of another entry")
    if not _FILENAME.fullmatch(manifest.filename):
        raise _refusal(f"the manifest of `{key}` names no wheel")
    paths = [file.path for file in manifest.files]
    try:
        check_names(paths, paths)
    except InvalidWheel as error:
        raise InvalidWheel(
            f"the archive is refused: in `{_shown(manifest.filename)}`,"
            f" {error.message}",
            member=error.member,
        ) from error
    if paths != sorted(paths):
        raise _refusal(f"the manifest of `{key}` is not sorted")
    for file in manifest.files:
        if (
            not _SHA256.fullmatch(file.sha256)
            or not _XXH3.fullmatch(file.xxh3)
            or file.mode not in _MODES
            or file.size < 0
            or abs(file.mtime_ns) > _MAX_STAMP
        ):
            raise _refusal(f"the manifest of `{key}` says odd things of a file")
    if is_adopted(key) and adopted_key(manifest.files) != key:
        raise _refusal(f"`{key}` is not the key of its files")
    return manifest


class _TreeWriter:
    """Writes the files of one entry below a new folder that nobody else knows of."""

    def __init__(self, root: Path, *, seal: bool) -> None:
        self._tree = os.fspath(root / TREE)
        self._modes = (0o444, 0o555) if seal else (0o644, 0o755)
        self._folder_name = ""
        self._made: set[str] = set()
        root.mkdir(mode=_FOLDER_MODE)
        root.chmod(_FOLDER_MODE)
        self._folder = self._open_folder("")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._folder)

    def write(self, file: ManifestFile, reader: TarReader) -> ManifestFile:
        """Write a file, and return it as it was kept; `StoreError` if it is another."""
        parent, _, name = file.path.rpartition("/")
        if parent != self._folder_name:
            opened = self._open_folder(parent)
            os.close(self._folder)
            self._folder, self._folder_name = opened, parent
        mode = self._modes[bool(file.mode & 0o100)]
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=self._folder)
        with open(descriptor, "wb", buffering=0) as stream:
            source = DigestingReader(reader)
            while piece := source.read(CHUNK):
                _write_all(stream, piece)
            wanted = Digest(sha256=file.sha256, xxh3=file.xxh3, size=file.size)
            if source.digest() != wanted:
                raise _refusal(f"`{_shown(file.path)}` is not what its manifest says")
            os.fchmod(descriptor, mode)
            os.utime(descriptor, ns=(file.mtime_ns, file.mtime_ns))
            # The stamp as kept: not every file system has nanoseconds.
            kept = os.fstat(descriptor).st_mtime_ns
        return file._replace(mode=mode, mtime_ns=kept)

    def _open_folder(self, path: str) -> int:
        self._make_folder(path)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(f"{self._tree}/{path}", flags)

    def _make_folder(self, path: str) -> None:
        if path in self._made:
            return
        if path:
            self._make_folder(path.rpartition("/")[0])
        os.mkdir(f"{self._tree}/{path}", _FOLDER_MODE)
        # Whatever the umask takes away.
        os.chmod(f"{self._tree}/{path}", _FOLDER_MODE)
        self._made.add(path)


def _write_all(stream: io.FileIO, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[stream.write(view) :]


def _write_new(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(path, flags, 0o444), "wb") as stream:
        stream.write(content)


def _shown(text: str) -> str:
    return repr(text)[1:-1][:200]


def _refusal(reason: str) -> StoreError:
    return StoreError(f"the archive is refused: {reason}")
