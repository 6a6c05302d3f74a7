"""What an entry of the store has in its folder."""

from __future__ import annotations

__all__ = [
    "BYTECODE",
    "ENTRY_NAMES",
    "IMPORTED",
    "MANIFEST",
    "REBUILT",
    "SEEN",
    "SYNCED",
    "TREE",
]

BYTECODE = "bytecode"
"""A folder for each tag of interpreters (PEP 3147), each laid out like an entry."""
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
ENTRY_NAMES = frozenset({BYTECODE, IMPORTED, MANIFEST, REBUILT, SEEN, SYNCED, TREE})
"""All that an entry can have."""
