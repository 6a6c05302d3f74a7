"""Parts of one work in several processes, where that can be done and pays.

Processes are forked, so that they know what this one knows. Only where the kernel
makes forks safe for programs without threads (Linux), and where there is more than one
processor; else, and where a worker fails, the work is done here.

No worker outlives who started it: it is ended with what raises there, and by the kernel
where that process is killed. What is detached does, and may be ended anywhere.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, Self, TypeVar

    _Part = TypeVar("_Part")
    _Result = TypeVar("_Result")
else:
    # `signal` makes enums of all that is in this, which takes a while.
    import _signal as signal

__all__ = [
    "Beside",
    "at_once",
    "detach",
    "end_with",
    "no_signals",
    "one_process",
    "processors",
]

_CHUNK = 1 << 20


def processors() -> int:
    """Return how many processes can usefully work at once; 1 where none may be forked.

    A thread can hold a lock while another forks, and it stays locked in the child: so
    it is 1 while there are threads.
    """
    if not _may_fork():
        return 1
    # Our parent wants no word of processes that ended: then none can be waited for.
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        return 1
    return len(os.sched_getaffinity(0))


def _may_fork() -> bool:
    threading = sys.modules.get("threading")
    threads = threading.active_count() if threading else 1
    return sys.platform.startswith("linux") and threads == 1 and not _GUESTS


@contextlib.contextmanager
def one_process() -> Iterator[None]:
    """Fork nothing meanwhile: for work inside of a program that is not ours.

    It may have threads that Python knows nothing of, handlers of its own, and a word
    for each child that ends.
    """
    _GUESTS.append(None)
    try:
        yield
    finally:
        _GUESTS.pop()


_GUESTS: list[None] = []
"""One for each thread that is such a guest."""


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
    children: list[_Child | None] = []
    try:
        for part in parts[1:]:
            with no_signals():
                children.append(_Child.start(work, part))
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


@contextlib.contextmanager
def no_signals() -> Iterator[None]:
    """Hold back what asks to end: it would come between a fork and our knowing of it.

    In a child it never comes through: its own handlers are the system's.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Beside:
    """Work that another process does while this one goes on. A context manager.

    Where none can be made, nothing is done. What comes of it are words.
    """

    def __init__(self, work: Callable[[], str]) -> None:
        self._work = work
        self._child: _Child | None = None

    def __enter__(self) -> Self:
        if processors() > 1:
            try:
                with no_signals():
                    self._child = _Child.start(lambda _: self._work(), None)
            except BaseException:
                # A signal that was held back.
                self.__exit__()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.end()

    @property
    def begun(self) -> bool:
        """Return whether there is another process that does it."""
        return self._child is not None

    def result(self) -> str | None:
        """Wait, once, and return what came of it; `None` where it was not done."""
        content = self._child.result() if self._child else None
        found: str | None = _read(content) if content else None
        return found


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
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            os.close(ours)
            os.close(theirs)
            return None
        if not pid:
            _serve(work, part, theirs, parent)
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
                os.kill(self._pid, signal.SIGKILL)
            self._wait()


def _serve(work: Callable[[_Part], Any], part: _Part, answer: int, parent: int) -> None:
    """Do a part of the work in a child, and end it: nothing of the parent's is run."""
    code = 1
    try:
        end_with(parent)
        content = marshal.dumps(work(part))
        with open(answer, "wb") as stream:
            stream.write(content)
        code = 0
    finally:
        # Without handlers, buffers and `finally` blocks, which are the parent's.
        os._exit(code)


def end_with(parent: int) -> None:
    """End at once when asked to, and when ``parent`` ends, be it killed."""
    import ctypes

    _end_when_asked()
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _end_when_asked() -> None:
    """Handle signals as the system does, in a child: what cleans up is the parent's."""
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


def detach(work: Callable[[], object], *, keep: int) -> bool:
    """Do a work in a process that outlives this one; false where there can be none.

    It has nothing of ours but the descriptor ``keep``: no terminal, no pipe that
    somebody reads to its end, no lock. It stands back behind whoever else is at work.
    Nobody hears of what becomes of it.
    """
    # The lowest three become nothing.
    if keep <= _STDERR or not _may_fork():
        return False
    with no_signals():
        try:
            pid = os.fork()
        except OSError:
            return False
        if not pid:
            _leave(work, keep)
        try:
            # When that one has ended, the other has let go of what is ours.
            return os.waitpid(pid, 0)[1] == 0
        except ChildProcessError:
            return True


def _leave(work: Callable[[], object], keep: int) -> None:
    """Start a process without a parent, and end this one."""
    code = 1
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        os.closerange(3, keep)
        os.closerange(keep + 1, os.sysconf("SC_OPEN_MAX"))
        if not os.fork():
            _end_when_asked()
            os.nice(_LAST)
            work()
        code = 0
    finally:
        os._exit(code)


_STDERR = 2
_LAST = 19
"""How nice: others come first."""
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SET_DEATH_SIGNAL = 1
"""``prctl(2)``: PR_SET_PDEATHSIG."""
