"""Contestants in turns, in new folders, on a file system that holds all caches."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import disk
from contents import distributions
from contestants import Contestant
from measuring import Run, measure

__all__ = ["Ground", "Measure", "say"]

Measure = Callable[..., Run]
_PLAIN = str.maketrans({" ": "-", ":": "", ",": ""})


def say(words: str) -> None:
    """Tell how far things are."""
    print(f"[{time.strftime('%H:%M:%S')}] {words}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Ground:
    """A file system, and a folder on it in which everything is new."""

    kind: str
    """Its type, as the kernel names it."""
    folder: Path
    outside: Path
    """A folder on another one, for images and output."""
    images: bool
    """Whether further file systems of the kind can be made."""
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def fresh(self, name: str) -> Iterator[Path]:
        """Give a folder whose removal does not make later work here slower.

        On an own, new file system where that can be had.
        """
        if self.images:
            with disk.image(self.kind, self.outside, name) as mounted:
                yield mounted
            return
        place = self.folder / name
        place.mkdir()
        try:
            yield place
        finally:
            shutil.rmtree(place)
            disk.flush(self.folder)

    def race(
        self,
        label: str,
        contestants: Sequence[Contestant],
        rounds: int,
        environ: Mapping[str, str],
        *,
        warm_up: bool = True,
        how: Measure = measure,
    ) -> dict[str, list[Run]]:
        """Run all in each round, in another order each time.

        With one round before that does not count. Who made other distributions than
        the first contestant ends the run.
        """
        runs: dict[str, list[Run]] = {one.name: [] for one in contestants}
        # Told apart also where one work has several races.
        slug = f"{label.translate(_PLAIN)}-{time.monotonic_ns()}"
        for number in range(0 if warm_up else 1, rounds + 1):
            say(f"{self.kind}: {label}: round {number} of {rounds}")
            turn = number % len(contestants)
            made: dict[str, set[str]] = {}
            with self._fresh_for_copies(contestants) as copies:
                for one in (*contestants[turn:], *contestants[:turn]):
                    place = copies if one.copies else self.folder
                    name = f"{slug}-{contestants.index(one)}-{number}"
                    run = self.time(one, place / name, environ, how=how)
                    if number:
                        runs[one.name].append(run)
                    if one.checked:
                        made[one.name] = distributions(place / name / one.within)
            first = made[contestants[0].name]
            for name, those in made.items():
                if those != first:
                    raise SystemExit(f"{name} made others: {sorted(those ^ first)}")
        return runs

    @contextmanager
    def _fresh_for_copies(self, contestants: Sequence[Contestant]) -> Iterator[Path]:
        if not any(one.copies for one in contestants):
            yield self.folder
            return
        with self.fresh("copies") as folder:
            yield folder

    def time(
        self,
        one: Contestant,
        target: Path,
        environ: Mapping[str, str],
        *,
        how: Measure = measure,
    ) -> Run:
        """Measure one contestant, all earlier writes being done."""
        one.prepare(target)
        command = one.command(target)
        disk.flush(target.parent)
        run = how(
            command,
            log=self.outside / "output",
            environ={**environ, **one.variables(target)},
        )
        if one.checked and not (target / one.within / "pyvenv.cfg").exists():
            raise SystemExit(f"{one.name} made no environment")
        return run
