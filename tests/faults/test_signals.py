"""Signals that ask to end: cleaning up first, whatever comes meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

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
