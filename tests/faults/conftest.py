"""Stages for faults: a small `mvenv create` that can be set up again and again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kit.faults import SCENARIOS, Stage
from kit.filesystems import Filesystems


@pytest.fixture
def build_stage(
    tmp_path: Path, request: pytest.FixtureRequest
) -> Callable[[str], Stage]:
    """Build the stage of a scenario; one with a mount needs root."""

    def build(name: str) -> Stage:
        scenario = SCENARIOS[name]
        mount = None
        if scenario.mount:
            filesystems: Filesystems = request.getfixturevalue("filesystems")
            mount = filesystems.limited_tmpfs(64 << 20)
        return Stage.build(scenario, tmp_path / "stage", mount=mount)

    return build
