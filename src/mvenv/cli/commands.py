"""The commands, each imported only when it is asked for.

What a command imports takes longer than what many of them do.
"""

from __future__ import annotations

from importlib import import_module
from typing import cast

import click

__all__ = ["Commands"]

_MODULES = {
    "create": "create",
    "adopt": "adopt",
    "doctor": "doctor",
    "sync": "sync",
    "rollback": "sync",
    "edit": "edit",
    "selftest": "selftest",
    "list": "overview",
    "du": "overview",
    "store": "store",
}
"""By name of the command, the module of this package that has ``<name>_command``."""


class Commands(click.Group):
    """All commands of mvenv."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return their names, in the order of the help."""
        del ctx
        return sorted(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or `None` where there is none of that name."""
        del ctx
        if cmd_name not in _MODULES:
            return None
        module = import_module(f"mvenv.cli.{_MODULES[cmd_name]}")
        return cast("click.Command", getattr(module, f"{cmd_name}_command"))
