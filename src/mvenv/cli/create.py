"""``mvenv create``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mvenv.cli.console import Console
from mvenv.cli.settings import (
    fetch_options,
    fetch_settings,
    output_options,
    set_output,
    store_folder,
    store_options,
)
from mvenv.cli.summary import summarise
from mvenv.env.compiled import Bytecode
from mvenv.errors import SystemFault
from mvenv.link.modes import LinkPolicy

if TYPE_CHECKING:
    from mvenv.selection import GroupOptions

__all__ = ["create_command", "group_options", "groups_asked"]

_MODES = {
    **{policy.value: policy for policy in LinkPolicy},
    "clone": LinkPolicy.REFLINK,
}

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _names(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Split at commas and spaces, as Poetry does."""
    if any(not value.strip() for value in values):
        raise click.BadParameter("an empty name")
    return tuple(name for value in values for name in value.replace(",", " ").split())


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


def groups_asked(options: Mapping[str, Any]) -> GroupOptions | None:
    """Return what these options choose; `None` where none of them was given."""
    from mvenv.selection import GroupOptions

    asked = GroupOptions(
        with_groups=options["with"],
        without=options["without"],
        only=options["only"],
        extras=options["extra"],
        all_extras=options["all_extras"],
        all_groups=options["all_groups"],
        no_root=options["no_root"],
    )
    return None if asked == GroupOptions() else asked


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise SystemFault(
            "the current folder is not there any more", hint="go to another one"
        ) from error


@click.command("create")
@click.argument(
    "env_dir", type=click.Path(path_type=Path), default=".venv", envvar="MVENV_ENV_DIR"
)
@click.option(
    "--from",
    "lockfile",
    type=click.Path(path_type=Path),
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
    type=click.Choice(sorted(_MODES), case_sensitive=False),
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
    from mvenv.create import CreateRequest, create
    from mvenv.selection import GroupOptions

    set_output(console, options)
    request = CreateRequest(
        folder=options["env_dir"],
        lockfile=options["lockfile"],
        start=_current_folder(),
        python=options["python"],
        groups=groups_asked(options) or GroupOptions(),
        policy=_MODES[options["link_mode"].lower()],
        require_link=options["require_link"],
        seed=options["seed"],
        bytecode=Bytecode.NONE
        if options["no_bytecode"]
        else Bytecode(options["bytecode"].lower()),
        prompt=options["prompt"],
        system_site_packages=options["system_site_packages"],
        clear=options["clear"],
        store=store_folder(options),
        seal=not options["no_seal"],
        fetch=fetch_settings(options, os.environ),
        environ=dict(os.environ),
    )
    created = create(request, console)
    console.result(summarise(created), created.as_json())
