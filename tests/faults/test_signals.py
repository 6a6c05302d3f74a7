"""Signals that ask to end: cleaning up first, whatever comes meanwhile."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from kit.lockfiles import PylockWriter

PROGRAM = """
import sys, time
from mvenv.cli.signals import Stopped, unwind_on_signals
unwind_on_signals()
try:
    print("ready", flush=True)
    time.sleep(60)
except Stopped as stopped:
    print("cleaning", flush=True)
    time.sleep(0.5)
    print("cleaned", flush=True)
    sys.exit(stopped.exit_code)
"""


@pytest.mark.parametrize(
    ("first", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_a_second_signal_does_not_cut_the_cleaning_short(
    first: signal.Signals, code: int
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(first)
        assert process.stdout.readline() == "cleaning\n"
        for again in (signal.SIGINT, signal.SIGTERM):
            process.send_signal(again)
        rest = process.stdout.read()

    assert (rest, process.returncode) == ("cleaned\n", code)


def test_what_our_parent_ignores_stays_ignored() -> None:
    """As under ``nohup``, and in the background of scripts."""
    with subprocess.Popen(
        ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.stdout.read()

    assert process.returncode == 143


BACK_END = """
import os, time
def build_wheel(folder, settings=None, metadata=None):
    with open({marker!r}, "w") as stream:
        stream.write(str(os.getpid()))
    time.sleep(600)
"""
PROJECT = """
[build-system]
requires = []
build-backend = "slow"
backend-path = ["."]
"""


def slow_sdist(folder: Path, marker: Path) -> Path:
    """Make an sdist whose build writes its process number and does not end."""
    target = folder / "slow-1.0.tar.gz"
    with tarfile.open(target, "w:gz") as archive:
        for name, text in {
            "pyproject.toml": PROJECT,
            "slow.py": BACK_END.format(marker=str(marker)),
        }.items():
            entry = tarfile.TarInfo(f"slow-1.0/{name}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return target


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_build_in_a_thread_is_ended(
    tmp_path: Path, write_pylock: PylockWriter
) -> None:
    marker = tmp_path / "marker"
    lockfile = write_pylock(slow_sdist(tmp_path, marker))
    command = [sys.executable, "-m", "mvenv", "create", str(tmp_path / "new/.venv")]
    command += ["--from", str(lockfile), "--store", str(tmp_path / "store")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (marker.exists() and marker.read_text()):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)

    assert process.returncode == 143
    assert "Traceback" not in errors
    assert "the same command goes on" in errors
    assert "half-made" not in errors
    assert not is_running(int(marker.read_text()))
    assert not (tmp_path / "new").exists()
    assert os.listdir(tmp_path / "store/tmp") == []
