"""What a person sees: messages, progress, errors."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from mvenv.cli.words import in_words
from mvenv.errors import (
    BuildError,
    FileNotOffered,
    HashMismatch,
    LockfileError,
    MvenvError,
    NoCompatibleFile,
    SeveralErrors,
    SystemFault,
)
from mvenv.progress import Task, Unit

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["UNHEARD", "Console"]

UNHEARD = 1
"""Exit code when all was done and whoever was to read the summary had gone."""

_OUTPUT_LINES = 40
"""Lines of a back end's output that an error shows; the cause is near the end."""


class _Step:
    """A piece of work that is not shown."""

    def advance(self, amount: int) -> None:
        """Count it nowhere."""


class _FilesStep:
    """The one bar: files done, bytes come, bytes a second."""

    def __init__(self, progress: Progress, label: str, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task(label, total=total, seen="")
        self._files = 0
        self._total = total
        self._bytes = 0
        self._started = time.monotonic()
        self._lock = threading.Lock()

    def advance(self, amount: int) -> None:
        """Count files that are done."""
        with self._lock:
            self._files += amount
        self._progress.advance(self._task, amount)
        self._show()

    def receive(self, amount: int) -> None:
        """Count bytes of files that are coming."""
        with self._lock:
            self._bytes += amount
        self._show()

    def _show(self) -> None:
        seconds = max(time.monotonic() - self._started, 0.001)
        size, speed = in_words(self._bytes), in_words(self._bytes / seconds)
        seen = f"{self._files}/{self._total} · {size} · {speed}/s"
        self._progress.update(self._task, seen=seen)

    def end(self) -> None:
        """Take the bar away."""
        self._progress.remove_task(self._task)


class _BytesStep:
    """One file of those that the bar counts."""

    def __init__(self, files: _FilesStep) -> None:
        self._files = files

    def advance(self, amount: int) -> None:
        """Count bytes."""
        self._files.receive(amount)


class Console:
    """A reporter that writes to the terminal; results go to stdout, the rest not.

    ``verbosity``: -1 only errors, 0 what matters, 1 details too.
    """

    def __init__(self, *, verbosity: int = 0, as_json: bool = False) -> None:
        self.verbosity = verbosity
        self.as_json = as_json
        self.warnings: list[str] = []
        self._unheard = False
        """Nothing can be printed to stdout any more."""
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._files: _FilesStep | None = None

    def note(self, message: str) -> None:
        """Tell something a user may want to know."""
        if self.verbosity >= 0 and not self.as_json:
            self._line(message)

    def warn(self, message: str) -> None:
        """Tell something a user should know."""
        with self._lock:
            self.warnings.append(message)
        if self.verbosity >= 0 and not self.as_json:
            self._line(f"{click.style('warning:', fg='yellow', bold=True)} {message}")

    def detail(self, message: str) -> None:
        """Tell something only shown with ``-v``."""
        if self.verbosity > 0 and not self.as_json:
            self._line(click.style(message, dim=True))

    def result(self, text: str, value: dict[str, Any]) -> None:
        """Print what came out: text for people, one JSON object for programs.

        `SystemFault` where that fails: all was done nevertheless.
        """
        if self.as_json:
            self._print(_as_json({**value, "warnings": self.warnings}))
        elif self.verbosity >= 0:
            self._print(_as_text(text))

    def error(self, error: MvenvError) -> None:
        """Print an error: what happened, what was kept, what to do next.

        To stderr, too, where a program was to read it and cannot.
        """
        if self.as_json and not self._unheard:
            value = {"error": _error_value(error), "warnings": self.warnings}
            with contextlib.suppress(SystemFault):
                self._print(_as_json(value))
                return
        for line in _error_lines(error):
            self._line(line)

    @contextlib.contextmanager
    def task(
        self, label: str, total: int | None, unit: Unit = Unit.BYTES
    ) -> Iterator[Task]:
        """Show a bar on a terminal, else one quiet line; a file only counts."""
        counts = unit is Unit.BYTES and total is not None
        shown = self.verbosity >= 0 and not self.as_json
        if counts:
            yield _Step() if self._files is None else _BytesStep(self._files)
        elif not shown or not sys.stderr.isatty():
            if shown:
                self._line(label)
            yield _Step()
        else:
            with self._bars() as progress:
                step = _FilesStep(progress, label, total)
                outer, self._files = self._files, step
                try:
                    yield step
                finally:
                    self._files = outer
                    step.end()

    @contextlib.contextmanager
    def _bars(self) -> Iterator[Progress]:
        """Give the one live display; further pieces of work are rows in it."""
        with self._lock:
            outer = self._progress is None
            progress = self._progress = self._progress or _new_progress()
        if outer:
            progress.start()
        try:
            yield progress
        finally:
            if outer:
                progress.stop()
                self._progress = None

    def _print(self, text: str) -> None:
        try:
            click.echo(text, color=_colour())
        except OSError as error:
            self._unheard = True
            # Python must not complain at exit of what is still to be written.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            doing = "all was done, but the summary could not be printed"
            fault = SystemFault.from_os_error(error, doing)
            # click would end silently where nobody reads.
            if isinstance(error, BrokenPipeError):
                fault.exit_code = UNHEARD
            raise fault from error

    def _line(self, text: str) -> None:
        text = _as_text(text)
        # A terminal that went away, or a full disk behind it, stops no work.
        with self._lock, contextlib.suppress(OSError):
            if self._progress is not None:
                from rich.text import Text

                self._progress.console.print(Text.from_ansi(text))
            else:
                click.echo(text, err=True, color=_colour())


def _as_text(text: str) -> str:
    """Return ``text`` as every stream takes it: paths may be no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def _as_json(value: dict[str, Any]) -> str:
    # ASCII, so that what is no UTF-8 comes out of a JSON parser as it is here.
    return json.dumps(value, indent=2)


def _colour() -> bool | None:
    """Return whether text may be coloured; `None`: where a terminal reads it."""
    return False if os.environ.get("NO_COLOR") else None


def _new_progress() -> Progress:
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[seen]}", markup=False),
        console=RichConsole(stderr=True),
        transient=True,
    )


def _error_lines(error: MvenvError, *, indent: str = "") -> Iterator[str]:
    if isinstance(error, SeveralErrors):
        yield f"{indent}{_label()} {error.message}"
        for one in error.errors:
            yield ""
            yield from _error_lines(one, indent=indent + "  ")
        return
    yield f"{indent}{_label()} {error.message}"
    for line in _facts(error):
        yield f"{indent}  {line}"
    if error.kept:
        yield f"{indent}  kept: {error.kept}"
    if error.hint:
        yield ""
        yield f"{indent}{click.style('hint:', fg='cyan', bold=True)} {error.hint}"


def _label() -> str:
    return click.style("error:", fg="red", bold=True)


def _facts(error: MvenvError) -> Iterator[str]:
    if isinstance(error, LockfileError) and error.place:
        yield f"at {error.place}"
    if isinstance(error, (NoCompatibleFile, FileNotOffered)):
        yield from (f"- {one}" for one in error.rejections)
    if isinstance(error, HashMismatch):
        yield f"expected {' or '.join(error.expected)}"
        yield f"     got {error.actual}"
    if isinstance(error, BuildError) and error.output:
        lines = error.output.rstrip().splitlines()
        if len(lines) > _OUTPUT_LINES:
            yield f"… {len(lines) - _OUTPUT_LINES} lines before these"
        yield from (f"| {line}" for line in lines[-_OUTPUT_LINES:])


def _error_value(error: MvenvError) -> dict[str, Any]:
    value: dict[str, Any] = {
        "kind": type(error).__name__,
        "message": error.message,
        "exit_code": error.exit_code,
    }
    if isinstance(error, SeveralErrors):
        value["errors"] = [_error_value(one) for one in error.errors]
    facts = list(_facts(error))
    if facts:
        value["facts"] = facts
    if error.kept:
        value["kept"] = error.kept
    if error.hint:
        value["hint"] = error.hint
    return value
