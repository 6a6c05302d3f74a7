"""What happens to environments every day is no fault, and no byte is written here."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from diagnose.conftest import Scene, make_wheels, put, write_through
from kit.lockfiles import PylockWriter
from kit.sdists import ProjectMaker
from kit.wheels import WheelMaker
from mvenv.diagnose.model import Level


def run(*command: str | Path) -> None:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def everything(*folders: Path) -> dict[str, tuple[int, ...]]:
    """Return all that a stat says of all names, but for the time of reading."""
    found: dict[str, tuple[int, ...]] = {}
    for folder in folders:
        for base, names, files in os.walk(folder):
            for name in (".", *names, *files):
                path = os.path.join(base, name)
                seen = os.lstat(path)
                found[path] = (
                    seen.st_mode,
                    seen.st_ino,
                    seen.st_nlink,
                    seen.st_uid,
                    seen.st_size,
                    seen.st_mtime_ns,
                    seen.st_ctime_ns,
                )
    return found


@pytest.mark.parametrize("level", list(Level))
def test_a_look_writes_nothing(scene: Scene, tmp_path: Path, level: Level) -> None:
    """Also where much is wrong: not a date, not a link count, not a lock file."""
    write_through(scene.site / "tools/code.py", b"mine = 1\n")
    put(scene.site / "plain/a.py", b"")
    os.utime(scene.site / "plain/b.py")
    (scene.site / "tools/part1.py").unlink()
    shutil.rmtree(scene.site / "single-3.1.dist-info")
    (scene.env / "bin/python").unlink()
    before = everything(tmp_path)

    assert len(scene.look(level, scrub=1.0).findings) >= 5
    assert everything(tmp_path) == before


@pytest.fixture
def with_pip(scene: Scene, tmp_path: Path) -> Scene:
    """Return an environment with pip, and with a sibling that has everything too."""
    env = tmp_path / "with-pip"
    scene.create(env, "--seed")
    return Scene(scene.mvenv, scene.lock, env, scene.sibling, scene.mode)


def pip(scene: Scene, *words: str | Path) -> None:
    links = ("--no-index", "--find-links", scene.lock.parent / "wheels")
    command = (scene.env / "bin/python", "-m", "pip", "-q")
    where = links if words[0] == "install" else ()
    run(*command, words[0], *where, *words[1:])


def told(scene: Scene) -> set[tuple[str, str | None]]:
    """Return what is told, after seeing that nothing of it is a fault."""
    for level in Level:
        assert [(one.code, one.path) for one in scene.faults(level)] == []
        assert [
            (one.code, one.path) for one in scene.faults(level, scene.sibling)
        ] == []
    return {(one.code, one.distribution) for one in scene.drifts()}


def test_a_life_with_pip(with_pip: Scene, make_wheel: WheelMaker) -> None:
    scene = with_pip
    make_wheel("tools", "3.0", {"tools/__init__.py": "version = 3\n"})
    make_wheel("guest", "1.0", {"guest/__init__.py": "", "plain_extra.py": "x = 1\n"})
    assert told(scene) == set()

    run(scene.env / "bin/python", "-c", "import tools.code, plain.a, single")
    assert told(scene) == set()
    pip(scene, "install", "guest")
    assert told(scene) == {("F24", "guest")}
    pip(scene, "uninstall", "-y", "single")
    assert told(scene) == {("F24", "guest"), ("F02u", "single")}
    pip(scene, "install", "tools==3.0")
    changed = {("F24", "guest"), ("F02u", "single"), ("F24", "tools")}
    assert told(scene) == changed | {("F15", "plain")}
    pip(scene, "install", "tools==2.0")
    assert told(scene) == changed
    pip(scene, "uninstall", "-y", "guest")
    pip(scene, "install", "single")
    assert told(scene) == {("F24", "single"), ("F24", "tools")}


def test_installed_again(with_pip: Scene) -> None:
    pip(with_pip, "install", "--force-reinstall", "--no-deps", "plain")

    assert told(with_pip) == {("F24", "plain"), ("F15", "tools")}


def test_an_editable_project(with_pip: Scene, make_project: ProjectMaker) -> None:
    project = make_project("mine", "0.1")
    pip(with_pip, "install", "--no-build-isolation", "-e", project)

    assert told(with_pip) == {("F24", "mine")}


def sibling_deleted(scene: Scene) -> None:
    other = scene.env.parent / "another"
    scene.create(other)
    shutil.rmtree(other)


def copied(scene: Scene) -> None:
    run("cp", "-a", scene.env, scene.env.parent / "copy")


def archived(scene: Scene) -> None:
    run("tar", "cf", scene.env.parent / "all.tar", "-C", scene.env, ".")


def tightened(scene: Scene) -> None:
    run("chmod", "-R", "go-w", scene.env)


def read(scene: Scene) -> None:
    run("grep", "-rq", "value_1", scene.site)


def linked_elsewhere(scene: Scene) -> None:
    run("cp", "-al", scene.env, scene.env.parent / "backup")


_EVENTS = [sibling_deleted, copied, archived, tightened, read, linked_elsewhere]


@pytest.mark.parametrize("event", _EVENTS)
def test_a_day(any_scene: Scene, event: object) -> None:
    """Link counts and dates of inodes move, and nothing is hashed for it."""
    assert callable(event)
    event(any_scene)

    looked = any_scene.look()
    assert (looked.findings, looked.rehashed) == ((), 0)


def test_everything_was_touched(any_scene: Scene) -> None:
    """As by a backup that is put back without its dates."""
    for path in all_files(any_scene.env):
        os.utime(path, follow_symlinks=False)

    looked = any_scene.look()
    assert looked.findings == ()
    assert len(looked.touched) == looked.rehashed == looked.checked


def all_files(folder: Path) -> Iterator[Path]:
    return (
        path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()
    )


def test_a_sibling_of_another_lock(
    scene: Scene, make_wheel: WheelMaker, write_pylock: PylockWriter
) -> None:
    lock = write_pylock(make_wheels(make_wheel)[1], path=scene.env.parent / "b.toml")
    scene.mvenv.create(scene.env.parent / "b", lock)

    assert scene.look(Level.FULL).findings == ()
