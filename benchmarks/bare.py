"""A bare environment, with pip and without: mvenv, ``venv``, virtualenv, uv.

``python benchmarks/bare.py --help``; ``README.md`` beside this file says what is
measured and how.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from measuring import Run, describe_machine, measure, run_quietly, spread, table
from tools import install

_SETTINGS = ("MVENV_", "PYTHON", "VIRTUAL", "UV_")
_SEEDED = "with pip"
_BARE = "without pip"


def main() -> None:
    """Measure, print, and write down if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--folder", type=Path, required=True, help="on the disk to use")
    parser.add_argument("--tools", type=Path, help="keep mvenv and its peers there")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    place = asked.folder / f"bare-{os.getpid()}"
    place.mkdir(parents=True)
    tools = install(asked.tools or place / "tools")
    bench = _Bench(place, {name: tools[name] for name in ("mvenv", "virtualenv", "uv")})
    told = {}
    for kind in (_SEEDED, _BARE):
        found = bench.race(kind, asked.runs)
        told[kind] = {name: spread(runs) for name, runs in found.items()}
        ours = told[kind]["mvenv"]["wall"]
        head = ["", "wall s", "fastest", "slowest", "mvenv / it"]
        rows = [
            [f"{kind}: {name}"]
            + [f"{one[column]:.4f}" for column in ("wall", "fastest", "slowest")]
            + [f"{ours / one['wall']:.3f}"]
            for name, one in told[kind].items()
        ]
        sys.stdout.write(table(head, rows) + "\n")
    if asked.json:
        whole = {"machine": describe_machine(place), "times": told}
        asked.json.write_text(json.dumps(whole, indent=1), encoding="utf-8")


class _Bench:
    """One store, one cache, and a new folder for each environment."""

    def __init__(self, place: Path, tools: dict[str, str]) -> None:
        self._place, self._tools = place, tools
        self._base = getattr(sys, "_base_executable", sys.executable)
        self._environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_SETTINGS)
        }
        self._environ["MVENV_STORE"] = str(place / "store")
        self._environ["UV_CACHE_DIR"] = str(place / "cache")
        self._environ["VIRTUALENV_OVERRIDE_APP_DATA"] = str(place / "data")

    def _commands(self, kind: str) -> dict[str, list[str]]:
        python = ["--python", self._base]
        uv = [self._tools["uv"], "venv", "--no-config", "--quiet", *python]
        virtualenv = [self._tools["virtualenv"], "--quiet", *python]
        mvenv = [self._tools["mvenv"], *python]
        venv = [self._base, "-m", "venv"]
        if kind == _BARE:
            return {
                "mvenv": [*mvenv, "--without-pip"],
                "uv venv": uv,
                "python -m venv": [*venv, "--without-pip"],
                "virtualenv": [*virtualenv, "--no-seed"],
            }
        return {
            "mvenv": mvenv,
            "uv venv --seed": [*uv, "--seed", "--link-mode", "hardlink"],
            "virtualenv": [*virtualenv, "--no-download", "--no-periodic-update"],
            "virtualenv, by symbolic links": [
                *virtualenv,
                "--no-download",
                "--no-periodic-update",
                "--symlink-app-data",
            ],
            "python -m venv": venv,
        }

    def race(self, kind: str, runs: int) -> dict[str, list[Run]]:
        """Let all take turns; the first round, which fills caches, is not counted."""
        commands = self._commands(kind)
        names = list(commands)
        found: dict[str, list[Run]] = {name: [] for name in names}
        for number in range(runs + 1):
            turn = number % len(names)
            for name in (*names[turn:], *names[:turn]):
                target = self._place / kind.replace(" ", "-") / f"{number}"
                folder = target / str(names.index(name)) / "env"
                folder.parent.mkdir(parents=True)
                os.sync()
                command = [*commands[name], str(folder)]
                run = measure(command, log=self._place / "log", environ=self._environ)
                works = [str(folder / "bin" / "python"), "-c", ""]
                run_quietly(works, environ=self._environ)
                if number:
                    found[name].append(run)
        return found


if __name__ == "__main__":
    main()
