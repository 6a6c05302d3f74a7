"""What lies in an environment, or around it, is not deleted with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.filesystems import Filesystems
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker


@pytest.fixture
def wheel(make_wheel: WheelMaker) -> Path:
    """Return one small wheel."""
    return make_wheel("demo")


@pytest.fixture
def lock(wheel: Path, write_pylock: PylockWriter) -> Path:
    """Return a lock of it."""
    return write_pylock(wheel)


def _environment(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\n")
    return folder


def test_a_project_that_is_an_environment_too(
    mvenv: Runner, wheel: Path, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    project = _environment(tmp_path / "project")
    (project / "thesis.py").write_text("precious")
    lock = write_pylock(wheel, path=project / "pylock.toml")
    outcome = mvenv("create", project, "--from", lock, "--clear")

    assert outcome.code == 17
    assert "what is locked" in outcome.err
    assert (project / "thesis.py").read_text() == "precious"


@pytest.mark.parametrize("name", [".git", "pyproject.toml", "setup.py", "src/x/.git"])
def test_somebodys_own_work(
    mvenv: Runner, lock: Path, tmp_path: Path, name: str
) -> None:
    env = _environment(tmp_path / "env")
    (env / name).parent.mkdir(parents=True, exist_ok=True)
    (env / name).write_text("precious")
    outcome = mvenv("create", env, "--from", lock, "--clear")

    assert outcome.code == 17
    assert name.removesuffix("/.git") in outcome.err
    assert (env / name).read_text() == "precious"


def test_a_wheel_that_the_lock_names(
    mvenv: Runner, wheel: Path, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    env = _environment(tmp_path / "env")
    inside = env / wheel.name
    inside.write_bytes(wheel.read_bytes())
    outcome = mvenv("create", env, "--from", write_pylock(inside), "--clear")

    assert outcome.code == 17
    assert inside.exists()


def test_the_environment_that_runs_mvenv(lock: Path, tmp_path: Path) -> None:
    env = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", env], check=True)
    [site] = env.glob("lib/python3*/site-packages")
    (site / "ours.pth").write_text("\n".join(path for path in sys.path if path))
    done = subprocess.run(
        [env / "bin/python", "-m", "mvenv", "create", env, "--from", lock, "--clear"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 17, done.stderr
    assert "mvenv itself" in done.stderr
    assert (site / "ours.pth").exists()


@pytest.mark.parametrize("store", ["env/store", "env", "."])
@pytest.mark.parametrize("exists", [True, False])
def test_environment_and_store_are_not_one_in_the_other(
    mvenv: Runner, lock: Path, tmp_path: Path, store: str, exists: bool
) -> None:
    outer = tmp_path / "outer"
    env = outer / "env"
    if exists:
        _environment(env)
    # By another name of the same folder.
    (tmp_path / "other").symlink_to(outer)
    place = tmp_path / "other" / store
    outcome = mvenv("create", env, "--from", lock, "--clear", store=place)

    assert outcome.code == 17
    assert "inside the other" in outcome.err
    assert env.exists() is exists
    assert not (outer / "FORMAT").exists()


@pytest.mark.filesystems
def test_what_is_mounted_inside(mvenv: Runner, lock: Path, tmp_path: Path) -> None:
    env = tmp_path / "env"
    mvenv.create(env, lock)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("precious")
    mounts = Filesystems(env)
    try:
        bound = mounts.bind(precious)
        outcome = mvenv("create", env, "--from", lock, "--clear")

        assert outcome.code == 17
        assert str(bound) in outcome.err
        assert os.listdir(precious) == ["thesis.txt"]
    finally:
        mounts.close()
    mvenv.create(env, lock, "--clear")
