"""What an unpacked wheel is: its name, its commands, and what must not be shared."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mvenv.errors import DamagedEntry, InvalidWheel, SystemFault
from mvenv.hashes import digest_bytes
from mvenv.wheels.launchers import (
    PLACEHOLDER,
    EntryPoint,
    ScriptBody,
    is_launcher_name,
    parse_entry_points,
    split_placeholder,
    versioned_launchers,
)
from mvenv.wheels.manifest import Manifest, ManifestFile
from mvenv.wheels.metadata import find_dist_info, parse_headers

__all__ = [
    "EntryPoint",
    "ScriptBody",
    "WheelFacts",
    "read_facts",
    "versioned_launchers",
]

_MAX_NAMESPACE_INIT = 1 << 14
"""Bytes of an ``__init__.py`` that is looked into: namespace stubs have a line or two
and at most a licence above."""
_NAMESPACE_MARKS = (b"extend_path", b"declare_namespace")
"""``pkgutil.extend_path`` and ``pkg_resources.declare_namespace``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelFacts:
    """What an unpacked wheel says, and what was seen in its files."""

    name: str
    """As in METADATA."""
    normalized_name: str
    version: str
    """As in METADATA."""
    dist_info: str
    """Name of the metadata folder."""
    root_is_purelib: bool
    console: tuple[EntryPoint, ...]
    """As declared; `versioned_launchers` makes those of pip right for a target."""
    gui: tuple[EntryPoint, ...]
    rewritten_scripts: dict[str, ScriptBody]
    """``#!python`` scripts, by path below the tree."""
    namespaces: frozenset[str]
    """``__init__.py`` files of pkgutil- or pkg_resources-style namespace packages, by
    path below the tree: several distributions ship each of them."""


def read_facts(tree: Path, manifest: Manifest) -> WheelFacts:
    """Return the facts of the wheel unpacked in ``tree``.

    `InvalidWheel` where its metadata or entry points are not valid, `DamagedEntry`
    where a script to rewrite is not the manifest's, `SystemFault` where a file cannot
    be read.
    """
    from packaging.utils import canonicalize_name

    paths = {file.path: file for file in manifest.files}
    try:
        dist_info = find_dist_info(paths)
        headers = {
            name: parse_headers(_read(tree, f"{dist_info}/{name}"), name)
            for name in ("METADATA", "WHEEL")
        }
        name = headers["METADATA"].get("name", "")
        console, gui = _entry_points(tree, f"{dist_info}/entry_points.txt", paths)
        points = frozenset(point.name for point in (*console, *gui))
        return WheelFacts(
            name=name,
            normalized_name=canonicalize_name(name),
            version=headers["METADATA"].get("version", ""),
            dist_info=dist_info,
            # Absent counts as false, as with pip.
            root_is_purelib=headers["WHEEL"].get("root-is-purelib", "").lower()
            == "true",
            console=console,
            gui=gui,
            rewritten_scripts=_rewritten_scripts(tree, paths, points),
            namespaces=frozenset(_namespaces(tree, manifest.files)),
        )
    except InvalidWheel as error:
        raise InvalidWheel(
            f"`{manifest.filename}` is refused: {error.message}", member=error.member
        ) from error
    except OSError as error:
        doing = f"cannot read the unpacked `{manifest.filename}`"
        raise SystemFault.from_os_error(error, doing) from error


def _read(tree: Path, path: str) -> bytes:
    with open(f"{tree}/{path}", "rb") as stream:
        return stream.read()


def _entry_points(
    tree: Path, path: str, paths: Iterable[str]
) -> tuple[tuple[EntryPoint, ...], tuple[EntryPoint, ...]]:
    if path not in paths:
        return (), ()
    return parse_entry_points(_read(tree, path), path)


def _rewritten_scripts(
    tree: Path, files: Mapping[str, ManifestFile], points: frozenset[str]
) -> dict[str, ScriptBody]:
    found = {}
    for path, file in files.items():
        top, _, below = path.partition("/")
        if not top.endswith(".data") or not below.startswith("scripts/"):
            continue
        if is_launcher_name(os.path.basename(path), points):
            continue
        with open(f"{tree}/{path}", "rb") as stream:
            content = stream.read(len(PLACEHOLDER))
            if content != PLACEHOLDER:
                continue
            content += stream.read()
        # What is linked is checked as it is linked; this is written from memory.
        if digest_bytes(content).sha256 != file.sha256:
            raise DamagedEntry(f"`{tree}/{path}` is not what its manifest says")
        script = split_placeholder(content)
        if script is not None:
            found[path] = script
    return found


def _namespaces(tree: Path, files: tuple[ManifestFile, ...]) -> Iterator[str]:
    """Give the namespace ``__init__.py`` files.

    Only below folders that can be shared themselves: the top, namespace packages,
    and folders without an ``__init__.py``. So few files are opened.
    """
    inits = {
        file.path.rpartition("/")[0]: file
        for file in files
        if file.path.endswith("/__init__.py")
    }
    owned: set[str] = set()
    for folder in sorted(inits):
        parts = folder.split("/")
        if any("/".join(parts[:count]) in owned for count in range(1, len(parts))):
            continue
        file = inits[folder]
        if 0 < file.size <= _MAX_NAMESPACE_INIT:
            content = _read(tree, file.path)
            if any(mark in content for mark in _NAMESPACE_MARKS):
                yield file.path
                continue
        owned.add(folder)
