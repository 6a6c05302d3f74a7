"""Options that several commands share, and what the environment says to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mvenv.cli.console import Console
from mvenv.errors import StoreError

if TYPE_CHECKING:
    from mvenv.fetch.settings import FetchSettings

__all__ = [
    "fetch_options",
    "fetch_settings",
    "output_options",
    "set_output",
    "store_folder",
    "store_option",
    "store_options",
]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _apply(command: _Command, *options: Callable[[_Command], _Command]) -> _Command:
    for option in reversed(options):
        command = option(command)
    return command


def store_option(command: _Command) -> _Command:
    """Add the option that says which store."""
    return click.option(
        "--store",
        type=click.Path(path_type=Path),
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


def store_folder(options: Mapping[str, Any]) -> Path:
    """Return the store's folder, absolute."""
    folder: Path | None = options["store"]
    try:
        if folder is None:
            import platformdirs

            folder = Path(platformdirs.user_data_dir("mvenv", appauthor=False))
        return folder.expanduser().absolute()
    except RuntimeError as error:
        raise StoreError(
            "there is no home folder to have the store in",
            hint="name a folder with `--store` or MVENV_STORE",
        ) from error


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


def fetch_settings(
    options: Mapping[str, Any], environ: Mapping[str, str]
) -> FetchSettings:
    """Return what options, our variables, pip's and Poetry's say, in this order."""
    from mvenv.fetch.settings import FetchSettings

    settings = FetchSettings.from_environment(environ)
    changes: dict[str, Any] = {}
    if options["index_url"]:
        changes["index_url"] = options["index_url"]
    for name in ("extra_index_url", "find_links"):
        if options[name]:
            field = "extra_index_urls" if name == "extra_index_url" else name
            changes[field] = tuple(options[name])
    if options["offline"]:
        changes["offline"] = True
    return replace(settings, **changes)


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


def set_output(console: Console, options: Mapping[str, Any]) -> None:
    """Make the console as the options say."""
    console.as_json = options["as_json"]
    console.verbosity = int(options["verbose"]) - int(options["quiet"])
