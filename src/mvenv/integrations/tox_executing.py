"""Installing as tox runs commands, with logs and journal, but in its own process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TypeAlias

from tox.execute.api import ExecuteInstance, ExecuteOptions, ExecuteStatus
from tox.execute.local_sub_process import LocalSubProcessExecutor
from tox.execute.request import ExecuteRequest
from tox.execute.stream import SyncWrite

__all__ = ["InstallingExecutor", "Work"]

_INSTALLING = "install_"
"""How tox's ids of commands begin that install something."""

Work: TypeAlias = Callable[[ExecuteRequest, threading.Event], tuple[int, str]]
"""Installs what a request says, until the event is set; returns an exit code and what
is to be printed."""


class InstallingExecutor(LocalSubProcessExecutor):
    """Runs all commands as tox does, but those that install: these are done here."""

    def __init__(self, work: Work, *, colored: bool) -> None:
        super().__init__(colored)
        self._work = work

    def build_instance(
        self,
        request: ExecuteRequest,
        options: ExecuteOptions,
        out: SyncWrite,
        err: SyncWrite,
    ) -> ExecuteInstance:
        """Return what carries out one command."""
        if request.run_id.startswith(_INSTALLING):
            return _Installing(request, options, out, err, self._work)
        return super().build_instance(request, options, out, err)


class _Installing(ExecuteInstance):
    def __init__(
        self,
        request: ExecuteRequest,
        options: ExecuteOptions,
        out: SyncWrite,
        err: SyncWrite,
        work: Work,
    ) -> None:
        super().__init__(request, options, out, err)
        self._work = work

    def __enter__(self) -> ExecuteStatus:
        return _Status(self.request, self.options, self._out, self._err, self._work)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """End; there is nothing to be closed."""

    @property
    def cmd(self) -> Sequence[str]:
        return self.request.cmd


class _Status(ExecuteStatus):
    """Does the work when it is waited for: by then tox knows whom to interrupt."""

    def __init__(
        self,
        request: ExecuteRequest,
        options: ExecuteOptions,
        out: SyncWrite,
        err: SyncWrite,
        work: Work,
    ) -> None:
        super().__init__(options, out, err)
        self._request = request
        self._work = work
        self._interrupted = threading.Event()
        self._code: int | None = None

    @property
    def exit_code(self) -> int | None:
        return self._code

    def wait(self, timeout: float | None = None) -> int | None:
        del timeout
        if self._code is None:
            self._code, text = self._work(self._request, self._interrupted)
            if text:
                stream = self._err if self._code else self._out
                stream.handler(f"{text.rstrip()}\n".encode(errors="replace"))
        return self._code

    def write_stdin(self, content: str) -> None:
        """Ignore it: nothing is read."""

    def interrupt(self) -> None:
        self._interrupted.set()
