"""What the user installed by hand: with a real pip, inside a real environment."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.snapshots import Entry, tree_snapshot
from kit.wheels import WheelMaker
from mvenv.env.receipt import FOLDER


def site(environment: Path) -> Path:
    """Return the environment's site-packages."""
    return next(environment.glob("lib/python3*/site-packages"))


def installed(environment: Path) -> dict[str, Entry]:
    """Return all that is in the environment but for our own folder and bytecode."""
    return {
        path: entry
        for path, entry in tree_snapshot(environment).items()
        if path.split("/")[0] != FOLDER and "__pycache__" not in path
    }


def pip(environment: Path, *arguments: str | Path) -> None:
    """Run the environment's own pip, which has to work."""
    done = subprocess.run(
        [
            environment / "bin" / "python",
            "-m",
            "pip",
            "--disable-pip-version-check",
            *arguments,
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PIP_NO_INDEX": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def sync(mvenv: Runner, environment: Path, *options: str | Path) -> str:
    """Run `mvenv sync`, which has to work, and return what it said."""
    outcome = mvenv("sync", environment, *options)
    assert outcome.code == 0, outcome.err
    return outcome.out


@pytest.fixture
def lock(make_wheel: WheelMaker, write_pylock: PylockWriter) -> Path:
    """Return a lock of two wheels."""
    points = "[console_scripts]\nalpha = alpha:main\n"
    return write_pylock(
        make_wheel(
            "alpha",
            "1.0",
            {"alpha/__init__.py": "def main(): print(1)\n", "alpha/old.py": "o = 1\n"},
            entry_points=points,
        ),
        make_wheel("beta", "1.0"),
    )


@pytest.fixture
def env(mvenv: Runner, lock: Path, tmp_path: Path) -> Path:
    """Return an environment with pip in it."""
    mvenv.create(tmp_path / "env", lock, "--seed")
    return tmp_path / "env"


def test_what_pip_added_is_left_or_taken_out_and_comes_back(
    mvenv: Runner, env: Path, make_wheel: WheelMaker
) -> None:
    before = installed(env)
    extra = make_wheel(
        "extra",
        "3.0",
        {"extra/__init__.py": "e = 1\n", "extra.pth": "#\n"},
        entry_points="[console_scripts]\nextra = extra:main\n",
    )
    pip(env, "install", extra)
    added = installed(env)

    said = sync(mvenv, env)
    assert "nothing to do" in said
    assert "extra 3.0 (by pip): installed by hand, left" in said
    assert installed(env) == added

    said = sync(mvenv, env, "--exact")
    assert "extra 3.0 (by pip): taken out" in said
    assert installed(env) == before
    assert not list(site(env).glob("extra*"))
    assert not (env / FOLDER / "rescued").exists()

    back = mvenv("rollback", env)
    assert "1 there again" in back.out
    assert "extra 3.0: installed by hand, there again" in back.out
    assert installed(env) == added
    subprocess.run([env / "bin" / "python", "-c", "import extra"], check=True)
    redone = mvenv("rollback", env)
    assert "1 taken out" in redone.out
    assert "extra 3.0 (by pip): taken out" in redone.out
    assert installed(env) == before


def test_an_upgrade_goes_back_to_the_lock(
    mvenv: Runner, env: Path, make_wheel: WheelMaker
) -> None:
    before = installed(env)
    newer = make_wheel(
        "alpha",
        "2.0",
        {"alpha/__init__.py": "def main(): print(2)\n", "alpha/new.py": "n = 1\n"},
        entry_points="[console_scripts]\nalpha = alpha:main\nalpha2 = alpha:main\n",
    )
    pip(env, "install", newer)
    upgraded = installed(env)

    said = sync(mvenv, env)
    assert "alpha: files put back" in said
    assert "alpha 2.0 (by pip): taken out" in said
    assert installed(env) == before
    assert not (env / FOLDER / "rescued").exists()

    assert mvenv("rollback", env).code == 0
    assert installed(env) == upgraded
    assert mvenv("rollback", env).code == 0
    assert installed(env) == before
    assert not (env / FOLDER / "rescued").exists()


def test_an_uninstall_goes_back_to_the_lock(mvenv: Runner, env: Path) -> None:
    before = installed(env)
    pip(env, "uninstall", "-y", "alpha")
    without = installed(env)

    assert "alpha: files put back" in sync(mvenv, env)
    assert installed(env) == before
    assert mvenv("rollback", env).code == 0
    assert installed(env) == without


def test_a_reinstall_is_shared_again(
    mvenv: Runner, env: Path, make_wheel: WheelMaker
) -> None:
    before = installed(env)
    same = make_wheel.folder / "beta-1.0-py3-none-any.whl"
    pip(env, "install", "--force-reinstall", same)
    assert installed(env) != before

    sync(mvenv, env)
    assert installed(env) == before


def test_an_edit_of_what_is_taken_out_is_rescued(
    mvenv: Runner, env: Path, make_wheel: WheelMaker
) -> None:
    pip(env, "install", make_wheel("extra", "3.0"))
    (site(env) / "extra" / "__init__.py").write_text("mine\n")
    (site(env) / "extra" / "notes.txt").write_text("notes\n")

    said = sync(mvenv, env, "--exact")
    assert "1 file of yours kept elsewhere" in said
    (kept,) = (env / FOLDER / "rescued").rglob("__init__.py")
    assert kept.read_text() == "mine\n"
    assert (site(env) / "extra" / "notes.txt").read_text() == "notes\n"


def test_a_record_cannot_reach_out_of_the_environment(
    mvenv: Runner, env: Path, make_wheel: WheelMaker, tmp_path: Path
) -> None:
    pip(env, "install", make_wheel("extra", "3.0"))
    outside = tmp_path / "outside.txt"
    outside.write_text("not yours\n")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file.txt").write_text("not yours\n")
    (site(env) / "linked").symlink_to(tmp_path / "there")
    record = site(env) / "extra-3.0.dist-info" / "RECORD"
    rows = (
        os.path.relpath(outside, site(env)),
        str(outside),
        "../../../bin/python",
        "../../../pyvenv.cfg",
        "../../../.mvenv/receipt",
        "linked/file.txt",
        "beta/__init__.py",
    )
    record.write_text(record.read_text() + "".join(f"{row},,\n" for row in rows))

    mvenv("sync", env, "--exact")
    assert outside.read_text() == "not yours\n"
    assert (tmp_path / "there" / "file.txt").exists()
    subprocess.run([env / "bin" / "python", "-c", "import beta"], check=True)
    assert (env / "pyvenv.cfg").exists()
    assert (env / FOLDER / "receipt").exists()
