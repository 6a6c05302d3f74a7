"""Whether doctor did what it must: seen, healed, nothing lost, nothing else touched."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mvenv.diagnose.model import Finding
from mvenv.env.receipt import FOLDER
from mvenv.selftest.looking import Entry, Snapshot, digests_below
from mvenv.selftest.model import Damage, Verdict
from mvenv.selftest.scene import Scene
from mvenv.store.names import SEEN, SYNCED

__all__ = [
    "changed_healthy",
    "fits",
    "has_changed",
    "is_detected",
    "judge",
    "lost_bytes",
    "stays_as_it_is",
]

_OWN = (
    "tmp",
    "trash",
    "locks",
    "rescued",
    "interpreters",
    "builds",
    "envs",
    "large",
    "plans",
    "ready",
)
"""The store's own folders, of which no healthy file is the user's."""


def is_detected(damage: Damage, findings: Iterable[Finding]) -> bool:
    """Return whether a finding tells of the damage: code and place fit.

    Where several environments are hit, all of them have to be named.
    """
    telling = [
        finding
        for finding in findings
        if finding.code in damage.codes and fits(damage.places, finding)
    ]
    told = {place for one in telling for place in (one.where, *one.users)}
    return bool(telling) and set(damage.users) <= told


def fits(places: Sequence[Path], finding: Finding) -> bool:
    """Return whether a finding is about one of some places."""
    if not places:
        return True
    told = [finding.where / finding.path if finding.path else finding.where]
    if finding.path:
        told += [user / finding.path for user in finding.users]
    return any(
        place == one or place.is_relative_to(one) or one.is_relative_to(place)
        for place in places
        for one in told
        # The folder of a whole environment or store fits only what concerns all.
        if finding.path or one == place or one.is_relative_to(place)
    )


def has_changed(damage: Damage, before: Snapshot, damaged: Snapshot) -> bool:
    """Return whether the fault was really made."""
    places = [str(place) for place in damage.done or damage.places]
    if not places:
        return True
    return any(
        before.get(path) != damaged.get(path)
        for path in before.keys() | damaged.keys()
        if _is_below(path, places)
    )


def judge(
    damage: Damage,
    findings: Iterable[Finding],
    scene: Scene,
    snapshots: tuple[Snapshot, Snapshot, Snapshot],
) -> Verdict:
    """Return what became of one damage; the snapshots are before, damaged, after."""
    if not is_detected(damage, findings):
        codes = ", ".join(sorted(damage.codes))
        return Verdict(
            damage=damage,
            detected=False,
            healed=False if damage.heals else None,
            lost=lost_bytes(damage, scene),
            reason=f"nothing told of it ({codes})",
        )
    reason = next(_complaints(damage, *snapshots), None)
    return Verdict(
        damage=damage,
        detected=True,
        healed=reason is None if damage.heals or reason else None,
        lost=lost_bytes(damage, scene),
        reason=reason,
    )


def _complaints(
    damage: Damage, before: Snapshot, damaged: Snapshot, after: Snapshot
) -> Iterator[str]:
    places = [str(place) for place in damage.done or damage.places]
    for path in sorted(before.keys() | damaged.keys() | after.keys()):
        if not _is_below(path, places) or before.get(path) == damaged.get(path):
            continue
        if not damage.heals:
            if not _same(damaged.get(path), after.get(path)):
                yield f"`{path}` was changed, and nobody may"
        elif damage.wrong is None and not _same(before.get(path), after.get(path)):
            yield f"`{path}` is {_told(before.get(path), after.get(path))}"
    if damage.wrong is not None:
        wrong = damage.wrong()
        if wrong is not None:
            yield wrong


def stays_as_it_is(damage: Damage, damaged: Snapshot, after: Snapshot) -> Iterator[str]:
    """Yield the damaged paths that are not as the damage left them."""
    places = [str(place) for place in damage.done or damage.places]
    for path in sorted(damaged.keys() | after.keys()):
        same = _same(damaged.get(path), after.get(path))
        if not same and _is_below(path, places):
            yield path


def _told(right: Entry | None, found: Entry | None) -> str:
    if found is None:
        return "missing still"
    if right is None:
        return "there still"
    names = ("type", "mode", "date", "content", "owner")
    pairs = zip(names, right, found, strict=False)
    return "wrong in " + ", ".join(name for name, one, two in pairs if one != two)


def _same(one: Entry | None, other: Entry | None) -> bool:
    """Compare what counts: of what create wrote for itself the date does not."""
    if one is None or other is None:
        return one is other
    if one.type == stat.S_IFDIR == other.type:
        return True
    sealed = one.mode in {0o444, 0o555}
    stamps = 3 if sealed else 2
    return one[:stamps] == other[:stamps] and one[3:5] == other[3:5]


def lost_bytes(damage: Damage, scene: Scene) -> tuple[str, ...]:
    """Return what the user wrote and cannot be found under its name or as rescued."""
    if not damage.kept:
        return ()
    rescued = [
        scene.layout.rescued,
        *(environment / FOLDER / "rescued" for environment in _environments(scene)),
    ]
    found = digests_below(*rescued, *damage.places)
    return tuple(digest for digest in damage.kept if digest not in found)


def _environments(scene: Scene) -> tuple[Path, ...]:
    return (*scene.environments, *(scene.folder / "other").glob("*"))


def changed_healthy(
    damages: Iterable[Damage],
    scene: Scene,
    snapshots: tuple[Snapshot, Snapshot, Snapshot],
) -> list[str]:
    """Return the files that were healthy and are not as they were; there must be none.

    mvenv's own records are not counted: they tell what was done.
    """
    before, damaged, after = snapshots
    allowed = [
        str(path)
        for damage in damages
        for path in (*damage.places, *damage.done, *damage.may_change)
    ]
    allowed += [str(scene.layout.root / name) for name in _OWN]
    for environment in _environments(scene):
        allowed += [str(environment / FOLDER)]
    changed = []
    for path in before.keys() | damaged.keys() | after.keys():
        entry = damaged.get(path)
        if entry != before.get(path) or _is_below(path, allowed):
            continue
        if _is_memory(path, scene.layout.root):
            continue
        now = after.get(path)
        if entry is not None and entry.type == stat.S_IFDIR:
            if now is None or now.type != stat.S_IFDIR:
                changed.append(path)
        elif entry is None or now is None or entry[:5] != now[:5]:
            changed.append(path)
    return sorted(changed)


def _is_memory(path: str, store: Path) -> bool:
    """Return whether a path is what a store remembers of one of its entries."""
    folder, name = os.path.split(path)
    return name in {SEEN, SYNCED} and os.path.dirname(folder).startswith(
        tuple(f"{store / room}/" for room in ("wheels", "adopted"))
    )


def _is_below(path: str, places: Iterable[str]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)
