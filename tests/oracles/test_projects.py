"""Real projects run their own tests in an environment of mvenv as in one of pip.

``projects/`` has their locks: click's and MarkupSafe's have the files of their own
uv.lock (``uv export --group tests``), cleo's was made by Poetry.
"""

from __future__ import annotations

import re
import shutil
import tarfile
from pathlib import Path
from typing import NamedTuple

import pytest

from oracles.making import Pip, attempt, mvenv_create, requirements_of, run
from oracles.stores import damage

pytestmark = [pytest.mark.index, pytest.mark.slow]

LOCKS = Path(__file__).with_name("projects")


class _Project(NamedTuple):
    version: str
    least: int
    """Tests that pass."""


PROJECTS = {
    "cleo": _Project("2.1.0", 200),
    "click": _Project("8.5.1", 700),
    "markupsafe": _Project("3.0.4", 70),
}


def _sources(name: str, pip: Pip, folder: Path) -> Path:
    """Return the project's source distribution, unpacked, with its lock."""
    version = PROJECTS[name].version
    words = ("--no-deps", "--no-binary", name, "-d", folder, f"{name}=={version}")
    pip("download", "--quiet", *words)
    archive = next(folder.glob("*.tar.gz"))
    with tarfile.open(archive) as stream:
        stream.extractall(folder, filter="data")
    project = folder / f"{name}-{version}"
    for lock in (LOCKS / name).iterdir():
        shutil.copy(lock, project)
    return project


def _outcome(project: Path) -> dict[str, int]:
    """Run the project's tests, and return how many passed, failed, ..."""
    python = project / ".venv" / "bin" / "python"
    words = ("-m", "pytest", "-v", "-p", "no:cacheprovider", "tests")
    done = attempt(python, *words, cwd=project, variables={"PYTHONPATH": ""})
    last = done.stdout.strip().rpartition("\n")[2]
    counts = re.findall(r"(\d+) (passed|failed|errors?|skipped|x\w+|deselected)", last)
    assert counts, done.stdout + done.stderr
    return {what: int(count) for count, what in counts}


@pytest.mark.parametrize("name", list(PROJECTS))
def test_a_project_runs_its_tests_as_with_pip(
    name: str, pip: Pip, tmp_path: Path
) -> None:
    mine = _sources(name, pip, tmp_path)
    pips = tmp_path / "again" / mine.name
    shutil.copytree(mine, pips)
    lock = mine / "poetry.lock"
    created = mvenv_create(
        mine / ".venv", "--from", lock, "--store", tmp_path / "store"
    )
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(requirements_of(mine / ".venv"))
    pip.make(pips / ".venv", created["python"], "-r", requirements)
    pip.inside(pips / ".venv", "install", "--quiet", "--no-deps", "-e", pips)
    where = f"import {name}; print({name}.__file__)"
    assert str(mine) in run(mine / ".venv" / "bin" / "python", "-c", where)

    outcome = _outcome(mine)
    print(name, outcome)  # noqa: T201  the figures of docs/compared-with-pip.md

    assert outcome == _outcome(pips)
    assert outcome["passed"] >= PROJECTS[name].least
    assert damage(tmp_path / "store") == []
