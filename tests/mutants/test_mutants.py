"""Switch one detector, flush, rename or lock off: some test must notice.

Each mutant of `mutants.toml` changes one place of a copy of the sources, and the tests
that it names must then fail. That every mutant still applies is always tested; a sample
is run with the slow tests, all of them by::

    MVENV_FULL_FAULTS=1 python -m pytest -m slow tests/mutants -n 2
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from mvenv.diagnose.checks import CHECKS

TESTS = Path(__file__).parents[1]
SOURCES = TESTS.parent / "src"
SAMPLE = 10
ALL = os.environ.get("MVENV_FULL_FAULTS") == "1"
FAILED = 1
"""Exit code of pytest when tests failed; others say that none was run."""
NOTHING_FINDS = {"F19", "F53"}
"""Quarantined files, which only macOS has; archives of wheels, which no store keeps."""
LONGEST = 60
"""Seconds: what hangs is noticed, too."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change that makes mvenv worse."""

    name: str
    file: str
    """Below ``src/mvenv``."""
    old: str
    """Text that is there once."""
    new: str
    tests: list[str]
    """What pytest is to run, below ``tests``."""


def _read() -> list[Mutant]:
    text = Path(__file__).with_name("mutants.toml").read_text(encoding="utf-8")
    return [Mutant(**one) for one in tomllib.loads(text)["mutant"]]


MUTANTS = _read()
CHOSEN = MUTANTS if ALL else MUTANTS[:: -(-len(MUTANTS) // SAMPLE)]


def test_there_are_enough() -> None:
    assert len(MUTANTS) >= 40
    assert len({one.name for one in MUTANTS}) == len(MUTANTS)
    assert len({(one.file, one.old, one.new) for one in MUTANTS}) == len(MUTANTS)


def test_every_check_has_its_mutant() -> None:
    codes = {one.name.partition("-")[0] for one in MUTANTS}

    assert {check.code for check in CHECKS} - codes == NOTHING_FINDS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.name)
def test_the_mutant_still_applies(mutant: Mutant) -> None:
    text = (SOURCES / "mvenv" / mutant.file).read_text(encoding="utf-8")

    assert text.count(mutant.old) == 1
    other = ast.parse(text.replace(mutant.old, mutant.new))
    assert ast.dump(other) != ast.dump(ast.parse(text))
    assert mutant.tests
    for test in mutant.tests:
        path, _, name = test.partition("::")
        wanted = rf"^def {re.escape(name.partition('[')[0])}\("
        assert re.search(wanted, (TESTS / path).read_text("utf-8"), re.MULTILINE), test


@pytest.mark.slow
@pytest.mark.parametrize("mutant", CHOSEN, ids=lambda one: one.name)
def test_the_mutant_is_noticed(mutant: Mutant, tmp_path: Path) -> None:
    sources = _copied(tmp_path)
    place = sources / "mvenv" / mutant.file
    text = place.read_text(encoding="utf-8")
    place.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        done = _tested(mutant.tests, sources, tmp_path)
    except subprocess.TimeoutExpired:
        return
    if not done.returncode and " passed" not in done.stdout:
        pytest.skip("this machine cannot run its tests")

    assert done.returncode == FAILED, done.stdout[-2000:]


@pytest.mark.slow
def test_nothing_is_noticed_without_a_mutant(tmp_path: Path) -> None:
    """What fails in any case would notice nothing."""
    tests = dict.fromkeys(test for mutant in CHOSEN for test in mutant.tests)
    done = _tested(tuple(tests), _copied(tmp_path), tmp_path, longest=None)

    assert not done.returncode, done.stdout[-4000:]


def _copied(folder: Path) -> Path:
    sources = folder / "src"
    shutil.copytree(
        SOURCES, sources, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
    )
    return sources


def _tested(
    tests: Sequence[str], sources: Path, folder: Path, *, longest: int | None = LONGEST
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        + ["-p", "no:xdist", f"--basetemp={folder / 'made'}", "-o", "addopts="]
        + [str(TESTS / test) for test in tests],
        cwd=TESTS.parent,
        env={**os.environ, "PYTHONPATH": str(sources), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=longest,
    )
