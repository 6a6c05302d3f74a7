"""Which folder an environment is, and what the store has on record of it."""

from __future__ import annotations

from pathlib import Path

from mvenv.env.receipt import Receipt
from mvenv.plan.model import Plan
from mvenv.store.registry import Root

__all__ = ["REWRITTEN", "identity_of", "registration"]

REWRITTEN = frozenset({"F30", "F31", "F33"})
"""Their heals write again what names the environment's place: it is looked at anew."""


def registration(receipt: Receipt, plan: Plan, path: str) -> Root:
    """Return what the store has on record of an environment."""
    return Root(
        id=receipt.id,
        path=path,
        wheels=tuple(wheel.key for wheel in plan.wheels if wheel.shared),
        plan=receipt.plan,
        lockfile=receipt.lockfile,
    )


def identity_of(place: Path) -> tuple[int, int]:
    """Return device and inode of an environment's folder."""
    seen = place.stat()
    return (seen.st_dev, seen.st_ino)
