"""A signal that comes when a sync is done already: what is said is true."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv.cli.console import Console
from mvenv.cli.signals import Stopped


def test_all_was_done_already(
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = write_pylock(make_wheel("one", "1.0"), path=tmp_path / "pylock.old.toml")
    new = write_pylock(make_wheel("one", "2.0"), path=tmp_path / "pylock.new.toml")
    folder = tmp_path / "env"
    mvenv.create(folder, old)

    def stop(*_: object) -> None:
        raise Stopped(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Console, "result", stop)
        outcome = mvenv("sync", folder, "--from", new)

    assert outcome.code == 143
    assert "Unless all was done already (`mvenv doctor` tells)" in outcome.err
    assert mvenv("doctor", folder, "--check", "--full", "--offline").code == 0
    assert "nothing to do" in mvenv("sync", folder, "--from", new).out
