"""The command line: the only place that prints, reads the environment or exits."""

from __future__ import annotations

import contextlib
import gc
import os
import sys

from mvenv.cli.console import Console, echo
from mvenv.cli.plain import read_plainly
from mvenv.cli.signals import Stopped, unwind_on_signals
from mvenv.errors import MvenvError, SystemFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["INTERRUPTED", "main", "run"]

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""
_NEW_OBJECTS = 500_000
"""Objects made, and not freed, before cycles are looked for."""


def main(arguments: Sequence[str] | None = None, *, as_module: bool = False) -> None:
    """Run the command line and exit; see ``docs/cli.md`` for the exit codes.

    ``as_module``: it stands in for ``python -m venv``, so any folder is one to make.
    """
    unwind_on_signals()
    # A plan is tens of thousands of small values that live until we exit: looking for
    # cycles among them took a tenth of a run's processor time.
    gc.set_threshold(_NEW_OBJECTS)
    code = run(arguments, as_module=as_module)
    if arguments is None:
        _end_at_once(code)
    sys.exit(code)


def _end_at_once(code: int) -> None:
    """End the process without taking all of it apart, where nobody waits for that.

    Freeing every module and value takes as long as making a small environment. Who
    wants to be called at the end has imported `atexit`; threads that are to be waited
    for come with `threading`.
    """
    if "atexit" in sys.modules or "threading" in sys.modules:
        return
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        # Python has its own way to say that; a stream can be closed, or none.
        return
    os._exit(code)


def run(arguments: Sequence[str] | None = None, *, as_module: bool = False) -> int:
    """Run the command line and return its exit code."""
    console = Console()
    try:
        words = sys.argv[1:] if arguments is None else arguments
        return _carry_out(words, console, as_module=as_module)
    except KeyboardInterrupt:
        return _stopped(INTERRUPTED)
    except Stopped as stopped:
        return _stopped(stopped.exit_code)
    except (MvenvError, OSError) as error:
        return _report(console, error)


def _carry_out(words: Sequence[str], console: Console, *, as_module: bool) -> int:
    options = read_plainly(words, os.environ)
    if options is not None:
        from mvenv.cli.asked import create_as_asked

        create_as_asked(console, options)
        return 0
    from mvenv.cli.venv import is_for_venv, run_venv

    if is_for_venv(words, as_module=as_module):
        program = "python -m mvenv" if as_module else "mvenv"
        return run_venv(words, console, program=program)
    from mvenv.cli.commands import run_by_click

    return run_by_click(words, console)


def _stopped(code: int) -> int:
    with contextlib.suppress(OSError):  # the terminal may be what went away
        echo(
            "interrupted; no file is half-written. Unless all was done already"
            " (`mvenv doctor` tells), the same command goes on from here",
            err=True,
        )
    return code


def _report(console: Console, error: MvenvError | OSError) -> int:
    if isinstance(error, OSError):
        error = SystemFault.from_os_error(error, "the system refused")
    console.error(error)
    return error.exit_code
