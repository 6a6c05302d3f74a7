"""Folders with a project among the arguments of ``pip install``."""

from __future__ import annotations

import itertools
import os
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mvenv.errors import SystemFault
from mvenv.fetch.urls import file_url_path
from mvenv.installing.arguments import ALONE, TAKE_VALUE, split_option
from mvenv.names import normalized
from mvenv.records import replace_bytes
from mvenv.values import dataclass

__all__ = ["Projects", "find_projects", "write_limits"]

_EDITABLE = ("-e", "--editable")
_BUILDING = ("--no-build-isolation", "--check-build-dependencies", "--use-pep517")
_BUILDING_WITH_VALUE = ("-C", "--config-settings", "--config-setting")
"""What matters to the folders alone."""
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_EXTRAS = re.compile(r"(.*?)(?:\[([\w\s,.-]+)\])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Projects:
    """The folders among the arguments of ``pip install``, and what they need."""

    folders: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """Of the projects in them."""
    needs: tuple[str, ...] = ()
    """The other arguments, and what the projects' pyproject.toml say plainly. Empty
    where nothing is left to be installed, or where a project's name is not known."""


def find_projects(arguments: tuple[str, ...], start: Path) -> Projects:
    """Return the folders with projects among ``arguments``.

    None where an option is not known: the word after it may be its own.
    """
    apart = _apart(arguments, start)
    if apart is None:
        return Projects()
    folders, made = apart
    found = [_read(named, start) for named in folders]
    known = [one for one in found if one is not None]
    names = tuple(one.name for one in known)
    for one in known if "--no-deps" not in made else ():
        made += [word for word in one.needs if _name(word) not in names]
    files = {"-r", "--requirement"} & {word.partition("=")[0] for word in made}
    left = files or any(not word.startswith("-") for word in made)
    sure = left and len(known) == len(found)
    return Projects(
        folders=tuple(folders), names=names, needs=tuple(made) if sure else ()
    )


def _apart(
    arguments: tuple[str, ...], start: Path
) -> tuple[list[str], list[str]] | None:
    """Return the folders and the other arguments; `None`: an option is not known."""
    folders: list[str] = []
    others: list[str] = []
    rest = iter(arguments)
    for word in rest:
        option, value = split_option(word)
        if option in TAKE_VALUE:
            others += [word, *itertools.islice(rest, int(value is None))]
        elif option in _EDITABLE:
            folders.append(next(rest, "") if value is None else value)
        elif option in _BUILDING_WITH_VALUE:
            if value is None:
                next(rest, None)
        elif word in ALONE:
            others.append(word)
        elif word.startswith("-"):
            if word not in _BUILDING:
                return None
        elif _folder(word, start) is not None:
            folders.append(word)
        else:
            others.append(word)
    return folders, others


def write_limits(path: Path, names: Iterable[str]) -> None:
    """Write constraints by which nothing of these names is ever chosen."""
    text = "".join(f"{name}<0\n" for name in sorted(names))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(path, text.encode())
    except OSError as error:
        raise SystemFault.from_os_error(error, "noting what is a folder") from error


@dataclass(frozen=True, slots=True)
class _Project:
    name: str
    needs: tuple[str, ...]


def _name(requirement: str) -> str:
    found = _NAME.match(requirement)
    return normalized(found[0]) if found else ""


def _folder(word: str, start: Path) -> tuple[Path, tuple[str, ...]] | None:
    """Return a project's folder and the extras that are asked for, if it is one."""
    found = _EXTRAS.fullmatch(word.strip())
    if found is None:
        return None
    named, extras = found[1], found[2] or ""
    local = file_url_path(named) if named.startswith("file:") else None
    if local is None and ("://" in named or not _looks_like_path(named)):
        return None
    path = start / os.path.expanduser(local or named)
    chosen = tuple(one.strip() for one in extras.split(",") if one.strip())
    return (path, chosen) if path.is_dir() else None


def _looks_like_path(word: str) -> bool:
    # As pip has it: a name alone is a project of the index.
    return os.sep in word or word.startswith(".")


def _read(word: str, start: Path) -> _Project | None:
    """Return what a folder has; `None` where its pyproject.toml does not say."""
    found = _folder(word, start)
    if found is None:
        return None
    folder, extras = found
    try:
        text = (folder / "pyproject.toml").read_text(encoding="utf-8")
        project: dict[str, Any] = tomllib.loads(text)["project"]
        dynamic = project.get("dynamic", ())
        needs: list[str] = []
        if "dependencies" not in dynamic:
            needs += map(str, project.get("dependencies", ()))
        if "optional-dependencies" not in dynamic:
            optional = project.get("optional-dependencies", {})
            for extra in extras:
                needs += map(str, optional.get(extra, ()))
        return _Project(_name(project["name"]), tuple(needs))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # pip says what is wrong with it.
        return None
