"""``mvenv sync`` and ``mvenv rollback``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mvenv.cli.asked import fetch_settings, groups_asked, set_output, store_folder
from mvenv.cli.console import Console
from mvenv.cli.create import group_options
from mvenv.cli.settings import (
    NamedPath,
    fetch_options,
    output_options,
    store_options,
)
from mvenv.cli.words import shortest

if TYPE_CHECKING:
    from mvenv.sync.outcome import Synced

__all__ = ["rollback_command", "summarise_sync", "sync_command"]

_SHOWN = 8
"""Lines of one kind; the rest is counted."""


@click.command("sync")
@click.argument("env_dir", type=NamedPath(), default=".venv", envvar="MVENV_ENV_DIR")
@click.option(
    "--from",
    "lockfile",
    type=NamedPath(),
    envvar="MVENV_FROM",
    metavar="LOCKFILE",
    help="poetry.lock or pylock.toml. Default: the one it was made from.",
)
@click.option(
    "--python",
    "-p",
    metavar="PYTHON",
    envvar="MVENV_PYTHON",
    help="Must be the environment's own interpreter.",
)
@group_options
@click.option(
    "--seed/--no-seed",
    default=None,
    envvar="MVENV_SEED",
    help="Have pip in the environment. Default: as when it was made.",
)
@click.option(
    "--exact",
    is_flag=True,
    envvar="MVENV_EXACT",
    help="Take out what was installed by hand.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    envvar="MVENV_DRY_RUN",
    help="Tell what would change, and write nothing.",
)
@store_options
@fetch_options
@output_options
@click.pass_obj
def sync_command(console: Console, /, **options: Any) -> None:
    """Bring the environment ENV_DIR (.venv) to a lockfile, in place.

    Only what differs is touched. What was there is kept for `mvenv rollback`; what you
    installed by hand is left, and files you edited are rescued before they are
    replaced. Groups and extras are those it was made with, unless some are given.
    """
    from mvenv.sync import SyncRequest, sync

    set_output(console, options)
    request = SyncRequest(
        folder=options["env_dir"],
        lockfile=options["lockfile"],
        python=options["python"],
        groups=groups_asked(options),
        seed=options["seed"],
        exact=options["exact"],
        dry_run=options["dry_run"],
        store=_own_store(options),
        seal=not options["no_seal"],
        fetch=fetch_settings(options, os.environ),
        environ=dict(os.environ),
    )
    synced = sync(request, console)
    word = "would sync" if synced.dry_run else "synced"
    console.result(summarise_sync(synced, word), synced.as_json())


@click.command("rollback")
@click.argument("env_dir", type=NamedPath(), default=".venv", envvar="MVENV_ENV_DIR")
@store_options
@output_options
@click.pass_obj
def rollback_command(console: Console, /, **options: Any) -> None:
    """Bring the environment ENV_DIR (.venv) back to what it was before the last sync.

    Also what was installed by hand, and edits, come back. A second rollback is a redo.
    """
    from mvenv.sync.rollback import RollbackRequest, rollback

    set_output(console, options)
    request = RollbackRequest(
        folder=options["env_dir"],
        store=_own_store(options),
        seal=not options["no_seal"],
    )
    synced = rollback(request, console)
    console.result(summarise_sync(synced, "rolled back"), synced.as_json())


def _own_store(options: Mapping[str, Any]) -> Path | None:
    """Return the store that was asked for; `None`: the environment's own."""
    return None if options["store"] is None else store_folder(options)


def summarise_sync(synced: Synced, word: str) -> str:
    """Return the lines a person reads: what changed, what was kept, where."""
    where, took = shortest(synced.path), f"{synced.seconds:.2f} s"
    if synced.untouched:
        said = [f"{where} is what the lock says, nothing to do · {took}"]
        if word == "rolled back":
            said = [f"{where} is what it was, nothing to do · {took}"]
    else:
        said = [f"{word} {where} · {_counted(synced)} · {took}"]
    return "\n".join([*said, *(f"  {line}" for line in _details(synced))])


def _counted(synced: Synced) -> str:
    updated = sum(1 for one in synced.changed if one.old and one.new)
    added = sum(1 for one in synced.changed if not one.old)
    removed = sum(1 for one in synced.changed if not one.new)
    counts = (
        (updated, "updated"),
        (added, "added"),
        (removed, "removed"),
        (len(synced.restored), "restored"),
        (len(synced.taken_out), "taken out"),
        (len(synced.back), "there again"),
    )
    return ", ".join(f"{number:,} {what}" for number, what in counts if number) or (
        "records only"
    )


def _details(synced: Synced) -> Iterator[str]:
    """Yield what follows the first line."""
    would = "would be " if synced.dry_run else ""
    yield from _few([_changed(one) for one in synced.changed])
    yield from _few([f"{name}: files put back" for name in synced.restored])
    for one in synced.taken_out:
        yield f"{one.name} {one.version}{_by(one.installer)}: {would}taken out"
    for name in synced.back:
        yield f"{name}: installed by hand, there again"
    for one in synced.left:
        yield f"{one.name} {one.version}{_by(one.installer)}: installed by hand, left"
    if synced.edited:
        yield f"{_files(len(synced.edited))} edited under `mvenv edit`: left"
        yield from _few([f"  {path}" for path in synced.edited])
    if synced.rescued:
        yield f"{_files(len(synced.rescued))} of yours kept elsewhere:"
        yield from _few([f"  {path}: {kept}" for path, kept in synced.rescued])
    for path, winner, losers in synced.conflicts:
        yield f"{path}: {winner} has it, {', '.join(losers)} had it too"


def _changed(one: Any) -> str:
    if one.old is None:
        return f"{one.name} {one.new} added"
    if one.new is None:
        return f"{one.name} {one.old} removed"
    if one.old == one.new:
        return f"{one.name} {one.new} (another file of it)"
    return f"{one.name} {one.old} → {one.new}"


def _by(installer: str) -> str:
    return f" (by {installer})" if installer else ""


def _files(number: int) -> str:
    return f"{number:,} file{'' if number == 1 else 's'}"


def _few(lines: list[str]) -> Iterator[str]:
    yield from lines[:_SHOWN]
    if len(lines) > _SHOWN:
        yield f"… and {len(lines) - _SHOWN:,} more"
