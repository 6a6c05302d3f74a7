"""Run programs and tell what they took: shared by the benchmarks, stdlib only."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Run", "describe_machine", "measure", "run_quietly", "spread", "table"]

# The kernel counts the memory of who forks into the peak of what is then executed, so
# the forking is left to an interpreter with nothing in it.
_LAUNCHER = """
import os, sys, time
out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
started = time.monotonic()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ, file_actions=[
    (os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, out, 2)])
_, status, used = os.wait4(pid, 0)
wall = time.monotonic() - started
print(os.waitstatus_to_exitcode(status), wall, used.ru_utime, used.ru_stime,
      used.ru_maxrss)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one whole process took, with all processes that it waited for."""

    wall: float
    """Seconds."""
    user: float
    system: float
    memory: int
    """Bytes of the largest process at its peak; never below a bare interpreter's."""


def measure(
    command: Sequence[str | Path], *, log: Path, environ: Mapping[str, str]
) -> Run:
    """Run a command from start to exit; its output goes to ``log``."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(log), *map(str, command)],
        env=dict(environ),
        capture_output=True,
        text=True,
        check=True,
    )
    code, *used = done.stdout.split()
    if code != "0":
        said = log.read_text(encoding="utf-8", errors="replace")
        raise SystemExit(f"{command[0]} ended with {code}:\n{said}")
    wall, user, system, memory = map(float, used)
    return Run(wall=wall, user=user, system=system, memory=int(memory) * 1024)


def run_quietly(
    command: Sequence[str | Path],
    *,
    environ: Mapping[str, str],
    folder: Path | None = None,
) -> str:
    """Run a command that is not measured and return what it says."""
    done = subprocess.run(
        [str(part) for part in command],
        env=dict(environ),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr or done.stdout
        raise SystemExit(f"{command[0]} ended with {done.returncode}:\n{said}")
    return done.stdout


def spread(runs: Sequence[Run]) -> dict[str, Any]:
    """Return medians, the fastest and the slowest, and every run."""
    walls = sorted(run.wall for run in runs)
    return {
        "wall": statistics.median(walls),
        "fastest": walls[0],
        "slowest": walls[-1],
        "user": statistics.median(run.user for run in runs),
        "system": statistics.median(run.system for run in runs),
        "memory": statistics.median(run.memory for run in runs),
        "runs": [asdict(run) for run in runs],
    }


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, numbers to the right."""
    widths = [
        max(len(row[column]) for row in (head, *rows)) for column in range(len(head))
    ]
    lines = [
        "| " + " | ".join(_cells(head, widths)) + " |",
        "|"
        + "|".join(
            "-" * (width + 2) if not column else "-" * (width + 1) + ":"
            for column, width in enumerate(widths)
        )
        + "|",
    ]
    lines += ["| " + " | ".join(_cells(row, widths)) + " |" for row in rows]
    return "\n".join(lines)


def _cells(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    first = row[0].ljust(widths[0])
    rest = zip(row[1:], widths[1:], strict=True)
    return [first, *(cell.rjust(width) for cell, width in rest)]


def describe_machine(folder: Path) -> dict[str, str]:
    """Return what the figures depend on: processor, kernel, file system, load."""
    return {
        "processor": f"{os.cpu_count()} x {_processor()}",
        "memory": f"{_memory() / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "file system": _file_system(folder),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if "model name" in line)
    return next(names, platform.machine())


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _file_system(folder: Path) -> str:
    """Return type and options of the mount that holds ``folder``."""
    try:
        found = run_quietly(
            ["findmnt", "--json", "-o", "FSTYPE,OPTIONS", "--target", folder],
            environ=os.environ,
        )
    except FileNotFoundError:
        return "unknown"
    mount = json.loads(found)["filesystems"][0]
    return f"{mount['fstype']} ({mount['options']})"
