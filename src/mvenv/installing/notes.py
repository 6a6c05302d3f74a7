"""What an environment has by now: a pylock.toml, and a project's own wheels."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from mvenv.errors import SystemFault
from mvenv.names import project_of
from mvenv.records import replace_bytes

__all__ = ["Notes", "PackageTable", "pylock_text"]

PackageTable: TypeAlias = dict[str, Any]
"""One of the ``packages`` of a pylock.toml (PEP 751)."""


class Notes:
    """The notes on one environment, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        # As receipts have it: older tox leaves `..` in its work_dir.
        self.folder = Path(os.path.abspath(folder))
        self.lockfile = self.folder / "pylock.toml"

    def are_there(self) -> bool:
        """Return whether anything is noted: not where the file is gone, or empty."""
        try:
            return self.lockfile.stat().st_size > 0
        except (FileNotFoundError, NotADirectoryError):
            return False

    def is_like(self, lockfile: str) -> bool:
        """Return whether a path is that of notes, and no lockfile of the user's."""
        other = Path(lockfile)
        return (other.name, other.parent.parent.name) == (
            self.lockfile.name,
            self.folder.parent.name,
        )

    def packages(self) -> dict[str, PackageTable]:
        """Return what was noted, by name; nothing where that cannot be read."""
        try:
            document = tomllib.loads(self.lockfile.read_text(encoding="utf-8"))
            return {one["name"]: one for one in document["packages"]}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def add(self, packages: Iterable[PackageTable]) -> None:
        """Note what is installed now, in place of other versions of it."""
        self.replace({**self.packages(), **{one["name"]: one for one in packages}})

    def replace(self, packages: Mapping[str, PackageTable]) -> None:
        """Note these packages, and no others."""
        text = pylock_text(packages.values())
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # An address can be signed: it is nobody else's business.
            replace_bytes(self.lockfile, text.encode(), mode=0o600)
        except OSError as error:
            doing = "noting what is installed"
            raise SystemFault.from_os_error(error, doing) from error

    def wheels(self) -> tuple[Path, ...]:
        """Return the project's own wheels."""
        return tuple(sorted(self.folder.glob("*.whl")))

    def keep_wheel(self, wheel: Path) -> None:
        """Keep a project's wheel, which whoever built it is going to delete."""
        name = project_of(wheel.name)
        new = self.folder / wheel.name
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            own = self.folder / f".{wheel.name}.{os.getpid()}"
            shutil.copyfile(wheel, own)
            os.replace(own, new)
            for old in self.wheels():
                if old != new and project_of(old.name) == name:
                    old.unlink(missing_ok=True)
        except OSError as error:
            raise SystemFault.from_os_error(error, "keeping a wheel") from error

    def forget(self) -> None:
        """Note that nothing is installed."""
        with contextlib.suppress(OSError):
            for old in (self.lockfile, *self.wheels()):
                old.unlink(missing_ok=True)


def pylock_text(packages: Iterable[PackageTable]) -> str:
    """Return a pylock.toml; the same packages make the same bytes."""
    lines = ['lock-version = "1.0"', 'created-by = "mvenv"']
    chosen = sorted(packages, key=lambda one: str(one["name"]))
    if not chosen:
        lines.append("packages = []")
    for one in chosen:
        lines += ["", "[[packages]]"]
        lines += [f"{key} = {_value(value)}" for key, value in one.items()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{key} = {_value(item)}" for key, item in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False)  # JSON's strings are TOML's
