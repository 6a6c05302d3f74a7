"""CPython's own tests of `venv` pass with mvenv in its place."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mvenv
from kit.interpreters import FoundInterpreter, find_interpreters

pytestmark = pytest.mark.slow

HARNESS = Path(__file__).with_name("cpython_venv.py")
EACH = [one for one in find_interpreters() if one.short_version != "3.8"]

PROGRAM = f"""
import sys
sys.path.insert(0, {str(Path(str(mvenv.__file__)).parents[1])!r})
from mvenv.cli import main
main(as_module=True)
"""
"""``python -m mvenv``, of these sources whatever is installed."""

KNOWN: dict[str, str] = {}
"""Tests that fail, and why: docs/venv.md says it too."""


def _run(
    python: Path | str, store: Path, *words: str
) -> tuple[dict[str, str], int, str]:
    """Return each test's outcome, and how many environments were made instead."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PIP_", "VIRTUAL_ENV", "MVENV_"))
    }
    environ["MVENV_STORE"] = str(store)
    # They ask for the pip that came with the interpreter.
    environ["MVENV_SEED_FROM"] = "interpreter"
    # Not where they are: another interpreter takes nothing else from ours.
    environ["PYTHONPATH"] = ""
    done = subprocess.run(
        [str(python), str(HARNESS), *words],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    outcomes = dict(
        re.findall(
            r"^(test_\w+) .*?(?:\.\.\.|\n.*?\.\.\.)[^\n]*?\b(ok|FAIL|ERROR|skipped)\b",
            done.stderr,
            re.MULTILINE,
        )
    )
    [made] = re.findall(r"what stands in: (\d+)", done.stderr) or ["0"]
    return outcomes, int(made), done.stderr


def _of_base() -> set[str]:
    base = getattr(sys, "_base_executable", sys.executable)
    program = "import sys; print(*sys.path, sep='\\n')"
    told = subprocess.run(
        [base, "-I", "-c", program], capture_output=True, check=True, text=True
    )
    return {*told.stdout.splitlines()}


@pytest.mark.parametrize("found", EACH, ids=[one.short_version for one in EACH])
def test_with_the_command_line(found: FoundInterpreter, tmp_path: Path) -> None:
    if found.origin != "pyenv":
        pytest.skip("the distribution's Python comes without CPython's tests")
    words = ("--command", sys.executable, "-c", PROGRAM)
    outcomes, made, told = _run(found.executable, tmp_path / "store", *words)

    wrong = {name for name, came in outcomes.items() if came in {"FAIL", "ERROR"}}
    assert wrong - KNOWN.keys() == set(), told[-6000:]
    assert outcomes
    assert made >= 10


def test_with_the_module(tmp_path: Path) -> None:
    # In an environment most of these tests skip themselves.
    packages = [path for path in sys.path if path not in _of_base()]
    base = getattr(sys, "_base_executable", sys.executable)
    outcomes, made, told = _run(base, tmp_path / "store", "--api", *packages)

    wrong = {name for name, came in outcomes.items() if came in {"FAIL", "ERROR"}}
    assert wrong - KNOWN.keys() == set(), told[-6000:]
    assert outcomes
    assert made >= 10
