"""Wheel files into the store: unpacked beside the fetching, on all processors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self, TypeAlias

from mvenv.crew import Crew
from mvenv.store.entries import StoredWheel, WheelStore
from mvenv.store.layout import StoreKey, store_key
from mvenv.store.runs import RunFolder
from mvenv.wheels.manifest import Manifest, ManifestFile

__all__ = ["Ingester"]

_WORTH_IT = 4
"""Files: with fewer, making processes takes longer than they save."""
_THREADS = min(4, os.cpu_count() or 1)
"""Without processes: inflating and hashing leave the interpreter's lock."""

_Piece: TypeAlias = tuple[str, str, str, str]
_Stored: TypeAlias = tuple[str, str, str, list[tuple[object, ...]], int]
"""What a new wheel is, made of what passes between processes."""


class Ingester:
    """Takes wheel files into a store. Safe for threads; a context manager.

    To be made before there are threads: in other processes where that can be done
    and ``expected`` files are worth it, else in the thread that asks.
    """

    def __init__(self, store: WheelStore, run: RunFolder, expected: int) -> None:
        self._store = store
        self._run = run
        self._crew = (
            Crew(self._work, store.get_ready) if expected >= _WORTH_IT else None
        )
        self.threads = len(self._crew or ()) or _THREADS
        """How many may ask at once to use all there is."""
        self._broken_off = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._crew is not None:
            self._crew.end()

    def break_off(self) -> None:
        """Let all that is under way end soon, in whatever way."""
        self._broken_off = True
        if self._crew is not None:
            self._crew.break_off()

    def ingest(self, path: Path, sha256: str) -> StoredWheel:
        """Take in a wheel file, whose hash was checked; it is deleted then.

        `MvenvError` where it is refused, or the disk refuses.
        """
        key = store_key(sha256)
        piece = (str(path), key, path.name, str(self._run.new_path()))
        if self._crew is not None:
            stored: _Stored | None = self._crew.ask(piece)
            if stored is not None:
                return self._received(key, stored)
            # What a lost process left is not to be met again.
            piece = (*piece[:3], str(self._run.new_path()))
        if self._broken_off:
            raise InterruptedError
        return self._ingest(piece)

    def _ingest(self, piece: _Piece) -> StoredWheel:
        path, key, filename, root = piece
        archive = Path(path)
        wheel = self._store.ingest(archive, StoreKey(key), filename, Path(root))
        archive.unlink(missing_ok=True)
        return wheel

    def _work(self, piece: _Piece) -> _Stored:
        """Take one in, in another process."""
        wheel = self._ingest(piece)
        manifest = wheel.manifest
        files = list(map(tuple, manifest.files))
        said = manifest.sha256, manifest.filename, manifest.boot_id
        return *said, files, wheel.shared

    def _received(self, key: StoreKey, stored: _Stored) -> StoredWheel:
        sha256, filename, boot_id, files, shared = stored
        return StoredWheel(
            key=key,
            root=self._store.layout.entry(key),
            manifest=Manifest(
                sha256=sha256,
                filename=filename,
                boot_id=boot_id,
                files=tuple(map(ManifestFile._make, files)),
            ),
            shared=shared,
        )
