"""What tox and nox do before they use an environment again, against a walk of it.

``python benchmarks/looking.py ENV_DIR``, with the Python that has mvenv, for an
environment of the store that MVENV_STORE names. In one process, as there: modules are
imported by then.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from measuring import describe_machine, table
from mvenv.integrations.looking_after import look_after
from mvenv.surroundings import Surroundings


def main() -> None:
    """Measure both in turns, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=9)
    asked = parser.parse_args()
    folder = asked.folder.absolute()
    said = Surroundings.of(os.environ)
    found = look_after(folder, said)
    if any(found):
        parser.error(f"{folder} is not as it should be: {found}")
    works: dict[str, Callable[[], object]] = {
        "mvenv's look": lambda: look_after(folder, said),
        "a bare walk": lambda: _walk(str(folder)),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(asked.runs):
        for name, work in works.items():
            times[name].append(_timed_in_a_thread(work))
    medians = {name: statistics.median(those) for name, those in times.items()}
    least = medians["a bare walk"]
    rows = [
        [name, f"{median:.3f}", f"{min(times[name]):.3f}", f"{median / least:.2f}"]
        for name, median in medians.items()
    ]
    sys.stdout.write(f"{describe_machine(folder)}\n")
    sys.stdout.write(table(["", "s", "fastest", "of a walk"], rows) + "\n")


def _timed_in_a_thread(work: Callable[[], object]) -> float:
    """As tox works: beside another thread nothing is forked."""
    took: list[float] = []

    def run() -> None:
        started = time.perf_counter()
        work()
        took.append(time.perf_counter() - started)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return took[0]


def _walk(folder: str) -> None:
    """Ask for the status of each file: the least that a look at all of them takes."""
    with os.scandir(folder) as entries:
        for entry in entries:
            entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                _walk(entry.path)


if __name__ == "__main__":
    main()
