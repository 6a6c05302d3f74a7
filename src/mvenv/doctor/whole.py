"""Heals of an environment as a whole: its records, its place, its interpreter."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from mvenv.diagnose.model import Finding, Kind
from mvenv.doctor.generating import Generated, bare_for, digest_of, generate
from mvenv.doctor.identity import identity_of, registration
from mvenv.doctor.means import Means, Unhealable
from mvenv.doctor.steps import Repair, Root, Step
from mvenv.doctor.written_repair import Ward
from mvenv.env.receipt import PLAN, Receipt, write_receipt
from mvenv.env.receipt import Generated as Row
from mvenv.errors import InterpreterError
from mvenv.hashes import digest_bytes
from mvenv.interpreters import find_interpreter, inspect_interpreter
from mvenv.plan.changes import Put, Rescue, Symlink
from mvenv.store.plans import keep_plan
from mvenv.store.registry import new_id, register
from mvenv.target import Target

__all__ = [
    "holds_still",
    "plan_whole_repair",
]


def plan_whole_repair(
    finding: Finding, ward: Ward, means: Means, environ: Mapping[str, str]
) -> Repair:
    """Return what heals an environment as a whole; `Unhealable` where nothing does."""
    if finding.code == "F48":
        return _register(finding, ward, means)
    if finding.code == "F34":
        return _own_identity(finding, ward, means)
    if finding.code == "F33":
        target = _target(ward.receipt, means)
        words = f"its scripts say `{ward.place}` now"
        return _rehome(finding, ward, means, target, words=words)
    if finding.code == "F31":
        target = _target(ward.receipt, means)
        _check_same_kind(ward, target)
        words = f"on record with {target.version}"
        return _rehome(finding, ward, means, target, words=words)
    if finding.code == "F30":
        target = _another(ward, means, environ)
        words = f"linked to `{target.executable}` ({target.version})"
        return _rehome(finding, ward, means, target, words=words)
    raise Unhealable("nobody but you can decide this")


def holds_still(finding: Finding, anew: Collection[Path]) -> bool:
    """Return whether a finding says what must be, after environments were rewritten."""
    expected = finding.expected
    return finding.where not in anew or (
        expected is not None and expected.kind is not Kind.GENERATED
    )


def _register(finding: Finding, ward: Ward, means: Means) -> Repair:
    """Put an environment on record; only one that is what was made there.

    A folder that somebody cloned must not say what a wheel of the store is.
    """
    receipt = ward.receipt
    if receipt.identity != identity_of(ward.place):
        raise Unhealable("it is not the folder that was made here: see `mvenv adopt`")

    def put() -> None:
        _put_on_record(receipt, ward, means)

    return Repair(finding=finding, words="put on record again", act=put, first=True)


def _put_on_record(receipt: Receipt, ward: Ward, means: Means) -> None:
    content = (ward.place / PLAN).read_bytes()
    if digest_bytes(content).sha256 == receipt.plan:
        keep_plan(means.layout, content, receipt.plan)
    path = os.path.realpath(receipt.path)
    shown = receipt.path if path == str(ward.place) else str(ward.place)
    register(means.layout, registration(receipt, ward.plan, shown))


def _own_identity(finding: Finding, ward: Ward, means: Means) -> Repair:
    """Give a copy its own name; the one it was copied from keeps the old."""

    def name() -> None:
        receipt = replace(ward.receipt, id=new_id(), identity=identity_of(ward.place))
        # On record first: what nobody knows of could be pruned away under it.
        _put_on_record(receipt, ward, means)
        write_receipt(ward.place, receipt)

    words = "has an identity of its own, and is on record"
    return Repair(finding=finding, words=words, act=name, first=True)


def _target(receipt: Receipt, means: Means) -> Target:
    try:
        return inspect_interpreter(
            receipt.interpreter, memory=means.layout.interpreters
        )
    except InterpreterError as error:
        raise Unhealable(error.message) from error


def _another(ward: Ward, means: Means, environ: Mapping[str, str]) -> Target:
    """Return an interpreter of the same minor version and kind."""
    minor = ".".join(ward.receipt.interpreter_version.split(".")[:2])
    free = any(path.startswith(f"lib/python{minor}t/") for path in ward.plan.folders)
    try:
        found = find_interpreter(
            f"{minor}t" if free else minor,
            cache_folder=means.layout.interpreters,
            environ=environ,
        )
        target = inspect_interpreter(found, memory=means.layout.interpreters)
    except InterpreterError as error:
        raise Unhealable(
            f"{error.message}; make it anew with `mvenv create --clear`"
        ) from error
    _check_same_kind(ward, target)
    return target


def _check_same_kind(ward: Ward, target: Target) -> None:
    """Raise `Unhealable` where compiled modules may not work with an interpreter."""
    minor = ".".join(ward.receipt.interpreter_version.split(".")[:2])
    there = any(
        path == target.scheme.purelib or path.startswith(f"{target.scheme.purelib}/")
        for path in ward.plan.folders
    )
    if target.short_version != minor or (ward.plan.folders and not there):
        raise Unhealable(
            f"`{target.executable}` is {target.version}, and the packages are for"
            f" {minor}: make it anew with `mvenv create --clear`"
        )


def _rehome(
    finding: Finding, ward: Ward, means: Means, target: Target, *, words: str
) -> Repair:
    """Write again what says where the environment is, and what it runs on."""
    path = _written_path(ward)
    bare = bare_for(ward.receipt, target, path, means.layout)
    made = generate(ward.plan, path)
    rows = {row.path: row for row in ward.receipt.generated}
    for name, content, mode in bare.files:
        if not _still_holds(made.get(name), rows.get(name), ward.receipt, target):
            made[name] = Generated(content, 0o755 if mode & 0o100 else 0o644)
    root = means.environment(ward.place)
    steps = [
        Step(root, Symlink(name, points_to))
        for name, points_to in bare.symlinks
        if _points_to(ward.place / name) != points_to
    ]
    for name, one in made.items():
        steps += _write_again(name, one, rows.get(name), ward.place, root)

    def record() -> None:
        receipt = replace(
            ward.receipt,
            path=path,
            store=_store_of(ward, means),
            identity=identity_of(ward.place),
            interpreter=target.executable,
            interpreter_version=target.version,
            interpreter_seen=_seen(target),
            generated=tuple(_rows(made, rows, ward.place)),
        )
        _put_on_record(receipt, ward, means)
        write_receipt(ward.place, receipt)

    return Repair(
        finding=finding, words=words, steps=tuple(steps), act=record, first=True
    )


def _still_holds(
    planned: Generated | None, row: Row | None, receipt: Receipt, target: Target
) -> bool:
    """Return whether a bare file that another tool made is right in another place."""
    return (
        planned is not None
        and row is not None
        and isinstance(planned.content, bytes)
        and digest_of(planned) == row.sha256
        and target.executable == receipt.interpreter
        and os.fsencode(receipt.path) not in planned.content
    )


def _written_path(ward: Ward) -> str:
    """Return the path to write into scripts: as it was given, as long as it holds."""
    if os.path.realpath(ward.receipt.path) == str(ward.place):
        return ward.receipt.path
    return str(ward.place)


def _store_of(ward: Ward, means: Means) -> str:
    """Return the store to name in a receipt; another one only where that is gone."""
    store = ward.receipt.store
    return store if os.path.isdir(store) else str(means.layout.root)


def _points_to(link: Path) -> str | None:
    try:
        return os.readlink(link)
    except OSError:
        return None


def _write_again(
    path: str, one: Generated, row: Row | None, place: Path, root: Root
) -> Iterator[Step]:
    """Yield what brings a file up to date; one that is not outdated stays."""
    if isinstance(one.content, str):
        return
    digest = digest_bytes(one.content)
    if row is not None and row.sha256 == digest.sha256:
        return
    try:
        present = digest_bytes((place / path).read_bytes()).sha256
    except OSError:
        present = ""
    if present == digest.sha256:
        return
    if present and (row is None or present != row.sha256):
        # The user has changed it.
        yield Step(root, Rescue(path))
    yield Step(
        root,
        Put(
            path=path,
            sha256=digest.sha256,
            size=digest.size,
            mode=one.mode,
            mtime_ns=None,
            content=one.content,
        ),
    )


def _rows(
    made: Mapping[str, Generated], rows: Mapping[str, Row], place: Path
) -> Iterator[Row]:
    """Yield what is on record of each written file: as it must be now."""
    for path, row in rows.items():
        one = made.get(path)
        if one is None or isinstance(one.content, str):
            yield row
            continue
        digest = digest_bytes(one.content)
        if digest.sha256 == row.sha256:
            yield row
        else:
            moment = (place / path).lstat().st_mtime_ns
            yield Row(path, digest.sha256, digest.size, one.mode, moment)


def _seen(target: Target) -> tuple[str, int, int]:
    seen = os.stat(target.real_executable)
    return (target.real_executable, seen.st_size, seen.st_mtime_ns)
