"""The benchmark suite: mvenv, its peers and the physical limit, side by side.

``python3 benchmarks/run.py --help``; ``README.md`` beside this file says what is
measured and how. Installs all that it compares; needs an index, and root for file
systems other than the one at hand.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import disk
import tools
from drawing import draw_all
from measuring import describe_machine, run_quietly
from racing import Ground, say
from results import Result, judge, print_rows, to_json
from sections import (
    Stage,
    run_bytecode,
    run_cold,
    run_import,
    run_installers,
    run_memory,
    run_warm,
)
from weighing import run_bytes, run_store
from workloads import LOCKS, Workload

_SECTIONS: dict[str, Callable[[Stage], list[Result]]] = {
    "warm": run_warm,
    "memory": run_memory,
    "bytecode": run_bytecode,
    "import": run_import,
    "store": run_store,
    "bytes": run_bytes,
    # These take the most room on the disk below: the last one stays there.
    "cold": run_cold,
    "installers": run_installers,
}
_EVERYWHERE = {"warm"}
"""Sections that run on all file systems chosen; the others run on the first one."""
_SHARED_BLOCKS = {"bytes"}
"""Sections that run where there are reflinks, too."""
_REFLINKS = {"xfs", "btrfs"}
_WORKLOADS = {"store": {"small"}, "memory": {"web", "science"}, "bytes": {"science"}}
"""Workloads that tell something in a section; all, if not said."""


def _list(allowed: list[str]) -> Callable[[str], list[str]]:
    def read(words: str) -> list[str]:
        names = words.split(",")
        for name in names:
            if name not in allowed:
                raise argparse.ArgumentTypeError(
                    f"`{name}` is none of {', '.join(allowed)}"
                )
        return names

    return read


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    locks = ["small", "web", "science"]
    kinds = [*disk.IMAGES, "tmpfs", "here"]
    add = parser.add_argument
    add("--workload", type=_list(locks), default=locks, metavar="A,B", help="of locks/")
    add(
        "--fs",
        type=_list(kinds),
        default=[*disk.IMAGES, "tmpfs"] if disk.can_mount() else ["here"],
        metavar="A,B",
        help=f"of {', '.join(kinds)}; all but the last, if root",
    )
    add("--rounds", type=int, default=5, help="of each contestant (at least 5)")
    add("--only", type=_list(list(_SECTIONS)), metavar="A,B", help="sections, of "
        + ", ".join(_SECTIONS))  # fmt: skip
    add("--any-workload", action="store_true", help="also where it tells little")
    add("--json", type=Path, metavar="FILE", help="for all samples")
    add("--pictures", type=Path, metavar="FOLDER", help="for SVG pictures")
    add("--folder", type=Path, help="for images, or on the disk to measure (25 GB)")
    add("--tools", type=Path, metavar="FOLDER", help="keep the peers here; those there"
        " are used as they are, and mvenv is installed again")  # fmt: skip
    return parser.parse_args()


class Suite:
    """One run: what is chosen, what is installed, and what came of it."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments = arguments
        self.folder = folder
        self.results: list[Result] = []
        self.notes: list[str] = []
        self.failed = False
        say("installing mvenv and its peers")
        home = arguments.tools or folder / "tools"
        self.tools = tools.install(home.absolute())
        self.environ = tools.calm(os.environ)
        self.about: dict[str, Any] = {
            "date": time.strftime("%Y-%m-%d"),
            "commit": _commit(),
            "machine": {},
            "versions": self.tools.versions(),
            "rounds": arguments.rounds,
        }
        for name, reason in self.tools.missing.items():
            self.notes.append(f"{name} is left out: {reason}")

    def run(self) -> None:
        """Run all that is chosen, file system by file system."""
        for kind in self.arguments.fs:
            wanted = [name for name in _SECTIONS if self._runs(name, kind)]
            if not wanted:
                continue
            # Each on its own: no older files in the way, and less room needed.
            for workload in self.arguments.workload:
                try:
                    with self._ground(kind) as ground:
                        place = describe_machine(ground.folder)
                        self.about["machine"][ground.kind] = place
                        self._run_workload(ground, workload, wanted)
                        self.notes += ground.notes
                except (OSError, subprocess.SubprocessError) as error:
                    self._fail(f"{kind}: {workload}: {error}")

    def _runs(self, section: str, kind: str) -> bool:
        if self.arguments.only and section not in self.arguments.only:
            return False
        return (
            section in _EVERYWHERE
            or kind == self.arguments.fs[0]
            or (section in _SHARED_BLOCKS and kind in _REFLINKS)
        )

    def _run_workload(self, ground: Ground, name: str, wanted: list[str]) -> None:
        stage = Stage(
            ground=ground,
            workload=Workload(
                name, self.tools.folder / "workloads" / name, self.tools, self.environ
            ),
            tools=self.tools,
            rounds=self.arguments.rounds,
            environ=self.environ,
            reflinks=ground.kind in _REFLINKS,
        )
        for section in wanted:
            telling = _WORKLOADS.get(section, {name})
            if name not in telling and not self.arguments.any_workload:
                continue
            started = time.monotonic()
            try:
                self.results += _SECTIONS[section](stage)
            except (SystemExit, OSError, subprocess.SubprocessError) as error:
                self._fail(f"{ground.kind}: {section}: {name}: {error}")
            took = time.monotonic() - started
            say(f"{ground.kind}: {section}: {name}: done in {took:.0f} s")
            self.save()

    def _fail(self, words: str) -> None:
        say(f"FAILED: {words}")
        self.failed = True
        self.notes.append(f"FAILED: {words}")

    @contextmanager
    def _ground(self, kind: str) -> Iterator[Ground]:
        if kind == "here":
            place = Path(tempfile.mkdtemp(prefix="here-", dir=self.folder))
            real = describe_machine(place)["file system"].partition(" ")[0]
            yield Ground(real, place, self.folder, images=False)
            return
        with disk.image(kind, self.folder) as mounted:
            yield Ground(kind, mounted, self.folder, images=True)

    def save(self) -> None:
        """Write what there is: a run that is ended keeps it."""
        if self.arguments.json:
            value = {
                **self.about,
                "notes": self.notes,
                "results": to_json(self.results),
            }
            text = json.dumps(value, indent=1)
            self.arguments.json.write_text(text + "\n", encoding="utf-8")

    def show(self) -> None:
        """Print the machine, one table, and what was left out; draw pictures."""
        print(json.dumps(self.about, indent=2), "\n")
        print_rows(judge(self.results))
        for note in self.notes:
            print(f"\n{note}")
        if self.arguments.pictures:
            self.arguments.pictures.mkdir(parents=True, exist_ok=True)
            for name, picture in draw_all(self.results).items():
                file = self.arguments.pictures / f"{name}.svg"
                file.write_text(picture, encoding="utf-8")


def _commit() -> str:
    project = LOCKS.parents[1]
    command = ["git", "-C", str(project), "describe", "--always", "--dirty"]
    try:
        return run_quietly(command, environ=os.environ).strip()
    except (OSError, SystemExit):
        return "unknown"


def main() -> None:
    """Run the suite; the exit code is 1 where a section failed."""
    arguments = _arguments()
    # However it is ended, no image stays behind.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="mvenv-bench-", dir=arguments.folder))
    try:
        suite = Suite(arguments, folder.absolute())
        suite.run()
        suite.save()
        suite.show()
    finally:
        # Only now: a mass delete would make the runs after it slower.
        shutil.rmtree(folder)
    sys.exit(suite.failed)


if __name__ == "__main__":
    main()
