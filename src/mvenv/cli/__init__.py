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


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; see ``docs/cli.md`` for the exit codes."""
    unwind_on_signals()
    # A plan is tens of thousands of small values that live until we exit: looking for
    # cycles among them took a tenth of a run's processor time.
    gc.set_threshold(_NEW_OBJECTS)
    code = run(arguments)
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


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    console = Console()
    try:
        return _carry_out(arguments, console)
    except KeyboardInterrupt:
        return _stopped(INTERRUPTED)
    except Stopped as stopped:
        return _stopped(stopped.exit_code)
    except (MvenvError, OSError) as error:
        return _report(console, error)


def _carry_out(arguments: Sequence[str] | None, console: Console) -> int:
    words = sys.argv[1:] if arguments is None else arguments
    options = read_plainly(words, os.environ)
    if options is None:
        from mvenv.cli.commands import run_by_click

        return run_by_click(words, console)
    from mvenv.cli.asked import create_as_asked

    create_as_asked(console, options)
    return 0


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
