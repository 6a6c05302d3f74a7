"""Wheels of local folders: built each time, and mostly the same as before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mvenv.link.tree import FileLink, FolderLinks
from mvenv.plan.model import Plan, PlannedWheel

__all__ = ["with_known_wheels"]

_Content = dict[tuple[str, str], FileLink]
"""Files by folder of the environment and name, without their stamps."""


def with_known_wheels(plan: Plan, known: Plan) -> Plan:
    """Return ``plan`` with the wheels of ``known`` where only their stamps differ.

    Each build gives the files of a local folder new stamps, also where nothing in it
    has changed: then what stands in the environment is what is planned.
    """
    same = dict(_equal(plan, known))
    if not same:
        return plan
    keys: dict[str | None, PlannedWheel] = {new.key: old for new, old in same.items()}
    return replace(
        plan,
        wheels=tuple(
            one if one not in same else same[one]._replace(root=one.root)
            for one in plan.wheels
        ),
        distributions=tuple(
            replace(one, wheel=keys[wheel].key, filename=keys[wheel].filename)
            if (wheel := one.wheel) in keys
            else one
            for one in plan.distributions
        ),
        links=_stamped(plan.links, known.links, same),
        late_links=_stamped(plan.late_links, known.late_links, same),
    )


def _equal(plan: Plan, known: Plan) -> Iterator[tuple[PlannedWheel, PlannedWheel]]:
    """Yield the wheels of both plans that bring the same."""
    local: dict[str | None, PlannedWheel] = {
        one.key: one for one in known.wheels if not one.shared
    }
    before = {
        one.name: local[one.wheel] for one in known.distributions if one.wheel in local
    }
    fresh: dict[str | None, PlannedWheel] = {
        one.key: one for one in plan.wheels if not one.shared
    }
    for one in plan.distributions:
        new, old = fresh.get(one.wheel), before.get(one.name)
        if new is None or old is None or new.filename != old.filename:
            continue
        unstamped = [file._replace(mtime_ns=0) for file in new.rest]
        if unstamped == [file._replace(mtime_ns=0) for file in old.rest] and _brought(
            plan, new
        ) == _brought(known, old):
            yield new, old


def _brought(plan: Plan, wheel: PlannedWheel) -> _Content:
    return {
        (folder.target, file.target): file._replace(mtime_ns=0)
        for folder in (*plan.links, *plan.late_links)
        if _is_of(folder, wheel)
        for file in folder.files
    }


def _is_of(folder: FolderLinks, wheel: PlannedWheel) -> bool:
    return folder.source == wheel.tree or folder.source.startswith(f"{wheel.tree}/")


def _stamped(
    folders: tuple[FolderLinks, ...],
    known: tuple[FolderLinks, ...],
    same: dict[PlannedWheel, PlannedWheel],
) -> tuple[FolderLinks, ...]:
    stamps = {
        (folder.target, file.target): file.mtime_ns
        for folder in known
        if any(_is_of(folder, wheel) for wheel in same.values())
        for file in folder.files
    }
    return tuple(
        folder
        if not any(_is_of(folder, wheel) for wheel in same)
        else folder._replace(
            files=tuple(
                file._replace(mtime_ns=stamps[folder.target, file.target])
                for file in folder.files
            )
        )
        for folder in folders
    )
