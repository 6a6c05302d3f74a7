"""Fill a folder as a plan says: links, checked as they are made, and private files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mvenv.env.bare import BareEnvironment
from mvenv.env.receipt import FOLDER, Generated
from mvenv.env.scripts import compose_script
from mvenv.env.writing import Writer
from mvenv.errors import LinkError, SystemFault
from mvenv.link.modes import LinkMode
from mvenv.link.tree import FolderLinks, Linker, Tally, Unlinked
from mvenv.plan.model import Plan, PlannedRecord, PlannedWheel
from mvenv.store.entries import StaleWheels, WheelStore
from mvenv.store.runs import RunFolder
from mvenv.wheels.record import record_row

__all__ = ["Filled", "fill"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What was made."""

    tally: Tally
    generated: tuple[Generated, ...]


def fill(
    plan: Plan,
    bare: BareEnvironment,
    folder: Path,
    *,
    python: str,
    modes: Sequence[LinkMode],
    replaces: bool,
    require_link: bool,
    store: WheelStore,
    run: RunFolder,
) -> Filled:
    """Fill ``folder`` as ``plan`` says, and return what was made.

    ``python`` is the environment's interpreter as scripts are to name it.
    ``replaces`` makes each file beside its name and renames it over what is there.
    `StaleWheels` where stored files turned out to be changed: the folder is then
    incomplete and must not be committed. `SystemFault` where the disk refuses.
    """
    try:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            writer = Writer(root=root, replaces=replaces)
            linker = Linker(root, modes, replace=replaces, require_link=require_link)
            writer.make_folders((FOLDER, *bare.folders, *plan.folders))
            _link(linker, plan, plan.links, store, run)
            writer.write_bare(bare)
            rows = _write_scripts(writer, plan, python)
            for file in plan.files:
                writer.write(file.path, file.content, executable=file.executable)
            for record in plan.records:
                writer.write(record.path, _record(record, rows), executable=False)
            _link(linker, plan, plan.late_links, store, run)
        finally:
            os.close(root)
    except OSError as error:
        raise SystemFault.from_os_error(error, "cannot fill the environment") from error
    return Filled(tally=linker.tally, generated=tuple(writer.written))


def _link(
    linker: Linker,
    plan: Plan,
    folders: Iterable[FolderLinks],
    store: WheelStore,
    run: RunFolder,
) -> None:
    linker.link_all(folders)
    while linker.tally.full:
        full, linker.tally.full = linker.tally.full, []
        for one in full:
            _renew(plan.wheels, one, store, run)
            linker.link_folder(one.folder._replace(files=(one.file,)))
    if linker.tally.mismatched:
        stale = (_wheel_of(plan.wheels, one)[0] for one in linker.tally.mismatched)
        raise StaleWheels(frozenset(wheel.key for wheel in stale))


def _renew(
    wheels: Sequence[PlannedWheel], one: Unlinked, store: WheelStore, run: RunFolder
) -> None:
    wheel, path = _wheel_of(wheels, one)
    if os.stat(os.path.join(one.folder.source, one.file.source)).st_nlink == 1:
        raise LinkError(
            f"`{one.folder.source}` takes no hard links",
            hint="choose another mode with `--link-mode`",
        )
    store.fresh_inode(wheel.key, path, run)


def _wheel_of(
    wheels: Sequence[PlannedWheel], one: Unlinked
) -> tuple[PlannedWheel, str]:
    source = Path(one.folder.source, one.file.source)
    for wheel in wheels:
        if source.is_relative_to(wheel.tree):
            return wheel, source.relative_to(wheel.tree).as_posix()
    raise AssertionError(f"{source} is in no wheel of the plan")


def _write_scripts(
    writer: Writer, plan: Plan, python: str
) -> dict[str, tuple[str, int]]:
    """Write the scripts and return their hashes and sizes, for RECORD."""
    written: dict[str, tuple[str, int]] = {}
    for script in plan.scripts:
        own = script.shebang_of(python)
        content = compose_script(own, script.body, script.arguments)
        digest = writer.write(script.path, content, executable=True)
        written[script.path] = (digest, len(content))
    return written


def _record(record: PlannedRecord, rows: dict[str, tuple[str, int]]) -> bytes:
    lines = [record.rows]
    for path in record.scripts:
        digest, size = rows[path]
        lines.append(record_row(path, digest, size, record.site))
    return "".join(lines).encode("utf-8", "surrogateescape")
