"""Carry out a plan: the one thing that writes environments."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mvenv.env.bare import BareEnvironment
from mvenv.env.receipt import FOLDER
from mvenv.env.scripts import compose_script
from mvenv.errors import LinkError, SystemFault
from mvenv.hashes import digest_bytes
from mvenv.link.files import write_new
from mvenv.link.modes import LinkMode
from mvenv.link.tree import FolderLinks, Linker, Tally, Unlinked, replace_name
from mvenv.plan import Plan, PlannedRecord
from mvenv.store.entries import StoredWheel, WheelStore
from mvenv.store.runs import RunFolder
from mvenv.wheels.record import record_row

__all__ = ["Applied", "StaleWheels", "apply_plan", "fill_bare"]

_NEW = ".mvenv-file~"


class StaleWheels(Exception):
    """Stored files are not what they must be; nothing of them was linked."""

    def __init__(self, keys: frozenset[str]) -> None:
        super().__init__(", ".join(sorted(keys)))
        self.keys = keys


@dataclass(slots=True)
class Applied:
    """What was made."""

    tally: Tally
    generated: list[tuple[str, str, int]] = field(default_factory=list)
    """Written files: path, sha256, bytes."""
    folders: int = 0


def apply_plan(
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
) -> Applied:
    """Fill ``folder`` as ``plan`` says, and return what was made.

    ``python`` is the environment's interpreter as scripts are to name it.
    ``replaces`` makes each file beside its name and renames it over what is there.
    `StaleWheels` where stored files turned out to be changed: the folder is then
    incomplete and must not be committed. `SystemFault` where the disk refuses.
    """
    try:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            work = _Work(
                root=root,
                replaces=replaces,
                linker=Linker(root, modes, replace=replaces, require_link=require_link),
            )
            work.make_folders((FOLDER, *bare.folders, *plan.folders))
            _link(work, plan, plan.links, store, run)
            work.write_bare(bare)
            rows = _write_scripts(work, plan, python)
            for file in plan.files:
                work.write(file.path, file.content, executable=file.executable)
            for record in plan.records:
                work.write(record.path, _record(record, rows), executable=False)
            _link(work, plan, plan.late_links, store, run)
        finally:
            os.close(root)
    except OSError as error:
        raise SystemFault.from_os_error(error, "cannot fill the environment") from error
    return work.applied


def fill_bare(bare: BareEnvironment, folder: Path) -> None:
    """Make a bare environment in an empty folder; `SystemFault` where that fails."""
    try:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            work = _Work(root=root, replaces=False, linker=Linker(root, ()))
            work.make_folders(bare.folders)
            work.write_bare(bare)
        finally:
            os.close(root)
    except OSError as error:
        raise SystemFault.from_os_error(error, "cannot make an environment") from error


def _link(
    work: _Work,
    plan: Plan,
    folders: Iterable[FolderLinks],
    store: WheelStore,
    run: RunFolder,
) -> None:
    linker = work.linker
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
    wheels: Sequence[StoredWheel], one: Unlinked, store: WheelStore, run: RunFolder
) -> None:
    wheel, path = _wheel_of(wheels, one)
    if os.stat(os.path.join(one.folder.source, one.file.source)).st_nlink == 1:
        raise LinkError(
            f"`{one.folder.source}` takes no hard links",
            hint="choose another mode with `--link-mode`",
        )
    store.fresh_inode(wheel, path, run)


def _wheel_of(wheels: Sequence[StoredWheel], one: Unlinked) -> tuple[StoredWheel, str]:
    source = Path(one.folder.source, one.file.source)
    for wheel in wheels:
        if source.is_relative_to(wheel.tree):
            return wheel, source.relative_to(wheel.tree).as_posix()
    raise AssertionError(f"{source} is in no wheel of the plan")


def _write_scripts(work: _Work, plan: Plan, python: str) -> dict[str, tuple[str, int]]:
    """Write the scripts and return their hashes and sizes, for RECORD."""
    written: dict[str, tuple[str, int]] = {}
    for script in plan.scripts:
        content = compose_script(python, script.body, script.arguments)
        digest = work.write(script.path, content, executable=True)
        written[script.path] = (digest, len(content))
    return written


def _record(record: PlannedRecord, rows: dict[str, tuple[str, int]]) -> bytes:
    lines = [record.rows]
    for path in record.scripts:
        digest, size = rows[path]
        lines.append(record_row(path, digest, size, record.site))
    return "".join(lines).encode("utf-8", "surrogateescape")


@dataclass(slots=True)
class _Work:
    """An open folder that is being filled."""

    root: int
    replaces: bool
    linker: Linker
    applied: Applied = field(init=False)

    def __post_init__(self) -> None:
        self.applied = Applied(tally=self.linker.tally)

    def make_folders(self, folders: Iterable[str]) -> None:
        for folder in dict.fromkeys(folders):
            try:
                os.mkdir(folder, 0o755, dir_fd=self.root)
            except FileExistsError:
                self._give_way(folder)
            self.applied.folders += 1

    def _give_way(self, folder: str) -> None:
        """Replace what stands where a folder belongs; only ever when clearing."""
        seen = os.stat(folder, dir_fd=self.root, follow_symlinks=False)
        if not stat.S_ISDIR(seen.st_mode):
            os.unlink(folder, dir_fd=self.root)
            os.mkdir(folder, 0o755, dir_fd=self.root)

    def write_bare(self, bare: BareEnvironment) -> None:
        for link, points_to in bare.symlinks:
            self._symlink(link, points_to)
        for path, content, mode in bare.files:
            self.write(path, content, executable=bool(mode & 0o100))

    def _symlink(self, link: str, points_to: str) -> None:
        new = _NEW if self.replaces else link
        if self.replaces:
            self._forget(new)
        os.symlink(points_to, new, dir_fd=self.root)
        if self.replaces:
            replace_name(new, link, self.root)

    def write(self, path: str, content: bytes, *, executable: bool) -> str:
        """Write a private file and return its sha256."""
        mode = 0o755 if executable else 0o644
        new = _NEW if self.replaces else path
        if self.replaces:
            self._forget(new)
        write_new(content, new, self.root, mode=mode)
        if self.replaces:
            replace_name(new, path, self.root)
        digest = digest_bytes(content).sha256
        self.applied.generated.append((path, digest, len(content)))
        return digest

    def _forget(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self.root)
        except FileNotFoundError:
            pass
