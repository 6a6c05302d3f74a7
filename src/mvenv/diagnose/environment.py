"""The environment as a whole: its interpreter, its settings, its links, its disk."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from mvenv.diagnose.model import Finding, HealClass
from mvenv.diagnose.reading import content_at, sha256_at
from mvenv.diagnose.subject import Subject
from mvenv.env.receipt import FOLDER

__all__ = ["examine_surroundings", "is_bare", "read_configuration"]

_CONFIGURATION = "pyvenv.cfg"
_BARE = re.compile(
    r"bin(/python[\d.]*t?|/\U0001d70bthon)?"
    r"|include(/python[\d.]*t?)?"
    r"|lib(/python[\d.]*t?(/site-packages)?)?"
    r"|lib64|lost\+found|" + re.escape(FOLDER)
)
"""What `venv` makes besides files; the odd name is CPython 3.14's."""
_TOXS_NOTES = ".tox-info.json"
_OF_TOX = frozenset({_TOXS_NOTES, "file.lock", "dist", "log", ".meta", "tmp"})
"""What tox has in the folder of an environment that is its."""
_WRITTEN = re.compile(r"pyvenv\.cfg|\.gitignore|bin/[Aa]ctivate[\w.]*")
_LEAST_FREE = 8 << 20
"""Bytes that a heal needs at least."""
_LEAST_INODES = 64


def examine_surroundings(subject: Subject, root: int) -> Iterator[Finding]:
    """Yield what is wrong with an environment besides its files.

    ``root`` is a descriptor of its folder.
    """
    yield from _links(subject, root)
    yield from _configuration(subject, root)
    yield from _interpreter(subject)
    yield from _lockfile(subject)
    yield from _disk(subject)


def read_configuration(content: bytes) -> dict[str, str]:
    """Return the keys of ``pyvenv.cfg`` in lower case, as `site` reads them."""
    found = {}
    for line in content.decode("utf-8", "surrogateescape").splitlines():
        key, equals, value = line.partition("=")
        if equals:
            found[key.strip().lower()] = value.strip()
    return found


def _bare_links(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield the links that every environment has: to the interpreter, and ``lib64``.

    As `venv` makes them: one leads to the interpreter, the others to that one.
    """
    receipt = subject.receipt
    if receipt is None:
        return
    own = os.path.basename(receipt.interpreter)
    yield f"bin/{own}", receipt.interpreter
    for name in ("python", "python3"):
        if name != own:
            yield f"bin/{name}", own


def is_bare(subject: Subject, path: str) -> bool:
    """Return whether every environment has it, in no plan and not written."""
    if _BARE.fullmatch(path):
        return True
    if subject.receipt is None and _WRITTEN.fullmatch(path):
        # There is no list of what was written.
        return True
    if path in _OF_TOX:
        return os.path.lexists(subject.place / _TOXS_NOTES)
    return any(path == link for link, _ in _bare_links(subject))


def _links(subject: Subject, root: int) -> Iterator[Finding]:
    for path, target in _bare_links(subject):
        try:
            seen = os.stat(path, dir_fd=root, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            detail = f"is missing; it is a link to `{target}`"
            yield subject.finding("F03", HealClass.PLAIN, detail, path)
            continue
        except OSError:
            continue
        if not stat.S_ISLNK(seen.st_mode):
            # Where links cannot be, it is a copy of the interpreter.
            continue
        if subject.receipt is None or not os.path.exists(subject.receipt.interpreter):
            # That it is gone is one finding, not three.
            continue
        pointed = os.readlink(path, dir_fd=root)
        try:
            there = os.stat(path, dir_fd=root)
        except OSError:
            detail = f"is a link to `{pointed}`, which is gone"
            yield subject.finding("F03", HealClass.PLAIN, detail, path)
            continue
        if not os.path.samestat(there, os.stat(subject.receipt.interpreter)):
            yield subject.finding(
                "F32",
                HealClass.REPORT,
                f"is a link to `{pointed}`, which is another interpreter",
                path,
                remedy=f"`ln -sfn {target} {subject.place / path}` puts it back",
            )
    yield from _lib64(subject, root)


def _lib64(subject: Subject, root: int) -> Iterator[Finding]:
    try:
        seen = os.stat("lib64", dir_fd=root, follow_symlinks=False)
    except OSError:
        return
    if not stat.S_ISLNK(seen.st_mode):
        return
    target = os.readlink("lib64", dir_fd=root)
    if target != "lib":
        detail = f"is a link to `{target}` in place of `lib`"
        yield subject.finding("F03", HealClass.PLAIN, detail, "lib64")


def _configuration(subject: Subject, root: int) -> Iterator[Finding]:
    try:
        content = content_at(_CONFIGURATION, root, 1 << 16)
    except OSError:
        if subject.receipt is None:
            detail = "is missing: without it this is no environment"
            yield subject.finding("F01", HealClass.PLAIN, detail, _CONFIGURATION)
        return
    home = read_configuration(content).get("home")
    if home is None:
        detail = "does not say where the interpreter is"
        yield subject.finding("F30", HealClass.PLAIN, detail, _CONFIGURATION)
    elif not os.path.isdir(home):
        detail = f"names the interpreter's folder `{home}`, which is gone"
        yield subject.finding("F30", HealClass.FIX, detail, _CONFIGURATION)


def _interpreter(subject: Subject) -> Iterator[Finding]:
    receipt = subject.receipt
    if receipt is None:
        return
    known, size, mtime_ns = receipt.interpreter_seen
    try:
        real = os.path.realpath(receipt.interpreter, strict=True)
        seen = os.stat(real)
    except (OSError, ValueError):
        yield subject.finding(
            "F30",
            HealClass.FIX,
            f"its interpreter `{receipt.interpreter}`"
            f" ({receipt.interpreter_version}) is gone",
            "bin/python",
            remedy="install that version of Python again, or make the environment"
            " anew with `mvenv create --clear`",
        )
        return
    if (real, seen.st_size, seen.st_mtime_ns) == (known, size, mtime_ns):
        return
    yield from _other_interpreter(subject, Path(real))


def _other_interpreter(subject: Subject, real: Path) -> Iterator[Finding]:
    """Judge an interpreter that is not the one that was seen: by its version."""
    receipt = subject.receipt
    if receipt is None:
        return
    from mvenv.errors import MvenvError
    from mvenv.interpreters import inspect_interpreter

    before = receipt.interpreter_version
    try:
        target = inspect_interpreter(str(real), memory=None)
    except MvenvError as error:
        detail = f"its interpreter `{real}` does not work any more: {error.message}"
        yield subject.finding("F30", HealClass.FIX, detail, "bin/python")
        return
    plan = subject.plan
    sites = {record.site for record in plan.records} if plan else set()
    other_place = sites - {target.scheme.purelib, target.scheme.platlib}
    tags = frozenset(target.tags)
    unfit = [
        one.filename
        for one in (plan.distributions if plan else ())
        if one.filename is not None and not _fits(one.filename, tags)
    ]
    if _short(before) != target.short_version or other_place or unfit:
        why = f"; `{unfit[0]}` does not fit it" if unfit else ""
        yield subject.finding(
            "F32",
            HealClass.REPORT,
            f"its interpreter was {before} and is {target.version} now{why}",
            "bin/python",
            remedy="make the environment anew with `mvenv create --clear`",
        )
        return
    detail = f"its interpreter was {before} and is {target.version} now"
    if before == target.version:
        detail = f"its interpreter ({before}) was installed again"
    yield subject.finding("F31", HealClass.PLAIN, detail, None)


def _short(version: str) -> str:
    return ".".join(version.split(".")[:2])


_TAGS = 3
"""Of a wheel's name: Python, ABI, platform."""


def _fits(filename: str, tags: frozenset[str]) -> bool:
    """Return whether an interpreter takes a wheel (PEP 425, compressed tags)."""
    parts = filename.removesuffix(".whl").split("-")[-3:]
    if len(parts) != _TAGS:
        # What was adopted has no wheel's name, so nothing tells.
        return True
    pythons, abis, platforms = (part.split(".") for part in parts)
    return any(
        f"{python}-{abi}-{platform}" in tags
        for python in pythons
        for abi in abis
        for platform in platforms
    )


def _lockfile(subject: Subject) -> Iterator[Finding]:
    receipt = subject.receipt
    if receipt is None or receipt.lockfile is None or not receipt.lockfile_sha256:
        return
    try:
        changed = sha256_at(Path(receipt.lockfile)) != receipt.lockfile_sha256
    except (OSError, ValueError):
        # Many are thrown away after the environment was made.
        return
    if changed:
        yield subject.finding(
            "F27",
            HealClass.REPORT,
            f"`{receipt.lockfile}` has changed since",
            drift=True,
            remedy="`mvenv sync` brings the environment to it",
        )


def _disk(subject: Subject) -> Iterator[Finding]:
    try:
        seen = os.statvfs(subject.place)
    except OSError:
        return
    if seen.f_flag & os.ST_RDONLY:
        yield subject.finding("F37", HealClass.REPORT, "is on a read-only file system")
        return
    full = seen.f_bavail * seen.f_frsize < _LEAST_FREE
    no_inodes = seen.f_files > 0 and seen.f_favail < _LEAST_INODES
    if full or no_inodes:
        what = "space" if full else "room for further files"
        detail = f"its file system has no {what} left"
        yield subject.finding("F37", HealClass.REPORT, detail)
    if not os.access(subject.place, os.W_OK, effective_ids=True):
        yield _closed(subject)


def _closed(subject: Subject) -> Finding:
    words = os.strerror(errno.EACCES).lower()
    owner, user = subject.place.stat().st_uid, os.geteuid()
    detail, remedy = f"cannot be written to: {words}", f"chmod u+w {subject.place}"
    if owner != user:
        detail += f"; it belongs to the user {owner}, and you are {user}"
        remedy = f"run the same command as the user {owner}"
    return subject.finding("F37", HealClass.REPORT, detail, remedy=remedy)
