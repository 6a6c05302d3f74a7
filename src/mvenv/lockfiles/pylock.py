"""pylock.toml (PEP 751), through `packaging.pylock`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from packaging.pylock import (
    Package,
    PackageSdist,
    PackageVcs,
    PackageWheel,
    Pylock,
    PylockUnsupportedVersionError,
    PylockValidationError,
)
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from mvenv.errors import UnsupportedLockfile
from mvenv.lockfiles.document import (
    Table,
    locate_file,
    parse_toml,
    read_bytes,
    warn_of_newer,
)
from mvenv.lockfiles.model import Lockfile, LockfileFormat

__all__ = ["read_pylock"]

_REWRITE = "the tool that wrote it writes it anew"
_NEWEST = Version("1.0")
_MOST_PROBLEMS = 20
"""Noted at once; the reader stops at one, so each costs another run."""

File = TypeVar("File", PackageSdist, PackageWheel)


def read_pylock(path: Path) -> Lockfile:
    """Return the lockfile at ``path``; relative paths in it become absolute.

    Raises `UnsupportedLockfile` for another lock-version than 1, `LockfileError` for
    what the specification forbids, several problems as `SeveralErrors`.
    """
    content = read_bytes(path)
    document = parse_toml(path, content, hint=_REWRITE)
    values = dict(document.values)
    version = _lock_version(values)
    warnings: list[str] = []
    if version is not None and _NEWEST < version < Version("2"):
        # The reader would say so through `logging`, to whom nobody listens.
        values["lock-version"] = str(_NEWEST)
        warnings = [warn_of_newer(path, version)]
    pylock = _resolve(_parse(values, document), path.absolute().parent)
    groups = frozenset(map(canonicalize_name, pylock.dependency_groups or ()))
    default_groups = frozenset(map(canonicalize_name, pylock.default_groups or ()))
    return Lockfile(
        path=path.absolute(),
        sha256=hashlib.sha256(content).hexdigest(),
        format=LockfileFormat.PYLOCK,
        pylock=pylock,
        groups=groups | default_groups,
        default_groups=default_groups,
        extras=frozenset(pylock.extras or ()),
        root=None,
        warnings=tuple(warnings),
    )


def _lock_version(values: Mapping[str, Any]) -> Version | None:
    try:
        return Version(values["lock-version"])
    except (InvalidVersion, KeyError, TypeError):
        return None


def _parse(values: dict[str, Any], document: Table) -> Pylock:
    """Return the value; note one problem after the other by mending each."""
    problems = document.problems
    if isinstance(values.get("packages"), list):
        values["packages"] = list(values["packages"])
    while True:
        try:
            pylock = Pylock.from_dict(values)
        except PylockUnsupportedVersionError as error:
            raise UnsupportedLockfile(
                f"`{problems.path.name}`: {error.message}",
                place="lock-version",
                hint="write it anew with lock-version 1.0",
            ) from None
        except PylockValidationError as error:
            problems.note(_say(error), error.context or "")
            if len(problems.noted) < _MOST_PROBLEMS and _mend(values, error.context):
                continue
        problems.raise_if_any()
        return pylock


def _say(error: PylockValidationError) -> str:
    return error.message[:1].lower() + error.message[1:]


def _mend(values: dict[str, Any], context: str | None) -> bool:
    """Put a right package in place of the wrong one, so that reading goes on."""
    start, bracket, rest = (context or "").partition("packages[")
    if start or not bracket:
        return False
    index = int(rest.partition("]")[0])
    values["packages"][index] = {"name": "mended", "directory": {"path": "."}}
    return True


def _resolve(pylock: Pylock, folder: Path) -> Pylock:
    packages = [_resolve_package(package, folder) for package in pylock.packages]
    return replace(pylock, packages=packages)


def _resolve_package(package: Package, folder: Path) -> Package:
    changes: dict[str, Any] = {}
    if package.directory is not None:
        path = os.path.realpath(folder / package.directory.path)
        changes["directory"] = replace(package.directory, path=path)
    if package.archive is not None and package.archive.path is not None:
        path = locate_file(package.archive.path, folder)
        changes["archive"] = replace(package.archive, path=path)
    if package.vcs is not None:
        changes["vcs"] = _resolve_vcs(package.vcs, folder)
    if package.sdist is not None:
        changes["sdist"] = _resolve_file(package.sdist, folder)
    if package.wheels is not None:
        changes["wheels"] = [_resolve_file(one, folder) for one in package.wheels]
    return replace(package, **changes)


def _resolve_vcs(vcs: PackageVcs, folder: Path) -> PackageVcs:
    if vcs.path is None:
        return vcs
    return replace(vcs, path=os.path.realpath(folder / vcs.path))


def _resolve_file(file: File, folder: Path) -> File:
    if file.path is None:
        return file
    return replace(file, path=locate_file(file.path, folder))
