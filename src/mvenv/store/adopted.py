"""Keys of what was learned from environments: they are made from the files alone."""

from __future__ import annotations

from collections.abc import Iterable

from mvenv.hashes import digest_bytes
from mvenv.store.layout import ADOPTED, StoreKey
from mvenv.wheels.manifest import ManifestFile

__all__ = ["adopted_key"]


def adopted_key(files: Iterable[ManifestFile]) -> StoreKey:
    """Return the key of an entry with exactly these files, sorted by path."""
    text = "".join(
        f"{file.sha256} {file.size} {int(bool(file.mode & 0o100))} {file.path}\n"
        for file in files
    )
    digest = digest_bytes(text.encode("utf-8", "surrogateescape"))
    return StoreKey(f"{ADOPTED}{digest.sha256}")
