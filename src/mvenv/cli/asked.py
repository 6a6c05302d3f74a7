"""What options ask for, however they were read: by click, or plainly.

Nothing here needs click, which takes longer to import than a small environment to make.
"""

from __future__ import annotations

import os

from mvenv.errors import SystemFault
from mvenv.paths import absolute
from mvenv.surroundings import MODES, fetch_from, store_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from mvenv.cli.console import Console
    from mvenv.env.compiled import Bytecode
    from mvenv.fetch.settings import FetchSettings
    from mvenv.selection.groups import GroupOptions

__all__ = [
    "create_as_asked",
    "current_folder",
    "fetch_settings",
    "groups_asked",
    "set_output",
    "split_names",
    "store_folder",
    "store_text",
]


def split_names(values: tuple[str, ...]) -> tuple[str, ...]:
    """Split at commas and spaces, as Poetry does."""
    return tuple(name for value in values for name in value.replace(",", " ").split())


def current_folder() -> str:
    """Return where the command was given."""
    try:
        return os.getcwd()
    except FileNotFoundError as error:
        raise SystemFault(
            "the current folder is not there any more", hint="go to another one"
        ) from error


def store_folder(options: Mapping[str, Any]) -> Path:
    """Return the store's folder, absolute."""
    from pathlib import Path

    return Path(store_text(options))


def store_text(options: Mapping[str, Any]) -> str:
    """Return the store's folder, absolute, as text."""
    return store_at(options["store"], os.environ)


def fetch_settings(
    options: Mapping[str, Any], environ: Mapping[str, str]
) -> FetchSettings:
    """Return what options, our variables, pip's and Poetry's say, in this order."""
    return fetch_from(environ, options)


def set_output(console: Console, options: Mapping[str, Any]) -> None:
    """Make the console as the options say."""
    console.as_json = options["as_json"]
    console.verbosity = int(options["verbose"]) - int(options["quiet"])


def groups_asked(options: Mapping[str, Any]) -> GroupOptions | None:
    """Return what these options choose; `None` where none of them was given."""
    from mvenv.selection.groups import GroupOptions

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


def _bytecode(options: Mapping[str, Any]) -> Bytecode:
    from mvenv.env.compiled import Bytecode

    if options["no_bytecode"]:
        return Bytecode.NONE
    return Bytecode(options["bytecode"].lower())


def create_as_asked(console: Console, options: Mapping[str, Any]) -> None:
    """Do what ``mvenv create`` does with these options."""
    from mvenv.cli.summary import summarise
    from mvenv.creation import CreateRequest, create
    from mvenv.selection.groups import GroupOptions

    set_output(console, options)
    start = current_folder()
    lockfile = options["lockfile"]
    request = CreateRequest(
        folder=absolute(options["env_dir"]),
        lockfile=None if lockfile is None else absolute(lockfile),
        start=start,
        python=options["python"],
        groups=groups_asked(options) or GroupOptions(),
        policy=MODES[options["link_mode"].lower()],
        require_link=options["require_link"],
        seeds=("pip",) if options["seed"] else (),
        bytecode=_bytecode(options),
        prompt=options["prompt"],
        system_site_packages=options["system_site_packages"],
        clear=options["clear"],
        store=store_text(options),
        seal=not options["no_seal"],
        fetch=fetch_settings(options, os.environ),
        environ=dict(os.environ),
    )
    created = create(request, console)
    console.result(summarise(created), created.as_json())
