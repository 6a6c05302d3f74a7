"""``mvenv doctor``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from mvenv.cli.asked import fetch_settings, set_output, store_folder
from mvenv.cli.console import Console
from mvenv.cli.settings import (
    NamedPath,
    fetch_options,
    output_options,
    store_options,
)
from mvenv.diagnose.checks import CHECKS, check_named
from mvenv.errors import SystemFault, UsageError

__all__ = ["doctor_command"]


def _codes(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> frozenset[str]:
    words = [word for value in values for word in value.replace(",", " ").split()]
    codes = set()
    for word in words:
        check = check_named(word)
        if check is None:
            raise click.BadParameter(f"`{word}` is no check; `--list` names all")
        codes.add(check.code)
    return frozenset(codes)


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise SystemFault(
            "the current folder is not there any more", hint="go to another one"
        ) from error


@click.command("doctor")
@click.argument(
    "env_dir",
    nargs=-1,
    type=NamedPath(),
    envvar="MVENV_ENV_DIR",
)
@click.option(
    "--check", is_flag=True, envvar="MVENV_CHECK", help="Only look: write nothing."
)
@click.option(
    "--fix",
    is_flag=True,
    envvar="MVENV_FIX",
    help="Heal also what may be somebody's work, after keeping the present bytes.",
)
@click.option(
    "--restore",
    is_flag=True,
    envvar="MVENV_RESTORE",
    help="Also put back private files that were edited; the edits are kept.",
)
@click.option(
    "--full", is_flag=True, envvar="MVENV_FULL", help="Read and hash every file."
)
@click.option(
    "--all",
    "every",
    is_flag=True,
    envvar="MVENV_ALL",
    help="All environments on record, and those in the named folders.",
)
@click.option(
    "--whole-store",
    is_flag=True,
    envvar="MVENV_WHOLE_STORE",
    help="All of the store, not only what the environments use.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    envvar="MVENV_DRY_RUN",
    help="Say what would be healed, and how; write nothing.",
)
@click.option(
    "--list",
    "list_only",
    is_flag=True,
    envvar="MVENV_LIST",
    help="Name all checks with their codes, and end.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="CHECK",
    envvar="MVENV_CHECKS",
    callback=_codes,
    help="Report and heal this alone: a code or a name of `--list`.",
)
@store_options
@fetch_options
@output_options
@click.pass_obj
def doctor_command(console: Console, /, **options: Any) -> None:
    """Find what is broken in environments and in the store behind them, and heal it.

    Without ENV_DIR: the active environment, else the nearest one. What you did on
    purpose (pip uninstall, an edit of a private file) is reported and never undone.
    """
    set_output(console, options)
    from mvenv.cli.diagnosis import list_checks, tell

    if options["list_only"]:
        console.result(list_checks(), {"checks": _checks()})
        return
    if options["check"] and (options["fix"] or options["restore"]):
        raise UsageError("`--check` writes nothing: it excludes `--fix`, `--restore`")
    from mvenv.diagnose.model import Level
    from mvenv.doctor import doctor
    from mvenv.doctor.model import DoctorRequest

    start = _current_folder()
    active = os.environ.get("VIRTUAL_ENV")
    report = doctor(
        DoctorRequest(
            folders=options["env_dir"],
            start=start,
            active=Path(active) if active else None,
            every=options["every"],
            whole_store=options["whole_store"],
            level=Level.FULL if options["full"] else Level.QUICK,
            check=options["check"],
            dry_run=options["dry_run"],
            fix=options["fix"],
            restore=options["restore"],
            only=options["only"],
            store=store_folder(options),
            store_chosen=options["store"] is not None,
            fetch=fetch_settings(options, os.environ),
            environ=dict(os.environ),
            seal=not options["no_seal"],
        ),
        console,
    )
    text = tell(report, verbose=console.verbosity > 0, here=start)
    console.result(text, report.as_json())
    if report.exit_code:
        raise click.exceptions.Exit(report.exit_code)


def _checks() -> list[dict[str, str]]:
    return [
        {
            "code": check.code,
            "name": check.name,
            "scope": check.scope.name.lower(),
            "class": check.heal.value,
            "title": check.title,
        }
        for check in CHECKS
    ]
