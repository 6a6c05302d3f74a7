"""The command line: the only place that prints, reads the environment or exits."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Sequence

import click

from mvenv import __version__
from mvenv.cli.commands import Commands
from mvenv.cli.console import Console
from mvenv.cli.signals import Stopped, unwind_on_signals
from mvenv.errors import MvenvError, SystemFault

__all__ = ["INTERRUPTED", "command", "main", "run"]

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""
_NEW_OBJECTS = 500_000
"""Objects made, and not freed, before cycles are looked for."""


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="mvenv")
def command() -> None:
    """Make real virtual environments, filled by links from a verified store."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; see ``docs/cli.md`` for the exit codes."""
    unwind_on_signals()
    # A plan is tens of thousands of small values that live until we exit: looking for
    # cycles among them took a tenth of a run's processor time.
    gc.set_threshold(_NEW_OBJECTS)
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    console = Console()
    try:
        ended = command.main(
            arguments, prog_name="mvenv", standalone_mode=False, obj=console
        )
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _stopped(INTERRUPTED)
    except Stopped as stopped:
        return _stopped(stopped.exit_code)
    except (MvenvError, OSError) as error:
        return _report(console, error)
    # What a command's `Exit` carries comes back as a value.
    return ended if isinstance(ended, int) else 0


def _stopped(code: int) -> int:
    with contextlib.suppress(OSError):  # the terminal may be what went away
        click.echo(
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
