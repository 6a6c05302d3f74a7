"""A tox without mvenv provisions one that has it, and one that has it, its plugins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kit.virtualenvs import Virtualenv
from mvenv import __version__

pytest.importorskip("tox")
pytestmark = [pytest.mark.index, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
INI = """\
[tox]
requires =
    mvenv=={version}
{more}
env_list = a
no_package = true
[testenv]
deps = iniconfig
commands = python -c "import iniconfig; print('ran')"
"""


def _pip(python: Path | str, *words: Path | str) -> None:
    subprocess.run([python, "-m", "pip", *words, "--quiet"], check=True)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a wheel of these sources."""
    folder = tmp_path_factory.mktemp("wheels")
    _pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", folder, ROOT)
    return folder


def _tox(python: Path, wheels: Path, place: Path, *words: str) -> str:
    dropped = ("PYTHON", "TOX_", "MVENV_", "VIRTUALENV_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    known = kept.get("PIP_FIND_LINKS", "")
    done = subprocess.run(
        [python, "-m", "tox", *words],
        cwd=place,
        env={
            **kept,
            "PIP_FIND_LINKS": f"{wheels} {known}".strip(),
            "MVENV_STORE": str(place.parent / "store"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_by_a_tox_alone_and_by_one_that_has_mvenv(
    warm: Virtualenv, wheels: Path, tmp_path: Path
) -> None:
    """The second lacks another plugin: it links the tox that it provisions."""
    project = tmp_path / "project"
    project.mkdir()
    tool = warm.make(tmp_path / "tool", seeder="app-data").path / "bin/python"
    _pip(tool, "install", "tox")
    (project / "tox.ini").write_text(INI.format(version=__version__, more=""))

    out = _tox(tool, wheels, project)
    again = _tox(tool, wheels, project, "-r", "--no-recreate-provision")

    assert "will run in automatically provisioned tox" in out
    assert "\nran\n" in out
    assert "\nran\n" in again
    assert "install_deps> python -I -m pip install mvenv" not in again
    assert (project / ".tox/a/.mvenv/receipt").is_file()
    assert not (project / ".tox/.tox/.mvenv").exists()

    _pip(tool, "install", "--find-links", wheels, f"mvenv=={__version__}")
    (project / "tox.ini").write_text(INI.format(version=__version__, more="    tox-gh"))
    out = _tox(tool, wheels, project)

    assert "is missing [requires (has)]: tox-gh" in out
    assert "\nran\n" in out
    assert (project / ".tox/.tox/.mvenv/receipt").is_file()
    assert (project / ".tox/a/.mvenv/receipt").is_file()
