"""virtualenv with the seeder of mvenv, against its own.

``python benchmarks/seeding.py --help``; ``README.md`` beside this file says what is
measured and how.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

from measuring import Run, describe_machine, measure, run_quietly, spread, table

_SETTINGS = ("MVENV_", "PIP_", "PYTHON", "VIRTUALENV_", "VIRTUAL_ENV")
_WAYS: dict[str, dict[str, str]] = {
    "virtualenv's own": {"VIRTUALENV_SEEDER": "app-data"},
    "mvenv": {"VIRTUALENV_SEEDER": "mvenv"},
    "mvenv, no bytecode": {"VIRTUALENV_SEEDER": "mvenv", "MVENV_NO_BYTECODE": "1"},
    "no seed": {"VIRTUALENV_NO_SEED": "1"},
}
_FIRST = "virtualenv's own"
_TWICE = """
import json, sys, time
from virtualenv import cli_run
times = []
for place in sys.argv[1:]:
    started = time.perf_counter()
    cli_run([place], setup_logging=False)
    times.append(time.perf_counter() - started)
print(json.dumps(times))
"""
"""As tox does it: many environments in one process."""
_AT_ONCE = 6


def main() -> None:
    """Measure, print, and write down if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--folder", type=Path, required=True, help="on the disk to use")
    parser.add_argument("--python", default=sys.executable, help="of the environments")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    place = asked.folder / f"seeding-{os.getpid()}"
    place.mkdir(parents=True)
    bench = _Bench(place, asked.python)
    whole: dict[str, list[Run]] = {name: [] for name in _WAYS}
    inside: dict[str, list[float]] = {name: [] for name in _WAYS}
    names = list(_WAYS)
    for number in range(asked.runs + 1):
        turn = number % len(names)
        for name in (*names[turn:], *names[:turn]):
            run = bench.whole(name, number)
            times = bench.inside(name, number)
            # The first round fills the store, and virtualenv's folder.
            if number:
                whole[name].append(run)
                inside[name] += times
    told = {name: spread(runs) for name, runs in whole.items()}
    sys.stdout.write(_whole_table(told) + "\n\n" + _inside_table(inside) + "\n")
    if asked.json:
        value = {"machine": describe_machine(place), "whole": told, "inside": inside}
        asked.json.write_text(json.dumps(value, indent=1), encoding="utf-8")


def _whole_table(told: dict[str, dict[str, float]]) -> str:
    head = ["whole process", "wall s", "fastest", "slowest", "user s", "system s"]
    columns = ("wall", "fastest", "slowest", "user", "system")
    rows = [
        [
            name,
            *(f"{one[column]:.3f}" for column in columns),
            f"{one['wall'] / told[_FIRST]['wall']:.2f}",
        ]
        for name, one in told.items()
    ]
    return table([*head, "/ own"], rows)


def _inside_table(inside: dict[str, list[float]]) -> str:
    head = ["in one process", "ms", "fastest", "slowest", "/ own"]
    medians = {name: statistics.median(times) for name, times in inside.items()}
    rows = [
        [
            name,
            *(f"{1000 * one:.1f}" for one in (medians[name], min(times), max(times))),
            f"{medians[name] / medians[_FIRST]:.2f}",
        ]
        for name, times in inside.items()
    ]
    return table(head, rows)


class _Bench:
    """One store, one folder of virtualenv's, and new environments again and again."""

    def __init__(self, place: Path, python: str) -> None:
        self._place, self._python = place, python
        self._environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_SETTINGS) or name == "PYTHONPATH"
        }
        self._environ |= {
            "MVENV_STORE": str(place / "store"),
            "MVENV_LINK_MODE": "hardlink",
            "VIRTUALENV_OVERRIDE_APP_DATA": str(place / "app-data"),
            "VIRTUALENV_CONFIG_FILE": str(place / "none.ini"),
            "VIRTUALENV_NO_PERIODIC_UPDATE": "1",
            "VIRTUALENV_PYTHON": python,
        }

    def whole(self, name: str, number: int) -> Run:
        """Make one environment by a command."""
        os.sync()
        place = self._new(name, f"whole{number}")
        command = [sys.executable, "-m", "virtualenv", str(place)]
        environ = self._environ | _WAYS[name]
        return measure(command, log=self._place / "log", environ=environ)

    def inside(self, name: str, number: int) -> list[float]:
        """Make several in one process; its first, which imports, does not count."""
        os.sync()
        places = [self._new(name, f"in{number}-{one}") for one in range(_AT_ONCE)]
        command = [sys.executable, "-c", _TWICE, *map(str, places)]
        said = run_quietly(command, environ=self._environ | _WAYS[name])
        times: list[float] = json.loads(said.splitlines()[-1])
        return times[1:]

    def _new(self, name: str, which: str) -> Path:
        return self._place / f"{list(_WAYS).index(name)}" / which


if __name__ == "__main__":
    main()
