"""The bar that a person sees while files come."""

from __future__ import annotations

import threading
import time

from rich.console import Console as RichConsole
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from mvenv.cli.words import in_words

__all__ = ["BytesStep", "FilesStep", "new_progress", "print_above"]


class FilesStep:
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


class BytesStep:
    """One file of those that the bar counts."""

    def __init__(self, files: FilesStep) -> None:
        self._files = files

    def advance(self, amount: int) -> None:
        """Count bytes."""
        self._files.receive(amount)


def new_progress() -> Progress:
    """Return a display of bars, on stderr."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[seen]}", markup=False),
        console=RichConsole(stderr=True),
        transient=True,
    )


def print_above(progress: Progress, text: str) -> None:
    """Print a line above the bars."""
    progress.console.print(Text.from_ansi(text))
