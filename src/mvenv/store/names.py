"""What an entry of the store has in its folder."""

from __future__ import annotations

__all__ = [
    "ENTRY_NAMES",
    "IMPORTED",
    "MANIFEST",
    "REBUILT",
    "SEEN",
    "SYNCED",
    "TREE",
]

IMPORTED = "imported"
"""There where an entry came in an archive: that its files are those of its manifest
is proven, and not that the manifest is the wheel's."""
MANIFEST = "MANIFEST"
REBUILT = "rebuilt"
"""There where an entry was made from environments; says from which."""
SEEN = "seen"
"""A memory for quick looks: see `mvenv.store.seen`."""
SYNCED = "synced"
TREE = "tree"
ENTRY_NAMES = frozenset({IMPORTED, MANIFEST, REBUILT, SEEN, SYNCED, TREE, "bytecode"})
"""All that an entry can have."""
