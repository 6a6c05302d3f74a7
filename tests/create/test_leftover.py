"""What stays of an environment that was replaced is told, and fails nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv.store.durability import boot_id
from mvenv.store.layout import open_layout
from mvenv.store.runs import RunFolder


@pytest.fixture
def lock(make_wheel: WheelMaker, write_pylock: PylockWriter) -> Path:
    """Return a lock of one small wheel."""
    return write_pylock(make_wheel("demo"))


@pytest.fixture
def stuck(mvenv: Runner, lock: Path, tmp_path: Path) -> Iterator[Path]:
    """Return an environment with a file in it that nobody can delete."""
    mvenv.create(tmp_path / "env", lock)
    file = tmp_path / "env" / "stuck"
    file.write_text("old")
    if subprocess.run(["chattr", "+i", file], check=False).returncode:
        pytest.skip("no file can be made immutable here")
    yield tmp_path / "env"
    for found in tmp_path.rglob("stuck"):
        subprocess.run(["chattr", "-i", found], check=True)


def test_what_stays_of_the_old_one_is_told(
    mvenv: Runner, lock: Path, stuck: Path
) -> None:
    outcome = mvenv.create(stuck, lock, "--clear")
    [left] = stuck.parent.glob(".mvenv-build-*")

    assert "could not be deleted" in outcome.err
    assert f"`{left}`" in outcome.err
    assert [file.name for file in left.rglob("stuck")] == ["stuck"]
    assert not (stuck / "stuck").exists()
    assert (stuck / "pyvenv.cfg").exists()


def test_programs_are_told_too(mvenv: Runner, lock: Path, stuck: Path) -> None:
    outcome = mvenv.create(stuck, lock, "--clear", "--json")

    [warning] = json.loads(outcome.out)["warnings"]
    assert "could not be deleted" in warning


def test_nothing_is_told_where_nothing_stays(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    mvenv.create(tmp_path / "env", lock)
    outcome = mvenv.create(tmp_path / "env", lock, "--clear")

    assert "could not be deleted" not in outcome.err
    assert list(tmp_path.glob(".mvenv-build-*")) == []


def test_what_a_killed_run_left_in_the_store_goes_with_the_next(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    """What a living one has in it stays, and what another machine may be at."""
    mvenv.create(tmp_path / "first", lock)
    dead, others = (
        tmp_path / f"store/tmp/{boot}.1.00000000" for boot in (boot_id(), "another")
    )
    for folder in (dead, others):
        folder.mkdir()
        (folder / ".lock").touch()
        (folder / "half").write_text("a half of something", encoding="utf-8")
    with RunFolder(open_layout(tmp_path / "store")) as living:
        outcome = mvenv.create(tmp_path / "second", lock)

        assert living.path.is_dir()
    assert outcome.code == 0
    assert not dead.exists()
    assert others.exists()
