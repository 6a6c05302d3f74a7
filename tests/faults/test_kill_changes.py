"""Killed while it heals, syncs, adopts, edits or prunes: the old or the new bytes.

`kit.kills.World` says what must hold: under each name the bytes of before or those of
an undisturbed run, no entry of the store in use that is torn, nothing of the user's
lost, and the same command again finishes. A sample of all calls; every one by::

    MVENV_FULL_FAULTS=1 python -m pytest -m slow tests/faults/test_kill_changes.py -n 2
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from kit.faults import spread
from kit.kills import World
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker

pytestmark = pytest.mark.slow

EDIT = b"edited = True\n"
NOTHING: frozenset[str] = frozenset()


def _inputs(world: World) -> Path:
    """Make wheels and lockfiles, and return their folder."""
    folder = world.base / "inputs"
    make, write = WheelMaker(folder=folder), PylockWriter(folder=folder)
    files: dict[str, str | bytes] = {
        "alpha/__init__.py": "def main(): return 0\n",
        "alpha/empty.py": "",
        "alpha/data.bin": b"0123456789abcdef" * 700,
        "alpha-1.0.data/scripts/alpha-tool": "#!python\nprint('tool')\n",
    }
    alpha = make("alpha", files=files, entry_points="[console_scripts]\na = alpha:main")
    newer = make(
        "alpha",
        "2.0",
        files={"alpha/__init__.py": "new = 2\n", "alpha/data.bin/x": "a folder now\n"},
    )
    beta = make("beta", files={"beta/__init__.py": "beta = 1\n", "beta/gone.py": "1\n"})
    gamma = make("gamma", files={"gamma.py": "gamma = 1\n"})
    write(alpha, beta, path=folder / "pylock.old.toml")
    write(newer, gamma, path=folder / "pylock.new.toml")
    return folder


def _module(environment: Path, name: str) -> Path:
    [found] = environment.glob(f"lib/python*/site-packages/{name}")
    return found


def _create(world: World, name: str = "env", *options: str, lock: str = "old") -> Path:
    lockfile = world.base / "inputs" / f"pylock.{lock}.toml"
    world.mvenv("create", world.place / name, "--from", lockfile, *options)
    return world.place / name


def _edit(path: Path) -> str:
    """Edit in place, as root or a stubborn editor would; return the new hash."""
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + EDIT)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def one_environment(world: World) -> frozenset[str]:
    """Make an environment with a file of the user's in it."""
    _inputs(world)
    mine = _create(world) / "mine.txt"
    mine.write_text("of the user\n")
    return frozenset({hashlib.sha256(mine.read_bytes()).hexdigest()})


def synced(world: World) -> frozenset[str]:
    """Make an environment and sync it."""
    user = one_environment(world)
    lockfile = world.base / "inputs" / "pylock.new.toml"
    world.mvenv("sync", world.place / "env", "--from", lockfile)
    return user


def edited_in_place(world: World) -> frozenset[str]:
    """Edit a shared file, lose others, and damage the store."""
    user = one_environment(world)
    env = world.place / "env"
    _create(world, "two")
    edited = _edit(_module(env, "beta/__init__.py"))
    _module(env, "alpha/empty.py").unlink()
    shutil.rmtree(_module(env, "alpha-1.0.dist-info"))
    _module(world.place / "two", "alpha/data.bin").unlink()
    (env / "bin" / "a").write_text("")
    return user | {edited}


def without_store(world: World) -> frozenset[str]:
    """Lose all wheels that two environments have."""
    user = one_environment(world)
    _create(world, "two", lock="new")
    shutil.rmtree(world.store / "wheels")
    (world.store / "wheels").mkdir()
    return user


def of_another_tool(world: World) -> frozenset[str]:
    """Make an environment of copies that nobody knows."""
    user = one_environment(world)
    shutil.rmtree(world.place / "env")
    env = _create(world, "env", "--link-mode", "copy")
    (env / "mine.txt").write_text("of the user\n")
    edited = _edit(_module(env, "beta/__init__.py"))
    shutil.rmtree(env / ".mvenv")
    shutil.rmtree(world.store)
    return user | {edited}


def under_edit(world: World) -> frozenset[str]:
    """Make a distribution's files private, and edit one."""
    user = one_environment(world)
    world.mvenv("edit", world.place / "env", "beta")
    return user | {_edit(_module(world.place / "env", "beta/__init__.py"))}


class Scene(NamedTuple):
    """What is prepared, and what is killed."""

    prepare: Callable[[World], frozenset[str]]
    command: tuple[str, ...]
    points: int
    """In the sample."""


ENV = "{world}/env"
SCENES = {
    "sync": Scene(
        one_environment, ("sync", ENV, "--from", "inputs/pylock.new.toml"), 24
    ),
    "rollback": Scene(synced, ("rollback", ENV), 16),
    "heal": Scene(
        edited_in_place, ("doctor", ENV, "{world}/two", "--full", "--fix"), 30
    ),
    "rebuild": Scene(without_store, ("doctor", "--all", "--offline"), 24),
    "adopt": Scene(of_another_tool, ("adopt", ENV), 24),
    "edit": Scene(one_environment, ("edit", ENV, "alpha"), 12),
    "undo an edit": Scene(under_edit, ("edit", ENV, "beta", "--undo"), 12),
}


@pytest.mark.parametrize("name", SCENES)
def test_killed_at_any_call(name: str, tmp_path: Path) -> None:
    scene = SCENES[name]
    world = World(base=tmp_path, command=scene.command, toggles=name == "rollback")
    points = spread(world.set_up(scene.prepare), scene.points)

    assert len(points) >= scene.points
    found = [(call, world.kill(call)) for call in points]
    wrong = [f"{call}: {'; '.join(those)}" for call, those in found if those]
    if wrong:
        pytest.fail("\n".join(wrong))
    assert world.fired > 0.9 * len(points)
