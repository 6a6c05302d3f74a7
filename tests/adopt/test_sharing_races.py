"""A file that somebody writes to while it is adopted keeps what was written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv.adopt.bytecode import Bytecode


def test_what_is_written_to_meanwhile_stays(
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When it was hashed, and before its name goes to the store's file."""
    env, lock = tmp_path / "env", write_pylock(make_wheel("alpha"))
    mvenv.create(env, lock, "--link-mode", "copy")
    [place] = env.glob("lib/python*/site-packages/alpha/__init__.py")
    follow = Bytecode.follow

    def write(self: Bytecode, path: str, seen: os.stat_result, moment: int) -> Any:
        if path.endswith("/alpha/__init__.py"):
            with place.open("a") as stream:
                stream.write("mine = 1\n")
        return follow(self, path, seen, moment)

    monkeypatch.setattr(Bytecode, "follow", write)
    outcome = mvenv("adopt", env, "--link-mode", "hardlink")

    assert outcome.code == 0, outcome.err
    assert place.read_text().endswith("mine = 1\n")
    assert "alpha/__init__.py: edited, left as it is" in outcome.out
