"""The second environment of one lock: time, bytes on disk, and no network.

``python benchmarks/second_environment.py --help``; ``README.md`` beside this file says
what is measured and how. Needs mvenv and uv; strace for the proof of no network; root
for the file systems whose bytes are counted.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import disk
from contents import installed_files
from measuring import Run, describe_machine, measure, run_quietly, spread, table

_LOCKS = Path(__file__).parent / "locks"
_TOOLS = ("mvenv create", "uv sync --frozen", "cp -al")
_SETTINGS = ("MVENV_", "UV_", "PYTHON", "VIRTUAL_ENV")
"""Variables that would change what is measured, by how they begin."""


@dataclass(frozen=True)
class Bench:
    """One lock, the tools, and a folder in which everything is new."""

    lock: str
    mvenv: str
    uv: str
    python: str
    folder: Path
    environ: dict[str, str] = field(repr=False)

    @cached_property
    def project(self) -> Path:
        """Return the project for uv: the versions of the lockfile, locked by uv."""
        project = self.folder / "project"
        project.mkdir()
        made = json.loads(self.create(self.folder / "first", "--json"))
        pins = [f"{one['name']}=={one['version']}" for one in made["distributions"]]
        version = ".".join(made["version"].split(".")[:2])
        project.joinpath("pyproject.toml").write_text(
            f'[project]\nname = "same-{self.lock}"\nversion = "0"\n'
            f'requires-python = "=={version}.*"\ndependencies = {json.dumps(pins)}\n'
            "[tool.uv]\npackage = false\n"
            f"environments = [\"sys_platform == '{sys.platform}'\"]\n",
            encoding="utf-8",
        )
        self.run(self.uv, "lock", "--no-config", "--project", project)
        return project

    def run(self, *command: str | Path, **variables: str) -> str:
        """Run something that is not measured."""
        return run_quietly(command, environ={**self.environ, **variables})

    def create(self, target: Path, *options: str | Path) -> str:
        """Make an environment with mvenv, unmeasured."""
        return self.run(*self.mvenv_command(target), *options)

    def mvenv_command(self, target: Path) -> list[str | Path]:
        """Return the command that makes one with mvenv."""
        lockfile = _LOCKS / self.lock / "poetry.lock"
        choice = ("--all-groups", "--all-extras", "--python", self.python)
        store = self.folder.parent / "store"
        return [
            *(self.mvenv, "create", target, "--from", lockfile),
            *(*choice, "--store", store),
        ]

    def commands(self, target: Path) -> dict[str, list[str | Path]]:
        """Return the measured commands, by tool."""
        uv_options = ("--quiet", "--no-config", "--offline", "--link-mode", "hardlink")
        return {
            "mvenv create": [*self.mvenv_command(target), "--offline"],
            "uv sync --frozen": [
                *(self.uv, "sync", "--frozen", *uv_options),
                *("--project", self.project, "--python", self.python),
            ],
            "cp -al": ["cp", "-al", self.folder / "first", target],
        }

    def time(self, tool: str, target: Path) -> Run:
        """Measure one tool making one new folder, all earlier writes being done."""
        command = self.commands(target)[tool]
        disk.flush(self.folder)
        run = measure(
            command,
            log=self.folder / "output",
            environ={**self.environ, "UV_PROJECT_ENVIRONMENT": str(target)},
        )
        if not (target / "pyvenv.cfg").exists():
            raise SystemExit(f"{tool} made no environment")
        return run


def time_tools(bench: Bench, count: int) -> dict[str, Any]:
    """Run the tools in turn, each round in another order, after one unmeasured."""
    runs: dict[str, list[Run]] = {tool: [] for tool in _TOOLS}
    bench.run(
        *(bench.uv, "sync", "--quiet", "--frozen", "--no-config"),
        *("--project", bench.project, "--python", bench.python),
        UV_PROJECT_ENVIRONMENT=str(bench.folder / "first-of-uv"),
    )
    for number in range(count + 1):
        turn = number % len(_TOOLS)
        for tool in (*_TOOLS[turn:], *_TOOLS[:turn]):
            target = bench.folder / f"{tool.split()[0]}-{number}"
            run = bench.time(tool, target)
            if number:
                runs[tool].append(run)
    figures: dict[str, Any] = {tool: spread(those) for tool, those in runs.items()}
    for tool in _TOOLS:
        figures[tool]["ratio"] = figures[tool]["wall"] / figures["mvenv create"]["wall"]
    return figures


def compare_trees(bench: Bench) -> dict[str, int]:
    """Return how many files of uv's environment differ from ours in name or size."""
    ours = dict(installed_files(bench.folder / "mvenv-1"))
    theirs = dict(installed_files(bench.folder / "uv-1"))
    differing = {
        path
        for path in ours.keys() | theirs.keys()
        if ours.get(path) != theirs.get(path)
    }
    return {"files": len(ours), "differing": len(differing)}


def count_connections(bench: Bench) -> dict[str, int]:
    """Return the network calls of a second environment: told to be offline, and not."""
    counts: dict[str, int] = {}
    for name, options in {"with --offline": ["--offline"], "without": []}.items():
        trace = bench.folder / "trace"
        command = bench.mvenv_command(bench.folder / f"traced-{len(counts)}")
        bench.run(
            "strace", "-f", "-e", "trace=network", "-o", trace, *command, *options
        )
        lines = trace.read_text(encoding="utf-8").splitlines()
        counts[name] = sum("(" in line for line in lines)
    return counts


def weigh(bench: Bench) -> dict[str, Any]:
    """Count the second environment's new bytes, and those of a copy, on one disk."""
    bench.create(bench.folder / "first")
    figures: dict[str, Any] = {}
    for name, options in {"linked": (), "copied": ("--link-mode", "copy")}.items():
        target = bench.folder / name
        before = disk.used_bytes(bench.folder)
        made = json.loads(bench.create(target, "--offline", "--json", *options))
        after = disk.used_bytes(bench.folder)
        figures[name] = {
            "mode": made["link_mode"],
            "by df": after - before,
            "by blocks": disk.allocated(target),
        }
    return figures


def rest(linked: dict[str, Any]) -> int:
    """Return what the disk counts beyond the environment's own folders and files."""
    own = (
        kind["bytes"] for name, kind in linked["by blocks"].items() if name != "shared"
    )
    return int(linked["by df"] - sum(own))


def _seconds(value: float) -> str:
    return f"{value:.3f}"


def _megabytes(value: float) -> str:
    return f"{value / 1e6:,.2f}"


def print_times(times: dict[str, Any]) -> None:
    """Print a table of times and ratios."""
    rows = [
        [
            f"{lock}: {tool}",
            *(_seconds(one[key]) for key in ("wall", "fastest", "slowest")),
            *(_seconds(one[key]) for key in ("user", "system")),
            f"{one['memory'] / 1e6:.0f}",
            f"{one['ratio']:.2f}",
        ]
        for lock, figures in times.items()
        for tool, one in figures["tools"].items()
    ]
    head = ["", "wall s", "fastest", "slowest", "user s", "system s", "MB", "/ mvenv"]
    print(table(head, rows), "\n")


def print_bytes(kind: str, weights: dict[str, Any]) -> None:
    """Print new bytes; itemised where blocks tell what is shared."""
    items = ("folders", "private", "generated", "receipt", "symlinks")
    rows = []
    for lock, figures in weights.items():
        linked, copied = figures["linked"], figures["copied"]["by df"]
        row = [f"{lock}: {linked['mode']}", _megabytes(copied)]
        row += [
            _megabytes(linked["by df"]),
            f"{100 * linked['by df'] / copied:.2f} %",
        ]
        if linked["mode"] == "hardlink":
            blocks = linked["by blocks"]
            sizes = [blocks.get(item, {"bytes": 0})["bytes"] for item in items]
            left = rest(linked)
            row += [*map(_megabytes, sizes), _megabytes(left)]
            row.append(f"{100 * left / copied:.2f} %")
        rows.append(row)
    head = [f"{kind}, MB", "a copy", "new by df", "of a copy"]
    if len(rows[0]) > len(head):
        head += [*items, "the rest", "of a copy"]
    print(table(head, rows), "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    beside = Path(sys.executable).with_name("mvenv")
    parser.add_argument(
        "--locks", nargs="+", default=["small", "web", "science"], metavar="LOCK"
    )
    parser.add_argument("--runs", type=int, default=7, help="of each tool (at least 5)")
    parser.add_argument("--mvenv", default=str(beside))
    parser.add_argument("--uv", default=shutil.which("uv") or "uv")
    parser.add_argument("--python", default=sys.executable, help="to build for")
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument(
        "--only", choices=["times", "bytes", "network"], help="one part alone"
    )
    return parser.parse_args()


def _benches(arguments: argparse.Namespace, folder: Path) -> Iterator[Bench]:
    """Give one for each lock; they share a store and a cache in ``folder``."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_SETTINGS)
    }
    environ["UV_CACHE_DIR"] = str(folder / "uv-cache")
    if "PIP_INDEX_URL" in environ:
        environ["UV_DEFAULT_INDEX"] = environ["PIP_INDEX_URL"]
    for lock in arguments.locks:
        own = folder / lock
        own.mkdir(exist_ok=True)
        yield Bench(lock, arguments.mvenv, arguments.uv, arguments.python, own, environ)


def _times(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    times = {}
    for bench in _benches(arguments, folder):
        tools = time_tools(bench, arguments.runs)
        times[bench.lock] = {"tools": tools, "trees": compare_trees(bench)}
    print_times(times)
    for lock, figures in times.items():
        trees = figures["trees"]
        print(
            f"{lock}: {trees['files']:,} installed files, of which"
            f" {trees['differing']} differ in name or size from uv's"
        )
    return times


def _network(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    counts = {}
    for bench in _benches(arguments, folder):
        if not (bench.folder / "first").exists():
            bench.create(bench.folder / "first")
        counts[bench.lock] = count_connections(bench)
        print(f"{bench.lock}: network calls {counts[bench.lock]}")
    return counts


def _bytes(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    weights = {}
    for kind in disk.IMAGES:
        with disk.image(kind, folder) as mounted:
            weights[kind] = {
                bench.lock: weigh(bench) for bench in _benches(arguments, mounted)
            }
        print_bytes(kind, weights[kind])
    return weights


def main() -> None:
    """Measure, print tables, and write all figures."""
    arguments = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="mvenv-bench-", dir=arguments.folder))
    figures: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": describe_machine(folder),
        "mvenv": run_quietly([arguments.mvenv, "--version"], environ=os.environ),
        "uv": run_quietly([arguments.uv, "--version"], environ=os.environ),
        "runs": arguments.runs,
    }
    print(json.dumps(figures, indent=2), "\n")
    try:
        if arguments.only in {None, "times"}:
            figures["times"] = _times(arguments, folder)
        if arguments.only in {None, "network"}:
            figures["network"] = _network(arguments, folder)
        if arguments.only in {None, "bytes"}:
            figures["bytes"] = _bytes(arguments, folder) if disk.can_mount() else None
        figures["load after"] = os.getloadavg()[0]
        if arguments.json:
            arguments.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    finally:
        # Only now: a mass delete would make the runs after it slower.
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
