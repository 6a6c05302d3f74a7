"""``mvenv list`` and ``mvenv du``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from mvenv.cli.asked import set_output, store_folder
from mvenv.cli.console import Console
from mvenv.cli.settings import NamedPath, output_options, store_option
from mvenv.cli.words import ago_in_words, counted, in_words, shortest, table
from mvenv.store.layout import StoreLayout

if TYPE_CHECKING:
    from mvenv.link.usage import Usage
    from mvenv.overview import DiskUsage, ListedEnvironment, Overview

__all__ = ["du_command", "list_command"]

_NOTHING = "-"


@click.command("list")
@store_option
@output_options
@click.pass_obj
def list_command(console: Console, /, **options: Any) -> None:
    """List the environments on record: lock, drift, and when they were last seen."""
    from mvenv.overview import list_environments

    set_output(console, options)
    overview = list_environments(StoreLayout(store_folder(options)))
    console.result("\n".join(_list_lines(overview, time.time())), overview.as_json())


def _list_lines(overview: Overview, now: float) -> Iterator[str]:
    rows = [_list_row(one, now) for one in overview.environments]
    if rows:
        head = ("ENVIRONMENT", "PYTHON", "PACKAGES", "LOCK", "DRIFT", "SEEN")
        yield from table(head, rows, right={2, 4})
    else:
        yield f"no environments are on record in {overview.store}"
    if overview.damaged:
        records = counted(len(overview.damaged), "record")
        yield f"{records} cannot be read: `mvenv doctor --whole-store` mends them"


def _list_row(one: ListedEnvironment, now: float) -> tuple[str, ...]:
    from mvenv.diagnose.roots import RootStanding
    from mvenv.overview import LockState

    seen = ago_in_words(now - one.last_seen_ns / 10**9)
    if one.standing is not RootStanding.PRESENT:
        seen = f"{seen} · {one.standing.value}"
    return (
        shortest(one.path),
        one.version or _NOTHING,
        _NOTHING if one.distributions is None else f"{one.distributions:,}",
        _NOTHING if one.lock is LockState.NONE else one.lock.value,
        _NOTHING if not one.drift else f"{one.drift:,}",
        seen,
    )


@click.command("du")
@click.argument("env_dir", nargs=-1, type=NamedPath(), envvar="MVENV_ENV_DIR")
@store_option
@output_options
@click.pass_obj
def du_command(console: Console, /, **options: Any) -> None:
    """Tell what environments and the store take on the disk, and what is shared.

    Without ENV_DIR: all environments on record. GIVES BACK is what deleting that one
    alone would bring.
    """
    from mvenv.overview import disk_usage

    set_output(console, options)
    layout = StoreLayout(store_folder(options))
    usage = disk_usage(layout, options["env_dir"])
    console.result("\n".join(_du_lines(usage)), usage.as_json())


def _du_lines(usage: DiskUsage) -> Iterator[str]:
    rows = [_du_row(shortest(one.path), one.usage) for one in usage.environments]
    rows.append(_du_row("the store", usage.stored))
    head = ("", "FILES", "APPARENT", "SHARED", "PRIVATE", "GIVES BACK")
    yield from table(head, rows, right={1, 2, 3, 4, 5})
    usages = [*(one.usage for one in usage.environments), usage.stored]
    if not all(one.exact for one in usages):
        yield "~ at the most: the file system does not tell what is shared"
    if usage.unused:
        unused = in_words(usage.unused)
        yield f"`mvenv store prune` would give back {unused} that nobody uses"


def _du_row(name: str, usage: Usage) -> tuple[str, ...]:
    return (
        name,
        f"{usage.files:,}",
        in_words(usage.apparent),
        in_words(usage.shared),
        in_words(usage.on_disk - usage.shared),
        f"{'' if usage.exact else '~ '}{in_words(usage.own)}",
    )
