"""The memory of all processes of a command together, by looking at it often."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from measuring import Run

__all__ = ["measure_together", "parse_pss"]

_PAUSE = 0.001


def measure_together(
    command: Sequence[str | Path], *, log: Path, environ: Mapping[str, str]
) -> Run:
    """Run a command; its memory is the most that its processes had at one moment.

    What several of them share is counted once (the kernel's proportional set size).
    Looking takes processor time, so the other figures are of no use. A peak shorter
    than a few milliseconds can be missed.
    """
    started = time.monotonic()
    most = 0
    with log.open("wb") as output:
        child = subprocess.Popen(
            [str(word) for word in command],
            env=dict(environ),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        while child.poll() is None:
            most = max(most, sum(_pss(pid) for pid in _session(child.pid)))
            time.sleep(_PAUSE)
    if child.returncode:
        said = log.read_text(encoding="utf-8", errors="replace")
        raise SystemExit(f"{command[0]} ended with {child.returncode}:\n{said}")
    wall = time.monotonic() - started
    return Run(wall=wall, user=0.0, system=0.0, memory=most)


def _session(leader: int) -> Iterator[int]:
    """Return the processes that a command started, as long as they stay with it."""
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) >= leader:
            try:
                status = Path(f"/proc/{name}/stat").read_text("utf-8", "replace")
            except OSError:
                continue  # it has ended
            # After the name, which may have anything in it: state, parent, group, this.
            if int(status.rpartition(")")[2].split()[3]) == leader:
                yield int(name)


def _pss(pid: int) -> int:
    try:
        return parse_pss(Path(f"/proc/{pid}/smaps_rollup").read_text("ascii"))
    except OSError:
        return 0


def parse_pss(rollup: str) -> int:
    """Return the bytes of the proportional set size; 0 of a process that has ended."""
    for line in rollup.splitlines():
        name, _, rest = line.partition(":")
        if name == "Pss":
            return int(rest.split()[0]) * 1024
    return 0
