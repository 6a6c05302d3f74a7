"""The Python interpreters of this machine: pyenv's and the system's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["FoundInterpreter", "Interpreters", "find_interpreters"]

_OLDEST = (3, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundInterpreter:
    """One interpreter, not in a virtual environment."""

    version: tuple[int, int, int]
    executable: Path
    origin: str
    """``pyenv`` or ``system``."""

    @property
    def short_version(self) -> str:
        """Return ``3.12``."""
        return f"{self.version[0]}.{self.version[1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreters:
    """All that were found, oldest first, pyenv's before the system's."""

    found: tuple[FoundInterpreter, ...]

    def __iter__(self) -> Iterator[FoundInterpreter]:
        """Return all."""
        return iter(self.found)

    def get(self, short_version: str, origin: str | None = None) -> FoundInterpreter:
        """Return the first of a version like ``3.9``; the test is skipped without."""
        for one in self.found:
            if one.short_version == short_version and origin in {None, one.origin}:
                return one
        pytest.skip(f"no {origin or 'such'} python {short_version} on this machine")


def _pyenv() -> Iterator[FoundInterpreter]:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    # Tests may run with another HOME, but by one of pyenv's interpreters.
    siblings = Path(sys.base_prefix).parent
    for executable in {
        *root.glob("versions/*/bin/python"),
        *(siblings.glob("*/bin/python") if siblings.name == "versions" else ()),
    }:
        version = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", executable.parents[1].name)
        if version:
            major, minor, micro = (int(part) for part in version.groups())
            yield FoundInterpreter(
                version=(major, minor, micro), executable=executable, origin="pyenv"
            )


def _system() -> Iterator[FoundInterpreter]:
    for executable in Path("/usr/bin").glob("python3.*"):
        if not re.fullmatch(r"python3\.\d+", executable.name):
            continue
        code = "import sys; print(*sys.version_info[:3])"
        command = [str(executable), "-I", "-c", code]
        text = subprocess.run(command, capture_output=True, text=True, check=True)
        major, minor, micro = (int(part) for part in text.stdout.split())
        yield FoundInterpreter(
            version=(major, minor, micro), executable=executable, origin="system"
        )


def find_interpreters() -> Interpreters:
    """Return the interpreters of Python 3.8 and newer."""
    found = [one for one in (*_pyenv(), *_system()) if one.version[:2] >= _OLDEST]
    return Interpreters(
        found=tuple(
            sorted(found, key=lambda one: (one.version[:2], one.origin, one.version))
        )
    )
