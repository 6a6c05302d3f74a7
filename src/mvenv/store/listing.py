"""What entries a store has."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mvenv.store.layout import ADOPTED, StoreKey, StoreLayout

__all__ = ["all_keys"]

_SHA256 = re.compile(r"[0-9a-f]{64}")


def all_keys(layout: StoreLayout) -> tuple[StoreKey, ...]:
    """Return the keys of all entries that a store has, whole or damaged, sorted."""
    found = []
    for folder, before in (("wheels", ""), ("adopted", ADOPTED)):
        for prefix in _names(layout.root / folder):
            found += [
                StoreKey(before + name)
                for name in _names(layout.root / folder / prefix)
                if _SHA256.fullmatch(name) and name.startswith(prefix)
            ]
    return tuple(sorted(found))


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
