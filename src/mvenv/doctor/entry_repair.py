"""Whole entries of the store: made again from environments, else from the wheel."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from mvenv.apply.rebuild import Rebuilt, rebuild_wheel
from mvenv.doctor.means import Means
from mvenv.errors import StoreError
from mvenv.records import replace_bytes
from mvenv.store.entries import StoredWheel
from mvenv.store.large import LargeFiles
from mvenv.store.layout import StoreKey
from mvenv.store.names import MANIFEST, SYNCED, TREE
from mvenv.wheels.manifest import Manifest, ManifestFile

__all__ = ["rebuild_entry", "restore_manifest"]


def rebuild_entry(key: StoreKey, means: Means) -> str:
    """Take a lost wheel in again; `MvenvError` where there is nothing to do it from."""
    if (words := _from_environments(key, means)) is not None:
        return words
    staged = _fetched(key, means)
    manifest = _as_planned(key, staged.manifest, means)
    for file in manifest.files:
        os.utime(staged.tree / file.path, ns=(file.mtime_ns, file.mtime_ns))
    replace_bytes(staged.root / MANIFEST, manifest.to_bytes(), mode=0o444)
    final = means.layout.entry(key)
    with means.store.locked(key):
        final.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        large = LargeFiles(means.layout)
        with large.committing(staged.tree, manifest, stamps=True):
            os.rename(staged.root, final)
    wheel = StoredWheel(key=key, root=final, manifest=manifest)
    means.rebuilt.append(Rebuilt(key=key, wheel=wheel))
    return "taken in again from the wheel, which was fetched"


def restore_manifest(key: StoreKey, means: Means) -> str:
    """Write a manifest again that was lost; the present files prove nothing of it.

    Until they are looked at, the entry is one that was never flushed: whoever wants to
    use it hashes it whole first.
    """
    if (words := _from_environments(key, means)) is not None:
        return words
    staged = _fetched(key, means)
    manifest = replace(_as_planned(key, staged.manifest, means), boot_id="")
    root = means.layout.entry(key)
    with means.store.locked(key):
        (root / TREE).mkdir(mode=0o755, exist_ok=True)
        (root / SYNCED).unlink(missing_ok=True)
        replace_bytes(root / MANIFEST, manifest.to_bytes(), mode=0o444)
    return "its manifest was written again from the wheel, which was fetched"


def _from_environments(key: StoreKey, means: Means) -> str | None:
    if means.run is None:
        return None
    rebuilt = rebuild_wheel(
        key, means.donors, store=means.store, run=means.run, flush=False
    )
    if rebuilt.wheel is None:
        return None
    means.rebuilt.append(rebuilt)
    number = len(rebuilt.donors)
    if not number:
        return "its manifest was written again; nothing was fetched"
    noun = "environment" if number == 1 else "environments"
    return f"made again from {number} {noun}; nothing was fetched"


def _fetched(key: StoreKey, means: Means) -> StoredWheel:
    means.sources.fetch([key])
    staged = means.sources.staged(key)
    if staged is None:
        raise StoreError(means.why_none(key))
    return staged


def _as_planned(key: StoreKey, fetched: Manifest, means: Means) -> Manifest:
    """Return the manifest with the stamps that environments have already."""
    known = means.donors.wheel(key)
    planned: Mapping[str, ManifestFile] = (
        {file.path: file for file in known.files} if known is not None else {}
    )
    files = []
    for file in fetched.files:
        other = planned.get(file.path)
        same = other is not None and other.sha256 == file.sha256
        files.append(other if other is not None and same else file)
    return replace(fetched, files=tuple(files))
