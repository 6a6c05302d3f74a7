"""The registry: one small record for each environment made, the roots of prune."""

from __future__ import annotations

import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from mvenv.records import load_json, store_json
from mvenv.store.layout import StoreKey, StoreLayout

__all__ = ["Root", "new_id", "register", "roots", "unregister"]

_KIND = "environment"
_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """An environment, as far as the store knows it."""

    id: str
    path: str
    """Absolute, as it was given."""
    wheels: tuple[StoreKey, ...]


def new_id() -> str:
    """Return an identifier for a new environment."""
    return secrets.token_hex(8)


def register(layout: StoreLayout, root: Root) -> None:
    """Put an environment on record, before its first file stands in its place."""
    store_json(layout.envs / root.id, _KIND, _FORMAT, asdict(root))


def unregister(layout: StoreLayout, identifier: str) -> None:
    """Take an environment off the record again."""
    (layout.envs / identifier).unlink(missing_ok=True)


def roots(layout: StoreLayout) -> tuple[Root, ...]:
    """Return all environments on record that can be read, sorted by identifier."""
    found = []
    for name in sorted(os.listdir(layout.envs)):
        # Being written, or left by a writer that was killed.
        if name.startswith("."):
            continue
        value = load_json(Path(layout.envs, name), _KIND, _FORMAT)
        if value is not None:
            found.append(
                Root(
                    id=value["id"],
                    path=value["path"],
                    wheels=tuple(StoreKey(key) for key in value["wheels"]),
                )
            )
    return tuple(found)
