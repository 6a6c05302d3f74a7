"""Look at what was compiled from a stored wheel."""

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterator
from pathlib import Path

from mvenv.diagnose.model import Finding, HealClass, Level
from mvenv.diagnose.reading import has_content
from mvenv.store.durability import boot_id
from mvenv.store.layout import StoreKey, StoreLayout
from mvenv.store.names import BYTECODE, MANIFEST, SYNCED, TREE
from mvenv.wheels.manifest import Manifest, ManifestFile

__all__ = ["examine_stored_bytecode"]


def examine_stored_bytecode(
    layout: StoreLayout,
    key: StoreKey,
    level: Level,
    *,
    tags: Container[str] | None,
    known: Container[str],
) -> Iterator[Finding]:
    """Yield the tags whose bytecode is not as it was compiled; it can be made again.

    Of all, or of ``tags``; ``known`` are those of which each file was found right
    already.
    """
    folder = layout.entry(key) / BYTECODE
    try:
        present = sorted(os.listdir(folder))
    except OSError:
        return
    for tag in present:
        if tag in known or (tags is not None and tag not in tags):
            continue
        code, detail = _what_is_wrong(folder / tag, key, level)
        if code is not None:
            below = folder.relative_to(layout.root).as_posix()
            yield Finding(
                code=code,
                where=layout.root,
                heal=HealClass.PLAIN,
                detail=detail,
                path=f"{below}/{tag}",
                distribution=None,
                wheel=key,
                # Backup tools move dates: nothing is wrong with the bytes.
                drift=code == "F44",
            )


def _what_is_wrong(root: Path, key: StoreKey, level: Level) -> tuple[str | None, str]:
    """Return the code of what is wrong, and words for it."""
    try:
        manifest = Manifest.from_bytes((root / MANIFEST).read_bytes())
    except OSError:
        manifest = None
    if manifest is None or manifest.sha256 != key:
        return "F18", "has no manifest that can be read"
    this_boot = boot_id()
    flushed = (this_boot and manifest.boot_id == this_boot) or (root / SYNCED).exists()
    whole = level is Level.FULL or not flushed
    # As text: these are thousands, and paths as objects take longer than the look.
    tree = f"{root}/{TREE}/"
    unsealed = [
        file
        for file in manifest.files
        if whole or not _is_sealed(tree + file.path, file)
    ]
    wrong = [file.path for file in unsealed if not has_content(tree + file.path, file)]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        return "F18", f"`{wrong[0]}`{more} is not what was compiled"
    if all(_is_sealed(tree + file.path, file) for file in unsealed):
        return None, ""
    return "F44", "has other dates or modes"


def _is_sealed(path: str, file: ManifestFile) -> bool:
    try:
        seen = os.lstat(path)
    except OSError:
        return False
    return (
        seen.st_size == file.size
        and seen.st_mtime_ns == file.mtime_ns
        and seen.st_mode == stat.S_IFREG | file.mode
    )
