"""Kill a command at, or fail, any of its system calls (`strace --inject`)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

__all__ = ["MUTATING", "Injection", "Strace"]

MUTATING = (
    "mkdir",
    "mkdirat",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "write",
    "pwrite64",
    "openat",
    "fchmod",
    "fchmodat",
    "chmod",
    "utimensat",
    "ftruncate",
    "fsync",
    "syncfs",
    "ioctl",
)
"""Calls that change what is on a disk, or open what will be changed."""

_CALL = re.compile(r"^(\d+)\s+(\w+)\((.*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """One run of the command with one call killed or failed."""

    call: str
    number: int
    """Which of the calls of this name, in the process that makes them."""
    fired: bool
    returncode: int
    output: str


class Strace:
    """Runs one command under strace; skips the test where there is none."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        if shutil.which("strace") is None:
            _give_up("there is no `strace`")
        self._folder = folder
        self._environ = dict(environ)
        self._count = 0

    def count(self, command: Sequence[str], below: Path) -> Counter[tuple[str, int]]:
        """Run the command; return the calls that concern ``below``, by number.

        Counted as strace counts for an injection: by name, in each process. The
        first process's calls only, so commands should do their work in one thread.
        """
        log = self._log()
        done = self._strace(command, log, "-y", "-e", f"trace={','.join(MUTATING)}")
        assert done.returncode == 0, done.stdout + done.stderr
        first = ""
        numbers: Counter[str] = Counter()
        found: Counter[tuple[str, int]] = Counter()
        for line in log.read_text(errors="replace").splitlines():
            match = _CALL.match(line)
            if match is None:
                continue
            process, call, rest = match.groups()
            first = first or process
            if process != first:
                continue
            numbers[call] += 1
            reading = call == "openat" and "O_CREAT" not in rest
            if str(below) in rest and not reading:
                found[call, numbers[call]] += 1
        return found

    def kill(self, command: Sequence[str], call: str, number: int) -> Injection:
        """Run the command and kill it as it enters a call."""
        return self._inject(command, call, number, "signal=SIGKILL")

    def fail(
        self, command: Sequence[str], call: str, number: int, error: str
    ) -> Injection:
        """Run the command and let a call fail with ``error``, like ``ENOSPC``."""
        return self._inject(command, call, number, f"error={error}")

    def _inject(
        self, command: Sequence[str], call: str, number: int, what: str
    ) -> Injection:
        log = self._log()
        done = self._strace(
            command, log, "-e", f"inject={call}:{what}:when={number}"
        )
        text = log.read_text(errors="replace")
        log.unlink()
        return Injection(
            call=call,
            number=number,
            fired="(INJECTED)" in text or "+++ killed by SIGKILL +++" in text,
            returncode=done.returncode,
            output=done.stdout + done.stderr,
        )

    def _log(self) -> Path:
        self._count += 1
        return self._folder / f"strace{self._count}.log"

    def _strace(
        self, command: Sequence[str], log: Path, *options: str
    ) -> subprocess.CompletedProcess[str]:
        traced = ["-e", f"trace={','.join(MUTATING)}"] if "-y" not in options else []
        return subprocess.run(
            ["strace", "-f", "-qq", "-o", str(log), *traced, *options, *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env=self._environ,
        )


def _give_up(reason: str) -> NoReturn:
    if os.environ.get("MVENV_REQUIRE_FILESYSTEMS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
