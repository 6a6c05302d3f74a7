"""Start many commands of mvenv at once, each in a process of its own.

``python starting.py``: reads lists of commands from stdin, a JSON array of arrays of
words a line; answers each with a line of ``[exit code, output]`` pairs. Everything is
imported before, so that all of them really work at the same time.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import NoReturn

import mvenv
from mvenv.cli import main

_LONGEST = 300
"""Seconds that any command may take."""


def _import_all() -> None:
    for module in pkgutil.walk_packages(mvenv.__path__, "mvenv."):
        outside = ("mvenv.integrations", "mvenv.nox", "mvenv.tox", "mvenv.__main__")
        if not module.name.startswith(outside):
            importlib.import_module(module.name)


def _become(words: Sequence[str], output: int, gate: int) -> NoReturn:
    """Run a command as a process of its own, once the gate is open."""
    code = 99
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        signal.alarm(_LONGEST)
        os.read(gate, 1)  # the end of the pipe: all begin
        main(words)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001  whatever it was has to be told
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def start(commands: Sequence[Sequence[str]]) -> list[tuple[int, str, float]]:
    """Run commands at once; return exit codes, what they said, and seconds."""
    gate, opener = os.pipe()
    began = []
    for words in commands:
        output = tempfile.TemporaryFile()  # noqa: SIM115  closed when it has been read
        child = os.fork()
        if not child:
            os.close(opener)
            _become(words, output.fileno(), gate)
        began.append((child, output))
    started = time.monotonic()
    os.close(opener)
    os.close(gate)
    codes: dict[int, tuple[int, float]] = {}
    while len(codes) < len(began):
        child, status = os.wait()
        took = time.monotonic() - started
        codes[child] = (os.waitstatus_to_exitcode(status), took)
    answers = []
    for child, output in began:
        with output:
            output.seek(0)
            said = output.read().decode()
        answers.append((codes[child][0], said, codes[child][1]))
    return answers


if __name__ == "__main__":
    _import_all()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(start(json.loads(line))) + "\n")
        sys.stdout.flush()
