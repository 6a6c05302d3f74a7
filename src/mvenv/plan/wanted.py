"""What a plan wants each file of an environment to be: pure, one value a path."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from mvenv.env.receipt import Generated
from mvenv.env.scripts import compose_script
from mvenv.hashes import digest_bytes
from mvenv.link.tree import FolderLinks
from mvenv.plan.model import Plan, PlannedBytecode
from mvenv.wheels.record import record_row

__all__ = ["WantedFile", "wanted_bytecode", "wanted_files"]

_EXECUTABLE, _PLAIN = 0o755, 0o644


class WantedFile(NamedTuple):
    """One file, as it must be."""

    path: str
    """Below the environment, "/" between."""
    sha256: str
    size: int
    mode: int
    """Where it is no hard link."""
    mtime_ns: int | None
    """`None`: written here, and not as the receipt has it."""
    source: str | None
    """Absolute path of its bytes."""
    sealed: tuple[int, int] | None
    """Mode and stamp of the source."""
    content: bytes | None
    """Its bytes, where it is written here."""
    shared: bool
    """It may be a hard link."""
    late: bool
    """Python runs it at its start: everything else has to be there before it."""
    owner: str | None
    """Its distribution."""

    def is_met_by(self, seen: os.stat_result) -> bool:
        """Return whether what ``seen`` says can only be this file, unchanged."""
        return (
            seen.st_mtime_ns == self.mtime_ns
            and seen.st_size == self.size
            and stat.S_ISREG(seen.st_mode)
            and (
                (bits := seen.st_mode & 0o7777) == self.mode
                or (self.sealed is not None and self.shared and bits == self.sealed[0])
            )
        )


def wanted_files(
    plan: Plan, python: str, generated: Mapping[str, Generated]
) -> dict[str, WantedFile]:
    """Return what ``plan`` wants, by path.

    ``python`` is the environment's interpreter as scripts are to name it.
    ``generated`` is what the receipt says was written, by path.
    """
    wanted = {one.path: one for one in _linked(plan)}
    for one in _written(plan, python):
        row = generated.get(one.path)
        if row is not None and row.sha256 == one.sha256:
            wanted[one.path] = one._replace(mtime_ns=row.mtime_ns, mode=row.mode)
        else:
            wanted[one.path] = one
    return wanted


def _linked(plan: Plan) -> Iterator[WantedFile]:
    owners = {one.wheel: one.name for one in plan.distributions}
    trees = {wheel.tree: owners.get(wheel.key) for wheel in plan.wheels}
    for late, groups in ((False, plan.links), (True, plan.late_links)):
        for folder in groups:
            yield from _of_folder(folder, _owner(folder.source, trees), late=late)


def _owner(source: str, trees: Mapping[str, str | None]) -> str | None:
    tree = source
    while tree not in trees and tree:
        tree = tree.rpartition("/")[0]
    return trees.get(tree)


def wanted_bytecode(bytecode: PlannedBytecode) -> Iterator[WantedFile]:
    """Yield what a plan's bytecode is to be, where there is to be any."""
    for folder in bytecode.links:
        yield from _of_folder(folder, None, late=False)


def _of_folder(
    folder: FolderLinks, owner: str | None, *, late: bool
) -> Iterator[WantedFile]:
    prefix = f"{folder.target}/" if folder.target else ""
    for file in folder.files:
        yield WantedFile(
            path=prefix + file.target,
            sha256=file.sha256,
            size=file.size,
            mode=_EXECUTABLE if file.executable else _PLAIN,
            mtime_ns=file.mtime_ns,
            source=f"{folder.source}/{file.source}",
            sealed=(file.mode, file.mtime_ns),
            content=None,
            shared=not file.private,
            late=late,
            owner=owner,
        )


def _written(plan: Plan, python: str) -> Iterator[WantedFile]:
    owners = {one.dist_info: one.name for one in plan.distributions}
    of_scripts = {
        path: owners.get(record.path.rpartition("/")[0])
        for record in plan.records
        for path in record.scripts
    }
    scripts: dict[str, tuple[str, int]] = {}
    for script in plan.scripts:
        own = script.shebang_of(python)
        content = compose_script(own, script.body, script.arguments)
        owner = of_scripts.get(script.path)
        made = _written_file(script.path, content, owner, executable=True)
        scripts[script.path] = (made.sha256, made.size)
        yield made
    for file in plan.files:
        owner = owners.get(file.path.rpartition("/")[0])
        yield _written_file(file.path, file.content, owner, executable=file.executable)
    for record in plan.records:
        rows = [record.rows]
        rows += [
            record_row(path, *scripts[path], record.site) for path in record.scripts
        ]
        content = "".join(rows).encode("utf-8", "surrogateescape")
        owner = owners.get(record.path.rpartition("/")[0])
        yield _written_file(record.path, content, owner, executable=False)


def _written_file(
    path: str, content: bytes, owner: str | None, *, executable: bool
) -> WantedFile:
    return WantedFile(
        path=path,
        sha256=digest_bytes(content).sha256,
        size=len(content),
        mode=_EXECUTABLE if executable else _PLAIN,
        mtime_ns=None,
        source=None,
        sealed=None,
        content=content,
        shared=False,
        late=path.endswith(".pth"),
        owner=owner,
    )
