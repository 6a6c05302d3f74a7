"""Forked processes that are handed one piece of work after another, from any thread.

They are made while there is one thread, and know what this process knew then; threads
made later hand them work and wait for it, so that Python code runs on all processors.
"""

from __future__ import annotations

import contextlib
import gc
import marshal
import os
import queue
import signal
import struct
from collections.abc import Callable
from typing import Any, Self

from mvenv.workers import end_with, no_signals, processors

__all__ = ["Crew"]

_MOST = 8
"""Processes: who hands them work is one, and keeps no more of them busy."""
_LENGTH = struct.Struct("<Q")


class Crew:
    """Processes that do ``work``, each one piece at a time. A context manager.

    Pieces and results are made of what Python itself has (tuples, lists, dicts,
    numbers, strings). ``prepare`` is run first in each, beside what is
    done here. With no processor to spare, or beside another thread, there are none.
    """

    def __init__(
        self, work: Callable[[Any], Any], prepare: Callable[[], object]
    ) -> None:
        self._members: list[_Member] = []
        # `None` stands for a member that is lost.
        self._idle: queue.SimpleQueue[_Member | None] = queue.SimpleQueue()
        count = processors()
        if count == 1:
            return
        try:
            while len(self._members) < min(count, _MOST):
                with no_signals():
                    member = _Member.start(work, prepare, self._members)
                    if member is None:
                        return
                    self._members.append(member)
                self._idle.put(member)
        except BaseException:
            self.end()
            raise

    def __len__(self) -> int:
        """Return how many there are: what more threads ask at once waits."""
        return len(self._members)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def ask(self, piece: Any) -> Any:
        """Return the result for a piece of work; `None` where none came.

        Then the process was killed, or the work raised: who asks does it itself, and
        meets what was in the way.
        """
        if not self._members:
            return None
        member = self._idle.get()
        if member is None:
            self._idle.put(None)
            return None
        answer = None
        with contextlib.suppress(OSError):
            answer = member.ask(marshal.dumps(piece))
        self._idle.put(member if answer is not None else None)
        return _loads(answer) if answer else None

    def end(self) -> None:
        """Leave no process behind; with nobody waiting in `ask` any more."""
        self.break_off()
        while self._members:
            self._members.pop().end()

    def break_off(self) -> None:
        """Let all that wait in `ask` have `None` now; to be followed by `end`."""
        for member in self._members:
            member.kill()


def _loads(content: bytes) -> Any:
    return marshal.loads(content)  # noqa: S302 by a pipe that only our own child has


class _Member:
    """One forked process, and our ends of its two pipes."""

    def __init__(self, pid: int, tasks: int, answers: int) -> None:
        self._pid, self._tasks, self._answers = pid, tasks, answers

    @classmethod
    def start(
        cls,
        work: Callable[[Any], Any],
        prepare: Callable[[], object],
        others: list[_Member],
    ) -> _Member | None:
        """Fork one; `None` where the system refuses."""
        opened: list[int] = []
        parent = os.getpid()
        try:
            opened += os.pipe2(os.O_CLOEXEC)
            opened += os.pipe2(os.O_CLOEXEC)
            pid = os.fork()
        except OSError:
            for one in opened:
                os.close(one)
            return None
        task, tasks, answers, answer = opened
        if not pid:
            foreign = [tasks, answers, *_ends(others)]
            _serve(
                work,
                prepare,
                task=task,
                answer=answer,
                foreign=foreign,
                parent=parent,
            )
        os.close(task)
        os.close(answer)
        return cls(pid, tasks, answers)

    def ends(self) -> tuple[int, int]:
        """Return our ends."""
        return self._tasks, self._answers

    def ask(self, piece: bytes) -> bytes | None:
        """Return the answer, empty where the work failed; `None` without one."""
        _send(self._tasks, piece)
        return _receive(self._answers)

    def kill(self) -> None:
        """End the process; who waits for its answer sees that it ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)

    def end(self) -> None:
        """Forget a process that was killed."""
        os.waitpid(self._pid, 0)
        os.close(self._tasks)
        os.close(self._answers)


def _ends(members: list[_Member]) -> list[int]:
    return [end for member in members for end in member.ends()]


def _serve(
    work: Callable[[Any], Any],
    prepare: Callable[[], object],
    *,
    task: int,
    answer: int,
    foreign: list[int],
    parent: int,
) -> None:
    """Do in a child what is asked, until nobody is left to ask; and end it."""
    try:
        end_with(parent)
        # With ends of others' pipes held here, they would not see that we all end.
        for one in foreign:
            os.close(one)
        # What is inherited is not garbage, and looking through it would copy it.
        gc.freeze()
        prepare()
        while (piece := _receive(task)) is not None:
            try:
                content = marshal.dumps(work(_loads(piece)))
            except Exception:  # noqa: BLE001  who asked meets it again
                content = b""
            _send(answer, content)
    finally:
        # Without handlers, buffers and `finally` blocks, which are the parent's.
        os._exit(0)


def _send(descriptor: int, content: bytes) -> None:
    rest = memoryview(_LENGTH.pack(len(content)) + content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _receive(descriptor: int) -> bytes | None:
    """Return what was sent; `None` where the other end is closed, or closes."""
    head = _read(descriptor, _LENGTH.size)
    return None if head is None else _read(descriptor, *_LENGTH.unpack(head))


def _read(descriptor: int, length: int) -> bytes | None:
    pieces = []
    while length:
        piece = os.read(descriptor, length)
        if not piece:
            return None
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)
