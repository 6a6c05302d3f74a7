"""``mvenv create --clear`` of one lock, against its first create.

``python benchmarks/clear.py --help``; ``README.md`` beside this file says what is
measured and how.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from measuring import Run, describe_machine, measure, run_quietly, spread, table

_LOCKS = Path(__file__).parent / "locks"
_SETTINGS = ("MVENV_", "PYTHON", "VIRTUAL_ENV")
_RUN = "from mvenv.cli import main; main()"
_AT_ONCE = f"from mvenv.env import beside; beside._LARGE = 1 << 60; {_RUN}"
"""As before there was a process that deletes."""
_WAYS = {
    "mvenv create": (_RUN, False),
    "mvenv create --clear": (_RUN, True),
    "the same, deleting at once": (_AT_ONCE, True),
}


def main() -> None:
    """Measure, print, and write down if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lock", default="web")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--folder", type=Path, required=True, help="on the disk to use")
    parser.add_argument("--store", type=Path, help="one that has the lock's wheels")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    place = asked.folder / f"clear-{os.getpid()}"
    place.mkdir(parents=True)
    bench = _Bench(asked.lock, place, asked.store or place / "store")
    found: dict[str, list[Run]] = {name: [] for name in _WAYS}
    names = list(_WAYS)
    for number in range(asked.runs + 1):
        turn = number % len(names)
        for name in (*names[turn:], *names[:turn]):
            run = bench.measure(name, number)
            if number:
                found[name].append(run)
    told = {name: spread(runs) for name, runs in found.items()}
    least = told["mvenv create"]["wall"]
    head = ["", "wall s", "fastest", "slowest", "user s", "system s", "/ first"]
    columns = ("wall", "fastest", "slowest", "user", "system")
    rows = [
        [f"{asked.lock}: {name}"]
        + [f"{one[column]:.3f}" for column in columns]
        + [f"{one['wall'] / least:.2f}"]
        for name, one in told.items()
    ]
    sys.stdout.write(table(head, rows) + "\n")
    if asked.json:
        whole = {"machine": describe_machine(place), "times": told}
        asked.json.write_text(json.dumps(whole, indent=1), encoding="utf-8")


class _Bench:
    """One lock, one store, and two environments that are cleared again and again."""

    def __init__(self, lock: str, place: Path, store: Path) -> None:
        self._lock, self._place, self._store = lock, place, store
        self._environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_SETTINGS) or name == "PYTHONPATH"
        }
        run_quietly(self._command(_RUN, place / "first"), environ=self._environ)

    def _command(self, program: str, environment: Path, *options: str) -> list[str]:
        lock = _LOCKS / self._lock / "poetry.lock"
        words = [sys.executable, "-c", program, "create", environment, "--from", lock]
        words += ["--all-groups", "--all-extras", "--link-mode", "hardlink"]
        return [*map(str, words), "--store", str(self._store), *options]

    def measure(self, name: str, number: int) -> Run:
        """Run one way once, when nobody deletes any more and all is written out."""
        program, clear = _WAYS[name]
        folder = self._place / f"{list(_WAYS).index(name)}"
        environment = folder / (".venv" if clear else f"env{number}")
        options = ["--clear"] if clear else []
        if clear and not environment.exists():
            run_quietly(self._command(_RUN, environment), environ=self._environ)
        os.sync()
        command = self._command(program, environment, *options)
        run = measure(command, log=self._place / "log", environ=self._environ)
        while list(folder.glob(".mvenv-build-*")):
            time.sleep(0.05)
        return run


if __name__ == "__main__":
    main()
