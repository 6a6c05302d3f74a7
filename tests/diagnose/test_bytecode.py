"""Bytecode that does not fit, and all that is as it may be."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from diagnose.conftest import Scene
from kit.interpreters import Interpreters
from mvenv.diagnose.model import HealClass, Level


@pytest.fixture
def compiled(scene: Scene) -> Scene:
    """Return an environment whose modules have bytecode that Python made."""
    python = str(scene.env / "bin/python")
    subprocess.run(
        [python, "-m", "compileall", "-q", "-f", str(scene.site)],
        check=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
    )
    return scene


def one_of(scene: Scene) -> Path:
    return next((scene.site / "tools/__pycache__").glob("code.*.pyc"))


def test_bytecode_is_no_news(compiled: Scene) -> None:
    assert one_of(compiled).exists()
    assert compiled.look().findings == ()
    assert compiled.look(Level.FULL).findings == ()


def test_that_of_another_interpreter_is_no_news(
    compiled: Scene, interpreters: Interpreters
) -> None:
    for other in ("3.9", "3.13"):
        command = [str(interpreters.get(other).executable), "-m", "compileall", "-q"]
        subprocess.run([*command, str(compiled.site)], check=True)

    assert compiled.look(Level.FULL).findings == ()


@pytest.mark.parametrize(
    ("start", "content"),
    [
        (0, b"\0\0\0\0"),
        (4, b"\xff\xff"),
        (8, b"\x01\x01\x01\x01"),
        (12, b"\x09"),
        (16, b"\xf3\0\0\0"),
        (16, b"garbage"),
    ],
)
def test_bytecode_that_does_not_fit(
    compiled: Scene, start: int, content: bytes
) -> None:
    place = one_of(compiled)
    with place.open("r+b") as stream:
        stream.seek(start)
        stream.write(content)

    found = compiled.only(Level.FULL)
    assert (found.code, found.heal) == ("F18", HealClass.PLAIN)
    assert found.path == str(place.relative_to(compiled.env))


@pytest.mark.parametrize("size", [0, 7, 16, 60])
def test_bytecode_that_is_cut_off(compiled: Scene, size: int) -> None:
    os.truncate(one_of(compiled), size)

    assert compiled.only(Level.FULL).code == "F18"


def test_that_of_another_interpreter_that_is_cut_off(compiled: Scene) -> None:
    """It is judged by its header alone: nobody here can unmarshal it."""
    place = one_of(compiled)
    other = place.with_name("code.cpython-38.pyc")
    place.rename(other)
    assert compiled.look(Level.FULL).findings == ()
    os.truncate(other, 7)

    assert compiled.only(Level.FULL).path == str(other.relative_to(compiled.env))


def test_bytecode_without_a_source_is_left_alone(compiled: Scene) -> None:
    place = one_of(compiled)
    place.rename(place.with_name(place.name.replace("code.", "gone.")))
    (compiled.site / "tools/shipped.pyc").write_bytes(b"anything")

    found = compiled.look(Level.FULL).findings
    assert {one.code for one in found} == {"F14"}


def test_bytecode_that_is_checked_by_hash_may_be_old(compiled: Scene) -> None:
    command = [str(compiled.env / "bin/python"), "-m", "compileall", "-qf"]
    command += ["--invalidation-mode", "unchecked-hash", str(compiled.site)]
    subprocess.run(command, check=True)

    assert compiled.look(Level.FULL).findings == ()
