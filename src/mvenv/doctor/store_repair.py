"""From findings in the store to repairs of it."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from mvenv.diagnose.model import Expected, Finding
from mvenv.diagnose.users import Place
from mvenv.doctor.comparing import is_worthless
from mvenv.doctor.entry_repair import rebuild_entry, restore_manifest
from mvenv.doctor.means import Means, Unhealable
from mvenv.doctor.steps import Repair, Root, Step, is_sealed_as, put_of
from mvenv.env.receipt import PLAN
from mvenv.hashes import digest_bytes, digest_file
from mvenv.plan.changes import MakeFolder, Put, Remove, Rescue, SetAside
from mvenv.store.inodes import StoredName
from mvenv.store.layout import StoreKey, open_layout
from mvenv.store.plans import keep_plan
from mvenv.store.runs import sweep

__all__ = ["plan_store_repair", "replace_path"]

_CROWDED = 100
"""Names of one file, fewer than any file system's limit."""


def plan_store_repair(finding: Finding, means: Means) -> Repair:
    """Return what heals a finding in the store.

    Reads and hashes, writes nothing; `Unhealable` where there is no way.
    """
    if finding.expected is not None:
        if finding.code == "F44":
            return _seal_again(finding, finding.expected, means)
        return _mend_file(finding, finding.expected, means)
    make = _BY_CODE.get(finding.code)
    if make is None:
        raise Unhealable("nobody but you can decide this")
    return make(finding, means)


def _seal_again(finding: Finding, expected: Expected, means: Means) -> Repair:
    """Seal what has the right bytes; they are hashed when it is done, too."""
    root = means.tree(_key(finding))
    place = root.folder / expected.path
    return Repair(
        finding=finding,
        words="sealed again: its bytes are right",
        steps=(Step(root, means.sealing(place, expected)),)
        if digest_file(place).sha256 == expected.sha256
        else (),
        proofs=((root.folder, expected),),
    )


def _mend_file(finding: Finding, expected: Expected, means: Means) -> Repair:
    """Give a stored file a new inode with the right bytes, and all that share it.

    The environments first, then other wheels: until the last of them has the new one,
    the store's own name tells a second run which inode is the bad one.
    """
    key = _key(finding)
    root = means.tree(key)
    bad = root.folder / expected.path
    means.sources.distrust(bad, expected)
    good = means.source_for(expected, finding)
    sharing, stored = _sharing(bad, expected, means)
    steps = list(_keep(finding, expected, bad, good, root))
    if not root.folder.is_dir():
        below = root.folder.relative_to(means.layout.root).as_posix()
        steps.append(Step(means.whole_store(), MakeFolder(below)))
    source = good
    linkable = is_sealed_as(good, expected, (expected.mode,)) and not (
        _is_crowded(good, means)
    )
    if (sharing or stored) and not linkable:
        source = _fresh(means, expected)
        name = source.name
        scratch = means.scratch()
        made = put_of(expected, good)._replace(path=name)
        steps.append(Step(scratch, made))
        linkable = True
    steps += [
        Step(
            means.environment(place.environment),
            put_of(expected, source)._replace(path=place.path, link=linkable),
        )
        for place in sharing
    ]
    steps += [
        Step(means.tree(name.key), _put_stored(name, source, expected))
        for name in stored
    ]
    steps.append(Step(root, put_of(expected, source)._replace(link=linkable)))
    others = dict.fromkeys(place.environment for place in sharing)
    return Repair(
        finding=finding,
        words=_mended(good, len(others), len(stored), means),
        steps=tuple(steps),
        proofs=(
            (root.folder, expected),
            *(
                (place.environment, replace_path(expected, place.path))
                for place in sharing
            ),
            *(
                (means.tree(name.key).folder, _expected(name, expected))
                for name in stored
            ),
        ),
        first=True,
    )


def replace_path(expected: Expected, path: str) -> Expected:
    """Return what a file must be that is the stored one under another name."""
    return expected._replace(path=path)


def _expected(name: StoredName, expected: Expected) -> Expected:
    """Return what a file must be under the name that it has in another wheel."""
    return expected._replace(
        path=name.file.path, mode=name.file.mode, mtime_ns=name.file.mtime_ns
    )


def _put_stored(name: StoredName, source: Path, expected: Expected) -> Put:
    own = _expected(name, expected)
    seal = (own.mode, own.mtime_ns)
    linkable = seal == (expected.mode, expected.mtime_ns)
    return put_of(own, source)._replace(link=linkable)


def _fresh(means: Means, expected: Expected) -> Path:
    """Return a name for a new inode."""
    if means.run is not None:
        return means.run.new_path()
    return means.layout.tmp / expected.sha256[:16]


def _sharing(
    bad: Path, expected: Expected, means: Means
) -> tuple[list[Place], list[StoredName]]:
    """Return the other names of a bad file, in environments and of other wheels."""
    try:
        seen = bad.lstat()
    except OSError:
        return [], []
    if not stat.S_ISREG(seen.st_mode):
        return [], []
    inode = (seen.st_dev, seen.st_ino)
    stored = means.users.stored_alike(expected, inode)
    others = [name for name in stored if name.place != bad]
    return means.users.sharing(expected, inode), others


def _keep(
    finding: Finding, expected: Expected, bad: Path, good: Path, root: Root
) -> Iterator[Step]:
    """Give what must come first, so that nothing of a user's is lost."""
    if not os.path.lexists(bad):
        return
    if bad.is_symlink() or not bad.is_file():
        yield Step(root, SetAside(expected.path))
    elif finding.code != "F17" and not is_worthless(bad, good):
        yield Step(root, Rescue(expected.path))


def _mended(good: Path, environments: int, wheels: int, means: Means) -> str:
    where = "an environment's own file"
    if _is_scratch(good, means):
        where = "the wheel"
    elif good.is_relative_to(means.layout.root):
        where = "another wheel in the store"
    words = f"put right from {where}"
    also = []
    if wheels:
        also.append(f"{wheels} more {'wheel' if wheels == 1 else 'wheels'}")
    if environments:
        noun = "environment" if environments == 1 else "environments"
        also.append(f"in {environments} {noun}")
    if also:
        words += f", in the store and {' and '.join(also)}"
    return words


def _is_crowded(path: Path, means: Means) -> bool:
    """Return whether a file of another wheel may soon take no more names.

    A fresh inode for it would need the lock of that wheel, beside that of this one.
    """
    return path.is_relative_to(means.layout.root) and path.stat().st_nlink > _CROWDED


def _is_scratch(path: Path, means: Means) -> bool:
    return means.run is not None and path.is_relative_to(means.run.path)


def _absent_entry(finding: Finding, means: Means) -> Repair:
    key = _key(finding)
    return Repair(
        finding=finding,
        words="taken in again",
        act=lambda: rebuild_entry(key, means),
        first=True,
    )


def _lost_manifest(finding: Finding, means: Means) -> Repair:
    key = _key(finding)
    return Repair(
        finding=finding,
        words="its manifest was written again",
        act=lambda: restore_manifest(key, means),
        first=True,
    )


def _swept(finding: Finding, means: Means) -> Repair:
    path = finding.path or ""

    def clean() -> None:
        place = means.layout.root / path
        if path.startswith("tmp/"):
            sweep(means.layout)
        elif path.startswith("trash/"):
            shutil.rmtree(place, ignore_errors=True)
            place.unlink(missing_ok=True) if place.is_file() else None

    steps: tuple[Step, ...] = ()
    if not path.startswith(("tmp/", "trash/")):
        steps = (Step(means.whole_store(), Remove(path)),)
    return Repair(finding=finding, words="removed", steps=steps, act=clean)


def _set_aside(finding: Finding, means: Means) -> Repair:
    if finding.path is None:
        raise Unhealable("nobody but you can decide this")
    root = means.whole_store()
    return Repair(
        finding=finding,
        words="moved aside",
        steps=(Step(root, SetAside(finding.path)),),
    )


def _record(finding: Finding, means: Means) -> Repair:
    """Set a damaged record aside; what it said is found out again where needed."""
    if finding.path == "FORMAT":

        def write() -> None:
            open_layout(means.layout.root)

        away = Step(means.whole_store(), SetAside("FORMAT"))
        return Repair(finding=finding, words="written again", steps=(away,), act=write)
    aside = _set_aside(finding, means)
    folder, _, name = (finding.path or "").rpartition("/")
    if folder != means.layout.plans.name:
        return aside

    def keep() -> str | None:
        for root in means.users.roots:
            content = _plan_in(Path(root.path)) if root.plan == name else b""
            if digest_bytes(content).sha256 == name:
                keep_plan(means.layout, content, name)
                return "put back from an environment"
        return None

    return replace(aside, act=keep)


def _plan_in(environment: Path) -> bytes:
    try:
        return (environment / PLAN).read_bytes()
    except OSError:
        return b""


def _mark_flushed(finding: Finding, means: Means) -> Repair:
    def mark() -> None:
        means.store.find(_key(finding))

    return Repair(finding=finding, words="marked as flushed", act=mark)


def _key(finding: Finding) -> StoreKey:
    if finding.wheel is None:
        raise Unhealable("it belongs to no wheel")
    return finding.wheel


def _bytecode(finding: Finding, means: Means) -> Repair:
    tag = (finding.path or "").rpartition("/")[2]

    def mend() -> None:
        means.store.mend_bytecode(_key(finding), tag)

    words = "taken out: it is compiled anew where it is next needed"
    if finding.code == "F44":
        words = "sealed again: its bytes are right"
    return Repair(finding=finding, words=words, act=mend)


_BY_CODE: dict[str, Callable[[Finding, Means], Repair]] = {
    "F18": _bytecode,
    "F40": _absent_entry,
    "F42": _swept,
    "F43": _mark_flushed,
    "F44": _bytecode,
    "F45": _lost_manifest,
    "F46": _set_aside,
    "F47": _record,
    "F52": _swept,
}
