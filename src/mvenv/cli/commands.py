"""The commands, each imported only when it is asked for.

What a command imports takes longer than what many of them do.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import cast

import click

from mvenv import __version__
from mvenv.cli.console import Console
from mvenv.cli.names import MODULES

__all__ = ["Commands", "command", "run_by_click"]


class Commands(click.Group):
    """All commands of mvenv."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return their names, in the order of the help."""
        del ctx
        return sorted(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or `None` where there is none of that name."""
        del ctx
        if cmd_name not in MODULES:
            return None
        module = import_module(f"mvenv.cli.{MODULES[cmd_name]}")
        return cast("click.Command", getattr(module, f"{cmd_name}_command"))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="mvenv")
def command() -> None:
    """Make real virtual environments, filled by links from a verified store.

    `mvenv .venv`, and `python -m mvenv` with any folder, make what `python -m venv`
    makes: see `python -m mvenv .venv --help`.
    """


def run_by_click(words: Sequence[str], console: Console) -> int:
    """Run a command line and return its exit code; `KeyboardInterrupt` for Ctrl-C."""
    try:
        ended = command.main(
            words, prog_name="mvenv", standalone_mode=False, obj=console
        )
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort as aborted:
        raise KeyboardInterrupt from aborted
    # What a command's `Exit` carries comes back as a value.
    return ended if isinstance(ended, int) else 0
