"""Look at a store: its entries, its records, and what killed runs left in it.

Only ever reads; nothing is locked that would need a file. No archives of wheels are
kept by this store, so there are none to look at (F53).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

from mvenv.diagnose.entries import Count, EntryLook
from mvenv.diagnose.model import Examination, Finding, HealClass, Level
from mvenv.diagnose.stored_bytecode import examine_stored_bytecode
from mvenv.diagnose.twins import Twins
from mvenv.diagnose.users import Users
from mvenv.hashes import digest_bytes, quick_digest
from mvenv.scratch import is_abandoned
from mvenv.store.layout import ADOPTED, FOLDERS, FORMAT, StoreKey, StoreLayout
from mvenv.store.registry import Root
from mvenv.store.runs import is_being_deleted

__all__ = ["examine_store", "writable_fault"]

_KEY = re.compile(r"[0-9a-f]{64}")
_ENTRIES = {"wheels": "", "adopted": ADOPTED}
"""Folders of entries, and how the keys begin of what is in them."""
_TEMPORARY = re.compile(r"\..+\.\d+\.\d+")
_OWN = frozenset({"FORMAT", "CACHEDIR.TAG", ".gitignore", "lost+found"})
_HOUR = 3600 * 10**9
"""Nanoseconds; a writer of one record is done by then."""


def examine_store(
    layout: StoreLayout,
    keys: Iterable[StoreKey] | None,
    level: Level,
    roots: Iterable[Root],
    *,
    users: Users | None = None,
    twins: Twins | None = None,
    tags: Container[str] | None = None,
) -> Examination:
    """Look at the entries ``keys`` of a store, or at all of it where that is `None`.

    ``roots`` are the environments to tell who is hit; ``users`` the same, where their
    plans are read already; ``twins`` are environments that were looked at as closely.
    Of bytecode, only what is for ``tags`` is looked at, if there are any.
    What cannot be read is a finding, never an error.
    """
    users = users or Users(layout, roots)
    count = Count()
    fault = writable_fault(layout)
    if fault is not None:
        count.findings.append(fault)
    if not _is_newer(layout):
        whole = keys is None
        chosen = _all_keys(layout) | users.keys() if keys is None else frozenset(keys)
        for key in sorted(chosen):
            look = EntryLook(
                layout=layout, key=key, level=level, users=users, count=count
            )
            vouched = twins.vouch_for(key, look.root) if twins else 0
            count.checked += vouched
            count.rehashed += vouched if level is Level.FULL else 0
            if not vouched:
                look.look()
            right = twins.tags_of(key) if twins and vouched else ()
            count.findings += examine_stored_bytecode(
                layout, key, level, tags=tags, known=right
            )
        if whole:
            count.findings += _aliens(layout)
        count.findings += _leftovers(layout)
        count.findings += _damaged_records(layout, thorough=whole)
    return Examination(
        findings=tuple(count.findings),
        checked=count.checked,
        rehashed=count.rehashed,
        bytes_hashed=count.bytes_hashed,
    )


def writable_fault(layout: StoreLayout) -> Finding | None:
    """Return why the store must not be written, as a finding; `None` where it may be.

    A store that is not there may be made anew.
    """
    try:
        seen = layout.root.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return _finding(layout, "F13", None, _reason(error), HealClass.REPORT)
    if seen.st_uid != os.geteuid():
        return _finding(
            layout,
            "F51",
            None,
            f"belongs to the user {seen.st_uid} and is never written by {os.geteuid()}",
            HealClass.REPORT,
            remedy=f"sudo chown -R {os.geteuid()} {layout.root}; or use a store of your"
            " own, with `--store` or MVENV_STORE",
        )
    if seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return _finding(
            layout,
            "F51",
            None,
            "can be written by other users, who could put code into environments",
            HealClass.REPORT,
            remedy=f"chmod go-w {layout.root}",
        )
    if _is_newer(layout):
        return _finding(
            layout,
            "F47",
            "FORMAT",
            "is of a format that this version does not know; nothing is written to it",
            HealClass.REPORT,
            remedy="upgrade mvenv",
        )
    return None


def _is_newer(layout: StoreLayout) -> bool:
    """Return whether the store says that it is of another format."""
    text = _read(layout.root / "FORMAT")
    match = re.fullmatch(rb"mvenv store (\d{1,9})\n?", text or b"")
    return match is not None and int(match[1]) > FORMAT


def _all_keys(layout: StoreLayout) -> frozenset[StoreKey]:
    return frozenset(
        StoreKey(prefix + name)
        for folder, prefix in _ENTRIES.items()
        for name in _names(layout.root / folder, 2)
        if _KEY.fullmatch(name)
    )


def _names(folder: Path, depth: int) -> Iterator[str]:
    """Yield the names ``depth`` levels below a folder."""
    for name in _listed(folder):
        if depth == 1:
            yield name
        else:
            yield from _names(folder / name, depth - 1)


def _aliens(layout: StoreLayout) -> Iterator[Finding]:
    known = _OWN | frozenset(FOLDERS)
    for name in _listed(layout.root):
        if name not in known and not _TEMPORARY.fullmatch(name):
            yield _alien(layout, name)
    for folder in _ENTRIES:
        for prefix in _listed(layout.root / folder):
            if not re.fullmatch(r"[0-9a-f]{2}", prefix):
                yield _alien(layout, f"{folder}/{prefix}")
                continue
            for name in _listed(layout.root / folder / prefix):
                if not _KEY.fullmatch(name) or not name.startswith(prefix):
                    yield _alien(layout, f"{folder}/{prefix}/{name}")


def _alien(layout: StoreLayout, path: str) -> Finding:
    return _finding(layout, "F46", path, "is nothing that a store has", HealClass.FIX)


def _leftovers(layout: StoreLayout) -> Iterator[Finding]:
    for name in _listed(layout.tmp):
        if is_abandoned(layout.tmp / name):
            detail = "its process is gone"
            yield _finding(layout, "F42", f"tmp/{name}", detail)
    names = _listed(layout.trash)
    # Asked after the names: who had deleted them by then has none left there.
    if names and not is_being_deleted(layout):
        for name in names:
            if os.path.lexists(layout.trash / name):
                detail = "was not deleted to the end"
                yield _finding(layout, "F52", f"trash/{name}", detail)
    try:
        before = layout.tmp.stat().st_mtime_ns - _HOUR
    except OSError:
        return
    for folder in ("", "envs", "plans", *_QUICK):
        for name in _listed(layout.root / folder):
            path = f"{folder}/{name}" if folder else name
            if _TEMPORARY.fullmatch(name) and _changed_before(
                layout.root / path, before
            ):
                detail = "never got its name"
                yield _finding(layout, "F52", path, detail)


def _changed_before(path: Path, moment: int) -> bool:
    try:
        return path.lstat().st_mtime_ns < moment
    except OSError:
        return False


def _damaged_records(layout: StoreLayout, *, thorough: bool) -> Iterator[Finding]:
    said = _read(layout.root / "FORMAT") or b""
    if layout.root.is_dir() and not re.match(rb"mvenv store \d", said):
        yield _finding(layout, "F47", "FORMAT", "does not say what the store is")
    for name in _listed(layout.envs):
        if not name.startswith(".") and not name.endswith(".absent"):
            yield from _judge_record(layout, f"envs/{name}")
    if thorough:
        yield from _damaged_answers(layout)


def _damaged_answers(layout: StoreLayout) -> Iterator[Finding]:
    """Look at what is only there to be quick."""
    for name in _listed(layout.plans):
        content = _read(layout.plans / name)
        if name.startswith(".") or content is None:
            continue
        if digest_bytes(content).sha256 != name:
            detail = "is damaged: environments have their own"
            yield _finding(layout, "F47", f"plans/{name}", detail)
    for folder in _QUICK:
        for name in _listed(layout.root / folder):
            path = layout.root / folder / name
            if not name.startswith(".") and path.is_file():
                yield from _judge_record(layout, f"{folder}/{name}")


def _judge_record(layout: StoreLayout, path: str) -> Iterator[Finding]:
    content = _read(layout.root / path)
    if content is not None and not _is_sound(content):
        yield _finding(layout, "F47", path, "is damaged")


def _is_sound(content: bytes) -> bool:
    """Return whether a record's checksum, the last word of its first line, is right."""
    header, newline, payload = content.partition(b"\n")
    words = header.split(b" ")
    return bool(newline) and words[-1] == quick_digest(payload).encode()


_QUICK = ("builds", "interpreters", "large", "ready", "resolutions")
"""Records that are only there to be quick: what they say can be found out again."""


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _finding(
    layout: StoreLayout,
    code: str,
    path: str | None,
    detail: str,
    heal: HealClass = HealClass.PLAIN,
    *,
    remedy: str | None = None,
) -> Finding:
    return Finding(
        code=code,
        where=layout.root,
        heal=heal,
        detail=detail,
        path=path,
        remedy=remedy,
    )


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
