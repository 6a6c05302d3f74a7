"""``mvenv store``: a look at the store, and its upkeep."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mvenv.cli.asked import set_output, store_folder
from mvenv.cli.console import Console
from mvenv.cli.settings import (
    NamedPath,
    output_options,
    store_option,
    store_options,
)
from mvenv.cli.words import counted, in_words, shortest, table
from mvenv.errors import StoreError, UsageError
from mvenv.store.layout import StoreLayout

if TYPE_CHECKING:
    from mvenv.overview import StoreOverview, StoreVerdict
    from mvenv.prune import Pruned
    from mvenv.transfer import Exported, Imported

__all__ = ["store_command"]

_SHOWN = 5
"""Things of one kind that are named without ``-v``."""
_TIMES = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SIZES = {
    **{unit: 1000**power for power, unit in enumerate(("", "k", "m", "g", "t"))},
    **{f"{unit}i": 1 << (10 * power) for power, unit in enumerate("kmgt", 1)},
}


def _duration(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> int | None:
    """Return a duration like ``30d`` in nanoseconds."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d{1,9}) ?([smhdw])", value.strip().lower(), re.ASCII)
    if match is None:
        raise click.BadParameter("a number with s, m, h, d or w, like `30d`")
    return int(match[1]) * _TIMES[match[2]] * 10**9


def _size(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> int | None:
    """Return a size like ``2GB`` in bytes."""
    if value is None:
        return None
    pattern = r"(\d{1,18}(?:\.\d{1,9})?) ?([kmgt]?i?)b?"
    match = re.fullmatch(pattern, value.strip().lower(), re.ASCII)
    if match is None or match[2] not in _SIZES:
        raise click.BadParameter("a number with a unit, like `2GB` or `500MiB`")
    return int(float(match[1]) * _SIZES[match[2]])


@click.group("store")
def store_command() -> None:
    """Look after the store of wheels."""


@store_command.command("path")
@store_option
@output_options
@click.pass_obj
def _path_command(console: Console, /, **options: Any) -> None:
    """Print where the store is."""
    set_output(console, options)
    folder = store_folder(options)
    console.result(str(folder), {"store": str(folder)})


@store_command.command("list")
@store_option
@output_options
@click.pass_obj
def _list_entries_command(console: Console, /, **options: Any) -> None:
    """List the wheels: name, version, size, and how many environments use it."""
    from mvenv.overview import list_store

    set_output(console, options)
    overview = list_store(_layout(options))
    console.result("\n".join(_list_lines(overview)), overview.as_json())


def _layout(options: dict[str, Any]) -> StoreLayout:
    """Return a store that is there, without making one."""
    folder = store_folder(options)
    if not folder.is_dir():
        raise StoreError(
            f"there is no store in `{folder}`",
            hint="`mvenv create` makes it; `--store` names another",
        )
    return StoreLayout(folder)


def _list_lines(overview: StoreOverview) -> Iterator[str]:
    rows = [
        (
            one.name,
            one.version,
            in_words(one.size),
            f"{one.users:,}",
            ", ".join(one.marks),
        )
        for one in overview.entries
    ]
    if rows:
        yield from table(("NAME", "VERSION", "SIZE", "USERS", ""), rows, right={2, 3})
    size = in_words(sum(one.size for one in overview.entries))
    yield f"{counted(len(rows), 'wheel')} · {size} · {overview.store}"


@store_command.command("verify")
@store_option
@output_options
@click.pass_obj
def _verify_command(console: Console, /, **options: Any) -> None:
    """Hash every file of the store, and say what is wrong; write nothing."""
    from mvenv.overview import verify_store

    set_output(console, options)
    verdict = verify_store(_layout(options))
    lines = _verify_lines(verdict, verbose=console.verbosity > 0)
    console.result("\n".join(lines), verdict.as_json())
    if verdict.wrong:
        raise click.exceptions.Exit(1)


def _verify_lines(verdict: StoreVerdict, *, verbose: bool) -> Iterator[str]:
    wheels = counted(verdict.entries, "wheel")
    files = counted(verdict.files, "file")
    hashed = f"{in_words(verdict.bytes)} hashed in {verdict.seconds:.1f} s"
    state = "all right" if not verdict.wrong else f"{len(verdict.wrong):,} wrong"
    yield f"{state} · {wheels} · {files} · {hashed}"
    shown = verdict.wrong if verbose else verdict.wrong[:_SHOWN]
    for one in shown:
        yield f"  {one.code}  {one.path or one.where}: {one.detail}"
        if one.remedy:
            yield f"       next: {one.remedy}"
    if len(shown) < len(verdict.wrong):
        yield f"  … and {len(verdict.wrong) - len(shown):,} more (`-v` shows all)"
    notes = [
        f"{number:,} {what}"
        for number, what in (
            (verdict.imported, "imported"),
            (verdict.rebuilt, "rebuilt from environments"),
            (verdict.adopted, "adopted"),
            (verdict.unsynced, "not flushed yet"),
            (verdict.leftovers, "leftovers of killed runs"),
        )
        if number
    ]
    if notes:
        yield f"  {' · '.join(notes)}"
    from mvenv.diagnose.model import HealClass

    if any(one.heal is not HealClass.REPORT for one in verdict.wrong):
        yield "`mvenv doctor --whole-store --full` heals what can be healed"


@store_command.command("prune")
@click.option(
    "--older-than",
    metavar="TIME",
    envvar="MVENV_OLDER_THAN",
    callback=_duration,
    help="Only what was not used for so long, like 12h or 30d.",
)
@click.option(
    "--max-size",
    metavar="SIZE",
    envvar="MVENV_MAX_SIZE",
    callback=_size,
    help="Only until the store takes no more than this, like 2GB; the least recently"
    " used first.",
)
@click.option(
    "--forget",
    multiple=True,
    metavar="ENV_DIR",
    type=NamedPath(),
    envvar="MVENV_FORGET",
    help="An environment that is gone for good: do not wait for it.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    envvar="MVENV_DRY_RUN",
    help="Only say what would go, and what that would give back.",
)
@store_option
@output_options
@click.pass_obj
def _prune_command(console: Console, /, **options: Any) -> None:
    """Take out the wheels that no environment needs.

    An environment that cannot be read, whose disk may not be mounted, or that vanished
    less than seven days ago keeps its wheels.
    """
    from mvenv.prune import PruneRequest, prune

    set_output(console, options)
    request = PruneRequest(
        store=_layout(options).root,
        older_than_ns=options["older_than"],
        max_size=options["max_size"],
        forget=options["forget"],
        dry_run=options["dry_run"],
    )
    pruned = prune(request, console)
    lines = _prune_lines(pruned, verbose=console.verbosity > 0)
    console.result("\n".join(lines), pruned.as_json())


def _prune_lines(pruned: Pruned, *, verbose: bool) -> Iterator[str]:
    verb = "would remove" if pruned.dry_run else "removed"
    most = "" if pruned.exact else "at the most "
    wheels = counted(len(pruned.removed), "wheel")
    if pruned.plans and not pruned.removed:
        wheels += f", {counted(pruned.plans, 'old plan')}"
    left = f"{pruned.left:,} left"
    if pruned.left_bytes is not None:
        left += f" ({in_words(pruned.left_bytes)})"
    yield f"{verb} {wheels} · {most}{in_words(pruned.bytes)} back · {left}"
    shown = pruned.removed if verbose else pruned.removed[:_SHOWN]
    for one in shown:
        yield f"  {one.filename or one.key} ({in_words(one.size)})"
    if len(shown) < len(pruned.removed):
        yield f"  … and {len(pruned.removed) - len(shown):,} more (`-v` shows all)"
    for path in pruned.forgotten:
        yield f"  {shortest(path)} is gone, and off the record"
    for waiting in pruned.waiting:
        yield f"  {shortest(waiting.path)} keeps its wheels: {waiting.standing.value}"
    if pruned.waiting:
        yield "  (`--forget ENV_DIR` for one that is gone for good)"
    for path in pruned.rescued:
        yield f"  files that were changed are kept in {path}"


@store_command.command("clean")
@click.option(
    "--yes", "-y", is_flag=True, envvar="MVENV_YES", help="Do not ask whether to."
)
@click.option(
    "--dry-run",
    is_flag=True,
    envvar="MVENV_DRY_RUN",
    help="Only say what would go, and what that would give back.",
)
@store_option
@output_options
@click.pass_obj
def _clean_command(console: Console, /, **options: Any) -> None:
    """Take out all wheels, needed or not.

    Environments keep working, and what they have can be learned from them again; new
    ones need the network.
    """
    from mvenv.prune import CleanRequest, clean

    set_output(console, options)
    root = _layout(options).root
    if not options["dry_run"] and not options["yes"]:
        _ask(root)
    cleaned = clean(CleanRequest(store=root, dry_run=options["dry_run"]), console)
    lines = [*_prune_lines(cleaned, verbose=console.verbosity > 0)]
    if not cleaned.dry_run and cleaned.removed:
        lines.append("environments keep working; `mvenv doctor --all` fills the store")
        lines.append("again from what they have")
    console.result("\n".join(lines), cleaned.as_json())


def _ask(root: Path) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            "this empties the whole store, and nobody can be asked",
            hint="`--yes` does it; `mvenv store prune` takes only what nobody needs",
        )
    click.confirm(f"take all wheels out of {root}?", abort=True, err=True)


@store_command.command("export")
@click.argument(
    "archive",
    type=NamedPath(allow_dash=True),
    envvar="MVENV_ARCHIVE",
)
@click.option(
    "--env",
    "environments",
    multiple=True,
    metavar="ENV_DIR",
    type=NamedPath(),
    envvar="MVENV_ENV",
    help="Only what this environment uses. Default: everything.",
)
@store_option
@output_options
@click.pass_obj
def _export_command(console: Console, /, **options: Any) -> None:
    """Write wheels of the store into ARCHIVE, a plain tar file; `-` is the output.

    The same wheels give the same bytes. Prints the sha256 of the archive.
    """
    from mvenv.transfer import ExportRequest, export_entries

    set_output(console, options)
    piped = str(options["archive"]) == "-"
    request = ExportRequest(
        store=_layout(options).root,
        environments=options["environments"],
        target=sys.stdout.buffer if piped else options["archive"],
    )
    exported = export_entries(request, console)
    if piped:
        console.note(_export_line(exported))
    else:
        console.result(_export_line(exported), exported.as_json())


def _export_line(exported: Exported) -> str:
    wheels = counted(len(exported.wheels), "wheel")
    where = f" to {shortest(exported.path)}" if exported.path is not None else ""
    size = in_words(exported.bytes)
    took = f"{exported.seconds:.1f} s"
    return f"exported {wheels}{where} · {size} · {took}\nsha256 {exported.sha256}"


@store_command.command("import")
@click.argument(
    "archive",
    type=NamedPath(allow_dash=True),
    envvar="MVENV_ARCHIVE",
)
@click.option(
    "--sha256",
    metavar="HEX",
    envvar="MVENV_SHA256",
    help="What the archive has to have; else nothing of it is taken in.",
)
@store_options
@output_options
@click.pass_obj
def _import_command(console: Console, /, **options: Any) -> None:
    """Take in what ARCHIVE has, when every file of it is proven; `-` is the input.

    That a file is what the archive says is proven, and not that the archive is right:
    import from whom you trust, or name its `--sha256`.
    """
    from mvenv.transfer import ImportRequest, import_entries

    set_output(console, options)
    piped = str(options["archive"]) == "-"
    request = ImportRequest(
        store=store_folder(options),
        seal=not options["no_seal"],
        source=sys.stdin.buffer if piped else options["archive"],
        sha256=options["sha256"],
    )
    imported = import_entries(request, console)
    console.result(_import_line(imported), imported.as_json())


def _import_line(imported: Imported) -> str:
    wheels = counted(len(imported.added), "wheel")
    size = in_words(imported.bytes)
    took = f"{imported.seconds:.1f} s"
    present = f" · {imported.present:,} were there" if imported.present else ""
    return f"imported {wheels} · {size}{present} · {took}\nsha256 {imported.sha256}"
