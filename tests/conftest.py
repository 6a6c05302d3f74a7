"""Fixtures that hand out the kit; what they do is in ``tests/kit``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.indexes import IndexMaker
from kit.interpreters import Interpreters, find_interpreters
from kit.lockfiles import PoetryLockWriter, PylockWriter
from kit.sdists import ProjectMaker, SdistMaker
from kit.wheels import WheelMaker


@pytest.fixture(scope="session", autouse=True)
def _own_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's store and settings out of the tests, and the tests out of them.

    Of all processes that tests start, too.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith("MVENV_") and name != "MVENV_REQUIRE_FILESYSTEMS":
                patch.delenv(name)
        patch.setenv("MVENV_STORE", str(tmp_path_factory.mktemp("store") / "store"))
        for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "VIRTUAL_ENV"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture
def make_wheel(tmp_path: Path) -> WheelMaker:
    """Make tiny real wheels."""
    return WheelMaker(folder=tmp_path / "wheels")


@pytest.fixture
def make_sdist(tmp_path: Path) -> SdistMaker:
    """Make tiny real sdists, buildable without a network."""
    return SdistMaker(folder=tmp_path / "sdists")


@pytest.fixture
def make_project(tmp_path: Path) -> ProjectMaker:
    """Make folders with a tiny project in them, buildable without a network."""
    return ProjectMaker(folder=tmp_path / "projects")


@pytest.fixture
def simple_index(tmp_path: Path) -> Iterator[IndexMaker]:
    """Serve wheels and sdists as an index; `requests` tells what was asked."""
    maker = IndexMaker(tmp_path / "indexes")
    yield maker
    maker.close()


@pytest.fixture
def write_pylock(tmp_path: Path) -> PylockWriter:
    """Write a pylock.toml for given files."""
    return PylockWriter(folder=tmp_path)


@pytest.fixture
def write_poetry_lock(tmp_path: Path) -> PoetryLockWriter:
    """Write a poetry.lock for given files."""
    return PoetryLockWriter(folder=tmp_path)


@pytest.fixture(scope="session")
def interpreters() -> Interpreters:
    """Return the interpreters of this machine."""
    return find_interpreters()
