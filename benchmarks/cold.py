"""The first environment of a lock: nothing in the store, all from an index.

``python benchmarks/cold.py --help``; ``README.md`` beside this file says what is
measured and how. Needs mvenv, pip and uv, and the index once.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import disk
from local_index import serving
from measuring import Run, describe_machine, measure, run_quietly, spread, table

_LOCKS = Path(__file__).parent / "locks"
_UV = "uv sync --frozen"
_SETTINGS = ("MVENV_", "UV_", "PYTHON", "PIP_INDEX", "PIP_EXTRA", "PIP_FIND", "VIRTUAL")
"""Variables that would change what is measured, by how they begin."""


@dataclass(frozen=True)
class Bench:
    """One lock, two tools, one index, and a folder in which everything is new."""

    lock: str
    mvenvs: dict[str, str]
    """Commands, by what the table calls them."""
    uv: str
    python: str
    folder: Path
    wheels: Path
    environ: dict[str, str] = field(repr=False)

    @cached_property
    def pins(self) -> list[str]:
        """Return what is installed, with its versions; fetched into ``wheels``."""
        self.folder.mkdir()
        command = self.mvenv_command(self.folder / "pins")
        made = json.loads(self.run(*command, "--json"))
        pins = [f"{one['name']}=={one['version']}" for one in made["distributions"]]
        wanted = self.folder / "pins.txt"
        wanted.write_text("\n".join(pins), encoding="utf-8")
        self.run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--only-binary", ":all:", "--dest", self.wheels),
            *("--find-links", self.wheels, "--requirement", wanted),
        )
        return pins

    def lock_for_uv(self, index: str) -> Path:
        """Return a project for uv: the same versions, locked from the same index."""
        project = self.folder / "project"
        project.mkdir()
        version = platform.python_version()
        project.joinpath("pyproject.toml").write_text(
            f'[project]\nname = "same-{self.lock}"\nversion = "0"\n'
            f'requires-python = "=={version}"\n'
            f"dependencies = {json.dumps(self.pins)}\n"
            "[tool.uv]\npackage = false\n"
            f"environments = [\"sys_platform == '{sys.platform}'\"]\n",
            encoding="utf-8",
        )
        command = (self.uv, "lock", "--no-config", "--project", project)
        self.run(*command, "--default-index", index)
        return project

    def run(self, *command: str | Path) -> str:
        """Run something that is not measured."""
        return run_quietly(command, environ=self.environ)

    def mvenv_command(self, target: Path, tool: str = "mvenv create") -> list[Any]:
        """Return the command that makes one with mvenv, the store beside it."""
        lockfile = _LOCKS / self.lock / "poetry.lock"
        return [
            *(self.mvenvs[tool], "create", target, "--from", lockfile),
            *("--all-groups", "--all-extras", "--no-bytecode", "--python", self.python),
            *("--store", target.with_name("store")),
        ]

    def time(self, tool: str, folder: Path, project: Path, index: str) -> Run:
        """Measure one tool filling one new store, all earlier writes being done."""
        target = folder / "env"
        if tool in self.mvenvs:
            command = [*self.mvenv_command(target, tool), "--index-url", index]
        else:
            command = [
                *(self.uv, "sync", "--frozen", "--quiet", "--no-config"),
                *("--link-mode", "hardlink", "--project", project),
                *("--python", self.python),
            ]
        disk.flush(self.folder)
        run = measure(
            command,
            log=self.folder / "output",
            environ={
                **self.environ,
                "UV_PROJECT_ENVIRONMENT": str(target),
                "UV_CACHE_DIR": str(folder / "store"),
            },
        )
        if not (target / "pyvenv.cfg").exists():
            raise SystemExit(f"{tool} made no environment")
        return run


def time_tools(bench: Bench, count: int) -> dict[str, Any]:
    """Run the tools in turn, each round in another order, after one unmeasured."""
    tools = [*bench.mvenvs, _UV]
    runs: dict[str, list[Run]] = {tool: [] for tool in tools}
    assert bench.pins
    with serving(bench.wheels) as index:
        project = bench.lock_for_uv(index)
        for number in range(count + 1):
            for tool in tools if number % 2 else reversed(tools):
                # A new disk each time: deleting what is on one would slow the next run.
                with disk.image("ext4", bench.folder) as folder:
                    run = bench.time(tool, folder, project, index)
                if number:
                    runs[tool].append(run)
    figures: dict[str, Any] = {tool: spread(those) for tool, those in runs.items()}
    uv = figures[_UV]
    for tool in tools:
        figures[tool]["ratio"] = figures[tool]["wall"] / uv["wall"]
        figures[tool]["memory ratio"] = figures[tool]["memory"] / uv["memory"]
    return figures


def print_times(times: dict[str, Any]) -> None:
    """Print a table of times and ratios."""
    rows = [
        [
            f"{lock}: {tool}",
            *(
                f"{one[key]:.3f}"
                for key in ("wall", "fastest", "slowest", "user", "system")
            ),
            f"{one['memory'] / 1e6:.0f}",
            f"{one['ratio']:.2f}",
            f"{one['memory ratio']:.2f}",
        ]
        for lock, figures in times.items()
        for tool, one in figures.items()
    ]
    head = ["", "wall s", "fastest", "slowest", "user s", "system s", "MB"]
    print(table([*head, "/ uv, wall", "/ uv, MB"], rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    beside = Path(sys.executable).with_name("mvenv")
    parser.add_argument(
        "--locks", nargs="+", default=["small", "web", "science"], metavar="LOCK"
    )
    parser.add_argument("--runs", type=int, default=5, help="of each tool (at least 5)")
    parser.add_argument("--mvenv", default=str(beside))
    parser.add_argument("--fast", help="another mvenv, installed as mvenv[fast]")
    parser.add_argument("--uv", default=shutil.which("uv") or "uv")
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    parser.add_argument(
        "--wheels", type=Path, help="folder that has, or gets, the index's wheels"
    )
    parser.add_argument("--json", type=Path, help="file for all figures")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="cold-", dir=arguments.folder))
    wheels = arguments.wheels or folder / "wheels"
    wheels.mkdir(exist_ok=True)
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_SETTINGS)
    }
    mvenvs = {"mvenv create": arguments.mvenv}
    if arguments.fast:
        mvenvs["mvenv[fast] create"] = arguments.fast
    figures: dict[str, Any] = {"machine": describe_machine(folder), "times": {}}
    for lock in arguments.locks:
        bench = Bench(
            lock=lock,
            mvenvs=mvenvs,
            uv=arguments.uv,
            python=sys.executable,
            folder=folder / lock,
            wheels=wheels,
            environ=environ,
        )
        figures["times"][lock] = time_tools(bench, arguments.runs)
    print(json.dumps(figures["machine"], indent=1))
    print_times(figures["times"])
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    # Only now: a mass delete would make the runs after it slower.
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
