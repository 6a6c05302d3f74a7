"""The same files with the same bytes as pip, on real locks and real wheels."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kit.interpreters import Interpreters
from kit.lockfiles import PylockWriter
from oracles.comparing import differences, listed, read_tree, untrue_rows
from oracles.making import Pip, mvenv_create, requirements_of

pytestmark = pytest.mark.index

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "benchmarks" / "locks"
EXAMPLE = ROOT / "examples" / "web" / "poetry.lock"
TOP100 = (LOCKS / "top100.txt").read_text().split()
Record = Callable[[str, object], None]
STACKS = {"small": 150, "web": 8000, "science": 20000}
"""Files, at least."""
ODD = ("certifi", "jinja2", "markupsafe", "protobuf", "pyyaml", "setuptools", "wheel")
"""Of the most used: a private file, extensions, namespaces, `.pth`, and none."""


def _unlike(mine: Path, pips: Path) -> list[str]:
    """Return all in which mvenv's environment is not what pip made."""
    return [
        *differences(read_tree(mine), read_tree(pips)),
        *differences(listed(mine), listed(pips)),
        *untrue_rows(mine),
    ]


def _compare(
    pip: Pip,
    lock: Path,
    folder: Path,
    *options: str,
    where: tuple[str | Path, ...] = (),
) -> tuple[int, list[str]]:
    """Return how many files were compared, and what is not the same."""
    mine, pips = folder / "mvenv", folder / "pip"
    # By itself bytecode is as its source's date makes it, in pip's environments too.
    options = ("--no-root", "--no-bytecode", *options)
    created = mvenv_create(mine, "--from", lock, *options)
    requirements = folder / "requirements.txt"
    requirements.write_text(requirements_of(mine))
    pip.make(pips, created["python"], *where, "-r", requirements)
    files = sum(entry.content != "folder" for entry in read_tree(pips).values())
    return files, _unlike(mine, pips)


def test_the_example_is_what_pip_makes(pip: Pip, tmp_path: Path) -> None:
    files, unlike = _compare(pip, EXAMPLE, tmp_path)

    assert unlike == []
    assert files > 1000


@pytest.mark.slow
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("stack", list(STACKS))
def test_a_real_stack_is_what_pip_makes(
    *,
    stack: str,
    python: str,
    pip: Pip,
    interpreters: Interpreters,
    record_property: Record,
    tmp_path: Path,
) -> None:
    executable = str(interpreters.get(python).executable)
    lock = LOCKS / stack / "poetry.lock"

    files, unlike = _compare(
        pip, lock, tmp_path, "--all-groups", "--python", executable
    )

    record_property("files", files)
    assert unlike == []
    assert files > STACKS[stack]


def test_what_is_compiled_is_what_pip_compiles(pip: Pip, tmp_path: Path) -> None:
    mine, pips = tmp_path / "mvenv", tmp_path / "pip"
    created = mvenv_create(mine, "--from", EXAMPLE, "--no-root")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(requirements_of(mine))
    pip.make(pips, created["python"], "-r", requirements)
    site = next(pips.glob("lib/python*/site-packages"))
    command = [created["python"], "-m", "compileall", "-q", str(site)]
    # It fails where one file is no source for this interpreter, and goes on.
    subprocess.run(command, check=False, capture_output=True)
    compiled = {
        place: {path.relative_to(place).as_posix() for path in place.rglob("*.pyc")}
        for place in (mine, pips)
    }

    assert compiled[mine] == compiled[pips]
    assert len(compiled[mine]) > 500


def test_copies_are_what_pip_makes(pip: Pip, tmp_path: Path) -> None:
    lock = LOCKS / "small" / "poetry.lock"

    files, unlike = _compare(pip, lock, tmp_path, "--link-mode", "copy", "--no-seal")

    assert unlike == []
    assert files > 150


def _one_by_one(
    pip: Pip, names: Collection[str], folder: Path, write: PylockWriter
) -> tuple[int, dict[str, list[str]]]:
    """Return how many files were compared, and by wheel what is not the same."""
    wheels = folder / "wheels"
    pip("download", "--quiet", "--no-deps", "--only-binary=:all:", "-d", wheels, *names)

    def compare(wheel: Path) -> tuple[int, list[str]]:
        place = folder / wheel.stem
        place.mkdir()
        lock = write(wheel, path=place / "pylock.toml")
        return _compare(pip, lock, place, where=("--no-index", "--find-links", wheels))

    found = sorted(wheels.iterdir())
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        answers = dict(zip(found, pool.map(compare, found), strict=True))
    assert len(found) == len(names)
    files = sum(count for count, _ in answers.values())
    return files, {wheel.name: lines for wheel, (_, lines) in answers.items() if lines}


def test_odd_wheels_are_what_pip_makes(
    pip: Pip, tmp_path: Path, write_pylock: PylockWriter
) -> None:
    files, unlike = _one_by_one(pip, ODD, tmp_path, write_pylock)

    assert unlike == {}
    assert files > 500


@pytest.mark.slow
def test_each_of_the_most_used_wheels_is_what_pip_makes(
    pip: Pip, record_property: Record, tmp_path: Path, write_pylock: PylockWriter
) -> None:
    files, unlike = _one_by_one(pip, TOP100, tmp_path, write_pylock)

    record_property("files", files)
    assert unlike == {}
    assert len(TOP100) == 100
