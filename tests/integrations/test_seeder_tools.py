"""Tools that call virtualenv gain without knowing: each does a piece of real work."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kit.virtualenvs import Virtualenv

pytestmark = pytest.mark.index

ROOT = Path(__file__).parents[2]
TOX = """
[tox]
env_list = a,b,c
no_package = true
[testenv]
deps = iniconfig
commands =
    python -c "import iniconfig"
    python -m pip check
"""
POETRY = """
[project]
name = "thing"
version = "1.0"
requires-python = ">=3.11"
[tool.poetry]
package-mode = false
"""
HOOK = """
repos:
- repo: local
  hooks:
  - id: say
    name: say
    language: python
    entry: python -c "import iniconfig, pip"
    additional_dependencies: [iniconfig]
    pass_filenames: false
    always_run: true
"""


@pytest.fixture(scope="session")
def tools(warm: Virtualenv, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of programs of an environment that has mvenv, and tools."""
    home = warm.make(tmp_path_factory.mktemp("tools") / "home", seeder="app-data")
    words = ["-m", "pip", "install", "--quiet", str(ROOT)]
    words += ["tox", "poetry", "pre-commit"]
    subprocess.run([home.path / "bin" / "python", *words], check=True)
    return home.path / "bin"


def _run(
    tools: Path, warm: Virtualenv, place: Path, *words: str, **variables: str
) -> str:
    environ = {
        name: value
        for name, value in (warm.environ("mvenv") | variables).items()
        if name != "PYTHONPATH"
    }
    pip = {name: it for name, it in os.environ.items() if name.startswith("PIP_")}
    done = subprocess.run(
        [tools / words[0], *words[1:]],
        cwd=place,
        env={**environ, **pip, "HOME": str(place), "MVENV_LINK_MODE": "hardlink"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "without mvenv" not in said
    return said


def _linked(place: Path, pattern: str) -> list[bool]:
    found = place.glob(f"{pattern}/lib/python3.*/site-packages/pip/__main__.py")
    return [module.stat().st_nlink > 1 for module in found]


def test_tox(tools: Path, warm: Virtualenv, tmp_path: Path) -> None:
    (tmp_path / "tox.ini").write_text(TOX)

    _run(tools, warm, tmp_path, "tox", "-p", "3")

    assert _linked(tmp_path, ".tox/*") == [True] * 3


def test_poetry(tools: Path, warm: Virtualenv, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(POETRY)
    variables = {"POETRY_VIRTUALENVS_IN_PROJECT": "true"}
    variables |= {"POETRY_VIRTUALENVS_OPTIONS_NO_PIP": "false"}

    _run(tools, warm, tmp_path, "poetry", "install", **variables)

    assert _linked(tmp_path, ".venv") == [True]
    _run(tools, warm, tmp_path, "poetry", "run", "pip", "check", **variables)


def test_pre_commit(tools: Path, warm: Virtualenv, tmp_path: Path) -> None:
    (tmp_path / ".pre-commit-config.yaml").write_text(HOOK)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "add", "-A"], check=True)

    _run(tools, warm, tmp_path, "pre-commit", "run", "--all-files")

    assert _linked(tmp_path, ".cache/pre-commit/*/py_env-*") == [True]
