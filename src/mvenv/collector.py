"""Python's collector of cyclic garbage, held off while much is made that is none.

A plan is tens of thousands of tuples. While they are made the collector goes through
them again and again, and through all else that the process has: that may be tox.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator

__all__ = ["collector_at_work", "collector_held"]

_lock = threading.Lock()
_held = 0
_was_on = False


@contextlib.contextmanager
def collector_held() -> Iterator[None]:
    """Let no garbage be collected until this ends, and until all others that began did.

    Memory that is no part of a cycle is given back as always. For any thread; where
    somebody else had switched the collector off it stays off.
    """
    global _held, _was_on  # noqa: PLW0603  there is one collector in a process
    with _lock:
        if not _held:
            _was_on = gc.isenabled()
            gc.disable()
        _held += 1
    try:
        yield
    finally:
        with _lock:
            _held -= 1
            if not _held and _was_on:
                gc.enable()


@contextlib.contextmanager
def collector_at_work() -> Iterator[None]:
    """Let garbage be collected again until this ends, inside of `collector_held`.

    For what may take long, and leave much behind.
    """
    with _lock:
        if _held and _was_on:
            gc.enable()
    try:
        yield
    finally:
        with _lock:
            if _held:
                gc.disable()
