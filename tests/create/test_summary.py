"""The last words of create."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker


def test_an_environment_below_here_is_named_as_one_would_type_it(
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lock = write_pylock(make_wheel("one", "1.0", {"one.py": "version = 1\n"}))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    assert mvenv.create(here / "env", lock).out.startswith("created env · ")

    elsewhere = tmp_path / "elsewhere"
    assert mvenv.create(elsewhere, lock).out.startswith(f"created {elsewhere} · ")
