"""The sections of the suite that count: bytes of many environments, a large store."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import disk
from contestants import Contestant
from filling import write_lock
from measuring import Run, run_quietly
from racing import say
from results import Result
from sections import Stage

__all__ = ["allocated_once", "run_bytes", "run_store"]

_BLOCK = 512
_STORES = (10, 100, 1000)
"""Wheels in a store."""
_ENVIRONMENTS = 20


def allocated_once(
    roots: Iterable[Path], known: set[tuple[int, int]] | None = None
) -> tuple[int, set[tuple[int, int]]]:
    """Return the allocated bytes of all below ``roots``, and which inodes they are.

    Each inode counts once, however many names it has, and one of ``known`` not at
    all. A reflink has blocks of its own by this count.
    """
    seen = set(known or ())
    total = 0
    waiting = [os.fspath(root) for root in roots]
    while waiting:
        path = waiting.pop()
        status = os.lstat(path)
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * _BLOCK
        if os.path.isdir(path) and not os.path.islink(path):
            waiting += [os.path.join(path, name) for name in os.listdir(path)]
    return total, seen


def run_bytes(stage: Stage) -> list[Result]:
    """Make twenty more environments each, in turns; count what the disk gives away.

    By ``df`` around each one, which has what the store or the cache grew by in it, and
    by the allocated blocks of the environments' inodes that are not the store's or
    the cache's, where these are shared by links.
    """
    bytecode = stage.tools.chooses_bytecode
    stage.ready(bytecode=bytecode)
    players = stage.players
    contestants = [players.mvenv(bytecode=False), players.uv()]
    if bytecode:
        both = replace(players.mvenv(bytecode=True), name="mvenv, bytecode")
        contestants.append(both)
    runs: dict[str, list[Run]] = {one.name: [] for one in contestants}
    grown: dict[str, list[int]] = {one.name: [] for one in contestants}
    folder = stage.ground.folder
    caches = [folder / "store", folder / "uv-cache"]
    before, _ = allocated_once(caches)
    for number in range(_ENVIRONMENTS):
        say(f"{stage.ground.kind}: bytes: {number + 1} of {_ENVIRONMENTS} environments")
        for index, one in enumerate(contestants):
            target = folder / f"{stage.workload.name}-bytes-{index}-{number}"
            used = disk.used_bytes(folder)
            runs[one.name].append(stage.ground.time(one, target, stage.variables))
            grown[one.name].append(disk.used_bytes(folder) - used)
    after, known = allocated_once(caches)
    results = []
    for index, one in enumerate(contestants):
        samples = {"df": (float(sum(grown[one.name])),)}
        if not stage.reflinks:
            targets = folder.glob(f"{stage.workload.name}-bytes-{index}-*")
            blocks, _ = allocated_once(targets, known)
            samples["blocks"] = (float(blocks),)
        where = (stage.ground.kind, stage.workload.name)
        facts = {
            "environments": _ENVIRONMENTS,
            "growth of all caches": after - before,
            "walls": [run.wall for run in runs[one.name]],
            "by df, each": grown[one.name],
        }
        results.append(
            Result(
                work="bytes",
                file_system=where[0],
                workload=where[1],
                contestant=one.name,
                samples=samples,
                facts=facts,
            )
        )
    return results


def run_store(stage: Stage) -> list[Result]:
    """Make the same environment from stores with more and more other wheels."""
    _ = stage.finished
    made = len(stage.workload.requirements.read_text(encoding="utf-8").split())
    sizes = [count for count in _STORES if count >= made]
    mvenv = stage.players.mvenv(bytecode=False)
    contestants = []
    for count in reversed(sizes):
        store = stage.ground.folder / f"store-{count}"
        say(f"{stage.ground.kind}: store: filling one with {count} wheels")
        lock = write_lock(stage.ground.folder / f"wheels-{count}", count - made)
        filled = stage.ground.folder / f"filled-{count}"
        command = [stage.tools["mvenv"], "create", str(filled), "--offline"]
        environ = {**stage.variables, "MVENV_STORE": str(store)}
        run_quietly([*command, "--from", str(lock)], environ=environ)
        online = stage.players.mvenv(bytecode=False, online=True)
        target = stage.ground.folder / f"own-{count}"
        run_quietly(online.command(target), environ=environ)
        held = sum(1 for _ in store.glob("wheels/??/*/MANIFEST"))
        if held != count:
            raise SystemExit(f"the store has {held} wheels, and not {count}")
        contestants.append(_with_store(mvenv, count, store))
    results = stage.race("store", contestants)
    return [
        replace(one, facts={"wheels": count})
        for one, count in zip(results, reversed(sizes), strict=True)
    ]


def _with_store(mvenv: Contestant, count: int, store: Path) -> Contestant:
    variables = {"MVENV_STORE": str(store)}
    return replace(mvenv, name=f"{count:,} wheels", variables=lambda _target: variables)
