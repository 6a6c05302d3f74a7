"""What the comparisons share."""

from __future__ import annotations

import pytest

from oracles.making import Pip, newest_pip


@pytest.fixture(scope="session")
def pip(tmp_path_factory: pytest.TempPathFactory) -> Pip:
    """Return the newest pip of the index."""
    return newest_pip(tmp_path_factory.mktemp("pip") / "pip")
