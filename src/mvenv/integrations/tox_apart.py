"""Large environments of tox are made in a process of their own.

tox works in threads, and beside threads nothing may be forked: then one process links
all files, and waits while the old environment is deleted. Another one has no threads,
and is not held up by Python's lock when several environments are made at once.
"""

from __future__ import annotations

import io
import logging
import marshal
import os
import signal
import subprocess
import sys
import threading
from typing import IO, Any

from mvenv.creation import create
from mvenv.creation.request import CreateRequest
from mvenv.errors import MvenvError
from mvenv.integrations.words import LogReporter, told
from mvenv.selection.groups import GroupOptions
from mvenv.surroundings import Surroundings
from mvenv.workers import end_with

__all__ = ["make", "make_apart", "serve"]

_LOGGER = logging.getLogger("mvenv")
_MANY = 40
"""Packages of a lockfile. Fewer are linked before another interpreter has started."""
_PACKAGE = (b"[[package]]", b"[[packages]]")
"""How each begins, in a poetry.lock and in a pylock.toml."""
_PROGRAM = """\
import _signal, marshal, sys
if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
asked = marshal.load(sys.stdin.buffer)
sys.path[:] = asked.pop("sys.path")
try:
    from mvenv.integrations.tox_apart import serve
except ImportError:
    sys.exit(1)
serve(asked)
"""
"""Ends without a word where it is interrupted, or finds no mvenv."""
_MADE, _FAILED = "made", "failed"
_INTERRUPTED = 130
"""The exit code, as a shell has it."""


def make(asked: dict[str, Any]) -> None:
    """Make an environment from plain values, wherever that is best done.

    ``asked`` is what `CreateRequest` has, but for what ``variables`` say of the store,
    the index and the link mode; groups as a dictionary. `MvenvError` as of `create`.
    """
    many = threading.active_count() > 1 and _is_large(asked["lockfile"])
    if not (many and make_apart(asked)):
        create(_request(asked), LogReporter())


def _is_large(lockfile: str | None) -> bool:
    if lockfile is None or not sys.executable:
        return False
    try:
        with open(lockfile, "rb") as stream:
            content = stream.read()
    except OSError:
        return False
    return sum(map(content.count, _PACKAGE)) >= _MANY


def make_apart(asked: dict[str, Any]) -> bool:
    """Make it in another process; false where that process ended without a word."""
    told_too = {"sys.path": [*map(str, sys.path)], "parent": os.getpid()}
    # Set up as this one is, by the same variables; but what is in the current folder
    # is no module.
    options = ["-I" if sys.flags.isolated else "-P"]
    options += ["-B"] if sys.dont_write_bytecode else []
    options += ["-X", "utf8"] if sys.flags.utf8_mode else []
    try:
        child = subprocess.Popen(
            [sys.executable, *options, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
    except OSError:
        return False
    with child:
        output = child.communicate(marshal.dumps(asked | told_too))[0]
    kind, text = _passed_on(output)
    if kind == _FAILED:
        raise MvenvError(text)
    if child.returncode in {-signal.SIGINT, _INTERRUPTED}:
        raise MvenvError("interrupted")
    return kind == _MADE


def _passed_on(output: bytes) -> tuple[str, str]:
    """Log what was told; return the last word, or two empty ones."""
    stream = io.BytesIO(output)
    while True:
        try:
            kind, text = marshal.load(stream)  # noqa: S302 by a pipe from our own child
        except (EOFError, TypeError, ValueError):
            return "", ""
        if isinstance(kind, str):
            return kind, text
        _LOGGER.log(kind, "%s", text)


def serve(asked: dict[str, Any]) -> None:
    """Make it, in the other process, and tell what comes of it."""
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Whatever else is printed is no answer.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    parent = asked.pop("parent")
    if sys.platform.startswith("linux"):
        end_with(parent)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        # So that what is half made is taken away.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    logger = logging.getLogger("mvenv")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(_Teller(answer))
    last = (_MADE, "")
    try:
        create(_request(asked), LogReporter())
    except MvenvError as error:
        last = (_FAILED, told(error))
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    marshal.dump(last, answer)
    answer.close()


class _Teller(logging.Handler):
    """Sends what is logged to who started the process."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        marshal.dump((record.levelno, record.getMessage()), self._stream)


def _request(asked: dict[str, Any]) -> CreateRequest:
    said = Surroundings.of(asked["variables"])
    rest = {k: v for k, v in asked.items() if k not in {"variables", "groups"}}
    return CreateRequest(
        **rest,
        locked=asked["lockfile"] is not None,
        groups=GroupOptions(**asked["groups"]),
        policy=said.policy,
        require_link=False,
        bytecode=said.bytecode,
        prompt=None,
        clear=True,
        store=said.store,
        seal=said.seal,
        fetch=said.fetch,
    )
