"""One round: damage several places at once, let doctor look and heal, and judge."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mvenv.diagnose.model import Finding, HealClass, Level
from mvenv.doctor import doctor
from mvenv.doctor.model import DoctorReport, DoctorRequest
from mvenv.fetch.settings import FetchSettings
from mvenv.progress import Silent
from mvenv.selftest.judging import (
    changed_healthy,
    fits,
    has_changed,
    is_detected,
    judge,
    lost_bytes,
    stays_as_it_is,
)
from mvenv.selftest.looking import Snapshot, differences, look
from mvenv.selftest.model import Damage, Kind, Reach, Verdict
from mvenv.selftest.scene import NoRoom, Scene

__all__ = ["Round", "batches", "play", "treat"]

_AT_ONCE = 12
_FIRST_OF_STORES = "F40"
_UNFLUSHED = "F43"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round brought."""

    verdicts: tuple[Verdict, ...]
    no_room: tuple[Kind, ...]
    """Kinds for which nothing undamaged was left."""
    broken_rules: tuple[str, ...]
    """What must never happen, and did."""

    @property
    def is_clean(self) -> bool:
        """Return whether the scene is as it was, so that it can be used again.

        Only the run after the heal marks an entry as flushed; until then what is wrong
        in it is called unflushed, whatever it is.
        """
        return not self.broken_rules and all(
            one.perfect
            and one.damage.heals
            and one.damage.wrong is None
            and _UNFLUSHED not in one.damage.codes
            for one in self.verdicts
        )


def treat(
    scene: Scene,
    *,
    level: Level = Level.FULL,
    check: bool = False,
    fix: bool = False,
    restore: bool = False,
    narrow: bool = False,
) -> DoctorReport:
    """Let doctor look at everything in a scene, and heal what it may.

    ``narrow``: at the one environment that is damaged, as most people would.
    """
    folders = [scene.environment]
    if not narrow:
        folders += [scene.sibling, *sorted((scene.folder / "other").glob("*"))]
    return doctor(
        DoctorRequest(
            folders=tuple(one for one in folders if os.path.lexists(one)),
            start=scene.folder,
            active=None,
            every=not narrow,
            whole_store=not narrow,
            level=level,
            check=check,
            dry_run=False,
            fix=fix,
            restore=restore,
            only=frozenset(),
            store=scene.layout.root,
            store_chosen=True,
            fetch=FetchSettings(offline=True),
            environ=scene.environ,
        ),
        Silent(),
    )


def batches(kinds: Iterable[Kind], scene: Scene) -> Iterator[tuple[Kind, ...]]:
    """Yield the kinds in the groups in which they can be made, in random order."""
    alone: list[Kind] = []
    together: list[Kind] = []
    for kind in kinds:
        (alone if kind.reach is Reach.WORLD else together).append(kind)
    scene.random.shuffle(together)
    if scene.random.getrandbits(1):
        # Those that a look at one environment shows, apart from the others.
        together.sort(key=_is_stored)
    for start in range(0, len(together), _AT_ONCE):
        yield tuple(together[start : start + _AT_ONCE])
    for kind in alone:
        yield (kind,)


def _is_stored(kind: Kind) -> bool:
    return kind.code >= _FIRST_OF_STORES


def play(scene: Scene, kinds: Sequence[Kind], *, plain_first: bool = False) -> Round:
    """Play one round in a scene that is as it should be.

    ``plain_first`` heals without ``--fix`` before, which must leave alone what needs
    it.
    """
    narrow = bool(scene.random.getrandbits(1)) and not any(
        _is_stored(kind) or kind.reach is Reach.WORLD for kind in kinds
    )
    before = _look(scene)
    damages, no_room = _inject(scene, kinds)
    damaged = _look(scene)
    for damage in damages:
        if not has_changed(damage, before, damaged):
            raise AssertionError(f"`{damage.kind}` changed nothing")
    quick = treat(scene, level=Level.QUICK, check=True, narrow=narrow)
    full = treat(scene, check=True, narrow=narrow)
    broken = [
        f"--check changed `{path}`"
        for path in differences(damaged, _look(scene), inodes=True)
    ]
    broken += [
        f"the quick look did not see `{damage.kind}`: {damage.places}"
        for damage in damages
        if damage.seen_by_stat and not is_detected(damage, _findings(quick))
    ]
    if plain_first:
        treat(scene, narrow=narrow)
        broken += _touched_by_plain(damages, damaged, _look(scene))
    healed = treat(scene, fix=True, narrow=narrow)
    snapshots = (before, damaged, _look(scene))
    verdicts = [judge(one, _findings(full), scene, snapshots) for one in damages]
    broken += [
        f"healthy `{path}` changed"
        for path in changed_healthy(damages, scene, snapshots)
    ]
    broken += _claims(verdicts, healed, treat(scene, check=True))
    broken += _not_restored(damages, scene, before)
    return Round(verdicts=tuple(verdicts), no_room=no_room, broken_rules=tuple(broken))


def _not_restored(
    damages: Iterable[Damage], scene: Scene, before: Snapshot
) -> Iterator[str]:
    """Put private edits back, and yield what is not as it was, or is lost then."""
    edits = [damage for damage in damages if "F10" in damage.codes]
    if not edits:
        return
    treat(scene, fix=True, restore=True)
    after = _look(scene)
    for damage in edits:
        yield from (
            f"`{path}` was not restored ({damage.kind})"
            for path in stays_as_it_is(damage, before, after)
        )
        if lost_bytes(damage, scene):
            yield f"restoring lost what the user wrote ({damage.kind})"


def _inject(
    scene: Scene, kinds: Sequence[Kind]
) -> tuple[list[Damage], tuple[Kind, ...]]:
    damages, no_room = [], []
    for kind in kinds:
        try:
            damages.append(kind.inject(scene))
        except NoRoom:
            no_room.append(kind)
    return damages, tuple(no_room)


def _look(scene: Scene) -> Snapshot:
    names = ("project", "sibling", "other", "store", "bystander", "outside", "python")
    return look(*(scene.folder / name for name in names), scene.lockfile)


def _findings(report: DoctorReport) -> tuple[Finding, ...]:
    return tuple(one.finding for one in report.outcomes)


def _touched_by_plain(
    damages: Iterable[Damage], damaged: Snapshot, after: Snapshot
) -> Iterator[str]:
    """Yield what was healed that only ``--fix`` may heal."""
    for damage in damages:
        if damage.heal is not HealClass.PLAIN or damage.drift:
            for path in stays_as_it_is(damage, damaged, after):
                yield f"`{path}` ({damage.kind}) was changed without --fix"


def _claims(
    verdicts: Sequence[Verdict], healed: DoctorReport, again: DoctorReport
) -> Iterator[str]:
    """Yield where the report of a heal is not what a new look shows."""
    left = [
        f"{one.finding.code} {one.finding.where}/{one.finding.path}: {one.words}"
        for one in again.outcomes
        if not one.finding.drift
        and one.finding.heal is not HealClass.REPORT
        and not any(
            fits(verdict.damage.places, one.finding)
            for verdict in verdicts
            if not verdict.damage.source
        )
    ]
    if all(one.perfect for one in verdicts):
        yield from (f"after the heal there is still {line}" for line in left)
    if healed.exit_code == 0 and again.exit_code != 0:
        yield f"success was reported, and then {len(left)} faults were found"
