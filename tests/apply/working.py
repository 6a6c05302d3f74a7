"""Run `mvenv create` with several processes, and something done to one of their calls.

``python working.py SETTINGS``, which is JSON: the words of a command, its environment,
in whose calls (``worker`` or ``parent``) what is done, at which of them (none: at one
after the other), and where environments are kept. Prints a JSON list of what became of
each run.
"""

from __future__ import annotations

import contextlib
import errno
import json
import mmap
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

from mvenv.apply import parts
from mvenv.cli import run
from mvenv.cli.signals import unwind_on_signals
from mvenv.store import entries

assert shutil.rmtree.avoids_symlink_attacks, "looks at `os` when it is imported"

CALLS = (
    "fork",
    "mkdir",
    "link",
    "open",
    "rename",
    "unlink",
    "utime",
    "fchmod",
    "chmod",
)
SLOWLY = 0.002
"""Seconds that a worker takes for a call longer, so that there is work left."""
MOST = 200


class Faults:
    """Counts the calls of processes, and does something at one of them."""

    def __init__(self, settings: dict[str, Any], at: int) -> None:
        self.settings, self.at = settings, at
        self.here = os.getpid()
        self.count = 0
        self.said = mmap.mmap(-1, 2)
        """Shared with the workers: it was done; there were workers."""

    @contextlib.contextmanager
    def switched_on(self) -> Iterator[None]:
        """Put ourselves before the system's calls."""
        really = {name: getattr(os, name) for name in CALLS}
        for name, call in really.items():
            setattr(os, name, self.before(name, call))
        try:
            yield
        finally:
            for name, call in really.items():
                setattr(os, name, call)

    def before(self, name: str, call: Any) -> Any:
        """Return what is called in place of a call."""

        def called(*arguments: Any, **options: Any) -> Any:
            self.met(name, arguments)
            return call(*arguments, **options)

        return called

    def met(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Count a call, and do what is to be done there."""
        worker = os.getpid() != self.here
        if worker:
            self.said[1] = 1
            time.sleep(SLOWLY if self.settings["who"] == "parent" else 0)
        wanted = self.settings.get("name")
        if worker != (self.settings["who"] == "worker"):
            return
        if wanted and (name, *map(str, arguments[:1])) != tuple(wanted):
            return
        self.count += 1
        if self.count == self.at:
            self.said[0] = 1
            self.act(self.settings["what"])

    def act(self, what: str) -> None:
        """Kill, signal, raise or fail, in whose call it is."""
        if what.startswith("SIG"):
            os.kill(os.getpid(), getattr(signal, what))
        elif what == "ValueError":
            raise ValueError(what)
        else:
            number = getattr(errno, what)
            raise OSError(number, os.strerror(number), "the file")


def once(settings: dict[str, Any], at: int) -> dict[str, Any]:
    """Run the command in a process of its own, and return what became of it."""
    ours, theirs = os.pipe()
    faults = Faults(settings, at)
    said = os.path.join(settings["kept"], "said")
    process = os.fork()
    if not process:
        os.close(ours)
        os.set_inheritable(theirs, True)
        out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        unwind_on_signals()
        faults.here = os.getpid()
        with faults.switched_on():
            code = run(settings["words"])
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    os.close(theirs)
    ended = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    # Whoever of them still runs has the pipe.
    os.read(ours, 1)
    os.close(ours)
    with open(said, encoding="utf-8") as stream:
        text = stream.read()
    return {
        "at": at,
        "code": ended,
        "fired": bool(faults.said[0]),
        "workers": bool(faults.said[1]),
        "said": text,
    }


def main() -> None:
    """Run once, or once for each call."""
    settings = json.loads(sys.argv[1])
    parts._WORTH_IT, parts._UNITS = 1, 2
    entries._FRESH_ENOUGH = 2
    setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})  # noqa: B010
    found = []
    for at in settings["at"] or range(1, MOST):
        told = once(settings, at)
        found.append(told)
        if os.path.lexists(settings["environment"]):
            kept = os.path.join(settings["kept"], str(at))
            os.rename(settings["environment"], kept)
            told["kept"] = kept
        told["beside"] = os.listdir(os.path.dirname(settings["environment"]))
        if not told["fired"]:
            break
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
