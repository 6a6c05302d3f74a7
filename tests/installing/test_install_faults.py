"""What the system refuses while something is installed."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from mvenv.errors import SystemFault
from mvenv.installing import InstallRequest, install
from mvenv.progress import Silent
from mvenv.surroundings import Surroundings


def test_it_is_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Wherever it comes from: tox and nox tell no others in words."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("mvenv.installing.find_projects", refuse)
    request = InstallRequest(
        folder=tmp_path,
        arguments=("one",),
        start=tmp_path,
        notes=tmp_path / "notes",
        remember=0.0,
        surroundings=Surroundings.of({}),
        environ={},
    )

    with pytest.raises(SystemFault, match=r"the environment: no space left on device"):
        install(request, Silent())
