"""``tox -p`` killed in its middle: the next run is right, and nothing is left over."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from integrations.conftest import Workplace, point_at
from kit.indexes import IndexMaker
from kit.sdists import ProjectMaker
from kit.wheels import WheelMaker

pytest.importorskip("tox")

ENVIRONMENTS = ("a", "b", "c", "d")
INI = """\
[tox]
requires = mvenv
env_list = a, b, c, d
[testenv]
package = wheel
deps =
    {deps}
commands =
    python -c "import mine, w0, w44; print('all', 'there')"
"""
WHEELS = [f"w{number}" for number in range(45)]
"""So many that each environment is made in a process of its own."""
PARALLEL = ("-p", "4", "--parallel-no-spinner", "-o")
PER_RUN = re.compile(
    r"(^|/)(log|\.?tmp|__pycache__|\.pkg/dist|\.mvenv/(scrub|generations))(/|$)|\.lock$"
)
"""What differs from run to run: tox's own, what was looked at, how often changed."""


@pytest.mark.parametrize(
    ("words", "moment"),
    [
        pytest.param(
            words,
            moment / 10,
            marks=[pytest.mark.slow] if (words, moment) != (("-r",), 5) else [],
        )
        for words in ((), ("-r",))
        for moment in (2, 4, 5, 6, 8)
    ],
)
def test_killed_in_the_middle(
    workplace: Workplace,
    make_project: ProjectMaker,
    make_wheel: WheelMaker,
    simple_index: IndexMaker,
    words: tuple[str, ...],
    moment: float,
) -> None:
    """At a part of the time that an undisturbed run takes, with all its processes."""
    point_at(workplace, simple_index, [make_wheel(name) for name in WHEELS])
    whole = _place(workplace, make_project, "whole")
    killed = _place(workplace, make_project, "killed")
    seconds = _timed(whole, *words)
    if words:
        killed.succeed("tox", *PARALLEL)

    parts = (1.0, 0.5, 0.25)  # what comes after is quicker, or the machine is
    assert any(
        _run_and_kill(killed, [*PARALLEL, *words], seconds * moment * part)
        for part in parts
    )
    out = killed.succeed("tox", *PARALLEL)

    assert out.count("all there\n") == len(ENVIRONMENTS)
    assert {*_left(killed.root / ".tox")} == {*_left(whole.root / ".tox")}
    assert not [*(killed.store / "tmp").iterdir(), *(killed.store / "trash").iterdir()]
    for name in ENVIRONMENTS:
        killed.succeed("mvenv", "doctor", "--check", "--full", f".tox/{name}")
    killed.succeed("mvenv", "store", "verify")


def _place(workplace: Workplace, make_project: ProjectMaker, name: str) -> Workplace:
    """Return a project with a store of its own."""
    base = workplace.root.parent / name
    made = make_project("mine", pyproject="", folder=base)
    (made / "tox.ini").write_text(
        INI.replace("{deps}", "\n    ".join(WHEELS)), encoding="utf-8"
    )
    store = base / "store"
    variables = workplace.variables | {"MVENV_STORE": str(store)}
    return replace(workplace, root=made, store=store, variables=variables)


def _timed(place: Workplace, *words: str) -> float:
    """Run tox undisturbed, the first time included; return how long the last took."""
    for each in [(), words] if words else [()]:
        started = time.monotonic()
        place.succeed("tox", *PARALLEL, *each)
    return time.monotonic() - started


def _run_and_kill(place: Workplace, words: list[str], seconds: float) -> bool:
    """Return whether it was killed before it ended."""
    with subprocess.Popen(
        [sys.executable, "-m", "tox", *words],
        cwd=place.root,
        env=place.variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as running:
        time.sleep(seconds)
        os.killpg(running.pid, signal.SIGKILL)
    return running.returncode == -signal.SIGKILL


def _left(folder: Path) -> Iterator[str]:
    for base, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.relpath(os.path.join(base, name), folder)
            if not PER_RUN.search(path):
                yield path
