"""Kill a command at, signal it at, or fail, any of its system calls (strace)."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

__all__ = ["MUTATING", "Call", "Injection", "Strace"]

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
    "chmod",
    "fchmod",
    "fchmodat",
    "utimensat",
    "truncate",
    "ftruncate",
    "fallocate",
    "copy_file_range",
    "sendfile",
    "fsync",
    "fdatasync",
    "syncfs",
    "ioctl",
    "flock",
    "close",
)
"""Calls that change what is on a disk, or open, lock or close what is changed."""

_CALL = re.compile(r"^(?:(\d+)\s+)?(\w+)\((.*)$")
_DESCRIPTOR = re.compile(r"\d+<([^>]*)>")
_OPENED = re.compile(r" = (\d+)<[^>]*>$")
_QUERIES = ("TCGETS", "FIOCLEX", "FIONBIO")
"""What Python asks of every file it opens."""
_TIMEOUT = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One system call of a run."""

    name: str
    number: int
    """Which of its name, as ``when=`` of strace counts: from 1, in each thread."""
    text: str
    """Arguments and result, as strace shows them."""
    reads: bool
    """Opens what is there, or closes it: it changes nothing."""
    first: bool = True
    """Made by the thread the command began with."""

    def __str__(self) -> str:
        """Return the call for messages."""
        return f"{self.name} #{self.number}: {self.text[:200]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """One run of the command with something done to one call."""

    fired: bool
    returncode: int
    """Of the command; negative for the signal that ended it."""
    output: str


class Strace:
    """Runs commands under strace; skips the test where there is none.

    ``folder`` is for logs, ``environ`` is what commands get. ``also`` are further
    injections that hold in every run, like ``renameat2:error=ENOSYS``.
    """

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        *,
        cwd: Path,
        also: Sequence[str] = (),
    ) -> None:
        if shutil.which("strace") is None:
            _give_up("there is no `strace`")
        self._folder = folder
        self._environ = dict(environ)
        self._cwd = cwd
        self._also = [part for one in also for part in ("-e", f"inject={one}")]
        self._always = [one.partition(":")[0] for one in also]
        self._count = itertools.count()

    def calls(
        self,
        command: Sequence[str],
        *below: Path,
        follow: bool = False,
        codes: frozenset[int] = frozenset({0}),
    ) -> list[Call]:
        """Run the command; return its calls that concern ``below``, in their order.

        Of its first thread only; with ``follow`` of all threads and processes, and of
        calls with one number that which was made first, since it is the one to be hit.
        """
        log = self._log()
        traced = ["-y", "-e", f"trace={','.join(MUTATING)}"]
        done = self._strace(command, log, *traced, follow=follow)
        assert done.returncode in codes, done.stdout + done.stderr
        lines = log.read_text(errors="replace").splitlines()
        prefixes = tuple(str(folder) for folder in below)
        return list(_concerning(_first_hits(_parse(lines)), prefixes))

    def run(self, command: Sequence[str]) -> Injection:
        """Run the command with nothing but what is injected always."""
        if not self._also:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                timeout=_TIMEOUT,
                env=self._environ,
                cwd=self._cwd,
            )
        else:
            traced = f"trace={','.join(self._always)}"
            done = self._strace(command, self._log(), "-e", traced)
        return Injection(
            fired=False, returncode=done.returncode, output=done.stdout + done.stderr
        )

    def signal(
        self, command: Sequence[str], call: Call, name: str, *, follow: bool = False
    ) -> Injection:
        """Run the command and send it ``name``, like ``SIGKILL``, as it enters a call.

        ``SIGKILL`` keeps the call from being made; others come when it is done.
        """
        return self._inject(command, call, f"signal={name}", f"--- {name} ", follow)

    def fail(
        self, command: Sequence[str], call: Call, error: str, *, follow: bool = False
    ) -> Injection:
        """Run the command and let a call fail with ``error``, like ``ENOSPC``."""
        return self._inject(command, call, f"error={error}", f"{call.name}(", follow)

    def _inject(
        self,
        command: Sequence[str],
        call: Call,
        what: str,
        mark: str,
        follow: bool,
    ) -> Injection:
        log = self._log()
        options = ["-e", f"trace={','.join([call.name, *self._always])}"]
        options += ["-e", f"inject={call.name}:{what}:when={call.number}"]
        done = self._strace(command, log, *options, follow=follow)
        lines = log.read_text(errors="replace").splitlines()
        log.unlink()
        end = "(INJECTED)" if "error" in what else ""
        killed = done.returncode == -9 and "SIGKILL" in what
        return Injection(
            fired=killed or any(mark in line and end in line for line in lines),
            returncode=done.returncode,
            output=done.stdout + done.stderr,
        )

    def _log(self) -> Path:
        return self._folder / f"strace{next(self._count)}.log"

    def _strace(
        self, command: Sequence[str], log: Path, *options: str, follow: bool = False
    ) -> subprocess.CompletedProcess[str]:
        threads = ["-f"] if follow else []
        return subprocess.run(
            ["strace", *threads, "-qq", "-o", log, *options, *self._also, *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT,
            env=self._environ,
            cwd=self._cwd,
        )


def _parse(lines: Sequence[str]) -> Iterator[Call]:
    numbers: Counter[tuple[str, str]] = Counter()
    written: set[tuple[str, str]] = set()
    beginning: str | None = None
    for line in lines:
        match = _CALL.match(line)
        if match is None:
            continue
        thread, name, text = match[1] or "", match[2], match[3]
        beginning = thread if beginning is None else beginning
        numbers[thread, name] += 1
        reads = name == "openat" and "O_CREAT" not in text
        descriptor = text.partition("<")[0]
        if name == "openat" and not reads and (opened := _OPENED.search(text)):
            written.add(("", opened[1]))
        elif name == "close":
            reads = ("", descriptor) not in written
            written.discard(("", descriptor))
        elif name == "ioctl" and any(query in text for query in _QUERIES):
            continue
        yield Call(
            name=name,
            number=numbers[thread, name],
            text=text,
            reads=reads,
            first=thread == beginning,
        )


def _first_hits(calls: Iterator[Call]) -> Iterator[Call]:
    seen: set[tuple[str, int]] = set()
    for call in calls:
        if (call.name, call.number) not in seen:
            seen.add((call.name, call.number))
            yield call


def _concerning(calls: Iterator[Call], prefixes: tuple[str, ...]) -> Iterator[Call]:
    for call in calls:
        on_descriptor = _DESCRIPTOR.match(call.text)
        if on_descriptor is not None:
            # What is written may name any path.
            concerns = on_descriptor[1].startswith(prefixes)
        else:
            concerns = any(prefix in call.text for prefix in prefixes)
        if concerns:
            yield call


def _give_up(reason: str) -> NoReturn:
    if os.environ.get("MVENV_REQUIRE_FILESYSTEMS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
