"""Large files that are equal in two wheels: one inode inside the store.

For each content there is a record in ``large/`` that says which entries have it. It is
a hint and no more: what it says is believed of a file that its entry's manifest has,
that was flushed, and whose bytes were hashed under the new name. Whatever is in the
way (a lost entry, a full inode, a lock) costs the sharing and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mvenv.errors import Busy, StoreError
from mvenv.link.files import replace_name
from mvenv.link.tree import TEMPORARY
from mvenv.locking import lock_folder
from mvenv.records import load_json, store_json
from mvenv.store.layout import StoreKey, StoreLayout, entry_key
from mvenv.store.names import MANIFEST, SYNCED, TREE
from mvenv.wheels.manifest import LARGE, Manifest, ManifestFile

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

__all__ = ["LargeFiles", "drop_lost", "unneeded_large"]

_RECORD = ("large", 1)
_MOST = 16
"""Entries that a record names, the newest first: one that can be used is enough."""
_PATIENCE = 10.0
"""Seconds to wait for others who take in large files."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LargeFiles:
    """What of one entry that is about to come the store has already.

    ``run`` names the run that takes it in: what that run took in before is flushed
    together with it, or thrown away together. For one thread.
    """

    def __init__(self, layout: StoreLayout, run: str = "") -> None:
        self._layout = layout
        self._run = run
        self._manifests: dict[StoreKey, Manifest | None] = {}
        self.shared = 0
        """Bytes that need no room of their own."""

    def link(
        self, sha256: str, size: int, mode: int, name: str, folder: int
    ) -> int | None:
        """Give a stored file with these bytes and this mode the new name ``name``.

        In the open ``folder``. Return its stamp; `None` where the store has none that
        can be used: then the name is free.
        """
        for tree, file in self._candidates(sha256, size, mode):
            if _link_proven(f"{tree}/{file.path}", file, name, folder):
                self.shared += size
                return file.mtime_ns
        return None

    @contextlib.contextmanager
    def committing(
        self, tree: Path, manifest: Manifest, *, stamps: bool = False
    ) -> Iterator[Manifest]:
        """Share what others brought meanwhile, for as long as the entry gets its name.

        ``tree`` are its files, which nobody else knows yet. Gives the manifest, with
        the stamps of what is shared now; where it must keep its own ``stamps``, only
        what has the same is shared. When the context ends the entry is on record.
        """
        large = [file for file in manifest.files if file.size >= LARGE]
        with contextlib.ExitStack() as stack:
            # One after the other, or two who bring the same would both find nothing.
            if not large or not self._has_lock(stack):
                yield manifest
                return
            changed = {}
            for file in large:
                same = self._replaced(tree, file, stamps=stamps)
                if same is not None:
                    changed[file.path] = same
            files = tuple(changed.get(file.path, file) for file in manifest.files)
            yield replace(manifest, files=files)
            for sha256 in {file.sha256 for file in large}:
                _put_down(self._layout, sha256, StoreKey(manifest.sha256), self._run)

    def _has_lock(self, stack: contextlib.ExitStack) -> bool:
        folder = self._layout.large_text
        with contextlib.suppress(OSError):
            os.mkdir(folder, 0o755)
        with contextlib.suppress(OSError, Busy):
            lock = lock_folder(folder, exclusive=True, patience=_PATIENCE)
            stack.enter_context(lock)
            return True
        return False

    def _replaced(
        self, tree: Path, file: ManifestFile, *, stamps: bool
    ) -> ManifestFile | None:
        """Put a stored file in place of a new one; `None` where nothing changed."""
        place = tree / file.path
        with contextlib.suppress(OSError):
            if place.lstat().st_nlink > 1:
                return None
            folder = os.open(place.parent, _FOLDER)
            try:
                for other, row in self._candidates(file.sha256, file.size, file.mode):
                    source = f"{other}/{row.path}"
                    if stamps and row.mtime_ns != file.mtime_ns:
                        continue
                    if _link_proven(source, row, TEMPORARY, folder):
                        _take_over(place.name, folder)
                        self.shared += file.size
                        return file._replace(mtime_ns=row.mtime_ns)
            finally:
                os.close(folder)
        return None

    def _candidates(
        self, sha256: str, size: int, mode: int
    ) -> Iterator[tuple[str, ManifestFile]]:
        """Yield trees and files of theirs that should have a content."""
        for key, run in _on_record(self._layout, sha256):
            manifest = self._manifest(key)
            if manifest is None or not self._will_last(key, run):
                continue
            for file in manifest.files:
                if (file.sha256, file.size, file.mode) == (sha256, size, mode):
                    yield f"{self._layout.entry_text(key)}/{TREE}", file

    def _manifest(self, key: StoreKey) -> Manifest | None:
        if key not in self._manifests:
            self._manifests[key] = None
            with contextlib.suppress(OSError):
                content = (self._layout.entry(key) / MANIFEST).read_bytes()
                manifest = Manifest.from_bytes(content)
                if manifest is not None and manifest.sha256 == key:
                    self._manifests[key] = manifest
        return self._manifests[key]

    def _will_last(self, key: StoreKey, run: str) -> bool:
        """Return whether an entry is on the disk, or will be flushed with the new one.

        The flush of another run may fail, and be told to that run alone.
        """
        flushed = os.path.lexists(f"{self._layout.entry_text(key)}/{SYNCED}")
        return flushed or bool(run and run == self._run)


def _link_proven(source: str, file: ManifestFile, name: str, folder: int) -> bool:
    """Give a stored file the new name ``name`` if it is what its manifest says.

    The bytes are hashed under that name: so they are those of the file that has it,
    whatever became of ``source`` meanwhile.
    """
    try:
        if not _is_sealed(os.lstat(source), file):
            return False
        os.link(source, name, dst_dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    right = False
    try:
        with contextlib.suppress(OSError):
            right = _is_right(name, folder, file)
    finally:
        if not right:
            os.unlink(name, dir_fd=folder)
    return right


def _is_right(name: str, folder: int, file: ManifestFile) -> bool:
    import hashlib

    with open(os.open(name, _FILE, dir_fd=folder), "rb", buffering=0) as stream:
        if not _is_sealed(os.fstat(stream.fileno()), file):
            return False
        found = hashlib.file_digest(stream, "sha256").hexdigest()
        # Who wrote while it was read has moved the stamp.
        return found == file.sha256 and _is_sealed(os.fstat(stream.fileno()), file)


def _is_sealed(seen: os.stat_result, file: ManifestFile) -> bool:
    return (
        seen.st_mode == stat.S_IFREG | file.mode
        and seen.st_size == file.size
        and seen.st_mtime_ns == file.mtime_ns
        and seen.st_uid == os.geteuid()
    )


def _take_over(name: str, folder: int) -> None:
    """Rename what was linked over ``name``; where that fails nothing is left of it."""
    try:
        replace_name(TEMPORARY, name, folder)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(TEMPORARY, dir_fd=folder)
        raise


def _on_record(layout: StoreLayout, sha256: str) -> list[tuple[StoreKey, str]]:
    """Return which entries should have a content, and which run brought each."""
    value = load_json(f"{layout.large_text}/{sha256}", *_RECORD)
    found = []
    for row in value if isinstance(value, list) else ():
        match row:
            case [str(key), str(run)]:
                with contextlib.suppress(StoreError):
                    found.append((entry_key(key), run))
    return found


def _put_down(layout: StoreLayout, sha256: str, key: StoreKey, run: str) -> None:
    rows = [
        row
        for row in _on_record(layout, sha256)
        if row[0] != key and os.path.isdir(layout.entry_text(row[0]))
    ]
    # Without a record nothing is lost: the next who brings the content writes one.
    with contextlib.suppress(OSError):
        place = f"{layout.large_text}/{sha256}"
        store_json(place, *_RECORD, [(key, run), *rows[: _MOST - 1]])


def unneeded_large(layout: StoreLayout, gone: Container[StoreKey] = ()) -> list[Path]:
    """Return the records of contents that no entry has, or that are damaged.

    ``gone`` are entries that are about to be taken out.
    """
    return [
        path
        for path in _records(layout)
        if not any(
            key not in gone and os.path.isdir(layout.entry_text(key))
            for key, _ in _on_record(layout, path.name)
        )
    ]


def drop_lost(layout: StoreLayout) -> None:
    """Take out of all records what names entries that are not there any more."""
    for path in _records(layout):
        rows = _on_record(layout, path.name)
        left = [row for row in rows if os.path.isdir(layout.entry_text(row[0]))]
        with contextlib.suppress(OSError):
            if left != rows:
                store_json(path, *_RECORD, left)


def _records(layout: StoreLayout) -> list[Path]:
    try:
        found = sorted(layout.large.iterdir())
    except OSError:
        return []
    return [path for path in found if not path.name.startswith(".")]
