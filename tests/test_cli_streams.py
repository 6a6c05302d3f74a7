"""What is printed arrives, or stops nothing: odd paths, no colours, bad streams."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import mvenv
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker

NOT_UTF8 = os.fsdecode(b"env-\xff")


@pytest.fixture
def lock(make_wheel: WheelMaker, write_pylock: PylockWriter) -> Path:
    """Return a lock of one small wheel."""
    return write_pylock(make_wheel("demo"))


def _command(folder: Path, lock: Path, *options: str) -> list[str]:
    command = [sys.executable, "-m", "mvenv", "create", str(folder)]
    return [*command, "--from", str(lock), *options]


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_a_path_that_is_no_utf8(lock: Path, tmp_path: Path, encoding: str) -> None:
    environ = {**os.environ, "PYTHONIOENCODING": encoding}
    env = tmp_path / NOT_UTF8
    for options in (["--json"], ["--clear"], []):
        done = subprocess.run(
            _command(env, lock, *options), env=environ, capture_output=True, check=False
        )
        assert b"Traceback" not in done.stderr
        if options == ["--json"]:
            assert json.loads(done.stdout)["path"] == str(env)
        else:
            assert b"env-\\udcff" in done.stdout + done.stderr


def test_a_stream_that_takes_no_message_stops_no_work(
    lock: Path, tmp_path: Path
) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            _command(tmp_path / "env", lock), stderr=full, check=False
        )

    assert done.returncode == 0
    assert (tmp_path / "env" / "pyvenv.cfg").exists()


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_summary_that_cannot_be_printed_is_told_as_that(
    lock: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            _command(tmp_path / "env", lock, *options),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 18
    assert "all was done" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "env" / "pyvenv.cfg").exists()


def _unread(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run with a stdout whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return subprocess.run(
            command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writing)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_whoever_stops_reading_stops_no_work(
    lock: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    done = _unread(_command(tmp_path / "env", lock, *options))

    assert done.returncode == 1
    assert "all was done" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "env" / "pyvenv.cfg").exists()


def test_an_error_that_no_program_reads_is_told_to_people(tmp_path: Path) -> None:
    done = _unread(_command(tmp_path / "env", tmp_path / "none", "--json"))

    assert done.returncode == 10
    assert done.stderr.startswith("error: there is no")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("no_colour", "coloured"), [("", True), ("1", False)])
def test_colours_can_be_turned_off(
    tmp_path: Path, no_colour: str, coloured: bool
) -> None:
    ours, theirs = pty.openpty()
    environ = {**os.environ, "NO_COLOR": no_colour, "TERM": "xterm"}
    subprocess.run(
        _command(tmp_path / "env", tmp_path / "none"),
        env=environ,
        stderr=theirs,
        check=False,
    )
    os.close(theirs)
    said = os.read(ours, 4096)
    os.close(ours)

    assert b"error:" in said
    assert (b"\x1b[" in said) is coloured


def test_no_home_and_no_store(lock: Path, tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": "", "MVENV_STORE": "~nobody-here/x"}
    if "PYTHONPATH" in os.environ:
        environ["PYTHONPATH"] = os.environ["PYTHONPATH"]
    done = subprocess.run(
        _command(tmp_path / "env", lock),
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 16
    assert "--store" in done.stderr


def test_the_current_folder_is_gone(lock: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'rmdir "$PWD"; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *_command(tmp_path / "env", lock)],
        cwd=gone,
        # A relative one, there, fails in Python's own start.
        env={**os.environ, "PYTHONPATH": str(Path(mvenv.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 18
    assert "current folder" in done.stderr
