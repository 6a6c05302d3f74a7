"""Real virtualenv, tox and nox, in processes of their own, on tiny projects."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

import mvenv
from kit.indexes import IndexMaker
from kit.virtualenvs import Virtualenv, declare
from mvenv import __version__

SOURCES = Path(str(mvenv.__file__)).parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a run printed, both streams in one, and how it ended."""

    code: int
    out: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """A project's folder, a store and an index, for one test."""

    root: Path
    store: Path
    variables: dict[str, str] = field(default_factory=dict)

    def write(self, path: str, text: str) -> Path:
        """Write a file of the project."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return target

    def run(self, module: str, *words: str | Path, **variables: str) -> Ran:
        """Run a module's command line in the project's folder."""
        done = subprocess.run(
            [sys.executable, "-m", module, *map(str, words)],
            cwd=self.root,
            env=self.variables | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Ran(code=done.returncode, out=done.stdout)

    def succeed(self, module: str, *words: str | Path, **variables: str) -> str:
        """Run it; it has to succeed."""
        ran = self.run(module, *words, **variables)

        assert ran.code == 0, ran.out
        return ran.out


@pytest.fixture(scope="session")
def common_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one store for all of these tests: pip is taken in and compiled once."""
    return tmp_path_factory.mktemp("store") / "store"


@pytest.fixture
def workplace(tmp_path: Path, common_store: Path) -> Workplace:
    """Return a place to work in, without an index."""
    door = tmp_path / "door" / f"mvenv-{__version__}.dist-info"
    door.mkdir(parents=True)
    # As an installed mvenv of this source: tox looks for both.
    metadata = f"Metadata-Version: 2.1\nName: mvenv\nVersion: {__version__}\n"
    (door / "METADATA").write_text(metadata, encoding="utf-8")
    points = "[tox]\nmvenv = mvenv.integrations.tox_plugin\n"
    (door / "entry_points.txt").write_text(points, encoding="utf-8")
    root = tmp_path / "project"
    root.mkdir()
    dropped = ("PIP_", "TOX_", "NOX_", "VIRTUALENV_", "MVENV_", "PYTHON", "UV_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    return Workplace(
        root=root,
        store=common_store,
        variables={
            **kept,
            "HOME": str(tmp_path / "home"),
            "MVENV_STORE": str(common_store),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYENV_ROOT": os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv")),
            "PYTHONPATH": os.pathsep.join([str(door.parent), str(SOURCES)]),
            "TOX_DISABLED_EXTERNAL_PLUGINS": "tox-uv",
        },
    )


def point_at(workplace: Workplace, index: IndexMaker, files: Iterable[Path]) -> None:
    """Let pip and mvenv ask an index of these files, and no other."""
    workplace.variables["PIP_INDEX_URL"] = index(files)


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Virtualenv:
    """Return one whose store has pip, after the first test; nobody may harm it."""
    folder = tmp_path_factory.mktemp("virtualenv")
    return Virtualenv(
        plugin=declare(folder / "plugin"),
        app_data=folder / "app-data",
        store=folder / "store",
    )


@pytest.fixture
def virtualenv(warm: Virtualenv, tmp_path: Path) -> Virtualenv:
    """Return one with a store of the test's own, empty."""
    return replace(warm, store=tmp_path / "own-store")
