"""Private files of an environment that was never flushed, after the power was cut."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv.env.receipt import read_receipt
from mvenv.store import durability


@pytest.fixture
def script(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> Path:
    """Return a script of an environment with which nothing new was stored."""
    wheel = make_wheel("one", entry_points="[console_scripts]\nrun-one = one:main\n")
    lock = write_pylock(wheel)
    assert mvenv.create(tmp_path / "first", lock).code == 0
    assert mvenv.create(tmp_path / "env", lock).code == 0
    receipt = read_receipt(tmp_path / "env")
    assert receipt is not None
    assert not receipt.flushed
    return tmp_path / "env/bin/run-one"


@pytest.fixture
def started_anew(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start the machine again, when the environment is there."""
    assert script.is_file()
    monkeypatch.setattr(durability, "_BOOT_IDS", ["another"])


def _null(file: Path) -> bytes:
    """Do what a power cut does: the size and the date are there, the bytes are not."""
    content, stamp = file.read_bytes(), file.stat()
    file.write_bytes(bytes(len(content)))
    os.utime(file, ns=(stamp.st_mtime_ns, stamp.st_mtime_ns))
    return content


@pytest.mark.usefixtures("started_anew")
def test_they_are_read_once_and_healed(mvenv: Runner, script: Path) -> None:
    env = script.parents[1]
    content = _null(script)

    healed = mvenv("doctor", env)

    assert healed.code == 0
    assert "null bytes" in healed.out
    assert script.read_bytes() == content
    assert "healthy" in mvenv("doctor", env).out
    receipt = read_receipt(env)
    assert receipt is not None
    assert receipt.flushed
    # From now on their stamps are believed, as those of others.
    _null(script)
    assert "healthy" in mvenv("doctor", env, "--check").out


@pytest.mark.usefixtures("started_anew")
def test_a_check_finds_it_and_notes_nothing(mvenv: Runner, script: Path) -> None:
    _null(script)
    for _ in range(2):
        assert "null bytes" in mvenv("doctor", script.parents[1], "--check").out


def test_while_the_machine_runs_they_are_not_read(mvenv: Runner, script: Path) -> None:
    """What it wrote, it has in its memory."""
    _null(script)

    assert "healthy" in mvenv("doctor", script.parents[1], "--check").out
