"""Fixtures that hand out the kit; what they do is in ``tests/kit``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from kit.commands import Runner
from kit.filesystems import MOUNTED_KINDS, Filesystems
from kit.indexes import IndexMaker
from kit.interpreters import Interpreters, find_interpreters
from kit.lockfiles import PoetryLockWriter, PylockWriter
from kit.sdists import ProjectMaker, SdistMaker
from kit.wheels import WheelMaker

# No deadline: a busy machine is no fault. In CI the same examples on every run.
settings.register_profile("steady", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("steady")

_FOR_TESTS = {"MVENV_REQUIRE_FILESYSTEMS", "MVENV_FULL_FAULTS"}


@pytest.fixture(scope="session", autouse=True)
def _own_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's store and settings out of the tests, and the tests out of them.

    Of all processes that tests start, too.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith("MVENV_") and name not in _FOR_TESTS:
                patch.delenv(name)
        patch.setenv("MVENV_STORE", str(tmp_path_factory.mktemp("store") / "store"))
        for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "VIRTUAL_ENV"):
            patch.delenv(name, raising=False)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that mount, so that none is forgotten."""
    for item in items:
        if "filesystems" in getattr(item, "fixturenames", ()):
            item.add_marker("filesystems")


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


@pytest.fixture
def mvenv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Runner:
    """Run commands in this process, with a store of their own."""
    return Runner(tmp_path / "store", capsys)


@pytest.fixture(scope="session")
def interpreters() -> Interpreters:
    """Return the interpreters of this machine."""
    return find_interpreters()


@pytest.fixture(scope="session")
def filesystems(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filesystems]:
    """Mount real file systems; skipped without root, see `kit.filesystems`."""
    mounted = Filesystems(tmp_path_factory.mktemp("filesystems"))
    try:
        yield mounted
    finally:
        mounted.close()


@pytest.fixture(params=MOUNTED_KINDS)
def each_filesystem(filesystems: Filesystems, request: pytest.FixtureRequest) -> Path:
    """Return a new folder on each kind of file system, one after the other."""
    return filesystems.folder(request.param)
