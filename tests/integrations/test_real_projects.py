r"""Real projects' own tox and nox environments, by mvenv and by the tool's default.

Two small ones are run; all of them, as docs/tox.md and docs/nox.md tell of, by::

    MVENV_TEST_PROJECTS=all python3 dev.py test-all -n 1 -s \
        tests/integrations/test_real_projects.py
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from integrations.conftest import Ran, Workplace

pytestmark = [pytest.mark.index, pytest.mark.slow]

ALL = "MVENV_TEST_PROJECTS"
NOX_HEAD = 'import mvenv.nox\nnox.options.default_venv_backend = "mvenv"\n'
_M = re.MULTILINE


class _Project(NamedTuple):
    version: str
    tool: str
    environment: str
    """With this Python's version in the place of ``{}``; of ``{.}``, with its dot."""
    least: int
    """Tests that pass."""
    small: bool = False


PROJECTS = {
    "more-itertools": _Project("11.2.1", "tox", "py{}", 500, small=True),
    "itsdangerous": _Project("2.2.0", "tox", "py{}", 250),
    "pluggy": _Project("1.7.0", "tox", "py{}", 100),
    "humanize": _Project("4.17.0", "tox", "py{}", 800),
    "pytest-mock": _Project("3.17.0", "tox", "py{}", 80),
    "typeguard": _Project("4.6.0", "tox", "py{}", 400),
    "pyproject-hooks": _Project("1.3.3", "nox", "test-{.}", 40, small=True),
    "nox": _Project("2026.10.20", "nox", "tests-{.}", 900),
}


@pytest.fixture
def workplace(workplace: Workplace) -> Workplace:
    """Return one that has this machine's index."""
    pip = {name: text for name, text in os.environ.items() if name.startswith("PIP_")}
    kept = workplace.variables
    kept.pop("PIP_CONFIG_FILE")
    return replace(workplace, variables={**kept, **pip})


def _sources(name: str, version: str, folder: Path) -> Path:
    """Return the project's source distribution, unpacked."""
    words = ["--quiet", "--no-deps", "--no-binary", name, "-d", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *words, f"{name}=={version}"]
    subprocess.run(command, check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as stream:
        stream.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def _outcome(ran: Ran) -> dict[str, int]:
    """Return what the project's own tests came to, as they say in the last line."""
    said = re.sub(r"\x1b\[[\d;]*m", "", ran.out)
    lines = re.findall(
        r"^=* ?(\d+ (?:passed|failed|error).*) in [\d.]+s", said, re.MULTILINE
    )
    if lines:
        counts = re.findall(r"(\d+) (\w+)", lines[-1])
        # How many warnings there are changes from one run to the next.
        return {what: int(n) for n, what in counts if not what.startswith("warning")}
    (number,) = re.findall(r"^Ran (\d+) tests? in", said, _M) or ["0"]
    assert int(number), ran.out
    return {"passed": int(number)} if "\nOK" in said else {"failed": int(number)}


class _Side:
    """One copy of a project, and the tool that runs in it."""

    def __init__(self, workplace: Workplace, sources: Path, *, ours: bool) -> None:
        folder = workplace.root.parent / ("ours" if ours else "plain")
        self.root = shutil.copytree(sources, folder / sources.name)
        self._place = replace(workplace, root=self.root)
        self._ours = ours

    def run(self, project: _Project, *, fill_only: bool) -> Ran:
        """Run the project's environment, made anew."""
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        name = project.environment.replace("{.}", version)
        name = name.replace("{}", version.replace(".", ""))
        if project.tool == "tox":
            chosen = {"TOX_DEFAULT_RUNNER": "mvenv"} if self._ours else {}
            words = ["run", "-r", "-e", name, *["--notest"] * fill_only]
            return self._place.run("tox", *words, **chosen)
        if self._ours:
            self._edit_noxfile()
        words = ["-s", name, "--reuse-venv=never", *["--install-only"] * fill_only]
        return self._place.run("nox", *words)

    def _edit_noxfile(self) -> None:
        """Name the backend: nox has no way to bring one in from outside.

        Not by a variable, which nox's own tests would see.
        """
        noxfile = self.root / "noxfile.py"
        text = noxfile.read_text(encoding="utf-8")
        if NOX_HEAD not in text:
            text = re.sub(
                r"^nox\.options\.default_venv_backend.*\n", "", text, flags=_M
            )
            text = re.sub(r', venv_backend="\w+"|venv_backend="\w+", ', "", text)
            text = text.replace("\nimport nox\n", f"\nimport nox\n{NOX_HEAD}", 1)
            noxfile.write_text(text, encoding="utf-8")


def _chosen() -> list[str]:
    everything = os.environ.get(ALL) == "all"
    return [name for name, one in PROJECTS.items() if one.small or everything]


@pytest.mark.parametrize("name", _chosen())
def test_a_projects_own_environment_comes_to_the_same(
    name: str, workplace: Workplace, tmp_path: Path
) -> None:
    project = PROJECTS[name]
    pytest.importorskip(project.tool)
    sources = _sources(name, project.version, tmp_path)
    seconds, came = [], []
    for ours in (False, True):
        side = _Side(workplace, sources, ours=ours)
        came.append(side.run(project, fill_only=False))
        started = time.monotonic()
        again = side.run(project, fill_only=True)
        seconds.append(time.monotonic() - started)
        assert again.code == 0, again.out
    plain, linked = came

    outcome = _outcome(linked)
    print(name, project.tool, outcome, linked.code, seconds)  # noqa: T201  for the docs

    assert outcome == _outcome(plain)
    assert linked.code == plain.code
    assert outcome["passed"] >= project.least
    assert [*workplace.store.glob("wheels/*/*/tree")] or name == "more-itertools"
