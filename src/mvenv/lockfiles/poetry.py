"""poetry.lock, lock-version 2.1.

What `poetry install` keeps of it: a distribution is wanted when one of its groups is
chosen and that group's condition holds (Poetry 2.5, ``puzzle/transaction.py``). Here
that becomes one PEP 751 marker for each.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from packaging.markers import Marker
from packaging.pylock import (
    Package,
    PackageArchive,
    PackageDirectory,
    PackageSdist,
    PackageVcs,
    PackageWheel,
    Pylock,
)
from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidName, NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from mvenv.errors import UnsupportedLockfile
from mvenv.lockfiles.conditions import (
    ALWAYS,
    NEVER,
    group_condition,
    translate,
)
from mvenv.lockfiles.document import (
    Table,
    locate_file,
    parse_toml,
    read_bytes,
    warn_of_newer,
)
from mvenv.lockfiles.model import Lockfile, LockfileFormat
from mvenv.lockfiles.project import MAIN_GROUP, Project, content_hash, read_project
from mvenv.lockfiles.python_versions import parse_python_versions

__all__ = ["read_poetry"]

_REWRITE = "`poetry lock` (Poetry 2) rewrites it"
_OLDEST, _NEWEST, _END = Version("2.1"), Version("2.1"), Version("3")
# In the order they are preferred, should a release have several.
_SDISTS: Final = (".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz", ".tar")
_SCP = re.compile(r"(?P<login>[^@/:]+@[^/:]+):(?P<path>[^/].*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    name: str
    hashes: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One ``[[package]]``, without its condition."""

    package: Package
    conditions: Mapping[NormalizedName, str]
    identity: tuple[object, ...]
    """What Poetry tells entries apart by."""


def read_poetry(path: Path) -> Lockfile:
    """Return the lockfile at ``path``, with what the pyproject.toml beside it adds.

    Raises `UnsupportedLockfile` for another lock-version than 2.1 and later 2.x,
    `LockfileError` for what is wrong, several problems as `SeveralErrors`.
    """
    content = read_bytes(path)
    document = parse_toml(path, content, hint=_REWRITE)
    warnings = _check_version(document)
    entries = [
        entry
        for table in document.tables("package")
        if (entry := _read_entry(table, path.absolute().parent)) is not None
    ]
    extras = document.table("extras")
    names = frozenset(_read_name(extras, extra, extra) for extra in extras.values)
    pythons = _read_pythons(document)
    index_names = _read_index_names(document)
    document.problems.raise_if_any()
    warnings += _editable_commits(document)

    beside = path.absolute().parent / "pyproject.toml"
    project = read_project(beside)
    if project is not None:
        groups = project.groups
        default_groups = groups - project.optional_groups
        warnings += _check_freshness(document, content, project)
    else:
        locked = {group for entry in entries for group in entry.conditions}
        default_groups = groups = frozenset({MAIN_GROUP, *locked})
    requires_python, environments = _to_pylock_pythons(pythons)
    return Lockfile(
        path=path.absolute(),
        sha256=hashlib.sha256(content).hexdigest(),
        format=LockfileFormat.POETRY,
        pylock=Pylock(
            lock_version=Version("1.0"),
            created_by="poetry",
            requires_python=requires_python,
            environments=environments,
            extras=sorted(names),
            dependency_groups=sorted(groups),
            default_groups=sorted(default_groups),
            packages=_join(entries),
        ),
        groups=groups,
        default_groups=default_groups,
        extras=names,
        root=project.root if project else None,
        beside=((beside, project.sha256 if project else ""),),
        warnings=tuple(warnings),
        index_names=index_names,
    )


def _editable_commits(document: Table) -> list[str]:
    """Return a warning where Poetry would clone a repository into ``src/``."""
    names = [
        table.get("name", str) or ""
        for table in document.tables("package")
        if table.get("develop", bool)
        and table.table("source").get("type", str) == "git"
    ]
    if not names:
        return []
    return [
        (
            f"`{', '.join(names)}`: a git source with `develop = true` is installed as"
            " its locked commit, not as an editable clone"
        )
    ]


def _check_version(document: Table) -> list[str]:
    """Refuse what is not lock-version 2; return warnings."""
    name = document.problems.path.name
    text = document.table("metadata").values.get("lock-version")
    try:
        version = Version(text) if isinstance(text, str) else None
    except InvalidVersion:
        version = None
    if version is None:
        raise UnsupportedLockfile(
            f"`{name}` has no lock-version",
            place="metadata.lock-version",
            hint=_REWRITE,
        )
    if not _OLDEST <= version < _END:
        raise UnsupportedLockfile(
            f"`{name}` has lock-version {version}, and only 2.1 and later 2.x are read",
            place="metadata.lock-version",
            hint=_REWRITE,
        )
    if version > _NEWEST:
        return [warn_of_newer(document.problems.path, version)]
    return []


def _read_entry(table: Table, folder: Path) -> _Entry | None:
    """Return an entry; `None` where something is wrong, which is noted."""
    before = len(table.problems.noted)
    name = _read_name(table, "name", table.require("name", str))
    version = _read_version(table)
    files = [file for one in table.tables("files") if (file := _read_file(one))]
    conditions = _read_conditions(table)
    source = table.table("source")
    content = _read_source(table, source, files, folder)
    if len(table.problems.noted) > before or version is None:
        return None
    return _Entry(
        package=Package(name=name, version=version, **content),
        conditions=conditions,
        identity=(name, version, str(sorted(source.values.items()))),
    )


def _read_name(table: Table, key: str, text: str | None) -> NormalizedName:
    try:
        return canonicalize_name(text or "unnamed", validate=True)
    except InvalidName:
        table.note(f"`{text}` is not a name", key)
        return NormalizedName("unnamed")


def _read_version(table: Table) -> Version | None:
    text = table.require("version", str)
    try:
        return Version(text) if text is not None else None
    except InvalidVersion:
        table.note(f"`{text}` is not a version", "version")
        return None


def _read_conditions(table: Table) -> dict[NormalizedName, str]:
    """Return the condition of each of the entry's groups."""
    table.require("groups", list)
    groups = [_read_name(table, "groups", name) for name in table.strings("groups")]
    condition = table.values.get("markers", ALWAYS)
    if isinstance(condition, str):
        return dict.fromkeys(groups, _translate(table, "markers", condition))
    markers = table.table("markers")
    by_group = {
        canonicalize_name(name): _translate(markers, name, text)
        for name in markers.values
        if (text := markers.get(name, str)) is not None
    }
    return {group: by_group.get(group, ALWAYS) for group in groups}


def _translate(table: Table, key: str, condition: str) -> str:
    try:
        return translate(condition)
    except RecursionError:
        table.note("the condition is nested too deeply", key)
        return NEVER
    except ValueError as error:
        table.note(str(error), key)
        return NEVER


def _read_file(table: Table) -> _File | None:
    name = table.require("file", str)
    text = table.require("hash", str)
    if name is None or text is None:
        return None
    if name in {"", ".", ".."} or re.search(r"[/\\\0]", name):
        table.note(f"`{name}` is not a file name", "file")
        return None
    algorithm, colon, digest = text.rpartition(":")
    algorithm = algorithm.lower() if colon else "sha256"
    if not _is_digest(algorithm, digest):
        table.note(f"`{text}` is not a hash that can be verified", "hash")
        return None
    return _File(name=name, hashes={algorithm: digest.lower()})


def _is_digest(algorithm: str, digest: str) -> bool:
    if algorithm not in hashlib.algorithms_guaranteed:
        return False
    size = hashlib.new(algorithm, usedforsecurity=False).digest_size
    return (
        bool(size) and re.fullmatch(rf"[0-9a-fA-F]{{{2 * size}}}", digest) is not None
    )


def _read_source(
    table: Table, source: Table, files: list[_File], folder: Path
) -> dict[str, Any]:
    """Return the fields of `Package` that say where it comes from."""
    kind = source.require("type", str) if source.values else None
    if kind is None:
        return _index_files(files)
    url = source.require("url", str) or ""
    subdirectory = source.get("subdirectory", str)
    reference = source.get("reference", str)
    if kind == "legacy":
        return {**_index_files(files), "index": url}
    if kind == "directory":
        directory = PackageDirectory(
            path=os.path.realpath(folder / url),
            editable=table.get("develop", bool) or False,
            subdirectory=subdirectory,
        )
        return {"directory": directory}
    if kind == "git":
        vcs = PackageVcs(
            type="git",
            url=_git_url(url, folder),
            requested_revision=reference,
            commit_id=source.require("resolved_reference", str) or "",
            subdirectory=subdirectory,
        )
        return {"vcs": vcs}
    if kind in {"url", "file"}:
        archive = PackageArchive(
            url=url if kind == "url" else None,
            path=locate_file(url, folder) if kind == "file" else None,
            hashes=_archive_hashes(table, files),
            subdirectory=subdirectory,
        )
        return {"archive": archive}
    source.note(f"`{kind}` is not a kind of source that is known", "type")
    return {}


def _index_files(files: list[_File]) -> dict[str, Any]:
    # Eggs and installers stay among the wheels: selection says why each is refused.
    sdists = [file for file in files if file.name.endswith(_SDISTS)]
    wheels = [file for file in files if not file.name.endswith(_SDISTS)]
    sdists.sort(
        key=lambda file: next(
            rank for rank, end in enumerate(_SDISTS) if file.name.endswith(end)
        )
    )
    return {
        "wheels": [PackageWheel(name=one.name, hashes=one.hashes) for one in wheels],
        "sdist": PackageSdist(name=sdists[0].name, hashes=sdists[0].hashes)
        if sdists
        else None,
    }


def _archive_hashes(table: Table, files: list[_File]) -> dict[str, str]:
    if not files:
        table.note("an archive needs a hash, and there is none", "files")
        return {}
    return files[0].hashes


def _git_url(url: str, folder: Path) -> str:
    """Return an URL that every git client takes for what Poetry takes."""
    if match := _SCP.fullmatch(url):
        return f"ssh://{match['login']}/{match['path']}"
    if "://" not in url:
        return Path(os.path.realpath(folder / url)).as_uri()
    return url


def _read_index_names(document: Table) -> tuple[tuple[str, str], ...]:
    names: dict[str, str] = {}
    for package in document.tables("package"):
        source = package.table("source")
        url, name = source.values.get("url"), source.values.get("reference")
        if source.values.get("type") == "legacy" and isinstance(name, str):
            names.setdefault(str(url), name)
    return tuple(names.items())


def _read_pythons(document: Table) -> tuple[SpecifierSet, ...]:
    metadata = document.table("metadata")
    text = metadata.get("python-versions", str)
    try:
        return parse_python_versions(text or "*")
    except ValueError as error:
        metadata.note(str(error), "python-versions")
        return ()


def _to_pylock_pythons(
    pythons: Iterable[SpecifierSet],
) -> tuple[SpecifierSet | None, list[Marker] | None]:
    """Return one range as ``requires-python``, several as ``environments``."""
    ranges = list(pythons)
    if not all(ranges):
        return None, None
    if len(ranges) == 1:
        return ranges[0], None
    return None, [
        Marker(
            " and ".join(
                f'python_full_version {one.operator} "{one.version}"' for one in some
            )
        )
        for some in ranges
    ]


def _join(entries: list[_Entry]) -> list[Package]:
    """Return the packages with their conditions, as one list.

    Poetry keeps entries in a mapping: of equal ones the last is meant. Entries of one
    name that differ stay; should both be wanted, selection refuses.
    """
    packages: dict[tuple[object, ...], Package] = {}
    for entry in entries:
        marker = group_condition(entry.conditions)
        packages.pop(entry.identity, None)
        if marker is not None:
            packages[entry.identity] = replace(entry.package, marker=marker)
    return list(packages.values())


def _check_freshness(document: Table, content: bytes, project: Project) -> list[str]:
    """Return a warning where the lockfile is not of this pyproject.toml."""
    name = document.problems.path.name
    locked = document.table("metadata").values.get("content-hash")
    if locked is None:
        return [f"`{name}` has no content-hash: nothing tells whether it is stale"]
    hashes = [content_hash(project.values)]
    written_by = re.search(rb"Poetry (\d+)\.(\d+)", content.partition(b"\n")[0])
    if written_by and (int(written_by[1]), int(written_by[2])) < (2, 3):
        hashes.append(content_hash(project.values, with_dependency_groups=False))
    if locked in hashes:
        return []
    stale = f"`{name}` may be stale: `{project.path.name}` has changed since it was"
    return [f"{stale} written, and `poetry lock` would bring it up to date"]
