"""What mvenv made and somebody moved is first let be at home, and then adopted."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.snapshots import tree_snapshot
from kit.wheels import WheelMaker
from mvenv.env.receipt import read_receipt


@pytest.fixture
def environment(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> Path:
    """Return an environment with a script."""
    lock = write_pylock(
        make_wheel(
            "alpha",
            files={"alpha.py": "def main(): print('alpha')\n" * 200},
            entry_points="[console_scripts]\nalpha = alpha:main\n",
        )
    )
    mvenv.create(tmp_path / "env", lock)
    return tmp_path / "env"


def test_a_moved_one_is_refused_until_it_is_at_home(
    mvenv: Runner, environment: Path, tmp_path: Path
) -> None:
    moved = environment.rename(tmp_path / "moved")
    before, old = tree_snapshot(moved), read_receipt(moved)
    assert old is not None

    outcome = mvenv("adopt", moved)

    assert outcome.code == 17
    assert f"was made as `{environment}`" in outcome.err
    assert tree_snapshot(moved) == before
    assert mvenv("doctor", moved, "--fix").code == 0
    assert mvenv("adopt", moved).code == 0
    program = subprocess.run(
        [moved / "bin" / "alpha"], capture_output=True, check=True, text=True
    )
    assert program.stdout == "alpha\n"
    new = read_receipt(moved)
    assert new is not None
    assert (new.id, new.lockfile) == (old.id, old.lockfile)


def test_it_stays_the_same_under_another_name(
    mvenv: Runner, environment: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    old = read_receipt(environment)
    assert old is not None

    assert mvenv("adopt", tmp_path / "link" / "env").code == 0

    new = read_receipt(environment)
    assert new is not None
    assert (new.id, new.path, new.lockfile) == (old.id, old.path, old.lockfile)
