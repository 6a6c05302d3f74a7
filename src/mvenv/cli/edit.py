"""``mvenv edit``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from mvenv.cli.asked import set_output, store_folder
from mvenv.cli.console import Console
from mvenv.cli.settings import NamedPath, output_options, store_options
from mvenv.cli.words import in_words, shortest

if TYPE_CHECKING:
    from mvenv.edit import Edited

__all__ = ["edit_command", "summarise_edit"]

_SHOWN = 8


@click.command("edit")
@click.argument("env_dir", type=NamedPath(), envvar="MVENV_ENV_DIR")
@click.argument("distributions", nargs=-1, metavar="[DIST]...", envvar="MVENV_EDIT")
@click.option(
    "--undo",
    is_flag=True,
    envvar="MVENV_UNDO",
    help="Share the files again; edits are rescued first. Without names: all.",
)
@store_options
@output_options
@click.pass_obj
def edit_command(console: Console, /, **options: Any) -> None:
    """Make the files of distributions private and writable, so that you can edit them.

    Other environments do not see the edits, doctor leaves them alone, and so does sync
    for as long as the lock has the same version. Without names it tells what is edited.
    """
    from mvenv.edit import EditRequest, edit

    set_output(console, options)
    request = EditRequest(
        folder=options["env_dir"],
        names=options["distributions"],
        undo=options["undo"],
        store=None if options["store"] is None else store_folder(options),
    )
    edited = edit(request, console)
    console.result("\n".join(summarise_edit(edited)), edited.as_json())


def summarise_edit(edited: Edited) -> Iterator[str]:
    """Yield the lines a person reads."""
    where = shortest(edited.path)
    named = ", ".join(edited.names)
    files = f"{edited.files:,} file{'' if edited.files == 1 else 's'}"
    size = in_words(edited.bytes)
    if not edited.names:
        known = ", ".join(edited.edits) or "nothing"
        yield f"under edit in {where}: {known}"
    elif edited.undo:
        yield f"{named} in {where} as installed again · {files} put back ({size})"
    else:
        yield f"{named} in {where} can be edited · {files} made private ({size})"
    rescued = edited.rescued
    for path, kept in rescued[:_SHOWN]:
        yield f"  your {path} is now {kept}"
    if len(rescued) > _SHOWN:
        yield f"  … and {len(rescued) - _SHOWN:,} more beside it"
