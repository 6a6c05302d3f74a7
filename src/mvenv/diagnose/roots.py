"""What became of the environments on record, and what of the store they need.

An environment that cannot be read, whose disk may only not be mounted, or which
vanished lately, is taken to be there.
"""

from __future__ import annotations

import enum
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mvenv.env.generations import GENERATIONS, NEXT_PLAN, generation_receipt
from mvenv.env.receipt import PLAN, Receipt, read_receipt
from mvenv.errors import StoreError
from mvenv.hashes import digest_bytes
from mvenv.plan.record import load_plan
from mvenv.store.layout import StoreKey, StoreLayout, entry_key
from mvenv.store.registry import Root, absent_for_ns, find_root

__all__ = ["GRACE_NS", "RootLook", "RootStanding", "look_at_root"]

GRACE_NS = 7 * 24 * 3600 * 10**9
"""Nanoseconds after it was first noticed that an environment is gone: so long it may
come back (a branch switched, a restore from a backup)."""


class RootStanding(enum.Enum):
    """What became of an environment on record."""

    PRESENT = "present"
    UNREADABLE = "cannot be read"
    UNMOUNTED = "the folder it was in is gone"
    ABSENT = "gone, not long ago"
    GONE = "gone"

    @property
    def needs_wheels(self) -> bool:
        """Return whether its wheels are to be kept."""
        return self is not RootStanding.GONE


@dataclass(frozen=True, slots=True, kw_only=True)
class RootLook:
    """One look at an environment on record."""

    root: Root
    standing: RootStanding
    place: Path
    """Where it is, or was."""
    receipt: Receipt | None
    wheels: frozenset[StoreKey]
    """All that it may need, now or for a rollback."""
    plans: frozenset[str]


def look_at_root(layout: StoreLayout, root: Root) -> RootLook:
    """Look at an environment on record; never writes."""
    place = Path(os.path.realpath(root.path))
    standing = _standing(place)
    receipt = read_receipt(place) if standing is RootStanding.PRESENT else None
    if standing is RootStanding.PRESENT and _is_replaced(layout, root, receipt):
        standing, receipt = RootStanding.ABSENT, None
    if standing is RootStanding.ABSENT and _is_long_gone(layout, root):
        standing = RootStanding.GONE
    wheels = set(root.wheels)
    plans = {root.plan}
    if standing is RootStanding.PRESENT:
        for one in (receipt, *_kept_receipts(place)):
            if one is not None:
                wheels.update(_keys(one))
                plans.add(one.plan)
        wheels.update(_planned(layout, place, receipt))
    return RootLook(
        root=root,
        standing=standing,
        place=place,
        receipt=receipt,
        wheels=frozenset(wheels),
        plans=frozenset(plans),
    )


def _standing(place: Path) -> RootStanding:
    try:
        seen = place.lstat()
    except FileNotFoundError:
        return _parent_standing(place.parent)
    except NotADirectoryError:
        return RootStanding.ABSENT
    except OSError:
        return RootStanding.UNREADABLE
    if stat.S_ISDIR(seen.st_mode):
        try:
            os.listdir(place)
        except OSError:
            return RootStanding.UNREADABLE
    return RootStanding.PRESENT


def _parent_standing(parent: Path) -> RootStanding:
    try:
        there = stat.S_ISDIR(parent.stat().st_mode)
    except FileNotFoundError:
        return RootStanding.UNMOUNTED
    except OSError:
        return RootStanding.UNREADABLE
    return RootStanding.ABSENT if there else RootStanding.UNMOUNTED


def _is_replaced(layout: StoreLayout, root: Root, receipt: Receipt | None) -> bool:
    """Return whether another environment on record has the place."""
    if receipt is None or receipt.id == root.id:
        return False
    other = find_root(layout, receipt.id)
    return other is not None and other.path == root.path


def _is_long_gone(layout: StoreLayout, root: Root) -> bool:
    age = absent_for_ns(layout, root.id)
    return age is not None and age >= GRACE_NS


def _keys(receipt: Receipt) -> Iterator[StoreKey]:
    for one in receipt.distributions:
        if one.wheel is not None and one.shared:
            # Environments come with what people clone.
            try:
                yield entry_key(one.wheel)
            except (StoreError, TypeError):
                continue


def _kept_receipts(place: Path) -> Iterator[Receipt | None]:
    try:
        names = os.listdir(place / GENERATIONS)
    except OSError:
        return
    for name in names:
        if name.isascii() and name.isdecimal():
            yield generation_receipt(place, int(name))


def _planned(
    layout: StoreLayout, place: Path, receipt: Receipt | None
) -> Iterator[StoreKey]:
    """Yield what plans name that the receipt does not tell of: of a killed change."""
    for name in (PLAN, NEXT_PLAN):
        try:
            content = (place / name).read_bytes()
        except OSError:
            continue
        if receipt is not None and digest_bytes(content).sha256 == receipt.plan:
            continue
        plan = load_plan(content, layout)
        if plan is not None:
            yield from (wheel.key for wheel in plan.wheels if wheel.shared)
