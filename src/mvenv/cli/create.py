"""``mvenv create``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from mvenv.cli.asked import create_as_asked, split_names
from mvenv.cli.console import Console
from mvenv.cli.settings import (
    NamedPath,
    fetch_options,
    output_options,
    store_options,
)
from mvenv.surroundings import MODES

__all__ = ["create_command", "group_options"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _names(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Split at commas and spaces, as Poetry does."""
    if any(not value.strip() for value in values):
        raise click.BadParameter("an empty name")
    return split_names(values)


def _several(
    name: str,
    *more: str,
    help: str,  # noqa: A002  click's word
) -> Callable[[_Command], _Command]:
    variable = f"MVENV_{name.strip('-').replace('-', '_').upper()}"
    return click.option(
        name,
        *more,
        multiple=True,
        metavar="NAME",
        envvar=variable,
        callback=_names,
        help=help,
    )


def _flag(
    name: str,
    *,
    help: str,  # noqa: A002  click's word
) -> Callable[[_Command], _Command]:
    variable = f"MVENV_{name.strip('-').replace('-', '_').upper()}"
    return click.option(name, is_flag=True, envvar=variable, help=help)


def group_options(command: _Command) -> _Command:
    """Add the options that choose groups and extras."""
    for option in (
        _flag("--no-root", help="Do not install the project itself."),
        _flag("--all-groups", help="Install all dependency groups."),
        _flag("--all-extras", help="Install all extras."),
        _several("--extra", "-E", help="Extra to install."),
        _several("--only", help="Dependency group to install alone."),
        _several("--without", help="Dependency group to leave out."),
        _several("--with", help="Dependency group to add."),
    ):
        command = option(command)
    return command


@click.command("create")
@click.argument("env_dir", type=NamedPath(), default=".venv", envvar="MVENV_ENV_DIR")
@click.option(
    "--from",
    "lockfile",
    type=NamedPath(),
    envvar="MVENV_FROM",
    metavar="LOCKFILE",
    help="poetry.lock or pylock.toml. Default: the nearest one, upward from here.",
)
@click.option(
    "--python",
    "-p",
    metavar="PYTHON",
    envvar="MVENV_PYTHON",
    help="Version, name or path of the interpreter. Default: the one running mvenv.",
)
@group_options
@click.option(
    "--link-mode",
    type=click.Choice(sorted(MODES), case_sensitive=False),
    default="auto",
    show_default=True,
    envvar="MVENV_LINK_MODE",
    help="How files come from the store.",
)
@_flag("--require-link", help="Fail where files could only be copied.")
@click.option(
    "--seed/--no-seed",
    default=False,
    show_default=True,
    envvar="MVENV_SEED",
    help="Put pip into the environment.",
)
@click.option(
    "--bytecode",
    type=click.Choice(["eager", "lazy"], case_sensitive=False),
    default="eager",
    show_default=True,
    envvar="MVENV_BYTECODE",
    help="Bytecode from the store: all of it, or what was compiled before.",
)
@_flag("--no-bytecode", help="Leave bytecode to Python, as it imports.")
@click.option(
    "--prompt",
    metavar="TEXT",
    envvar="MVENV_PROMPT",
    help="Prompt prefix when activated. Default: the folder's name.",
)
@_flag("--system-site-packages", help="Let the interpreter's own packages be seen.")
@_flag("--clear", help="Replace the environment that is there.")
@store_options
@fetch_options
@output_options
@click.pass_obj
def create_command(console: Console, /, **options: Any) -> None:
    """Make the environment ENV_DIR (.venv) with what a lockfile says.

    The files come as reflinks or hard links from a store of verified wheels; what the
    store lacks is fetched. Nothing is left behind where it fails.
    """
    create_as_asked(console, options)
