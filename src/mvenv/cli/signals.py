"""Signals that ask to end, turned into an orderly way out."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from types import FrameType
else:
    # `signal` makes enums of all that is in this, which takes a while.
    import _signal as signal

__all__ = ["Stopped", "unwind_on_signals"]

_PATIENCE = 3.0
"""Seconds in which further signals are the same wish: a terminal and tox both send
one, and cleaning up must not be cut short by the second."""
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A signal asks to end.

    No `KeyboardInterrupt`, for which subprocesses are waited for.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """Return 128 and the signal's number, as shells have it."""
        return 128 + self.number


def unwind_on_signals() -> None:
    """Raise `Stopped` in the main thread for SIGINT, SIGTERM and SIGHUP, once.

    Who is not patient with the cleaning up can send another after a while. Signals
    that our parent ignores (``nohup``) stay ignored.
    """
    asked: list[float] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if not asked:
            asked.append(now)
            raise Stopped(number)
        if now - asked[0] > _PATIENCE:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    for number in _ENDING:
        if signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}:
            try:
                signal.signal(number, stop)
            except ValueError:  # only the main thread can, and only it is asked
                return
