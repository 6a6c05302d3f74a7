"""The tools that install, run as their users do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

__all__ = ["MakeEnvironment", "find_uv", "pip", "run", "site_of"]

MakeEnvironment = Callable[..., Path]


def run(*command: str | Path, **environ: str) -> str:
    """Run a command that has to work, and return what it prints."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environ},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def find_uv() -> str:
    """Return the path of uv; the test is skipped without."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        pytest.skip("there is no `uv`")
    return found


def pip(environment: Path, *arguments: str | Path) -> str:
    """Run our pip on an environment."""
    python = environment / "bin/python"
    return run(sys.executable, "-m", "pip", "--python", python, *arguments)


def site_of(environment: Path) -> Path:
    """Return its site-packages."""
    [site] = environment.glob("lib/python*/site-packages")
    return site
