"""What a pyproject.toml says about the poetry.lock beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import NormalizedName, canonicalize_name

from mvenv.lockfiles.document import Table, parse_toml, read_bytes
from mvenv.lockfiles.model import RootProject

__all__ = ["MAIN_GROUP", "Project", "content_hash", "is_poetry_project", "read_project"]

MAIN_GROUP = NormalizedName("main")
"""Poetry's group of the dependencies that are in no group."""

_LEGACY_KEYS = ("dependencies", "source", "extras", "dev-dependencies")
_PROJECT_KEYS = ("requires-python", "dependencies", "optional-dependencies")


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A pyproject.toml, as far as it decides what is installed."""

    path: Path
    sha256: str
    """Of the bytes that were read."""
    root: RootProject | None
    """`None` where it is not a package."""
    groups: frozenset[NormalizedName]
    optional_groups: frozenset[NormalizedName]
    values: Mapping[str, Any]
    """The document, for `content_hash`."""


def read_project(path: Path) -> Project | None:
    """Return the project, or `None` where there is no such file.

    Raises `LockfileError`, several as `SeveralErrors`, where it is wrong.
    """
    if not path.exists():
        return None
    content = read_bytes(path)
    document = parse_toml(path, content)
    groups, optional = _read_groups(document)
    project = Project(
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        root=_read_root(document, path),
        groups=frozenset(groups),
        optional_groups=frozenset(optional),
        values=document.values,
    )
    document.problems.raise_if_any()
    return project


def is_poetry_project(path: Path) -> bool:
    """Tell whether Poetry keeps the project: its table, or its build back end."""
    project = read_project(path)
    if project is None:
        return False
    tool, build = project.values.get("tool"), project.values.get("build-system")
    if isinstance(tool, dict) and "poetry" in tool:
        return True
    backend = build.get("build-backend") if isinstance(build, dict) else None
    return isinstance(backend, str) and backend.startswith("poetry.")


def _read_groups(document: Table) -> tuple[set[NormalizedName], set[NormalizedName]]:
    """Return all groups, and the optional ones, as poetry-core makes them."""
    poetry = document.table("tool").table("poetry")
    groups = {MAIN_GROUP}
    optional = set()
    groups |= {
        canonicalize_name(name) for name in document.table("dependency-groups").values
    }
    for name, group in poetry.table("group").subtables():
        groups.add(canonicalize_name(name))
        if group.get("optional", bool):
            optional.add(canonicalize_name(name))
    if "dev-dependencies" in poetry.values:
        groups.add(canonicalize_name("dev"))
    return groups, optional


def _read_root(document: Table, path: Path) -> RootProject | None:
    poetry = document.table("tool").table("poetry")
    name = document.table("project").get("name", str) or poetry.get("name", str)
    if name is None or poetry.get("package-mode", bool) is False:
        return None
    return RootProject(name=canonicalize_name(name), folder=path.absolute().parent)


def content_hash(
    values: Mapping[str, Any], *, with_dependency_groups: bool = True
) -> str | None:
    """Return what Poetry 2.5 writes as ``content-hash``; `None` where it cannot be.

    Before 2.3 Poetry left out ``[dependency-groups]``.
    """
    project = _pick(values.get("project", {}), _PROJECT_KEYS)
    groups = values.get("dependency-groups", {}) if with_dependency_groups else {}
    poetry = values.get("tool", {}).get("poetry", {})
    # Absent keys count as null, but for `group`, where nothing newer is declared.
    modern = bool(project or groups)
    relevant = _pick(poetry, (*_LEGACY_KEYS, "group"))
    if not modern:
        relevant = dict.fromkeys(_LEGACY_KEYS) | relevant
    else:
        relevant = {"tool": {"poetry": relevant}}
        relevant |= {"project": project} if project else {}
        relevant |= {"dependency-groups": groups} if groups else {}
    try:
        text = json.dumps(relevant, sort_keys=True)
    except TypeError:  # a date, which has no place there
        return None
    return hashlib.sha256(text.encode()).hexdigest()


def _pick(values: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: values[key] for key in keys if values.get(key) is not None}
