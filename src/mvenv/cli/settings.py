"""Options that several commands share, for click."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = [
    "NamedPath",
    "fetch_options",
    "output_options",
    "store_option",
    "store_options",
]

_Command = TypeVar("_Command", bound=Callable[..., Any])


class NamedPath(click.Path):
    """A path that was typed; what cannot be read there its reader says, not click.

    None is empty: that is a variable of a shell that has no value, and for `pathlib`
    the current folder.
    """

    def __init__(self, *, allow_dash: bool = False) -> None:
        super().__init__(path_type=Path, readable=False, allow_dash=allow_dash)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Return the path; a usage error where there is none."""
        if not os.fspath(value):
            self.fail("an empty name is no path", param, ctx)
        return super().convert(value, param, ctx)


def _apply(command: _Command, *options: Callable[[_Command], _Command]) -> _Command:
    for option in reversed(options):
        command = option(command)
    return command


def store_option(command: _Command) -> _Command:
    """Add the option that says which store."""
    return click.option(
        "--store",
        type=NamedPath(),
        envvar="MVENV_STORE",
        metavar="FOLDER",
        help="The store. Default: the platform's data folder.",
    )(command)


def store_options(command: _Command) -> _Command:
    """Add the options that say which store, and how it is kept."""
    return _apply(
        command,
        store_option,
        click.option(
            "--no-seal",
            is_flag=True,
            envvar="MVENV_NO_SEAL",
            help="Keep stored files writable: an edit then reaches every environment"
            " that shares the file.",
        ),
    )


def fetch_options(command: _Command) -> _Command:
    """Add the options that say where files come from."""
    return _apply(
        command,
        click.option(
            "--offline",
            is_flag=True,
            envvar="MVENV_OFFLINE",
            help="Use no network: what the store lacks is an error.",
        ),
        click.option(
            "--index-url",
            metavar="URL",
            envvar="MVENV_INDEX_URL",
            help="Index for what names no other. Default: PIP_INDEX_URL, else PyPI.",
        ),
        click.option(
            "--extra-index-url",
            metavar="URL",
            multiple=True,
            envvar="MVENV_EXTRA_INDEX_URL",
            help="Further index to ask.",
        ),
        click.option(
            "--find-links",
            metavar="PLACE",
            multiple=True,
            envvar="MVENV_FIND_LINKS",
            help="Folder or page with files.",
        ),
    )


def output_options(command: _Command) -> _Command:
    """Add the options that say how much is printed, and in what form."""
    return _apply(
        command,
        click.option(
            "--json",
            "as_json",
            is_flag=True,
            envvar="MVENV_JSON",
            help="Print one JSON object, errors too.",
        ),
        click.option(
            "-q", "--quiet", is_flag=True, envvar="MVENV_QUIET", help="Only errors."
        ),
        click.option(
            "-v", "--verbose", is_flag=True, envvar="MVENV_VERBOSE", help="Details too."
        ),
    )
