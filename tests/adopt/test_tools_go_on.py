"""What PDM, Poetry, uv and pip make of their environments once they are adopted.

Each installs a tiny project from the real index; the environment is adopted; then the
tool sees nothing to do, and installs everything again where it is asked to.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from adopt.installing import run, site_of
from kit.commands import Runner

_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_PROJECT = f"""\
[project]
name = "tiny"
version = "0.1"
requires-python = "~={_PYTHON}.0"
dependencies = ["click==8.1.7", "idna==3.7", "markupsafe==2.1.5"]

[tool.poetry]
package-mode = false
[tool.uv]
package = false
[tool.pdm]
distribution = false
"""
_REQUIREMENTS = ("click==8.1.7", "idna==3.7", "markupsafe==2.1.5")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """How a tool is told what to do, in the project's folder."""

    name: str
    install: Sequence[Sequence[str]]
    again: Sequence[str]
    """Sees what is missing, and says ``nothing``."""
    nothing: str
    reinstall: Sequence[str]


_PIP = ("-m", "pip", "--python", ".venv/bin/python", "install")
_TOOLS = (
    Tool(
        name="pdm",
        install=(
            ("config", "--local", "venv.in_project", "true"),
            ("venv", "create", "--with", "venv", sys.executable),
            ("use", "-f", ".venv"),
            ("lock",),
            ("sync",),
        ),
        again=("sync", "--clean"),
        nothing="All packages are synced to date",
        reinstall=("sync", "--reinstall"),
    ),
    Tool(
        name="poetry",
        install=(("lock",), ("sync",)),
        again=("sync",),
        nothing="No dependencies to install or update",
        reinstall=("sync", "--dry-run"),
    ),
    Tool(
        name="uv",
        install=(("sync", "--python", sys.executable),),
        again=("sync", "--python", sys.executable),
        nothing="",
        reinstall=("sync", "--reinstall", "--python", sys.executable),
    ),
    Tool(
        name="pip",
        install=(
            ("-m", "venv", "--without-pip", ".venv"),
            (*_PIP, *_REQUIREMENTS),
        ),
        again=(*_PIP, *_REQUIREMENTS),
        nothing="Requirement already satisfied: click==8.1.7",
        reinstall=(*_PIP, "--force-reinstall", "--no-deps", *_REQUIREMENTS),
    ),
)


def _program(name: str) -> str:
    if name == "pip":
        return sys.executable
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"there is no `{name}`")
    return found


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project, with the tools' caches and settings beside it."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(_PROJECT)
    for name in ("UV_CACHE_DIR", "POETRY_CACHE_DIR", "PDM_CACHE_DIR", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("POETRY_VIRTUALENVS_IN_PROJECT", "true")
    monkeypatch.setenv("PDM_CHECK_UPDATE", "false")
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.index
@pytest.mark.slow
@pytest.mark.parametrize("tool", _TOOLS, ids=lambda tool: str(tool.name))
def test_a_tool_goes_on_with_what_was_adopted(
    mvenv: Runner, project: Path, tool: Tool
) -> None:
    program = _program(tool.name)
    folder = project / ".venv"
    for words in tool.install:
        if words == ("lock",) and tool.name == "poetry":
            _lock_or_skip(program)
        else:
            run(program, *words)

    adopted = mvenv("adopt", folder, "--json")

    assert adopted.code == 0, adopted.err
    [said] = adopted.value["environments"]
    shared = {one["name"].lower(): one["shared"] for one in said["distributions"]}
    assert shared == {"click": True, "idna": True, "markupsafe": True}
    assert tool.nothing in _said(program, tool.again)
    _look(mvenv, folder, set())
    run(program, *tool.reinstall)
    _look(mvenv, folder, {"F24"} if "--dry-run" not in tool.reinstall else set())
    assert mvenv("adopt", folder).code == 0
    _look(mvenv, folder, set())
    code = "import click, idna, markupsafe; print(click.__file__)"
    assert str(site_of(folder)) in run(folder / "bin/python", "-c", code)


def _lock_or_skip(poetry: str) -> None:
    """Lock with Poetry, which asks an interface that only the public index has."""
    done = subprocess.run([poetry, "lock"], capture_output=True, text=True, check=False)
    if "Expecting value" in done.stderr:
        pytest.skip("Poetry needs an index with its JSON interface")
    assert done.returncode == 0, done.stderr


def _said(program: str, words: Sequence[str]) -> str:
    done = subprocess.run(
        [program, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _look(mvenv: Runner, folder: Path, codes: set[str]) -> None:
    looked = mvenv("doctor", folder, "--check", "--full", "--json", "--offline")
    assert looked.code == 0, looked.out
    found = {one["code"] for one in looked.value["findings"]}
    # Poetry makes folders that are in a wheel without a file: it lists none.
    assert found - {"F14"} == codes, looked.out
