"""Parts of one work in several processes, where that can be done and pays.

Processes are forked, so that they know what this one knows. Only where the kernel
makes forks safe for programs without threads (Linux), and where there is more than one
processor; else, and where a worker fails, the work is done here.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

__all__ = ["at_once", "processors"]

_Part = TypeVar("_Part")
_Result = TypeVar("_Result")
_CHUNK = 1 << 20


def processors() -> int:
    """Return how many processes can usefully work at once; 1 where none may be forked.

    A thread can hold a lock while another forks, and it stays locked in the child: so
    it is 1 while there are threads.
    """
    if not sys.platform.startswith("linux") or threading.active_count() > 1:
        return 1
    return len(os.sched_getaffinity(0))


def at_once(
    work: Callable[[_Part], _Result],
    parts: Sequence[_Part],
    *,
    again: Callable[[_Part], _Result] | None = None,
) -> list[_Result]:
    """Return ``work(part)`` for each of ``parts``, the first here, others elsewhere.

    Results are made of what Python itself has (tuples, lists, dicts, numbers, strings).
    Where a process cannot be made, is killed, or raises, its part is done here by
    ``again`` (``work``, if that can be done twice), and what that raises leaves here.
    """
    again = again or work
    if processors() == 1:
        return [work(part) for part in parts]
    children = [_Child.start(work, part) for part in parts[1:]]
    try:
        results = [work(part) for part in parts[:1]]
        for part, child in zip(parts[1:], children, strict=True):
            content = child.result() if child else None
            results.append(_read(content) if content else again(part))
    finally:
        for child in children:
            if child is not None:
                child.end()
    return results


def _read(content: bytes) -> Any:
    return marshal.loads(content)  # noqa: S302 by a pipe that only our own child has


class _Child:
    """One forked process, and the end of the pipe by which it answers."""

    def __init__(self, pid: int, answer: int) -> None:
        self._pid, self._answer = pid, answer
        self._open = True

    @classmethod
    def start(cls, work: Callable[[_Part], Any], part: _Part) -> _Child | None:
        try:
            ours, theirs = os.pipe2(os.O_CLOEXEC)
        except OSError:
            return None
        try:
            pid = os.fork()
        except OSError:
            os.close(ours)
            os.close(theirs)
            return None
        if not pid:
            _serve(work, part, theirs)
        os.close(theirs)
        return cls(pid, ours)

    def result(self) -> bytes | None:
        """Return the result's bytes, or `None` where it did not come whole."""
        chunks = []
        while chunk := os.read(self._answer, _CHUNK):
            chunks.append(chunk)
        return b"".join(chunks) if self._wait() == 0 else None

    def _wait(self) -> int:
        os.close(self._answer)
        self._open = False
        return os.waitpid(self._pid, 0)[1]

    def end(self) -> None:
        """Leave no process behind: one that still works is not needed any more."""
        if self._open:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, _KILL)
            self._wait()


def _serve(work: Callable[[_Part], Any], part: _Part, answer: int) -> None:
    """Do a part of the work in a child, and end it: nothing of the parent's is run."""
    code = 1
    try:
        content = marshal.dumps(work(part))
        with open(answer, "wb") as stream:
            stream.write(content)
        code = 0
    finally:
        # Without handlers, buffers and `finally` blocks, which are the parent's.
        os._exit(code)


_KILL = 9
