"""``mvenv adopt``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mvenv.cli.asked import set_output, store_folder
from mvenv.cli.console import Console
from mvenv.cli.settings import NamedPath, output_options, store_options
from mvenv.cli.words import in_words
from mvenv.errors import MvenvError, SeveralErrors
from mvenv.link.modes import LinkPolicy

if TYPE_CHECKING:  # the library is only loaded once the command line is right
    from mvenv.adopt import Adopted
    from mvenv.adopt.outcome import AdoptedDistribution

__all__ = ["adopt_command"]

_MODES = {"auto": LinkPolicy.AUTO, "reflink": LinkPolicy.REFLINK}
_MODES |= {"clone": LinkPolicy.REFLINK, "hardlink": LinkPolicy.HARDLINK}
_SHOWN = 5
"""Files of a kind that are named without ``-v``."""


@click.command("adopt")
@click.argument(
    "env_dir",
    nargs=-1,
    type=NamedPath(),
    envvar="MVENV_ENV_DIR",
    metavar="[ENV_DIR]...",
)
@click.option(
    "--link-mode",
    type=click.Choice(sorted(_MODES), case_sensitive=False),
    default="auto",
    show_default=True,
    envvar="MVENV_LINK_MODE",
    help="How files come to share the store's bytes.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    envvar="MVENV_DRY_RUN",
    help="Only say what would be shared and learned.",
)
@store_options
@output_options
@click.pass_obj
def adopt_command(console: Console, /, **options: Any) -> None:
    """Share the files of environments (.venv) that pip, uv, Poetry or PDM made.

    Each file is proven by its hash. What the store lacks it learns; what both have
    becomes one. Also gives back its sharing to an environment of mvenv's own. What was
    edited stays as it is.
    """
    from mvenv.adopt import AdoptRequest, adopt

    set_output(console, options)
    done: list[Adopted] = []
    errors: list[MvenvError] = []
    for folder in options["env_dir"] or (Path(".venv"),):
        request = AdoptRequest(
            folder=folder,
            policy=_MODES[options["link_mode"].lower()],
            store=store_folder(options),
            seal=not options["no_seal"],
            dry_run=options["dry_run"],
        )
        try:
            done.append(adopt(request, console))
        except MvenvError as error:
            # The others have nothing to do with it.
            errors.append(error)
    verbose = console.verbosity > 0
    if done or not errors:
        console.result(
            "\n".join(_summary(one, verbose=verbose) for one in done),
            {"environments": [one.as_json() for one in done]},
        )
    if errors:
        raise SeveralErrors.unless_one(errors)


def _summary(adopted: Adopted, *, verbose: bool) -> str:
    """Return the lines a person reads: what, how much, and what was left."""
    count = len(adopted.distributions)
    learned = adopted.count(learned=True)
    head = [
        f"{'would adopt' if adopted.dry else 'adopted'} {_shortest(adopted.path)}",
        f"{count} distribution{'' if count == 1 else 's'}",
        f"{adopted.count()} shared" + (f" ({learned} learned)" if learned else ""),
        f"{in_words(adopted.given_back)} given back",
    ]
    if adopted.stored:
        head.append(f"{in_words(adopted.stored)} added to the store")
    lines = [" · ".join(head), *_left(adopted, verbose=verbose)]
    if verbose:
        lines += [_line(one) for one in adopted.distributions]
    return "\n".join(lines)


def _left(adopted: Adopted, *, verbose: bool) -> Iterator[str]:
    """Yield what was left as it is, and why."""
    for one in adopted.distributions:
        if one.alone is not None:
            yield f"  {one.name} {one.version} is left alone: {one.alone}"
    kinds = (
        ("edited, left as it is", "edited"),
        ("missing", "missing"),
        ("a link or another user's, left as it is", "apart"),
        ("damaged in the store: run `mvenv doctor`", "damaged"),
    )
    for words, name in kinds:
        paths = [path for one in adopted.distributions for path in getattr(one, name)]
        shown = paths if verbose else paths[:_SHOWN]
        yield from (f"  {path}: {words}" for path in shown)
        if len(paths) > len(shown):
            yield f"  and {len(paths) - len(shown)} more (`-v` names them)"


def _line(one: AdoptedDistribution) -> str:
    parts = [f"  {one.name} {one.version}"]
    if one.source:
        parts.append(f"{'learned' if one.learned else 'from'} {one.source}")
    parts.append(
        f"{one.linked} linked now, {one.already} before, {one.private} private"
    )
    return " · ".join(parts)


def _shortest(path: Path) -> str:
    """Return the path as seen from here where it is below, as people would type it."""
    here = os.getcwd()
    return os.path.relpath(path, here) if path.is_relative_to(here) else str(path)
