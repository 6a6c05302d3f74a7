"""Checking and adopting: against a bare walk, against hashing alone, against a copy.

``python benchmarks/checking.py --help``; ``README.md`` beside this file says what is
measured and how. Needs mvenv and uv; xxhsum where its figure is wanted.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import disk
from measuring import Run, describe_machine, measure, run_quietly, spread, table

_LOCKS = Path(__file__).parent / "locks"
_SETTINGS = ("MVENV_", "UV_", "PYTHON", "VIRTUAL_ENV")
_WALK = """
import os, sys
def walk(folder):
    with os.scandir(folder) as entries:
        for entry in entries:
            entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                walk(entry.path)
walk(sys.argv[1])
"""
"""The least that a look at every file takes in Python; no module is imported for it."""

Command = Sequence[str | Path]


def _hashing(program: str, place: Path) -> Command:
    return ["sh", "-c", f'find "$0" -type f -print0 | xargs -0 {program} >&2', place]


class Bench:
    """One lock, one store, and a folder in which everything is new."""

    def __init__(self, arguments: argparse.Namespace, lock: str, folder: Path) -> None:
        self.arguments = arguments
        self.lock = lock
        self.folder = folder / lock
        self.folder.mkdir()
        self.environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_SETTINGS)
        }
        self.environ["UV_CACHE_DIR"] = str(folder / "uv-cache")
        self.environ["MVENV_STORE"] = str(folder / "store")
        if "PIP_INDEX_URL" in self.environ:
            self.environ["UV_DEFAULT_INDEX"] = self.environ["PIP_INDEX_URL"]

    def create(self, place: Path, *options: str) -> dict[str, Any]:
        """Make an environment of the lock, unmeasured."""
        lockfile = _LOCKS / self.lock / "poetry.lock"
        command = (self.arguments.mvenv, "create", place, "--from", lockfile)
        everything = ("--all-groups", "--all-extras", "--json", *options)
        said = run_quietly([*command, *everything], environ=self.environ)
        return dict(json.loads(said))

    def time(self, command: Command, name: str) -> Run:
        """Measure one command, all earlier writes being done."""
        disk.flush(self.folder)
        return measure(command, log=self.folder / f"{name}.log", environ=self.environ)

    def in_turn(
        self, commands: dict[str, Command], prepare: Callable[[int], object]
    ) -> dict[str, Any]:
        """Run all commands in each round, in another order, after one unmeasured."""
        runs: dict[str, list[Run]] = {name: [] for name in commands}
        names = list(commands)
        for number in range(self.arguments.runs + 1):
            turn = number % len(names)
            for name in (*names[turn:], *names[:turn]):
                prepare(number * len(names) + names.index(name))
                run = self.time(commands[name], name.replace(" ", "-"))
                if number:
                    runs[name].append(run)
        figures: dict[str, Any] = {name: spread(those) for name, those in runs.items()}
        for name in names:
            ratio = figures[names[0]]["wall"] / figures[name]["wall"]
            figures[name]["ratio"] = ratio
        return figures

    def check(self, *, full: bool) -> dict[str, Any]:
        """Check one environment, each time right after a sibling was made.

        A sibling moves the ctime and the link count of every file.
        """
        place = self.folder / "checked"
        if not place.exists():
            self.create(place)
        doctor = [self.arguments.mvenv, "doctor", place, "--check"]
        commands: dict[str, Command]
        if full:
            commands = {"mvenv doctor --check --full": [*doctor, "--full"]}
            for program in ("sha256sum", "xxhsum -H2"):
                if shutil.which(program.split()[0]):
                    commands[program] = _hashing(program, place)
        else:
            walk: Command = [sys.executable, "-I", "-S", "-c", _WALK, place]
            commands = {
                "mvenv doctor --check": doctor,
                "a bare walk, in Python": walk,
                "find -ls": ["find", place, "-ls"],
            }
        level = "full" if full else "quick"
        return self.in_turn(
            commands, lambda number: self.create(self.folder / f"{level}-{number}")
        )

    def adopt(self) -> dict[str, Any]:
        """Adopt environments that uv copied: from a full store, and learning all."""
        made = self.create(self.folder / "pins")
        pins = [f"{one['name']}=={one['version']}" for one in made["distributions"]]
        requirements = self.folder / "pins.txt"
        requirements.write_text("\n".join(pins) + "\n", encoding="utf-8")
        runs: dict[str, list[Run]] = {}
        for number in range(self.arguments.runs + 1):
            for name in ("known", "learned", "cp -a"):
                place = self._copied(f"{name.replace(' ', '')}-{number}", requirements)
                store = "store" if name == "known" else f"store-{number}"
                adopt = (self.arguments.mvenv, "adopt", place)
                command: Command = [*adopt, "--store", self.folder.parent / store]
                if name == "cp -a":
                    command = ["cp", "-a", place, f"{place}-copy"]
                run = self.time(command, name.replace(" ", "-"))
                if number:
                    runs.setdefault(name, []).append(run)
        figures: dict[str, Any] = {name: spread(those) for name, those in runs.items()}
        for one in figures.values():
            one["ratio"] = one["wall"] / figures["cp -a"]["wall"]
        return figures

    def _copied(self, name: str, requirements: Path) -> Path:
        """Return a new environment of uv's that shares nothing."""
        place = self.folder / name
        uv = self.arguments.uv
        environ = self.environ
        run_quietly([uv, "venv", "-q", "-p", sys.executable, place], environ=environ)
        command = [uv, "pip", "install", "-q", "--no-config", "--no-deps"]
        command += ["--link-mode", "copy", "-p", place / "bin/python"]
        run_quietly([*command, "-r", requirements], environ=environ)
        return place


def _print(title: str, figures: dict[str, Any]) -> None:
    rows = [
        [
            name,
            *(f"{one[key]:.3f}" for key in ("wall", "fastest", "slowest")),
            *(f"{one[key]:.3f}" for key in ("user", "system")),
            f"{one['memory'] / 1e6:.0f}",
            f"{one['ratio']:.2f}",
        ]
        for name, one in figures.items()
    ]
    head = [title, "wall s", "fastest", "slowest", "user s", "system s", "MB", "ratio"]
    print(table(head, rows), "\n")


def main() -> None:
    """Measure, print tables, and write all figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    beside = Path(sys.executable).with_name("mvenv")
    parser.add_argument("--locks", nargs="+", default=["web", "science"])
    parser.add_argument("--runs", type=int, default=7, help="of each (at least 5)")
    parser.add_argument("--mvenv", default=str(beside))
    parser.add_argument("--uv", default=shutil.which("uv") or "uv")
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--only", choices=["quick", "full", "adopt"])
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mvenv-bench-", dir=arguments.folder))
    figures: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": describe_machine(folder),
        "runs": arguments.runs,
    }
    print(json.dumps(figures, indent=2), "\n")
    try:
        for lock in arguments.locks:
            bench = Bench(arguments, lock, folder)
            parts: dict[str, Callable[[], dict[str, Any]]] = {
                "quick": partial(bench.check, full=False),
                "full": partial(bench.check, full=True),
                "adopt": bench.adopt,
            }
            for name, part in parts.items():
                if arguments.only in {None, name} and (name, lock) != _TOO_LARGE:
                    figures[f"{lock}, {name}"] = part()
                    _print(f"{lock}, {name}", figures[f"{lock}, {name}"])
        if arguments.json:
            arguments.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    finally:
        # Only now: a mass delete would make the runs after it slower.
        shutil.rmtree(folder, ignore_errors=True)


_TOO_LARGE = ("adopt", "science")
"""Three new copies of 1.6 GB a round say no more than those of 370 MB."""


if __name__ == "__main__":
    main()
