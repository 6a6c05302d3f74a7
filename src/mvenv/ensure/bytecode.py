"""Bytecode of stored wheels: compiled once for each tag of interpreters.

Python takes a ``.pyc`` as long as the date and the size in its head are those of the
source (PEP 552). A stored file has the same date in every environment and link mode,
so what is compiled once is valid everywhere, and as soon as a source is changed it is
not, and Python compiles it anew, into a file of the environment's own.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mvenv.ensure.compilers import Job, Verdict, compile_files
from mvenv.env.compiled import Bytecode
from mvenv.hashes import digest_file
from mvenv.plan.model import Provided
from mvenv.progress import Reporter, Unit
from mvenv.store.durability import boot_id
from mvenv.store.entries import StaleWheels, StoredWheel, WheelStore, stage_manifest
from mvenv.store.layout import StoreKey
from mvenv.store.names import TREE
from mvenv.store.runs import RunFolder
from mvenv.store.seen import folders_of
from mvenv.target import Target
from mvenv.wheels.manifest import Manifest, ManifestFile
from mvenv.wheels.unpack import stamp_ns
from mvenv.workers import at_once, processors

__all__ = ["Compiled", "ensure_bytecode", "shared_wheels"]

_SECOND = 10**9
_FOLDER_MODE = 0o755
_UNCOMPILED = frozenset({"data", "headers", "scripts"})
"""Parts of a wheel's ``.data`` folder that nobody imports."""


@dataclass(slots=True)
class Compiled:
    """The bytecode of wheels."""

    by_wheel: dict[StoreKey, StoredWheel]
    """Each with the folder and the manifest of its bytecode."""
    new: list[StoredWheel]
    """What was compiled now; it is to be flushed."""
    whole: bool
    """Nothing is left to be compiled."""


class _Staged(NamedTuple):
    """A wheel's bytecode in the making."""

    wheel: StoredWheel
    root: Path
    jobs: list[Job]


def shared_wheels(distributions: Iterable[Provided]) -> Iterator[StoredWheel]:
    """Yield the stored wheels of distributions: those that others share."""
    return (one.wheel for one in distributions if one.wheel and one.shared)


def ensure_bytecode(
    wheels: Iterable[StoredWheel],
    target: Target,
    *,
    how: Bytecode,
    store: WheelStore,
    run: RunFolder,
    reporter: Reporter,
) -> Compiled:
    """Return the bytecode of stored ``wheels`` for ``target``.

    What the store lacks is compiled, if ``how`` says so.

    `StaleWheels` where a stored source is not what it must be, `InterpreterError` where
    the interpreter does not run, `SystemFault` where the disk refuses.
    """
    found = Compiled({}, [], whole=True)
    if how is Bytecode.NONE:
        return found
    missing: list[StoredWheel] = []
    for wheel in wheels:
        present = store.find_bytecode(wheel, target.cache_tag)
        if present is not None:
            found.by_wheel[wheel.key] = present
        else:
            missing.append(wheel)
    if how is Bytecode.LAZY:
        found.whole = not missing
    elif missing:
        for wheel in _compile(missing, target, store, run, reporter):
            found.by_wheel[wheel.key] = wheel
            found.new.append(wheel)
    return found


def _compile(
    wheels: Sequence[StoredWheel],
    target: Target,
    store: WheelStore,
    run: RunFolder,
    reporter: Reporter,
) -> Iterator[StoredWheel]:
    staged = [_stage(wheel, run.new_path(), target.cache_tag) for wheel in wheels]
    scratch = run.new_path()
    scratch.mkdir()
    jobs = [job for one in staged for job in one.jobs]
    label = f"compiling {len(jobs)} files"
    with reporter.task(label, len(jobs), Unit.FILES) as task:
        verdicts = iter(
            compile_files(
                target.executable, jobs, scratch, count=_processors(), done=task.advance
            )
        )
    told = [list(itertools.islice(verdicts, len(one.jobs))) for one in staged]
    stale = {
        one.wheel.key
        for one, said in zip(staged, told, strict=True)
        if Verdict.CHANGED in said
    }
    if stale:
        raise StaleWheels(frozenset(stale))
    made = [
        [
            job.made
            for job, verdict in zip(one.jobs, said, strict=True)
            if verdict == Verdict.MADE
        ]
        for one, said in zip(staged, told, strict=True)
    ]
    mode = 0o444 if store.seal else 0o644
    rows = iter(_settled(list(itertools.chain(*made)), mode, int(time.time())))
    for one, paths in zip(staged, made, strict=True):
        tree = f"{one.root}/{TREE}/"
        files = [
            ManifestFile(path.removeprefix(tree), *row)
            for path, row in zip(paths, itertools.islice(rows, len(paths)), strict=True)
        ]
        yield _admit(one, files, target.cache_tag, store)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def _stage(wheel: StoredWheel, root: Path, tag: str) -> _Staged:
    """Make the folders of a wheel's bytecode, and say what is to be compiled."""
    tree = root / TREE
    modules = [file for file in wheel.manifest.files if _is_module(file.path)]
    os.mkdir(root)
    for folder in folders_of(file.path for file in modules):
        os.mkdir(tree / folder)
        # The umask takes bits from a mkdir.
        os.chmod(tree / folder, _FOLDER_MODE)
    os.chmod(root, _FOLDER_MODE)
    jobs = [
        Job(
            source=f"{wheel.tree}/{file.path}",
            name=file.path,
            sha256=file.sha256,
            moment=file.mtime_ns // _SECOND,
            size=file.size,
            made=f"{tree}/{file.path.removesuffix('.py')}.{tag}.pyc",
        )
        for file in modules
    ]
    return _Staged(wheel, root, jobs)


def _is_module(path: str) -> bool:
    if not path.endswith(".py") or "__pycache__" in path:
        return False
    top, _, rest = path.partition("/")
    if top.endswith(".data"):
        return rest.partition("/")[0] not in _UNCOMPILED
    return not top.endswith(".dist-info")


_Row = tuple[str, str, int, int, int]
"""What a `ManifestFile` has besides its path."""


def _settled(paths: Sequence[str], mode: int, moment: int) -> list[_Row]:
    """Seal and stamp new files, and return their rows."""
    count = processors()
    step = -(-len(paths) // count) or 1
    parts = [paths[start : start + step] for start in range(0, len(paths), step)]

    def settle(part: Sequence[str]) -> list[_Row]:
        return [_settle(path, mode, moment) for path in part]

    return [row for part in at_once(settle, parts) for row in part]


def _settle(path: str, mode: int, moment: int) -> _Row:
    digest = digest_file(path)
    stamp = stamp_ns(digest.sha256, moment)
    os.utime(path, ns=(stamp, stamp))
    os.chmod(path, mode)
    seen = os.stat(path)
    return digest.sha256, digest.xxh3, digest.size, mode, seen.st_mtime_ns


def _admit(
    one: _Staged, files: list[ManifestFile], tag: str, store: WheelStore
) -> StoredWheel:
    manifest = Manifest(
        sha256=one.wheel.key,
        filename=one.wheel.manifest.filename,
        boot_id=boot_id(),
        files=tuple(sorted(files)),
    )
    staged = stage_manifest(one.root, manifest, one.wheel.key)
    return store.admit_bytecode(one.wheel, tag, staged)
