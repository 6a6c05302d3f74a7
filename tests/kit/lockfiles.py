"""Lockfiles for given wheels and sdists, as the tools write them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.indexes import IndexMaker
from kit.wheels import escape, sha256_of

__all__ = ["PoetryLockWriter", "PylockWriter", "to_toml"]


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(
            f"{_key(key)} = {_value(item)}" for key, item in value.items()
        )
        return f"{{{inner}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False)  # JSON's scalars are TOML's


def _key(key: str) -> str:
    plain = key.replace("-", "").replace("_", "")
    return key if plain.isalnum() and plain.isascii() else json.dumps(key)


def to_toml(
    document: Mapping[str, Any], arrays: Iterable[str], tables: Iterable[str] = ()
) -> str:
    """Return TOML text: ``arrays`` as arrays of tables, ``tables`` as tables, last."""
    arrays, tables = list(arrays), list(tables)
    lines = [
        f"{_key(key)} = {_value(value)}"
        for key, value in document.items()
        if key not in arrays and key not in tables
    ]
    for name in arrays:
        for item in document.get(name, ()):
            lines += ["", f"[[{name}]]"]
            lines += [f"{_key(key)} = {_value(value)}" for key, value in item.items()]
    for name in tables:
        if name in document:
            lines += ["", f"[{name}]"]
            lines += [
                f"{_key(key)} = {_value(value)}"
                for key, value in document[name].items()
            ]
    return "\n".join(lines) + "\n"


def _split(file: Path) -> tuple[str, str]:
    """Return project name and version from a file's name."""
    if file.suffix == ".whl":
        name, version = file.name.split("-")[:2]
    else:
        name, _, version = file.name.removesuffix(".tar.gz").rpartition("-")
    return escape(name).replace("_", "-"), version


def _packages(files: Sequence[Path]) -> list[tuple[str, str, list[Path]]]:
    ordered = sorted(files, key=lambda file: (_split(file), file.name))
    return [
        (name, version, list(group))
        for (name, version), group in itertools.groupby(ordered, _split)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class PylockWriter:
    """Writes pylock.toml (PEP 751) files."""

    folder: Path

    def __call__(
        self,
        *files: Path,
        index: str | None = None,
        markers: Mapping[str, str] | None = None,
        packages: Sequence[Mapping[str, Any]] = (),
        requires_python: str | None = None,
        extras: Sequence[str] = (),
        dependency_groups: Sequence[str] = (),
        default_groups: Sequence[str] = (),
        path: Path | None = None,
    ) -> Path:
        """Return a new lockfile for ``files``, grouped by project and version.

        Files are given by path, or, with the URL of an ``index`` of `IndexMaker`, by
        URL. ``markers`` are by project name; ``packages`` are further entries, as
        they are (archive, vcs, directory).
        """
        document: dict[str, Any] = {"lock-version": "1.0", "created-by": "mvenv-tests"}
        if requires_python is not None:
            document["requires-python"] = requires_python
        for key, names in {
            "extras": extras,
            "dependency-groups": dependency_groups,
            "default-groups": default_groups,
        }.items():
            if names:
                document[key] = list(names)
        document["packages"] = [
            *(
                _pylock_package(name, version, group, index, (markers or {}).get(name))
                for name, version, group in _packages(files)
            ),
            *packages,
        ]
        path = path or self.folder / "pylock.toml"
        path.write_text(to_toml(document, ["packages"]), encoding="utf-8")
        return path


def _pylock_package(
    name: str, version: str, files: list[Path], index: str | None, marker: str | None
) -> dict[str, Any]:
    package: dict[str, Any] = {"name": name, "version": version}
    if marker is not None:
        package["marker"] = marker
    if index is not None:
        package["index"] = index
    wheels = []
    for file in files:
        entry: dict[str, Any] = {"name": file.name}
        if index is None:
            entry["path"] = str(file)
        else:
            entry["url"] = IndexMaker.file_url(index, file)
        entry["size"] = file.stat().st_size
        entry["hashes"] = {"sha256": sha256_of(file)}
        if file.suffix == ".whl":
            wheels.append(entry)
        else:
            package["sdist"] = entry
    if wheels:
        package["wheels"] = wheels
    return package


@dataclass(frozen=True, slots=True, kw_only=True)
class PoetryLockWriter:
    """Writes poetry.lock files, lock-version 2.1."""

    folder: Path

    def __call__(
        self,
        *files: Path,
        index: str | None = None,
        groups: Mapping[str, Sequence[str]] | None = None,
        markers: Mapping[str, str | Mapping[str, str]] | None = None,
        optional: Iterable[str] = (),
        extras: Mapping[str, Sequence[str]] | None = None,
        packages: Sequence[Mapping[str, Any]] = (),
        python_versions: str = ">=3.8",
        content_hash: str = "0" * 64,
        path: Path | None = None,
    ) -> Path:
        """Return a new lockfile for ``files``, grouped by project and version.

        ``groups`` (default: main), ``markers`` and ``optional`` are by project name.
        ``index`` becomes each entry's ``source`` (a legacy one named ``local``);
        without it the default index is meant. ``packages`` are further entries, as
        they are.
        """
        entries: list[Mapping[str, Any]] = []
        for name, version, group in _packages(files):
            entry: dict[str, Any] = {
                "name": name,
                "version": version,
                "description": "",
                "optional": name in set(optional),
                "python-versions": ">=3.8",
                "groups": list((groups or {}).get(name, ["main"])),
            }
            if markers and name in markers:
                entry["markers"] = markers[name]
            entry["files"] = [
                {"file": file.name, "hash": f"sha256:{sha256_of(file)}"}
                for file in group
            ]
            if index is not None:
                entry["source"] = {
                    "type": "legacy",
                    "url": index.rstrip("/"),
                    "reference": "local",
                }
            entries.append(entry)
        document: dict[str, Any] = {
            "package": [*entries, *packages],
            "metadata": {
                "lock-version": "2.1",
                "python-versions": python_versions,
                "content-hash": content_hash,
            },
        }
        if extras:
            document["extras"] = {key: list(names) for key, names in extras.items()}
        path = path or self.folder / "poetry.lock"
        text = to_toml(document, ["package"], ["extras", "metadata"])
        path.write_text(text, encoding="utf-8")
        return path
