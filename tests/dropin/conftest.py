"""Environments as ``venv`` makes them, by mvenv and by ``venv`` itself."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mvenv.cli import run

Venv = Callable[..., int]


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one store for all of these tests: pip is taken in once."""
    return tmp_path_factory.mktemp("store") / "store"


@pytest.fixture
def venv(shared_store: Path, monkeypatch: pytest.MonkeyPatch) -> Venv:
    """Return ``python -m mvenv``, run in this process; gives the exit code."""
    monkeypatch.setenv("MVENV_STORE", str(shared_store))

    def carry_out(*words: str | Path, as_module: bool = True) -> int:
        return run([str(word) for word in words], as_module=as_module)

    return carry_out


def tree_of(root: Path, *, without: frozenset[str] = frozenset()) -> dict[str, str]:
    """Return kind and mode, or what a link points to, by path; bytecode is left out."""
    tree = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if {"__pycache__", ".mvenv"} & set(path.parts) or name in without:
            continue
        seen = path.lstat()
        if path.is_symlink():
            tree[name] = f"-> {path.readlink()}"
        else:
            kind = "folder" if stat.S_ISDIR(seen.st_mode) else "file"
            tree[name] = f"{kind} {stat.S_IMODE(seen.st_mode):o}"
    return tree


def by_venv(python: Path | str, *words: str | Path, cwd: Path | None = None) -> None:
    """Make an environment with the interpreter's own ``venv``."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PIP_", "VIRTUAL_ENV"))
    }
    subprocess.run(
        [str(python), "-m", "venv", *map(str, words)],
        check=True,
        capture_output=True,
        env=environ,
        cwd=cwd,
    )
