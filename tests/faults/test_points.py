"""Killed, failed or signalled at the calls that matter most; all: `test_sweep`."""

from __future__ import annotations

from collections.abc import Callable

from kit.faults import Stage
from kit.strace import Call


def find(calls: list[Call], name: str, *parts: str) -> Call:
    """Return the last call of a name that has all ``parts`` in it."""
    found = [
        call
        for call in calls
        if call.name == name and all(part in call.text for part in parts)
    ]
    assert found, f"no {name} with {parts}"
    return found[-1]


def test_taking_in_and_making(build_stage: Callable[[str], Stage]) -> None:
    stage = build_stage("cold")
    calls = stage.calls()
    unpacking = find(calls, "write", "/tree/")
    entering = find(calls, "rename", "/store/wheels/")
    flushing = find(calls, "syncfs")
    linking = find(calls, "linkat", "/site-packages")
    naming = find(calls, "rename", '/project/.venv"')

    assert stage.kill(entering) == []
    assert stage.kill(naming) == []
    assert stage.fail(unpacking, "ENOSPC") == []
    assert stage.fail(flushing, "EIO") == []
    assert stage.fail(linking, "EDQUOT") == []
    assert stage.interrupt(flushing, "SIGTERM", 143) == []  # one call: one number


def test_replacing_at_once(build_stage: Callable[[str], Stage]) -> None:
    stage = build_stage("clear")
    calls = stage.calls()
    exchanging = find(calls, "renameat2", '/project/.venv"')
    cleaning = find(calls, "unlinkat", ".mvenv-build-", "pyvenv.cfg")

    assert stage.kill(exchanging) == []
    assert stage.kill(cleaning) == []
    assert stage.fail(exchanging, "EIO") == []
    assert stage.interrupt(cleaning, "SIGINT", 130) == []


def test_replacing_file_by_file(build_stage: Callable[[str], Stage]) -> None:
    stage = build_stage("in-place-clear")
    calls = stage.calls()
    marking = find(calls, "fsync", "/.mvenv/building")
    replacing = find(calls, "renameat", '"pyvenv.cfg"')

    assert stage.kill(marking) == []
    assert stage.kill(replacing) == []
    assert stage.fail(replacing, "ENOSPC") == []
