"""The registry: one small record for each environment made, the roots of prune."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from mvenv.records import load_json, store_json
from mvenv.store.layout import StoreKey, StoreLayout

__all__ = ["Root", "find_root", "new_id", "register", "roots", "unregister"]

_KIND = "environment"
_FORMAT = 1
_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """An environment, as far as the store knows it."""

    id: str
    path: str
    """Absolute, as it was given."""
    wheels: tuple[StoreKey, ...]
    plan: str
    """sha256 of the record that says what every file of it is."""
    lockfile: str | None


def new_id() -> str:
    """Return an identifier for a new environment."""
    return secrets.token_hex(8)


def register(layout: StoreLayout, root: Root) -> None:
    """Put an environment on record, before its first file stands in its place."""
    store_json(layout.envs / root.id, _KIND, _FORMAT, asdict(root))


def unregister(layout: StoreLayout, identifier: str) -> None:
    """Take an environment off the record again.

    What is no identifier is nobody's: it comes from a receipt, which may lie in a
    folder that somebody else filled, and must not name a file elsewhere.
    """
    if _ID.fullmatch(identifier):
        (layout.envs / identifier).unlink(missing_ok=True)


def roots(layout: StoreLayout) -> tuple[Root, ...]:
    """Return all environments on record that can be read, sorted by identifier."""
    found = []
    for name in sorted(os.listdir(layout.envs)):
        # Being written, or left by a writer that was killed.
        if name.startswith("."):
            continue
        root = _load(layout, name)
        if root is not None:
            found.append(root)
    return tuple(found)


def find_root(layout: StoreLayout, identifier: str) -> Root | None:
    """Return the entry of an environment, or `None` where none can be read."""
    return _load(layout, identifier) if _ID.fullmatch(identifier) else None


def _load(layout: StoreLayout, name: str) -> Root | None:
    value = load_json(Path(layout.envs, name), _KIND, _FORMAT)
    # What cannot be read, or is of another version.
    with contextlib.suppress(KeyError, TypeError):
        return Root(
            id=value["id"],
            path=value["path"],
            wheels=tuple(StoreKey(key) for key in value["wheels"]),
            plan=value["plan"],
            lockfile=value["lockfile"],
        )
    return None
