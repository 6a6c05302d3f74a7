"""Interpreters that compile, as many at once as there are processors.

A source can end the interpreter that compiles it, or keep it for ever: then that one
is not compiled, and another interpreter goes on behind it.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from mvenv.errors import InterpreterError, SystemFault

__all__ = ["Job", "Verdict", "compile_files"]

_PATIENCE = 120.0
"""Seconds for one file; the largest known take three."""
_MOST_ENDS = 20
"""Files that may end the interpreter, before it is the interpreter's own fault."""
_PIECE = 1 << 16


class Verdict:
    """What became of a file, as `mvenv.ensure.compiler` says it."""

    MADE = ord("+")
    NO_SOURCE = ord("-")
    CHANGED = ord("!")
    REFUSED = ord("e")


class Job(NamedTuple):
    """One file to compile."""

    source: str
    name: str
    """In tracebacks, until it is imported."""
    sha256: str
    """Of the source."""
    moment: int
    """Its date, in seconds."""
    size: int
    """Its size, in bytes."""
    made: str
    """The file to make; its folder is there."""


def compile_files(
    python: str,
    jobs: Sequence[Job],
    folder: Path,
    *,
    count: int,
    done: Callable[[int], None],
) -> list[int]:
    """Compile by ``count`` runs of ``python``, and return a `Verdict` for each job.

    ``folder`` is a scratch folder for the lists of jobs; ``done`` is told how many
    files are done, as they are. `InterpreterError` where
    ``python`` does not run, `SystemFault` where the disk refuses.
    """
    verdicts: list[int] = [Verdict.NO_SOURCE] * len(jobs)
    parts = _share_out(jobs, count)
    runs = [
        _Run(python, [jobs[number] for number in part], folder / f"jobs-{index}", done)
        for index, part in enumerate(parts)
    ]
    try:
        with selectors.DefaultSelector() as selector:
            for run in runs:
                run.go_on(selector)
            while selector.get_map():
                _listen(selector, runs)
    finally:
        for run in runs:
            run.end()
    for run, part in zip(runs, parts, strict=True):
        for number, verdict in zip(part, run.verdicts, strict=True):
            verdicts[number] = verdict
    return verdicts


def _share_out(jobs: Sequence[Job], count: int) -> list[list[int]]:
    """Return the numbers of jobs, in parts of about equal size."""
    parts: list[list[int]] = [[] for _ in range(max(1, min(count, len(jobs))))]
    loads = [0] * len(parts)
    # The largest first, so that the parts come out equal.
    for number in sorted(range(len(jobs)), key=lambda one: -jobs[one].size):
        least = loads.index(min(loads))
        parts[least].append(number)
        loads[least] += jobs[number].size + _BYTES_OF_A_START
    return [part for part in parts if part]


_BYTES_OF_A_START = 2_000
"""What opening and closing a file costs, in bytes of source."""


def _listen(selector: selectors.BaseSelector, runs: Sequence[_Run]) -> None:
    for key, _ in selector.select(1.0):
        run: _Run = key.data
        chunk = os.read(key.fd, _PIECE)
        if chunk:
            run.hear(chunk)
        else:
            selector.unregister(key.fd)
            run.end_seen()
            run.go_on(selector)
    for run in runs:
        run.end_if_stuck()


class _Run:
    """One interpreter after another, over one list of jobs."""

    def __init__(
        self, python: str, jobs: list[Job], place: Path, done: Callable[[int], None]
    ) -> None:
        self.verdicts = bytearray()
        self._python = python
        self._jobs = jobs
        self._place = place
        self._done = done
        self._process: subprocess.Popen[bytes] | None = None
        self._ends = 0
        self._heard = 0.0

    def go_on(self, selector: selectors.BaseSelector) -> None:
        """Start an interpreter for what is left, if anything is."""
        left = self._jobs[len(self.verdicts) :]
        if not left:
            return
        lines = (json.dumps(job) + "\n" for job in left)
        try:
            self._place.write_text("".join(lines), encoding="utf-8")
            self._process = subprocess.Popen(
                [self._python, "-I", "-S", "-B", str(_SCRIPT), str(self._place)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            doing = f"`{self._python}` cannot compile"
            raise SystemFault.from_os_error(error, doing) from error
        self._heard = time.monotonic()
        if self._process.stdout is not None:
            selector.register(self._process.stdout.fileno(), selectors.EVENT_READ, self)

    def hear(self, chunk: bytes) -> None:
        """Take down what was said of the next files."""
        self._heard = time.monotonic()
        self.verdicts += chunk
        self._done(len(chunk))

    def end_seen(self) -> None:
        """See how it ended; pass over the file that ended it before its time."""
        status = self.end()
        if self.verdicts[-1:] == b"e":
            reason = OSError(status, os.strerror(status))
            raise SystemFault.from_os_error(reason, "cannot write bytecode")
        if len(self.verdicts) < len(self._jobs):
            self.verdicts.append(Verdict.NO_SOURCE)
            self._ends += 1
            if self._ends > _MOST_ENDS:
                raise InterpreterError(
                    f"`{self._python}` ends again and again while it compiles"
                    f" (exit status {status})",
                    hint="`--no-bytecode` makes the environment without",
                )

    def end_if_stuck(self) -> None:
        """End an interpreter that one file keeps."""
        if self._process and time.monotonic() - self._heard > _PATIENCE:
            self._kill(self._process)

    def end(self) -> int:
        """Leave no process behind, and return how it ended."""
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.stdout is not None:
            process.stdout.close()
        if len(self.verdicts) < len(self._jobs) and process.poll() is None:
            self._kill(process)
        return process.wait()

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


_SCRIPT = Path(__file__).with_name("compiler.py")
