"""What mvenv says where another program speaks: through `logging`, as text."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager

from mvenv.errors import BuildError, MvenvError, SeveralErrors
from mvenv.progress import Silent, Task, Unit

__all__ = ["LogReporter", "told", "told_beside_output"]

_LOGGER = logging.getLogger("mvenv")


class LogReporter:
    """Gives messages to `logging`; progress is not shown, details where asked for."""

    def __init__(self, *, detailed: bool = True) -> None:
        self._detailed = detailed

    def note(self, message: str) -> None:
        """Tell something a user may want to know."""
        _LOGGER.info("%s", message)

    def warn(self, message: str) -> None:
        """Tell something a user should know."""
        _LOGGER.warning("%s", message)

    def detail(self, message: str) -> None:
        """Tell something only shown when asked for."""
        if self._detailed:
            _LOGGER.debug("%s", message)

    def task(
        self, label: str, total: int | None, unit: Unit = Unit.BYTES
    ) -> AbstractContextManager[Task]:
        """Begin a piece of work; only its name is told."""
        self.detail(label)
        return Silent().task(label, total, unit)


def told(error: MvenvError) -> str:
    """Return an error as text: what happened, what was kept, what to do."""
    if isinstance(error, SeveralErrors):
        return "\n".join(told(one) for one in error.errors)
    kept = f" ({error.kept})" if error.kept else ""
    hint = f"\nhint: {error.hint}" if error.hint else ""
    return f"{error.message}{kept}{hint}"


def told_beside_output(error: MvenvError) -> str:
    """Return an error as text, for where what a build printed is shown already."""
    text = told(error)
    if not isinstance(error, BuildError) or not error.output:
        return text
    line = text.partition("\n")[0]
    return line.rpartition("; ")[0] if line.endswith("output:") else line
