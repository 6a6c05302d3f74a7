"""``tox -r`` over several interpreters: tox's own runner, tox-uv and mvenv.

``python benchmarks/tox_recreate.py --help``; ``README.md`` beside this file says what
is measured and how.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import stat
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import Run, describe_machine, measure, run_quietly, spread, table
from tools import PYTHON, calm

_LOCKS = Path(__file__).parent / "locks"
_PROJECT = Path(__file__).parents[1]
_PLUGINS: dict[str, tuple[str, ...]] = {
    "mvenv, lock": (str(_PROJECT),),  # first: the others' requirements are of it
    "mvenv, deps": (str(_PROJECT),),
    "tox-uv": ("tox-uv",),
    "tox": (),
}
_PINS = "requirements-{}.txt"
_LIST = """\
from importlib.metadata import distributions
found = {f"{one.metadata['Name']}=={one.version}" for one in distributions()}
print("\\n".join(sorted(found)))
"""
_STAMP = "import sys, time; open(sys.argv[1], 'w').write(repr(time.time()))"


def main() -> None:
    """Measure, print, and write down if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--workload", default="matrix", choices=("small", "web", "matrix")
    )
    parser.add_argument("--pythons", default="3.9,3.10,3.11,3.12,3.13")
    parser.add_argument("--folder", type=Path, required=True, help="on the disk to use")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    pythons = asked.pythons.split(",")
    place = asked.folder.absolute() / "tox-recreate"
    if place.exists():
        parser.error(f"{place} exists: what deleting it leaves would be measured too")
    contestants: list[Contestant] = []
    for name in _PLUGINS:
        one = Contestant.install(name, place, _LOCKS / asked.workload, pythons)
        if contestants:
            contestants[0].hand_pins_to(one)
        one.race()  # fills caches and stores
        contestants.append(one)
    rounds: dict[str, list[Round]] = {one.name: [] for one in contestants}
    for _ in range(asked.runs):
        for one in contestants:
            rounds[one.name].append(one.race())
    told = {
        one.name: {
            **spread([each.run for each in rounds[one.name]]),
            "first commands": [each.first_commands for each in rounds[one.name]],
            "bytes": one.bytes_used(),
        }
        for one in contestants
    }
    sys.stdout.write(_shown(told) + "\n")
    if asked.json:
        whole = {"machine": describe_machine(place), "tox -r": told}
        asked.json.write_text(json.dumps(whole, indent=1), encoding="utf-8")


def _shown(told: dict[str, dict[str, Any]]) -> str:
    head = ["", "wall s", "fastest", "slowest", "last first command s", "MB of its own"]
    rows = []
    for name, one in told.items():
        last = statistics.median(max(each.values()) for each in one["first commands"])
        times = [f"{one[key]:.2f}" for key in ("wall", "fastest", "slowest")]
        rows.append([name, *times, f"{last:.2f}", f"{one['bytes'] / 1e6:.1f}"])
    return table(head, rows)


@dataclass(frozen=True, slots=True)
class Round:
    """One run of ``tox -r``."""

    run: Run
    first_commands: dict[str, float]
    """Seconds from the start to the first command of each environment."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One runner, with a project, caches and a tox of its own."""

    name: str
    place: Path
    pythons: list[str]
    environ: dict[str, str]

    @classmethod
    def install(
        cls, name: str, place: Path, lock: Path, pythons: list[str]
    ) -> Contestant:
        """Install tox with a plugin, and write a project."""
        own = place / name.replace(", ", "-")
        own.mkdir(parents=True)
        environ = calm(dict(os.environ)) | {
            "HOME": str(own / "home"),
            "MVENV_STORE": str(own / "store"),
            "UV_CACHE_DIR": str(own / "uv"),
            "PIP_CACHE_DIR": str(own / "pip"),
        }
        run_quietly([PYTHON, "-m", "venv", own / "tool"], environ=environ)
        python = str(own / "tool/bin/python")
        pip = [python, "-m", "pip", "install", "-q", "tox"]
        run_quietly([*pip, *_PLUGINS[name]], environ=environ)
        made = cls(name, own, pythons, environ)
        made.write_project(lock)
        return made

    def write_project(self, lock: Path) -> None:
        """Write a project with one environment for each interpreter."""
        project = self.place / "project"
        project.mkdir()
        for file in ("poetry.lock", "pyproject.toml"):
            shutil.copy(lock / file, project / file)
        locked = self.name.endswith("lock")
        deps = "deps = -r " + _PINS.format("{env_name}")
        settings = "lock = poetry.lock" if locked else deps
        requires = "requires = mvenv\n" if self.name.startswith("mvenv") else ""
        (project / "tox.ini").write_text(
            f"[tox]\n{requires}no_package = true\nenv_list = {','.join(self.pythons)}\n"
            f"[testenv]\n{settings}\n"
            f'commands = python -c "{_STAMP}" {{tox_root}}/stamp-{{env_name}}\n',
            encoding="utf-8",
        )

    def hand_pins_to(self, other: Contestant) -> None:
        """Write what it installed as the requirements of another's environments."""
        for python in self.pythons:
            inside = self.place / "project/.tox" / python / "bin/python"
            pins = run_quietly([inside, "-I", "-c", _LIST], environ=self.environ)
            told = other.place / "project" / _PINS.format(python)
            told.write_text(pins, encoding="utf-8")

    def race(self) -> Round:
        """Recreate all environments."""
        project = self.place / "project"
        tox = self.place / "tool/bin/tox"
        started = time.time()
        run = measure(
            [tox, "-r", "-c", project / "tox.ini"],
            log=self.place / "log",
            environ=self.environ,
        )
        return Round(run, dict(self._stamps(started)))

    def _stamps(self, started: float) -> Iterator[tuple[str, float]]:
        for python in self.pythons:
            text = (self.place / "project" / f"stamp-{python}").read_text("utf-8")
            yield python, float(text) - started

    def bytes_used(self) -> int:
        """Return what deleting its environments would give back.

        Files that have links elsewhere too are the store's or the cache's.
        """
        seen: dict[tuple[int, int], list[int]] = {}
        for folder, names, files in os.walk(self.place / "project" / ".tox"):
            for name in (*files, *names):
                status = os.lstat(os.path.join(folder, name))
                links = 1 if stat.S_ISDIR(status.st_mode) else status.st_nlink
                key = (status.st_dev, status.st_ino)
                seen.setdefault(key, [0, links, status.st_blocks * 512])[0] += 1
        return sum(size for times, links, size in seen.values() if times == links)


if __name__ == "__main__":
    main()
