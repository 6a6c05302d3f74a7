"""The sections of the suite that time: who runs in each, and how it is prepared."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import limit
from contents import installed_files
from contestants import Contestant, Field, importing
from measuring import Run, measure, run_quietly
from memory import measure_together
from racing import Ground, Measure, say
from results import Result
from tools import Tools
from workloads import Workload

__all__ = [
    "Stage",
    "run_bytecode",
    "run_cold",
    "run_import",
    "run_installers",
    "run_memory",
    "run_warm",
]


@dataclass
class Stage:
    """One workload on one file system, with caches that are filled when needed."""

    ground: Ground
    workload: Workload
    tools: Tools
    rounds: int
    environ: Mapping[str, str]
    reflinks: bool
    filled: set[str] = field(default_factory=set)

    @cached_property
    def players(self) -> Field:
        """Return all who can run here."""
        return Field(
            tools=self.tools,
            workload=self.workload,
            folder=self.ground.folder,
            reflinks=self.reflinks,
        )

    @cached_property
    def variables(self) -> dict[str, str]:
        """Return the environment of all commands."""
        return {**self.environ, **self.players.variables()}

    @cached_property
    def finished(self) -> Path:
        """Return an environment that mvenv made, without bytecode, filling its store.

        What it has is what the other tools are told to install.
        """
        target = self.ground.folder / f"{self.workload.name}-finished"
        command = self.players.mvenv(bytecode=False, online=True).command(target)
        say(f"{self.ground.kind}: {self.workload.name}: filling mvenv's store")
        made = json.loads(run_quietly([*command, "--json"], environ=self.variables))
        wanted = "reflink" if self.reflinks else "hardlink"
        if made["link_mode"] != wanted:
            raise SystemExit(f"mvenv made it by {made['link_mode']}, not {wanted}")
        self.workload.pin([(i["name"], i["version"]) for i in made["distributions"]])
        return target

    @cached_property
    def files(self) -> int:
        """Return how many files of wheels an environment has."""
        return sum(1 for _ in installed_files(self.finished))

    def fill(self, contestant: Callable[[], Contestant], name: str) -> None:
        """Let a contestant run once, unmeasured, so that its cache is warm."""
        _ = self.finished
        if name in self.filled:
            return
        self.filled.add(name)
        kind, workload = self.ground.kind, self.workload.name
        say(f"{kind}: {workload}: filling the cache of {name}")
        with self.ground.fresh("filling") as copies:
            one = contestant()
            place = copies if one.copies else self.ground.folder
            target = place / f"{workload}-first-of-{name}"
            one.prepare(target)
            run_quietly(
                one.command(target),
                environ={**self.variables, **one.variables(target)},
            )

    def ready(self, *, bytecode: bool = False) -> None:
        """Fill mvenv's store and uv's cache."""
        self.fill(lambda: self.players.uv(online=True), "uv")
        if bytecode:
            self.fill(lambda: self.players.mvenv(bytecode=True), "mvenv-bytecode")

    def race(
        self,
        work: str,
        contestants: Sequence[Contestant],
        *,
        warm_up: bool = True,
        how: Measure = measure,
    ) -> list[Result]:
        """Run contestants in turns."""
        label = f"{work}: {self.workload.name}"
        runs = self.ground.race(
            label,
            contestants,
            self.rounds,
            self.variables,
            warm_up=warm_up,
            how=how,
        )
        where = (self.ground.kind, self.workload.name)
        return [Result.of_runs(work, where, name, runs[name]) for name in runs]

    def note(self, words: str) -> None:
        """Remember what was not measured, and why."""
        say(words)
        self.ground.notes.append(f"{self.ground.kind}, {self.workload.name}: {words}")


def run_warm(stage: Stage) -> list[Result]:
    """Without bytecode: mvenv, uv, ``cp`` of a finished environment, the limit in C."""
    stage.ready()
    players = stage.players
    contestants = [
        players.mvenv(bytecode=False),
        players.uv(),
        players.copy(stage.finished),
    ]
    if not stage.reflinks:
        program = limit.build(stage.ground.folder)
        if program is None:
            stage.note("the limit in C is left out: there is no C compiler (cc)")
        else:
            # As many as mvenv forks.
            workers = len(os.sched_getaffinity(0))
            links = stage.ground.folder / f"{stage.workload.name}-links"
            links.write_bytes(limit.compose(stage.finished, workers))
            contestants.append(players.limit(program, links, workers))
    facts = {"files": stage.files}
    return [replace(one, facts=facts) for one in stage.race("warm", contestants)]


def run_bytecode(stage: Stage) -> list[Result]:
    """With bytecode: linked by mvenv, compiled by uv."""
    if not _has_bytecode(stage):
        return []
    stage.ready(bytecode=True)
    players = stage.players
    contestants = [players.mvenv(bytecode=True), players.uv(bytecode=True)]
    return stage.race("bytecode", contestants, warm_up=False)


def run_import(stage: Stage) -> list[Result]:
    """Time the first import with the environment: each tool's own default."""
    stage.ready(bytecode=True)
    name = stage.workload.name
    contestants = [stage.players.mvenv(bytecode=True), stage.players.uv()]
    return stage.race("import", [importing(one, name) for one in contestants])


def run_installers(stage: Stage) -> list[Result]:
    """Without bytecode: mvenv, and what copies files out of a warm cache; PDM links."""
    stage.ready()
    players = stage.players
    contestants = [players.mvenv(bytecode=False)]
    for name, peer in {
        "pip": players.pip,
        "poetry": players.poetry,
        "pdm": players.pdm,
    }.items():
        try:
            stage.fill(peer, name)
        except (SystemExit, OSError) as error:
            stage.note(f"{name} is left out: {error}")
        else:
            contestants.append(peer())
    return stage.race("installers", contestants, warm_up=False)


def run_cold(stage: Stage) -> list[Result]:
    """Empty store against empty cache, without and with bytecode."""
    _ = stage.finished  # the index has been asked for all of it, and uv has a lock
    results = []
    for work, bytecode in {"cold": False, "cold, bytecode": True}.items():
        if bytecode and not _has_bytecode(stage):
            continue
        names = ("mvenv", "uv, compiling" if bytecode else "uv")
        runs: dict[str, list[Run]] = {name: [] for name in names}
        for number in range(stage.rounds):
            kind, lock = stage.ground.kind, stage.workload.name
            say(f"{kind}: {work}: {lock}: round {number + 1} of {stage.rounds}")
            for name in (names, names[::-1])[number % 2]:
                with stage.ground.fresh("cold") as folder:
                    runs[name].append(_once(stage, folder, name, bytecode=bytecode))
        where = (stage.ground.kind, stage.workload.name)
        results += [Result.of_runs(work, where, name, runs[name]) for name in names]
    return results


def _once(stage: Stage, folder: Path, name: str, *, bytecode: bool) -> Run:
    players = Field(
        tools=stage.tools,
        workload=stage.workload,
        folder=folder,
        reflinks=stage.reflinks,
    )
    make = players.mvenv if name == "mvenv" else players.uv
    one = make(bytecode=bytecode, online=True)
    environ = {**stage.environ, **players.variables()}
    return stage.ground.time(one, folder / "environment", environ)


def run_memory(stage: Stage) -> list[Result]:
    """Without bytecode: the largest process by wait4, and all processes by sampling."""
    stage.ready()
    contestants = [stage.players.mvenv(bytecode=False), stage.players.uv()]
    alone = stage.race("memory", contestants)
    together = stage.race("memory", contestants, how=measure_together)
    # Time is measured elsewhere, and not while somebody looks on.
    return [
        replace(
            one,
            samples={
                "memory": one.samples["memory"],
                "together": other.samples["memory"],
            },
        )
        for one, other in zip(alone, together, strict=True)
    ]


def _has_bytecode(stage: Stage) -> bool:
    if not stage.tools.chooses_bytecode:
        stage.note("bytecode is left out: this mvenv has no --no-bytecode yet")
    return stage.tools.chooses_bytecode
