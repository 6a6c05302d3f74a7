"""Whether a store is still what it was."""

from __future__ import annotations

from pathlib import Path

from mvenv.store.entries import WheelStore
from mvenv.store.layout import StoreKey, StoreLayout

__all__ = ["damage", "stored_keys"]


def stored_keys(store: Path) -> list[StoreKey]:
    """Return the keys of all wheels in a store."""
    return sorted(StoreKey(one.name) for one in store.glob("wheels/*/*"))


def damage(store: Path) -> list[str]:
    """Hash every stored file; return those whose bytes, mode or stamp are off."""
    wheels = WheelStore(StoreLayout(store))
    problems = []
    for key in stored_keys(store):
        wheel = wheels.find(key)
        if wheel is None:
            problems.append(f"{key} cannot be read")
            continue
        name = wheel.manifest.filename
        problems += [f"{name}: {fault.file.path}" for fault in wheels.verify(wheel)]
    return problems
