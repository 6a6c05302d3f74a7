"""Killed, signalled or failed at any system call: never half-made, never a lie.

A sample of all calls and errors, spread evenly, the same in every run. Every one of
them, which takes hours::

    MVENV_FULL_FAULTS=1 python -m pytest -m slow tests/faults/test_sweep.py -n 4

What must hold is in `kit.faults.Stage`: after a kill no torn entry in the store, and
the environment absent, old and whole, or new and whole (filled in place: or marked as
unfinished); after an error likewise, or exit 0 with all as it should be; and the same
command again finishes and leaves nothing behind. Each injection is seen to have fired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from kit.faults import NOT_FIRED, Stage, errors_for, spread
from kit.strace import Call

pytestmark = pytest.mark.slow

KILLS = {"cold": 36, "warm": 12, "clear": 32, "in-place": 18, "in-place-clear": 30}
KILLS |= {"several": 16}
FAILURES = {"cold": 60, "warm": 12, "clear": 40, "in-place": 20, "in-place-clear": 36}
FAILURES |= {"several": 12}
SIGNALS = {"cold": 26, "clear": 18, "in-place-clear": 12, "several": 12}
"""Points of each scenario that the sample has."""
THREADED = ("mkdir", "utimensat", "unlink", "fchmod")
"""Calls of the threads that fetch and unpack, before the first thread makes as many."""


def changing(stage: Stage, *, threads: bool = False) -> list[Call]:
    """Return the calls that change something and are not failed always."""
    return [
        call
        for call in stage.calls(threads=threads)
        if not call.reads and (stage.scenario.exchange or call.name != "renameat2")
    ]


def report(found: Iterable[tuple[object, list[str]]]) -> str:
    """Return what was wrong, for a person; empty when nothing was."""
    return "\n".join(f"{point}: {'; '.join(wrong)}" for point, wrong in found if wrong)


@pytest.mark.parametrize("name", KILLS)
def test_killed_at_any_call(name: str, build_stage: Callable[[str], Stage]) -> None:
    stage = build_stage(name)
    points = spread(changing(stage), KILLS[name])

    assert len(points) >= KILLS[name]
    assert report((call, stage.kill(call)) for call in points) == ""


@pytest.mark.parametrize("name", FAILURES)
def test_any_call_fails(name: str, build_stage: Callable[[str], Stage]) -> None:
    stage = build_stage(name)
    points = [
        (call, error)
        for call in stage.calls()
        if stage.scenario.exchange or call.name != "renameat2"
        for error in errors_for(call)
    ]
    sample = spread(points, FAILURES[name])

    assert len(sample) >= FAILURES[name]
    assert report((point, stage.fail(*point)) for point in sample) == ""


@pytest.mark.parametrize("name", SIGNALS)
def test_signalled_at_any_call(name: str, build_stage: Callable[[str], Stage]) -> None:
    stage = build_stage(name)
    # When a thread's files are closed is not the same in each run.
    calls = [call for call in changing(stage, threads=True) if call.name != "close"]
    points = spread(calls, SIGNALS[name])
    kinds = (("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129))

    assert (
        report(
            (call, stage.interrupt(call, *kinds[index % len(kinds)]))
            for index, call in enumerate(points)
        )
        == ""
    )


@pytest.mark.parametrize("error", [None, "ENOSPC", "EIO"])
def test_in_any_thread(error: str | None, build_stage: Callable[[str], Stage]) -> None:
    """Threads and processes run as they do: which is hit is not always the same.

    The first call of a kind comes in some of them; whether one makes another is chance.
    """
    stage = build_stage("fetch")
    points = [
        call
        for call in stage.calls(follow=True)
        if not call.first and call.name in THREADED
    ]
    least = {call.name: _least(points, call.name) for call in points}
    points = [call for call in points if call.number <= least[call.name] + 1]

    def hit(call: Call) -> list[str]:
        for _ in range(3):
            if error is None:
                wrong = stage.kill(call, follow=True)
            else:
                wrong = stage.fail(call, error, follow=True)
            if wrong != [NOT_FIRED]:
                return wrong
        return [] if call.number > least[call.name] else wrong

    assert {call.name for call in points} >= {"mkdir", "utimensat", "unlink"}
    assert report((call, hit(call)) for call in points) == ""


def _least(calls: list[Call], name: str) -> int:
    return min(call.number for call in calls if call.name == name)
