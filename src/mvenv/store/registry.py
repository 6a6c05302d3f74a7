"""The registry: one small record for each environment made, the roots of prune."""

from __future__ import annotations

import contextlib
import os

from mvenv.records import load_json, store_json
from mvenv.store.durability import now_ns
from mvenv.store.layout import StoreKey, StoreLayout
from mvenv.values import asdict, dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Root",
    "absent_for_ns",
    "find_root",
    "last_seen_ns",
    "mark_absent",
    "mark_seen",
    "new_id",
    "register",
    "roots",
    "unreadable_records",
    "unregister",
]

_KIND = "environment"
_FORMAT = 1
_ID_LENGTH = 16
_HEXADECIMAL = "0123456789abcdef"
_ABSENT = ".absent"
"""Ending of the mark beside a record: its mtime is when the environment was first
noticed to be gone."""


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


def _is_id(text: str) -> bool:
    return len(text) == _ID_LENGTH and not text.strip(_HEXADECIMAL)


def new_id() -> str:
    """Return an identifier for a new environment."""
    return os.urandom(8).hex()


def register(layout: StoreLayout, root: Root) -> None:
    """Put an environment on record, before its first file stands in its place."""
    store_json(f"{layout.root_text}/envs/{root.id}", _KIND, _FORMAT, asdict(root))


def unregister(layout: StoreLayout, identifier: str) -> None:
    """Take an environment off the record again.

    What is no identifier is nobody's: it comes from a receipt, which may lie in a
    folder that somebody else filled, and must not name a file elsewhere.
    """
    if _is_id(identifier):
        (layout.envs / identifier).unlink(missing_ok=True)
        (layout.envs / f"{identifier}{_ABSENT}").unlink(missing_ok=True)


def roots(layout: StoreLayout) -> tuple[Root, ...]:
    """Return all environments on record that can be read, sorted by identifier."""
    return tuple(root for _, root in _records(layout) if root is not None)


def unreadable_records(layout: StoreLayout) -> tuple[str, ...]:
    """Return the names of records that are damaged, or of another version, sorted.

    Nobody knows which wheels their environments have.
    """
    return tuple(name for name, root in _records(layout) if root is None)


def _records(layout: StoreLayout) -> Iterator[tuple[str, Root | None]]:
    for name in sorted(os.listdir(layout.envs)):
        # Being written, or left by a writer that was killed.
        if name.startswith(".") or name.endswith(_ABSENT):
            continue
        root = _load(layout, name)
        # Else it was taken off the record since the folder was listed.
        if root is not None or os.path.lexists(layout.envs / name):
            yield name, root


def find_root(layout: StoreLayout, identifier: str) -> Root | None:
    """Return the entry of an environment, or `None` where none can be read."""
    return _load(layout, identifier) if _is_id(identifier) else None


def _load(layout: StoreLayout, name: str) -> Root | None:
    value = load_json(layout.envs / name, _KIND, _FORMAT)
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


def mark_seen(layout: StoreLayout, identifier: str) -> None:
    """Put down that an environment is there now; `OSError` where that fails."""
    if _is_id(identifier):
        with contextlib.suppress(FileNotFoundError):
            os.utime(layout.envs / identifier)
        (layout.envs / f"{identifier}{_ABSENT}").unlink(missing_ok=True)


def mark_absent(layout: StoreLayout, identifier: str) -> None:
    """Put down that an environment is gone, unless that is noticed already."""
    if _is_id(identifier):
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        mark = layout.envs / f"{identifier}{_ABSENT}"
        os.close(os.open(mark, flags, 0o644))


def absent_for_ns(layout: StoreLayout, identifier: str) -> int | None:
    """Return since when an environment is noticed to be gone, in nanoseconds.

    `None` where nobody noticed. By the clock of the file system, which differs from
    this machine's on a network.
    """
    try:
        noticed = (layout.envs / f"{identifier}{_ABSENT}").stat().st_mtime_ns
    except FileNotFoundError:
        return None
    return max(0, now_ns(layout.envs) - noticed)


def last_seen_ns(layout: StoreLayout, identifier: str) -> int:
    """Return when an environment was last put on record or seen, since the epoch."""
    return (layout.envs / identifier).stat().st_mtime_ns
