"""What a person sees: messages, progress, errors."""

from __future__ import annotations

import contextlib
import os
import sys
from _thread import allocate_lock

from mvenv.errors import MvenvError, SystemFault
from mvenv.progress import Task, Unit

TYPE_CHECKING = False
if TYPE_CHECKING:  # what a summary alone is printed with needs none of it
    from collections.abc import Iterator
    from typing import Any

    from rich.progress import Progress

    from mvenv.cli.bars import FilesStep

__all__ = ["UNHEARD", "Console", "echo"]

UNHEARD = 1
"""Exit code when all was done and whoever was to read the summary had gone."""


def echo(text: str, *, err: bool = False) -> None:
    """Print a line as `click.echo` does, without click where that has nothing to do.

    That is to take colours away, and to write what the stream itself cannot.
    """
    stream = sys.stderr if err else sys.stdout
    encoding = getattr(stream, "encoding", None) or ""
    if encoding.lower() == "utf-8" and "\x1b" not in text:
        # At once, as there: two writes could be torn by other processes.
        stream.write(text + "\n")
        stream.flush()
        return
    import click

    click.echo(text, err=err, color=_colour())


def _styled(text: str, **style: Any) -> str:
    import click

    return click.style(text, **style)


class _Step:
    """A piece of work that is not shown."""

    def advance(self, amount: int) -> None:
        """Count it nowhere."""


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
        self._lock = allocate_lock()
        self._progress: Progress | None = None
        self._files: FilesStep | None = None

    def note(self, message: str) -> None:
        """Tell something a user may want to know."""
        if self.verbosity >= 0 and not self.as_json:
            self._line(message)

    def warn(self, message: str) -> None:
        """Tell something a user should know."""
        with self._lock:
            self.warnings.append(message)
        if self.verbosity >= 0 and not self.as_json:
            self._line(f"{_styled('warning:', fg='yellow', bold=True)} {message}")

    def detail(self, message: str) -> None:
        """Tell something only shown with ``-v``."""
        if self.verbosity > 0 and not self.as_json:
            self._line(_styled(message, dim=True))

    def say(self, line: str) -> None:
        """Print a line to stderr, whatever the verbosity."""
        self._line(line)

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
        from mvenv.cli.problems import error_lines, error_value

        if self.as_json and not self._unheard:
            value = {"error": error_value(error), "warnings": self.warnings}
            with contextlib.suppress(SystemFault):
                self._print(_as_json(value))
                return
        for line in error_lines(error):
            self._line(line)

    @contextlib.contextmanager
    def task(
        self, label: str, total: int | None, unit: Unit = Unit.BYTES
    ) -> Iterator[Task]:
        """Show a bar on a terminal, else one quiet line; a file only counts."""
        counts = unit is Unit.BYTES and total is not None
        shown = self.verbosity >= 0 and not self.as_json
        if counts and self._files is not None:
            from mvenv.cli.bars import BytesStep

            yield BytesStep(self._files)
        elif counts:
            yield _Step()
        elif not shown or not sys.stderr.isatty():
            if shown:
                self._line(label)
            yield _Step()
        else:
            from mvenv.cli.bars import FilesStep

            with self._bars() as progress:
                step = FilesStep(progress, label, total)
                outer, self._files = self._files, step
                try:
                    yield step
                finally:
                    self._files = outer
                    step.end()

    @contextlib.contextmanager
    def _bars(self) -> Iterator[Progress]:
        """Give the one live display; further pieces of work are rows in it."""
        from mvenv.cli.bars import new_progress

        with self._lock:
            outer = self._progress is None
            progress = self._progress = self._progress or new_progress()
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
            echo(text)
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
                from mvenv.cli.bars import print_above

                print_above(self._progress, text)
            else:
                echo(text, err=True)


def _as_text(text: str) -> str:
    """Return ``text`` as every stream takes it: paths may be no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def _as_json(value: dict[str, Any]) -> str:
    # ASCII, so that what is no UTF-8 comes out of a JSON parser as it is here.
    import json

    return json.dumps(value, indent=2)


def _colour() -> bool | None:
    """Return whether text may be coloured; `None`: where a terminal reads it."""
    return False if os.environ.get("NO_COLOR") else None
