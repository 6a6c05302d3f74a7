"""A damaged entry taken out of a store; what may be somebody's work is kept."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from mvenv.store.names import TREE
from mvenv.store.runs import discard

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from pathlib import Path

    from mvenv.store.layout import StoreKey, StoreLayout

__all__ = ["set_aside"]


def set_aside(
    layout: StoreLayout, key: StoreKey, right: Container[str] | None
) -> Path | None:
    """Take an entry out, which is locked; return where its changed files were kept.

    They may be the only copy of somebody's edit, as may what was added. ``right`` are
    the files that are the wheel's; without a manifest (`None`) nothing tells which
    those are, so all are kept.
    """
    final = layout.entry(key)
    kept = layout.rescued / f"{layout.rescued_from(key)}{time.time_ns()}"
    if right is None:
        os.rename(final, kept)
        return kept
    tree = final / TREE
    for path in _files_below(tree):
        if path not in right and (tree / path).lstat().st_size:
            place = kept / path
            place.parent.mkdir(parents=True, exist_ok=True)
            os.rename(tree / path, place)
    discard(layout, final)
    return kept if kept.exists() else None


def _files_below(tree: Path) -> Iterator[str]:
    """Yield what is no folder, also in folders where the wheel has none."""
    for folder, names, files in os.walk(tree):
        links = [name for name in names if os.path.islink(os.path.join(folder, name))]
        for name in (*files, *links):
            yield os.path.relpath(os.path.join(folder, name), tree)
