"""virtualenv with our plugin, for the tests of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kit.virtualenvs import Virtualenv, declare


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
