"""How the library tells what it is doing, without ever printing."""

from __future__ import annotations

import enum
from contextlib import AbstractContextManager, nullcontext

from mvenv.values import Protocol

__all__ = ["Reporter", "Silent", "Task", "Unit"]


class Unit(enum.Enum):
    """What a piece of work is counted in."""

    BYTES = "bytes"
    """One file among those of a piece of work that is counted in files."""
    FILES = "files"


class Task(Protocol):
    """One long piece of work, measured in bytes or items."""

    def advance(self, amount: int) -> None:
        """Add ``amount`` to what is done."""


class Reporter(Protocol):
    """Where messages go. Methods may be called from several threads."""

    def note(self, message: str) -> None:
        """Tell something a user may want to know, like which lockfile was found."""

    def warn(self, message: str) -> None:
        """Tell something a user should know, like a stale lockfile."""

    def detail(self, message: str) -> None:
        """Tell something only shown when asked for."""

    def task(
        self, label: str, total: int | None, unit: Unit = Unit.BYTES
    ) -> AbstractContextManager[Task]:
        """Begin a piece of work of ``total`` units; ends with the context.

        ``total`` `None` is work that cannot be measured.
        """


class _SilentTask:
    def advance(self, amount: int) -> None:
        """Ignore it."""


class Silent:
    """A reporter that ignores everything."""

    def note(self, message: str) -> None:
        """Ignore it."""

    def warn(self, message: str) -> None:
        """Ignore it."""

    def detail(self, message: str) -> None:
        """Ignore it."""

    def task(
        self,
        label: str,  # noqa: ARG002  the protocol's signature
        total: int | None,  # noqa: ARG002  the protocol's signature
        unit: Unit = Unit.BYTES,  # noqa: ARG002  the protocol's signature
    ) -> AbstractContextManager[Task]:
        """Return a task that ignores everything."""
        return nullcontext(_SilentTask())
