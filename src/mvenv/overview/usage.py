"""What environments and their store take on the disk, and what of it is shared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvenv.diagnose.roots import RootStanding, look_at_root
from mvenv.env.state import Standing, observe
from mvenv.errors import EnvironmentFault
from mvenv.link.usage import Usage, measure
from mvenv.store.layout import StoreLayout
from mvenv.store.pruning import survey
from mvenv.store.registry import roots, unreadable_records

__all__ = ["DiskUsage", "EnvironmentUsage", "disk_usage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentUsage:
    """What one environment takes."""

    path: Path
    usage: Usage

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints for it."""
        return {"path": str(self.path), **_usage_value(self.usage)}


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUsage:
    """What environments and their store take."""

    environments: tuple[EnvironmentUsage, ...]
    """Sorted by path."""
    store: Path
    stored: Usage
    """The store alone."""
    unused: int | None
    """Bytes that prune gives back now; `None` where the registry is damaged."""

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "environments": [one.as_json() for one in self.environments],
            "store": {
                "path": str(self.store),
                **_usage_value(self.stored),
                "unused": self.unused,
            },
        }


def _usage_value(usage: Usage) -> dict[str, Any]:
    return {
        "files": usage.files,
        "apparent": usage.apparent,
        "on_disk": usage.on_disk,
        "shared": usage.shared,
        "private": usage.on_disk - usage.shared,
        "reclaimable": usage.own,
        "exact": usage.exact,
    }


def disk_usage(layout: StoreLayout, folders: Iterable[Path] = ()) -> DiskUsage:
    """Measure environments and their store; a look, which writes nothing.

    ``folders`` are the environments; none: all on record that are there.
    `EnvironmentFault` where one is none.
    """
    places = [_place(folder) for folder in folders]
    known = layout.envs.is_dir()
    looks = [look_at_root(layout, one) for one in roots(layout)] if known else []
    if not places:
        present = (one for one in looks if one.standing is RootStanding.PRESENT)
        places = sorted((Path(one.root.path), one.place) for one in present)
    unused = None
    if known and not unreadable_records(layout):
        live = (look for look in looks if look.standing.needs_wheels)
        needed = {key for look in live for key in look.wheels}
        dead = [one.root for one in survey(layout) if one.key not in needed]
        unused = measure(dead).own
    return DiskUsage(
        environments=tuple(
            EnvironmentUsage(path=path, usage=measure([place]))
            for path, place in dict.fromkeys(places)
        ),
        store=layout.root,
        stored=measure([layout.root]),
        unused=unused,
    )


def _place(folder: Path) -> tuple[Path, Path]:
    state = observe(folder)
    if state.standing not in {Standing.ENVIRONMENT, Standing.HALF_BUILT}:
        raise EnvironmentFault(f"`{folder}` is {state.standing.value}")
    return state.path, state.place
