"""Locks whose plans are known, and what tells whether they are recalled."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.commands import Runner
from kit.deciding import Deciding
from kit.lockfiles import PoetryLockWriter, PylockWriter
from kit.wheels import WheelMaker


@pytest.fixture
def decides(mvenv: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Deciding:
    """Create environments, and tell whether their plans were decided on."""
    return Deciding(mvenv, monkeypatch, tmp_path)


@pytest.fixture
def wheels(make_wheel: WheelMaker) -> list[Path]:
    """Return two wheels, one with all that is not simply linked."""
    return [
        make_wheel(
            "tools",
            files={
                "tools/__init__.py": "def main(): print('tools')\n",
                "tools/empty.py": "",
                "tools.pth": "import sys\n",
                "tools-1.0.data/scripts/old-tool": "#!python\nprint('old')\n",
            },
            entry_points="[console_scripts]\nrun-tools = tools:main\n",
        ),
        make_wheel("plain"),
    ]


@pytest.fixture
def lock(wheels: list[Path], write_pylock: PylockWriter) -> Path:
    """Return a lock of them."""
    return write_pylock(*wheels)


@pytest.fixture
def poetry(
    wheels: list[Path],
    write_poetry_lock: PoetryLockWriter,
    decides: Deciding,
    tmp_path: Path,
) -> Path:
    """Return a poetry.lock without a project, whose plan is known."""
    lock = write_poetry_lock(*wheels)
    assert decides(lock, "--find-links", tmp_path / "wheels", "--offline")
    assert not decides(lock, "--find-links", tmp_path / "wheels", "--offline")
    return lock
