"""Running an interpreter: with a limit on its time and on what it prints."""

from __future__ import annotations

import os
import time

from mvenv.errors import InterpreterError
from mvenv.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence

__all__ = ["TIMEOUT", "Answer", "run_python"]

TIMEOUT = 30.0
"""Seconds. A start takes 0.05; a cold network disk has taken 10."""

_PRINT_LIMIT = 1 << 20
"""Bytes: what is not Python may print without end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a run printed and how it ended."""

    output: bytes
    errors: bytes
    status: int
    """Exit code, or the negative number of the signal that ended it."""

    def reason(self) -> str:
        """Return in a few words why it failed."""
        for text in (self.errors, self.output):
            lines = text.decode("utf-8", "replace").strip().splitlines()
            if lines:
                # Python says it last, everything else first.
                traceback = any(line.startswith("Traceback") for line in lines)
                return lines[-1 if traceback else 0].strip()[:200]
        if self.status < 0:
            import signal

            return f"ended by signal {signal.Signals(-self.status).name}"
        return f"exit status {self.status}"


def run_python(
    executable: str,
    arguments: Sequence[str],
    *,
    timeout: float | None = None,
    environ: Mapping[str, str] | None = None,
) -> Answer:
    """Run ``executable`` and return what came of it.

    ``timeout`` is in seconds, `TIMEOUT` without; ``environ`` `None` is ours.
    `InterpreterError` where it cannot be started, does not end in time, or prints
    without end; nothing of it is left running then.
    """
    timeout = TIMEOUT if timeout is None else timeout
    # Not at the top: a remembered answer needs none of this.
    import signal
    import subprocess

    try:
        process = subprocess.Popen(
            [executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            # A group of its own, so that what a wrapper script starts ends with it.
            start_new_session=True,
            env=None if environ is None else dict(environ),
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InterpreterError(
            f"`{executable}` cannot be run: {reason[:1].lower()}{reason[1:]}",
            hint="choose another interpreter with `--python`",
        ) from error
    with process:
        try:
            output, errors = _listen(process, time.monotonic() + timeout)
            status = process.wait(timeout)
        except (_Unheard, subprocess.TimeoutExpired) as error:
            reason = str(error) if isinstance(error, _Unheard) else _slow(timeout)
            raise InterpreterError(
                f"`{executable}` {reason or _slow(timeout)}",
                hint="choose another interpreter with `--python`",
            ) from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return Answer(output=output, errors=errors, status=status)


class _Unheard(Exception):
    """There is no use in listening on."""


def _slow(timeout: float) -> str:
    return f"did not answer in {timeout:g} seconds"


def _listen(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes]:
    import selectors

    heard = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as selector:
        for stream, text in heard.items():
            assert stream is not None  # noqa: S101  both are pipes; for the checker
            selector.register(stream, selectors.EVENT_READ, text)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise _Unheard
            for key, _ in ready:
                chunk = os.read(key.fd, 1 << 16)
                if not chunk:
                    selector.unregister(key.fileobj)
                key.data.extend(chunk)
                if len(key.data) > _PRINT_LIMIT:
                    raise _Unheard("prints without end: it is not Python")
    output, errors = heard.values()
    return bytes(output), bytes(errors)
