"""Entries of a store as one archive: written, and taken in after every file is proven.

An archive is a plain tar stream, the same bytes for the same entries::

    mvenv-export                        "mvenv export 1", and the keys, a line each,
                                        "rebuilt" behind those made from environments
    wheels/<2 hex>/<sha256>/MANIFEST    without the machine's run
    wheels/<2 hex>/<sha256>/tree/…      its files, in the order of the manifest

So what has to come next is always known, and whatever else comes is refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import IO

from mvenv.errors import DamagedEntry, MvenvError, SeveralErrors
from mvenv.hashes import CHUNK, DigestingReader
from mvenv.store.entries import StoredWheel, WheelStore
from mvenv.store.layout import StoreKey, StoreLayout
from mvenv.store.names import MANIFEST, REBUILT, TREE
from mvenv.store.tarstream import TarWriter

__all__ = ["Counter", "Written", "place_in_archive", "write_entries"]

HEAD = "mvenv-export"
ARCHIVE_FORMAT = b"mvenv export 1"
REBUILT_MARK = b" rebuilt"
_NANOSECONDS = 10**9

Counter = Callable[[int], None]
"""Is told of each entry that is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """An archive that was written."""

    sha256: str
    files: int
    bytes: int
    """Of the files in it."""


def write_entries(
    store: WheelStore,
    keys: Iterable[StoreKey],
    stream: IO[bytes],
    done: Counter = lambda _: None,
) -> Written:
    """Write entries as an archive, every file hashed on its way.

    `DamagedEntry` where one is not whole, several together where that is seen before
    anything is written; what was written then is of no use. ``done`` is told of each
    entry.
    """
    chosen = sorted(frozenset(keys))
    _check_present(store, chosen)
    writer = TarWriter(stream)
    lines = [_line(store.layout, key) for key in chosen]
    writer.add(HEAD, b"\n".join([ARCHIVE_FORMAT, *lines, b""]))
    files = size = 0
    for key in chosen:
        wheel = store.find(key)
        if wheel is None:
            raise _damaged(key)
        _write_entry(writer, store.layout, wheel)
        files += len(wheel.manifest.files)
        size += sum(file.size for file in wheel.manifest.files)
        done(1)
    return Written(sha256=writer.close(), files=files, bytes=size)


def _line(layout: StoreLayout, key: StoreKey) -> bytes:
    rebuilt = (layout.entry(key) / REBUILT).exists()
    return key.encode() + (REBUILT_MARK if rebuilt else b"")


def _check_present(store: WheelStore, keys: Sequence[StoreKey]) -> None:
    errors: list[MvenvError] = [
        _damaged(key) for key in keys if store.find_manifest(key) is None
    ]
    if errors:
        raise SeveralErrors.unless_one(errors)


def _damaged(key: StoreKey) -> DamagedEntry:
    return DamagedEntry(
        f"the wheel `{key}` is not in the store, or damaged",
        hint="`mvenv doctor --whole-store` heals what is damaged",
    )


def _write_entry(writer: TarWriter, layout: StoreLayout, wheel: StoredWheel) -> None:
    place = place_in_archive(layout, wheel.key)
    manifest = replace(wheel.manifest, boot_id="")
    writer.add(f"{place}/{MANIFEST}", manifest.to_bytes())
    for file in manifest.files:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(wheel.tree / file.path, flags)
        except OSError as error:
            raise _damaged(wheel.key) from error
        with open(descriptor, "rb", buffering=0) as stream:
            writer.begin(
                f"{place}/{TREE}/{file.path}",
                file.size,
                mode=file.mode,
                mtime=max(0, file.mtime_ns // _NANOSECONDS),
            )
            reader = DigestingReader(stream)
            left = file.size
            while left and (piece := reader.read(min(left, CHUNK))):
                writer.write(piece)
                left -= len(piece)
            if left or reader.digest().sha256 != file.sha256:
                raise _damaged(wheel.key)
            writer.end()


def place_in_archive(layout: StoreLayout, key: StoreKey) -> str:
    """Return the folder of an entry in an archive: as below the store."""
    return layout.entry(key).relative_to(layout.root).as_posix()
