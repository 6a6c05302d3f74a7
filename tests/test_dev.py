"""`dev.py` starts anywhere, or says why not."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from kit.interpreters import Interpreters

ROOT = Path(__file__).parents[1]


@pytest.fixture
def dev() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dev", ROOT / "dev.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10"])
def test_an_older_python_is_told_what_is_needed(
    version: str, interpreters: Interpreters
) -> None:
    old = interpreters.get(version).executable

    done = subprocess.run(
        [old, ROOT / "dev.py", "test"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr.startswith("dev.py needs Python 3.11 or newer, and this is 3.")
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_groups_have_what_they_include(dev: ModuleType) -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]

    test, lint = (set(dev.requirements(groups, name)) for name in ("test", "lint"))

    assert test < lint
    assert any(line.startswith("ruff") for line in lint - test)


def test_every_command_is_explained(dev: ModuleType) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "dev.py", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )

    for name in dev.COMMANDS:
        assert f"python3 dev.py {name} " in done.stdout


def test_an_unknown_command_is_refused() -> None:
    command = [sys.executable, str(ROOT / "dev.py"), "tset"]

    assert subprocess.run(command, capture_output=True, check=False).returncode == 2


def test_tools_get_no_other_pythons_settings(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONHOME", "/nowhere")

    assert not {"PYTHONDONTWRITEBYTECODE", "PYTHONHOME"} & dev.surroundings().keys()
