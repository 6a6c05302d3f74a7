"""``mvenv selftest``: damage a scratch world in every way known, and keep the score."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvenv.interpreters import find_interpreter
from mvenv.link.modes import LinkMode, LinkPolicy
from mvenv.progress import Reporter, Unit
from mvenv.scratch import ScratchFolder
from mvenv.selftest.catalogue import KINDS, NOT_MADE
from mvenv.selftest.model import Kind, Reach, Verdict
from mvenv.selftest.rounds import Round, batches, play
from mvenv.selftest.scene import Scene
from mvenv.selftest.surroundings import make_interpreter

__all__ = [
    "Row",
    "Score",
    "SelfTestRequest",
    "new_scene",
    "play_all",
    "possible_kinds",
    "score_of",
    "selftest",
]

_PREFIX = "mvenv-selftest-"
_TRIES = 4
"""Rounds in which a kind finds something to damage, at the latest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTestRequest:
    """Where to test, how often, and what."""

    folder: Path
    """A scratch folder is made in it, and removed again."""
    rounds: int
    """How often each kind of fault is made, in each link mode."""
    seed: int
    python: str | None
    environ: Mapping[str, str]
    modules: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The score of one kind of fault."""

    kind: str
    code: str
    injected: int
    detected: int
    healed: int
    to_heal: int
    """Those that may be healed: what the user may have meant is left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What came of all rounds."""

    rows: tuple[Row, ...]
    modes: tuple[LinkMode, ...]
    """The link modes that the disk has."""
    failures: tuple[str, ...]
    """What went wrong, in words."""
    lost: int
    """Files of the user's that could not be found again."""
    not_made: Mapping[str, str]
    """Codes of faults that were not tried, and why."""
    seed: int

    @property
    def injected(self) -> int:
        """Return how many faults were made."""
        return sum(row.injected for row in self.rows)

    @property
    def detected(self) -> int:
        """Return how many of them were found."""
        return sum(row.detected for row in self.rows)

    @property
    def healed(self) -> int:
        """Return how many were healed."""
        return sum(row.healed for row in self.rows)

    @property
    def to_heal(self) -> int:
        """Return how many were to be healed."""
        return sum(row.to_heal for row in self.rows)

    @property
    def perfect(self) -> bool:
        """Return whether everything went as it must."""
        return not self.failures and not self.lost

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "perfect": self.perfect,
            "injected": self.injected,
            "detected": self.detected,
            "to_heal": self.to_heal,
            "healed": self.healed,
            "lost": self.lost,
            "modes": [mode.value for mode in self.modes],
            "seed": self.seed,
            "failures": list(self.failures),
            "kinds": [
                {
                    "kind": row.kind,
                    "code": row.code,
                    "injected": row.injected,
                    "detected": row.detected,
                    "to_heal": row.to_heal,
                    "healed": row.healed,
                }
                for row in self.rows
            ],
            "not_made": dict(self.not_made),
        }


def selftest(request: SelfTestRequest, reporter: Reporter) -> Score:
    """Make every kind of fault and let doctor find and heal it; nothing is left.

    `MvenvError` where not even an undamaged environment can be made there, `OSError`
    where the folder cannot be written to.
    """
    rounds: list[Round] = []
    modes: list[LinkMode] = []
    with ScratchFolder(request.folder, _PREFIX) as scratch:
        for policy in (LinkPolicy.REFLINK, LinkPolicy.HARDLINK, LinkPolicy.COPY):
            scene = new_scene(scratch.path / policy.value, policy, request)
            scene.set_up()
            if scene.mode.value != policy.value:
                reporter.note(f"{policy.value}: not on this disk")
                continue
            # What concerns a whole environment is the same in every mode.
            kinds = possible_kinds(scene.mode, with_worlds=not modes)
            modes.append(scene.mode)
            wanted = [kind for kind in kinds for _ in range(request.rounds)]
            with reporter.task(
                f"damaging and healing ({policy.value})", len(wanted), Unit.FILES
            ) as task:
                for one in play_all(scene, wanted):
                    rounds.append(one)
                    task.advance(len(one.verdicts))
            shutil.rmtree(scene.folder)
    return score_of(rounds, modes, request.seed)


def new_scene(folder: Path, policy: LinkPolicy, request: SelfTestRequest) -> Scene:
    """Return a scene with an interpreter of its own, still to be set up."""
    base = find_interpreter(request.python, cache_folder=None, environ=request.environ)
    real = Path(os.path.realpath(base))

    def prepare(place: Path) -> None:
        shutil.rmtree(place / "python", ignore_errors=True)
        make_interpreter(place / "python", real)

    return Scene(
        folder=folder,
        policy=policy,
        # A stream of its own, so that the modes do not depend on one another.
        random=random.Random(f"{request.seed} {policy.value}"),  # noqa: S311  no secrets
        environ=request.environ,
        python=str(folder / "python" / "bin" / real.name),
        modules=request.modules,
        prepare=prepare,
    )


def possible_kinds(mode: LinkMode, *, with_worlds: bool) -> tuple[Kind, ...]:
    """Return the kinds that this user can make in a link mode."""
    return tuple(
        kind
        for kind in KINDS
        if mode in kind.modes
        and (with_worlds or kind.reach is Reach.FILE)
        and (os.geteuid() == 0 or not kind.needs_root)
    )


def play_all(scene: Scene, wanted: Iterable[Kind]) -> Iterator[Round]:
    """Play until each of the wanted faults was made; the scene is set up already."""
    left = list(wanted)
    for number in range(_TRIES):
        missed: list[Kind] = []
        for batch in batches(left, scene):
            one = play(scene, batch, plain_first=bool(scene.random.getrandbits(1)))
            missed += one.no_room
            yield one
            if one.is_clean:
                scene.used.clear()
            else:
                scene.set_up()
        left = missed
        if not left or number == _TRIES - 1:
            return


def score_of(rounds: Iterable[Round], modes: Iterable[LinkMode], seed: int) -> Score:
    """Return the score of all rounds."""
    verdicts: list[Verdict] = []
    failures: list[str] = []
    for one in rounds:
        verdicts += one.verdicts
        failures += one.broken_rules
    failures += [
        f"{one.damage.kind}: {one.reason or 'bytes of the user are gone'}"
        for one in verdicts
        if not one.perfect
    ]
    injected = Counter(one.damage.kind for one in verdicts)
    detected = Counter(one.damage.kind for one in verdicts if one.detected)
    healed = Counter(
        one.damage.kind for one in verdicts if one.healed and one.damage.heals
    )
    to_heal = Counter(one.damage.kind for one in verdicts if one.damage.heals)
    return Score(
        rows=tuple(
            Row(
                kind=kind.name,
                code=kind.code,
                injected=injected[kind.name],
                detected=detected[kind.name],
                healed=healed[kind.name],
                to_heal=to_heal[kind.name],
            )
            for kind in KINDS
            if injected[kind.name]
        ),
        modes=tuple(modes),
        failures=tuple(failures),
        lost=sum(len(one.lost) for one in verdicts),
        not_made=_not_made(injected),
        seed=seed,
    )


def _not_made(injected: Counter[str]) -> dict[str, str]:
    return {
        **NOT_MADE,
        **{
            f"{kind.code} ({kind.name})": "needs root"
            if kind.needs_root
            else "not in the link modes of this disk"
            for kind in KINDS
            if not injected[kind.name]
        },
    }
