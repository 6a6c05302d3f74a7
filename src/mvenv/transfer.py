"""``mvenv store export`` and ``import``: entries go to another machine as one file.

An archive proves that each file is what its manifest says. That a manifest is the
wheel's is known only where the archive comes from whom one trusts, or has the sha256
that one knows.
"""

from __future__ import annotations

import hmac
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mvenv.env.receipt import read_receipt
from mvenv.errors import (
    EnvironmentFault,
    HashMismatch,
    MvenvError,
    SeveralErrors,
    SystemFault,
    UsageError,
)
from mvenv.hashes import sha256_file
from mvenv.progress import Reporter, Unit
from mvenv.scratch import ScratchFolder, sweep_scratch
from mvenv.store.entries import StoredWheel, WheelStore
from mvenv.store.exporting import Written, write_entries
from mvenv.store.importing import Staged, admit_all, read_entries
from mvenv.store.layout import StoreKey, StoreLayout, entry_key, open_layout
from mvenv.store.listing import all_keys
from mvenv.store.locking import using
from mvenv.store.runs import RunFolder

__all__ = [
    "ExportRequest",
    "Exported",
    "ImportRequest",
    "Imported",
    "export_entries",
    "import_entries",
]

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What to export, and to where."""

    store: Path
    environments: tuple[Path, ...]
    """Only what they use; empty: everything."""
    target: Path | IO[bytes]
    """A file, replaced when all is well; or a stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """An archive that was written."""

    path: Path | None
    """`None`: to a stream."""
    store: Path
    wheels: tuple[str, ...]
    files: int
    bytes: int
    """Of the files in it."""
    sha256: str
    """Of the archive."""
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "path": str(self.path) if self.path is not None else None,
            "store": str(self.store),
            "wheels": list(self.wheels),
            "files": self.files,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """What to import, into which store."""

    store: Path
    seal: bool
    source: Path | IO[bytes]
    sha256: str | None
    """What the archive has to have; `None`: whatever it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """An archive that was read."""

    store: Path
    added: tuple[str, ...]
    """File names of wheels that are new in the store."""
    present: int
    """Wheels that the store had already."""
    bytes: int
    """That the store took in."""
    sha256: str
    """Of the archive."""
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "store": str(self.store),
            "added": list(self.added),
            "present": self.present,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "seconds": round(self.seconds, 3),
        }


def export_entries(request: ExportRequest, reporter: Reporter) -> Exported:
    """Write entries of the store as one archive, the same bytes each time.

    `MvenvError` where one is damaged, or an environment's is not there; a file that
    was at the target is untouched then.
    """
    started = time.monotonic()
    layout = open_layout(request.store)
    store = WheelStore(layout)
    with using(layout):
        chosen = request.environments
        keys = _keys_of(chosen) if chosen else all_keys(layout)
        path = None
        if isinstance(request.target, Path):
            path = request.target.absolute()
            written = _write_file(store, keys, path, reporter)
        else:
            written = _write(store, keys, request.target, reporter)
    return Exported(
        path=path,
        store=layout.root,
        wheels=tuple(keys),
        files=written.files,
        bytes=written.bytes,
        sha256=written.sha256,
        seconds=time.monotonic() - started,
    )


def _keys_of(environments: Iterable[Path]) -> tuple[StoreKey, ...]:
    """Return what environments use of the store."""
    keys: set[StoreKey] = set()
    errors: list[MvenvError] = []
    for folder in environments:
        receipt = read_receipt(folder)
        if receipt is None:
            errors.append(
                EnvironmentFault(
                    f"`{folder}` is no environment of mvenv, or its receipt is lost",
                    hint=f"`mvenv doctor {folder}` says which",
                )
            )
            continue
        keys |= {
            entry_key(one.wheel)
            for one in receipt.distributions
            if one.wheel is not None and one.shared
        }
    if errors:
        raise SeveralErrors.unless_one(errors)
    return tuple(sorted(keys))


def _write_file(
    store: WheelStore, keys: Iterable[StoreKey], path: Path, reporter: Reporter
) -> Written:
    """Write beside the name, and rename: a reader sees a whole archive or none."""
    prefix = f".{path.name[:64]}.mvenv-"
    try:
        sweep_scratch(path.parent, prefix)
        with ScratchFolder(path.parent, prefix) as scratch:
            new = scratch.new_path()
            with new.open("wb") as stream:
                written = _write(store, keys, stream, reporter)
                os.fsync(stream.fileno())
            os.replace(new, path)
    except OSError as error:
        raise SystemFault.from_os_error(error, "cannot write the archive") from error
    return written


def _write(
    store: WheelStore,
    keys: Iterable[StoreKey],
    stream: IO[bytes],
    reporter: Reporter,
) -> Written:
    keys = tuple(keys)
    with reporter.task(f"exporting {_count(keys)}", len(keys), Unit.FILES) as task:
        return write_entries(store, keys, stream, task.advance)


def import_entries(request: ImportRequest, reporter: Reporter) -> Imported:
    """Take in what an archive has, when all of it is proven; `MvenvError` else.

    Nothing is in the store then that was not there before.
    """
    started = time.monotonic()
    expected = _expected(request.sha256)
    layout = open_layout(request.store)
    store = WheelStore(layout, seal=request.seal)
    try:
        with using(layout), RunFolder(layout) as run:
            staged = _read(request, expected, store, run, reporter)
            if expected is not None:
                _check(expected, staged.sha256)
            new = admit_all(store, staged)
    except OSError as error:
        raise SystemFault.from_os_error(error, "cannot import the archive") from error
    return Imported(
        store=layout.root,
        added=tuple(wheel.manifest.filename for wheel in new),
        present=len(staged.present) + len(staged.new) - len(new),
        bytes=_size(new),
        sha256=staged.sha256,
        seconds=time.monotonic() - started,
    )


def _expected(text: str | None) -> str | None:
    sha256 = text.strip().lower().removeprefix("sha256:") if text is not None else None
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise UsageError(f"`{text}` is not a sha256")
    return sha256


def _check(expected: str, actual: str) -> None:
    if not hmac.compare_digest(expected, actual):
        raise HashMismatch(
            "the archive is not the one that was asked for",
            expected=(expected,),
            actual=actual,
            hint="download it again, or ask where it came from",
        )


def _read(
    request: ImportRequest,
    expected: str | None,
    store: WheelStore,
    run: RunFolder,
    reporter: Reporter,
) -> Staged:
    if not isinstance(request.source, Path):
        return _unpack(store, request.source, run, reporter)
    if expected is not None:
        # Before anything in it is looked at; and once more of what is read then.
        _check(expected, sha256_file(request.source))
    with request.source.open("rb", buffering=0) as stream:
        _check_room(store.layout, os.fstat(stream.fileno()).st_size)
        return _unpack(store, stream, run, reporter)


def _unpack(
    store: WheelStore, stream: IO[bytes], run: RunFolder, reporter: Reporter
) -> Staged:
    with reporter.task("importing", None, Unit.FILES) as task:
        return read_entries(store, stream, run, task.advance)


def _check_room(layout: StoreLayout, size: int) -> None:
    seen = os.statvfs(layout.root)
    if size > seen.f_bavail * seen.f_frsize:
        raise SystemFault(
            "there is not enough room for the archive in the store",
            hint="`mvenv store prune` may give some back",
        )


def _size(wheels: Iterable[StoredWheel]) -> int:
    return sum(file.size for wheel in wheels for file in wheel.manifest.files)


def _count(keys: tuple[StoreKey, ...]) -> str:
    return f"{len(keys):,} wheel{'' if len(keys) == 1 else 's'}"
