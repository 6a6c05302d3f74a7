"""Tools do real work in and through an environment that stands in for `venv`'s."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from dropin.conftest import Venv
from kit.commands import Runner

pytestmark = pytest.mark.index

INDEX = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple")
PROJECT = f"""
[project]
name = "thing"
description = "A thing."
version = "1.0"
requires-python = ">=3.11"
dependencies = ["iniconfig"]
[build-system]
requires = ["flit_core >=3.4"]
build-backend = "flit_core.buildapi"
[tool.flit.module]
name = "thing"
[[tool.poetry.source]]
name = "index"
url = "{INDEX}"
priority = "primary"
"""
HOOK = """
repos:
- repo: local
  hooks:
  - {id: say, name: say, language: python, entry: python -c "import iniconfig",
     additional_dependencies: [iniconfig], pass_filenames: false, always_run: true}
"""


class _Place:
    """A project with an environment of its own, and one with tools."""

    def __init__(self, folder: Path) -> None:
        self.tools, self.project = folder / "tools", folder / "project"
        self.environment = self.project / ".venv"

    def run(self, program: Path | str, *words: str | Path, **variables: str) -> str:
        """Run a program, which has to succeed."""
        environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "VIRTUAL", "MVENV_", "POETRY_", "UV_"))
        }
        environ |= {"HOME": str(self.tools), "UV_INDEX_URL": INDEX, **variables}
        done = subprocess.run(
            [str(program), *map(str, words)],
            cwd=self.project,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def has(self, module: str) -> bool:
        """Return whether the project's environment has a module."""
        found = self.environment.glob(f"lib/*/site-packages/{module}/__init__.py")
        return any(found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for all of these tests."""
    return tmp_path_factory.mktemp("tools")


@pytest.fixture
def place(venv: Venv, folder: Path) -> _Place:
    """Return a project with a new environment; the tools are installed by its pip."""
    place = _Place(folder)
    if not place.tools.exists():
        place.project.mkdir()
        (place.project / "pyproject.toml").write_text(PROJECT)
        (place.project / "thing.py").write_text('"""A thing."""\n')
        assert venv(place.tools) == 0
        python = place.tools / "bin" / "python"
        tools = ("build", "poetry", "pre-commit", "uv")
        place.run(python, "-m", "pip", "install", "--quiet", *tools)
    assert venv(place.environment, "--clear") == 0
    return place


def _is_healthy(mvenv: Runner, store: Path, environment: Path) -> bool:
    return mvenv("doctor", environment, "--check", "--full", store=store).code == 0


def test_pip_and_build(place: _Place, mvenv: Runner, shared_store: Path) -> None:
    place.run(place.tools / "bin" / "python", "-m", "build", "--wheel")
    [wheel] = (place.project / "dist").glob("*.whl")
    pip = place.environment / "bin" / "pip"
    place.run(pip, "install", wheel)

    assert place.has("iniconfig")
    place.run(pip, "check")
    place.run(pip, "install", "--upgrade", "--force-reinstall", "pip")
    place.run(pip, "uninstall", "--yes", "thing")
    assert _is_healthy(mvenv, shared_store, place.environment)


def test_uv(place: _Place, mvenv: Runner, shared_store: Path) -> None:
    python = place.environment / "bin" / "python"
    uv = place.tools / "bin" / "uv"
    place.run(uv, "pip", "install", "--python", python, "iniconfig")

    assert place.has("iniconfig")
    assert "pip" in place.run(uv, "pip", "list", "--python", python)
    assert _is_healthy(mvenv, shared_store, place.environment)


def test_poetry(place: _Place, mvenv: Runner, shared_store: Path) -> None:
    poetry = place.tools / "bin" / "poetry"
    place.run(poetry, "lock")
    place.run(poetry, "install", "--no-root")

    assert place.has("iniconfig")
    told = place.run(poetry, "env", "info", "--path").strip()
    assert told == str(place.environment)
    place.run(poetry, "run", "python", "-c", "import iniconfig")
    assert _is_healthy(mvenv, shared_store, place.environment)


def test_pre_commit(place: _Place) -> None:
    (place.project / ".pre-commit-config.yaml").write_text(HOOK)
    place.run("git", "init", "--quiet")
    place.run("git", "add", "-A")
    place.run(place.tools / "bin" / "pre-commit", "run", "--all-files")
