"""Interpreter, settings, links, lock and disk of an environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from diagnose.conftest import Scene, make_scene
from kit.commands import Runner
from kit.interpreters import Interpreters
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv.diagnose.examination import examine
from mvenv.diagnose.model import HealClass, Level

A, B, C = HealClass.PLAIN, HealClass.FIX, HealClass.REPORT


@pytest.fixture
def own_python(tmp_path: Path) -> Path:
    """Return an interpreter of the test's own, over the real library."""
    real = Path(os.path.realpath(sys.executable))
    program = tmp_path / "python" / "bin" / real.name
    program.parent.mkdir(parents=True)
    shutil.copy2(real, program)
    (tmp_path / "python" / "lib").symlink_to(real.parent.parent / "lib")
    return program


@pytest.fixture
def bound(scene: Scene, own_python: Path, tmp_path: Path) -> Scene:
    """Return an environment of an interpreter that can be taken away."""
    env = tmp_path / "bound"
    scene.create(env, "--python", own_python)
    return Scene(scene.mvenv, scene.lock, env, scene.sibling, scene.mode)


def test_the_interpreter_is_gone(bound: Scene, own_python: Path) -> None:
    assert bound.look(Level.FULL).findings == ()
    shutil.rmtree(own_python.parent)

    found = bound.look(Level.FULL).findings
    assert {(one.code, one.heal) for one in found} == {("F30", B)}
    assert {one.path for one in found} == {"bin/python", "pyvenv.cfg"}


def test_the_interpreter_was_upgraded(bound: Scene, own_python: Path) -> None:
    seen = own_python.stat()
    os.utime(own_python, ns=(seen.st_atime_ns, seen.st_mtime_ns + 10**9))

    assert (bound.only().code, bound.only().heal) == ("F31", A)


def test_the_interpreter_is_another_one(
    bound: Scene, own_python: Path, interpreters: Interpreters
) -> None:
    other = interpreters.get("3.12" if sys.version_info[:2] != (3, 12) else "3.11")
    own_python.unlink()
    own_python.symlink_to(other.executable)

    found = [one for one in bound.look().findings if one.path == "bin/python"]
    assert [(one.code, one.heal) for one in found] == [("F32", C)]


def test_wheels_do_not_fit_the_interpreter_any_more(
    scene: Scene, own_python: Path, make_wheel: WheelMaker, write_pylock: PylockWriter
) -> None:
    """As where the same version was built anew with another ABI."""
    short = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    tag = f"{short}-{short}-linux_{os.uname().machine}"
    wheel = make_wheel("native", "1.0", {"native.py": ""}, tag=tag)
    env = own_python.parent.parent.parent / "native"
    scene.mvenv.create(env, write_pylock(wheel), "--python", own_python)
    seen = own_python.stat()
    os.utime(own_python, ns=(seen.st_atime_ns, seen.st_mtime_ns + 10**9))
    assert scene.only(env=env).code == "F31"

    subject = scene.subject(env)
    assert subject.plan is not None
    [one] = subject.plan.distributions
    name = "native-1.0-cp39-cp39-linux_" + os.uname().machine + ".whl"
    other = replace(
        subject,
        plan=replace(subject.plan, distributions=(replace(one, filename=name),)),
    )
    found = examine(other, Level.QUICK, scrub_seconds=0).findings
    assert [(one.code, one.heal) for one in found] == [("F32", C)]


def test_the_interpreter_does_not_work(bound: Scene, own_python: Path) -> None:
    own_python.write_text("#!/bin/sh\nexit 3\n")

    assert (bound.only().code, bound.only().heal) == ("F30", B)


def test_a_link_to_another_interpreter(
    scene: Scene, interpreters: Interpreters
) -> None:
    other = interpreters.get("3.12" if sys.version_info[:2] != (3, 12) else "3.11")
    name = Path(scene.receipt().interpreter).name
    for link in ("python", "python3", name):
        (scene.env / "bin" / link).unlink(missing_ok=True)
        (scene.env / "bin" / link).symlink_to(other.executable)

    assert {one.code for one in scene.look().findings} == {"F32"}


@pytest.mark.parametrize("name", ["python", "python3"])
def test_a_link_that_is_gone_or_leads_nowhere(scene: Scene, name: str) -> None:
    place = scene.env / "bin" / name
    place.unlink()
    assert (scene.only().code, scene.only().heal) == ("F03", A)

    place.symlink_to("python-that-is-gone")
    assert (scene.only().code, scene.only().path) == ("F03", f"bin/{name}")


def test_lib64_leads_elsewhere(scene: Scene, tmp_path: Path) -> None:
    place = scene.env / "lib64"
    if not place.is_symlink():
        pytest.skip("this interpreter makes none")
    place.unlink()
    place.symlink_to(tmp_path)

    assert (scene.only().code, scene.only().path) == ("F03", "lib64")


def test_settings_without_a_home(scene: Scene) -> None:
    (scene.env / "pyvenv.cfg").write_text("version = 3\n")

    assert "F30" in {one.code for one in scene.look().findings}


def test_settings_that_the_user_changed_are_drift(scene: Scene) -> None:
    place = scene.env / "pyvenv.cfg"
    place.write_text(place.read_text() + "mine = true\n")

    assert (scene.only().code, scene.only().drift) == ("F10", True)


def test_a_script_is_missing_or_changed(scene: Scene) -> None:
    place = scene.env / "bin/run-tools"
    content = place.read_text()
    place.unlink()
    assert (scene.only().code, scene.only().heal) == ("F26", A)

    place.write_text("#!/gone/python\n" + content.partition("\n")[2])
    place.chmod(0o755)
    assert (scene.only().code, scene.only().heal) == ("F26", A)


def test_activation_is_missing(scene: Scene) -> None:
    (scene.env / "bin/activate").unlink()

    assert (scene.only().code, scene.only().distribution) == ("F26", None)


def test_the_lock_has_changed(scene: Scene) -> None:
    scene.lock.write_text(scene.lock.read_text() + "# more\n")
    assert (scene.only().code, scene.only().drift) == ("F27", True)

    scene.lock.unlink()
    assert scene.look().findings == ()


def test_every_file_system_is_healthy_and_tells_when_it_is_read_only(
    each_filesystem: Path,
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
) -> None:
    store = Runner(each_filesystem / "store", mvenv.capsys)
    scene = make_scene("auto", store, make_wheel, write_pylock, each_filesystem)
    assert scene.look(Level.FULL).findings == ()

    bind = ["mount", "--bind", str(each_filesystem), str(each_filesystem)]
    subprocess.run(bind, check=True)
    try:
        again = ["mount", "-o", "remount,bind,ro", str(each_filesystem)]
        subprocess.run(again, check=True)
        found = scene.only(Level.FULL)
        assert (found.code, found.heal) == ("F37", C)
        assert found.detail == "is on a read-only file system"
    finally:
        subprocess.run(["umount", str(each_filesystem)], check=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to(scene: Scene) -> None:
    scene.env.chmod(0o555)
    try:
        assert scene.only().code == "F37"
    finally:
        scene.env.chmod(0o755)
