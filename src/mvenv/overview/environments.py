"""The environments on record: what they are of, and whether they still are."""

from __future__ import annotations

import enum
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvenv.diagnose.roots import RootLook, RootStanding, look_at_root
from mvenv.env.receipt import Receipt
from mvenv.hashes import sha256_file
from mvenv.names import project_of
from mvenv.store.layout import StoreLayout
from mvenv.store.registry import last_seen_ns, roots, unreadable_records

__all__ = ["ListedEnvironment", "LockState", "Overview", "list_environments"]

_NANOSECONDS = 10**9
_METADATA = (".dist-info", ".egg-info")


class LockState(enum.Enum):
    """What became of the lockfile that an environment was made from."""

    SAME = "same"
    CHANGED = "changed"
    GONE = "gone"
    NONE = "none"
    """It was made without one, or nobody knows which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedEnvironment:
    """One environment on record."""

    path: Path
    standing: RootStanding
    version: str | None
    """Of its interpreter; `None` where its receipt cannot be read."""
    distributions: int | None
    """Distributions that mvenv put there."""
    lockfile: Path | None
    lock: LockState
    drift: int | None
    """Distributions that were added, removed or brought to another version since."""
    last_seen_ns: int
    """When mvenv last made or checked it, since the epoch."""

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints for it."""
        return {
            "path": str(self.path),
            "standing": self.standing.value,
            "version": self.version,
            "distributions": self.distributions,
            "lockfile": str(self.lockfile) if self.lockfile is not None else None,
            "lock": self.lock.value,
            "drift": self.drift,
            "last_seen": self.last_seen_ns / _NANOSECONDS,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All environments of a store, sorted by path."""

    store: Path
    environments: tuple[ListedEnvironment, ...]
    damaged: tuple[str, ...]
    """Records that cannot be read."""

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "store": str(self.store),
            "environments": [one.as_json() for one in self.environments],
            "damaged": list(self.damaged),
        }


def list_environments(layout: StoreLayout) -> Overview:
    """Return what is on record in a store; a look, which writes nothing."""
    if not layout.envs.is_dir():
        return Overview(store=layout.root, environments=(), damaged=())
    looks = (look_at_root(layout, root) for root in roots(layout))
    listed = [_list_one(layout, look) for look in looks]
    return Overview(
        store=layout.root,
        environments=tuple(sorted(listed, key=lambda one: str(one.path))),
        damaged=unreadable_records(layout),
    )


def _list_one(layout: StoreLayout, look: RootLook) -> ListedEnvironment:
    receipt = look.receipt
    lockfile = receipt.lockfile if receipt is not None else look.root.lockfile
    try:
        seen = last_seen_ns(layout, look.root.id)
    except OSError:
        seen = 0
    return ListedEnvironment(
        path=Path(look.root.path),
        standing=look.standing,
        version=receipt.interpreter_version if receipt is not None else None,
        distributions=len(receipt.distributions) if receipt is not None else None,
        lockfile=Path(lockfile) if lockfile is not None else None,
        lock=_lock_state(lockfile, receipt),
        drift=_drift(look.place, receipt) if receipt is not None else None,
        last_seen_ns=seen,
    )


def _lock_state(lockfile: str | None, receipt: Receipt | None) -> LockState:
    if lockfile is None:
        return LockState.NONE
    try:
        sha256 = sha256_file(lockfile)
    except OSError:
        return LockState.GONE
    if receipt is None or receipt.lockfile_sha256 is None:
        return LockState.NONE
    return LockState.SAME if sha256 == receipt.lockfile_sha256 else LockState.CHANGED


def _drift(place: Path, receipt: Receipt) -> int:
    """Count distributions whose metadata folders are not those of the receipt."""
    expected = {one.dist_info for one in receipt.distributions}
    sites = {path.rpartition("/")[0] for path in expected}
    version = ".".join(receipt.interpreter_version.split(".")[:2])
    sites.add(f"lib/python{version}/site-packages")
    found = set()
    for site in sites:
        try:
            names = os.listdir(place / site)
        except OSError:
            continue
        found |= {f"{site}/{name}" for name in names if name.endswith(_METADATA)}
    before, now = _by_project(expected), _by_project(found)
    return sum(before[name] != now[name] for name in before.keys() | now.keys())


def _by_project(paths: Iterable[str]) -> defaultdict[str, set[str]]:
    """Return metadata folders by the project they are of ("Recording installs")."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in paths:
        found[project_of(path.rpartition("/")[2])].add(path)
    return found
