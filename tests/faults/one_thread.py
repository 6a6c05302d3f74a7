"""Run mvenv with the work of all its threads done in the first one, in one order.

An injection counts the system calls of each thread by itself. So every call, also
those of threads that fetch and unpack, has one number that is the same in each run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any

from mvenv import crew


class _AtOnce(futures.Executor):
    """Does what is submitted before `submit` returns."""

    def __init__(self, *_: object, **__: object) -> None:
        """Take what a pool of threads takes."""

    def submit(
        self, work: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> futures.Future[Any]:
        future: futures.Future[Any] = futures.Future()
        try:
            future.set_result(work(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  raised again by the receiver
            future.set_exception(error)
        return future


if __name__ == "__main__":
    setattr(futures, "ThreadPoolExecutor", _AtOnce)  # noqa: B010  no type's business
    # What another process does has numbers of its own.
    setattr(crew, "processors", lambda: 1)  # noqa: B010  likewise
    setattr(threading.Thread, "start", threading.Thread.run)  # noqa: B010  likewise

    from mvenv.cli import main

    main()
