"""What options ask for, however they were read: by click, or plainly.

Nothing here needs click, which takes longer to import than a small environment to make.
"""

from __future__ import annotations

import os
import sys

from mvenv.errors import StoreError, SystemFault
from mvenv.link.modes import LinkPolicy
from mvenv.paths import absolute
from mvenv.values import replace

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
    "MODES",
    "create_as_asked",
    "current_folder",
    "fetch_settings",
    "groups_asked",
    "set_output",
    "split_names",
    "store_folder",
]

MODES = {
    **{policy.value: policy for policy in LinkPolicy},
    "clone": LinkPolicy.REFLINK,
}
"""What ``--link-mode`` can be."""


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

    return Path(_store_text(options))


def _store_text(options: Mapping[str, Any]) -> str:
    folder = options["store"]
    text = _data_folder() if folder is None else os.fspath(folder)
    if not text.startswith("~"):
        return absolute(text)
    from pathlib import Path

    try:
        return str(Path(text).expanduser().absolute())
    except RuntimeError as error:
        raise StoreError(
            "there is no home folder to have the store in",
            hint="name a folder with `--store` or MVENV_STORE",
        ) from error


def _data_folder() -> str:
    """Return what `platformdirs` says, without its import where that is plain."""
    home = os.environ.get("HOME", "")
    if sys.platform == "linux" and home.startswith("/"):
        if not os.environ.get("XDG_DATA_HOME"):
            return f"{home.rstrip('/')}/.local/share/mvenv"
    import platformdirs

    return platformdirs.user_data_dir("mvenv", appauthor=False)


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
    from mvenv.create import CreateRequest, create
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
        seed=options["seed"],
        bytecode=_bytecode(options),
        prompt=options["prompt"],
        system_site_packages=options["system_site_packages"],
        clear=options["clear"],
        store=_store_text(options),
        seal=not options["no_seal"],
        fetch=fetch_settings(options, os.environ),
        environ=dict(os.environ),
    )
    created = create(request, console)
    console.result(summarise(created), created.as_json())
