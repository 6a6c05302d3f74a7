"""Where mvenv cannot seed, virtualenv's own seeder does, and one line says so."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kit.filesystems import Filesystems
from kit.virtualenvs import Made, Virtualenv
from mvenv.store.entries import WheelStore
from mvenv.store.layout import StoreLayout, store_key
from mvenv.store.locking import alone

RUN = """
import os, signal, sys
from virtualenv import cli_run
import mvenv.integrations.seeding as seeding
{patch}
cli_run([sys.argv[1]])
"""


def _said(made: Made) -> list[str]:
    return [line for line in made.said.splitlines() if "without mvenv" in line]


def _check(made: Made, words: str) -> None:
    """Check that all is there, of copies, and that one line says why."""
    (said,) = _said(made)
    assert words in said
    assert "Traceback" not in made.said
    _is_whole(made)
    assert (made.site / "pip" / "__main__.py").stat().st_nlink == 1


def _is_whole(made: Made) -> None:
    assert "pip" in made.run("pip", "--version")
    (metadata,) = made.site.glob("pip-*.dist-info")
    assert (metadata / "RECORD").exists()
    assert not list(made.path.glob(".mvenv*"))


def _faults(store: Path) -> list[str]:
    """Return the stored files that are not what they must be."""
    held = WheelStore(StoreLayout(store))
    found = []
    for folder in store.glob("wheels/*/*"):
        wheel = held.find(store_key(folder.name))
        found += [str(fault.file) for fault in held.verify(wheel)] if wheel else []
    return found


def _file_in_its_place(store: Path) -> None:
    store.write_text("")


def _others_can_write(store: Path) -> None:
    store.mkdir()
    store.chmod(0o777)


def _newer(store: Path) -> None:
    store.mkdir()
    (store / "FORMAT").write_text("mvenv store 99\n")


def _foreign(store: Path) -> None:
    store.mkdir()
    (store / "thesis.tex").write_text("")


def _another_users(store: Path) -> None:
    if os.geteuid():
        pytest.skip("only root gives folders away")
    store.mkdir()
    os.chown(store, 12345, 12345)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_file_in_its_place, "is not a folder"),
        (_others_can_write, "can be written by other users"),
        (_newer, "mvenv store 99"),
        (_foreign, "holds other things"),
        (_another_users, "belongs to another user"),
    ],
)
def test_a_store_that_cannot_be_used(
    virtualenv: Virtualenv,
    tmp_path: Path,
    spoil: Callable[[Path], None],
    words: str,
) -> None:
    spoil(virtualenv.store)

    _check(virtualenv.make(tmp_path / "env"), words)


@pytest.mark.parametrize("variable", ["MVENV_LINK_MODE", "MVENV_BYTECODE"])
def test_a_setting_that_is_none(
    virtualenv: Virtualenv, tmp_path: Path, variable: str
) -> None:
    made = virtualenv.make(tmp_path / "env", **{variable: "sideways"})

    _check(made, "sideways")


def test_a_full_store(
    virtualenv: Virtualenv, filesystems: Filesystems, tmp_path: Path
) -> None:
    full = replace(virtualenv, store=filesystems.limited_tmpfs(2 << 20) / "store")

    made = full.make(tmp_path / "env")

    _check(made, "no space left")
    assert not list(full.store.glob("wheels/*/*"))


def test_another_file_system(
    virtualenv: Virtualenv, filesystems: Filesystems, tmp_path: Path
) -> None:
    """There mvenv copies, and with that nothing is wrong."""
    apart = replace(virtualenv, store=filesystems.limited_tmpfs(200 << 20) / "store")

    made = apart.make(tmp_path / "env")

    assert not _said(made)
    _is_whole(made)
    assert (made.site / "pip" / "__main__.py").stat().st_nlink == 1


def _spoilt(virtualenv: Virtualenv, place: Path, patch: str) -> Made:
    done = virtualenv.python("-c", RUN.format(patch=patch), place)
    assert done.returncode == 0, done.stdout + done.stderr
    return Made(path=place, said=done.stdout + done.stderr)


FULL = """
def fail(*_, **__):
    raise OSError(28, "No space left on device", "x")
seeding.fill = fail
"""
BUG = """
def fail(*_, **__):
    raise ZeroDivisionError
seeding.probe = fail
"""
ANOTHER_BUG = "seeding.inspect_interpreter = None"
HALF_AN_INSTALL = "sys.modules['mvenv.integrations.seeding'] = None"


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        (FULL, "no space left"),
        (BUG, "ZeroDivisionError"),
        (ANOTHER_BUG, "not callable"),
        (HALF_AN_INSTALL, "import"),
    ],
)
def test_what_comes_unawares(
    virtualenv: Virtualenv, tmp_path: Path, patch: str, words: str
) -> None:
    _check(_spoilt(virtualenv, tmp_path / "env", patch), words)


def test_a_store_from_which_somebody_deletes(warm: Virtualenv, tmp_path: Path) -> None:
    warm.make(tmp_path / "other")
    with alone(StoreLayout(warm.store)):
        made = _spoilt(warm, tmp_path / "env", "seeding._PATIENCE = 0.1")

    _check(made, "another mvenv")


UNFLUSHED = """
from mvenv.errors import SystemFault
import mvenv.integrations.seeds as seeds
def fail(*_):
    raise SystemFault("the disk reports an error")
seeds.flush_file_system = fail
"""


def test_a_disk_that_does_not_take_it(virtualenv: Virtualenv, tmp_path: Path) -> None:
    """What may be lost by the next start of the machine is not kept."""
    made = _spoilt(virtualenv, tmp_path / "env", UNFLUSHED)

    _check(made, "the disk reports an error")
    assert not list(virtualenv.store.glob("wheels/*/*"))
    assert not list((virtualenv.store / "ready").iterdir())


ONCE = """
import virtualenv.seed.embed.via_app_data.via_app_data as theirs
get = theirs.get_wheel
def count(**words):
    print(f"[looked for {words['distribution']}]")
    return get(**words)
theirs.get_wheel = count
def fail(*_, **__):
    raise ZeroDivisionError
seeding.probe = fail
"""


def test_wheels_are_looked_for_once(virtualenv: Virtualenv, tmp_path: Path) -> None:
    """They may have been downloaded."""
    made = _spoilt(virtualenv, tmp_path / "env", ONCE)

    _check(made, "ZeroDivisionError")
    assert made.said.count("[looked for pip]") == 1


HALF = """
rename = os.rename
done = []
def half(source, target):
    if seeding.SCRATCH in source:
        done.append(target)
        if len(done) > {count}:
            {then}
    rename(source, target)
os.rename = half
"""
FAIL = "raise OSError(5, 'Input/output error', target)"
KILL = "os.kill(os.getpid(), signal.SIGKILL)"


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4])
def test_it_fails_half_way(warm: Virtualenv, tmp_path: Path, count: int) -> None:
    """And nobody writes through the links that are there already."""
    patch = HALF.format(count=count, then=FAIL)

    made = _spoilt(warm, tmp_path / "env", patch)

    _check(made, "input/output error")
    assert _faults(warm.store) == []


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("second", ["app-data", "mvenv"])
def test_it_is_killed_half_way(
    warm: Virtualenv, tmp_path: Path, count: int, second: str
) -> None:
    place = tmp_path / "env"
    warm.make(tmp_path / "other")
    patch = HALF.format(count=count, then=KILL)
    killed = warm.python("-c", RUN.format(patch=patch), place)
    assert killed.returncode == -9
    assert list(place.glob(".mvenv-seed-*"))

    made = warm.make(place, seeder=second)

    assert not _said(made)
    if second == "mvenv":
        _is_whole(made)
    assert "pip" in made.run("pip", "--version")
    assert _faults(warm.store) == []


def test_a_wheel_that_virtualenv_cannot_get_is_its_own_fault(
    virtualenv: Virtualenv, tmp_path: Path
) -> None:
    """It fails as without us, once and not twice."""
    words = ["--pip", "0.0.1", "--no-download"]
    variables = {"PIP_NO_INDEX": "1", "PIP_INDEX_URL": "http://127.0.0.1:9/"}

    ours = virtualenv.attempt(tmp_path / "env", *words, **variables)

    theirs = replace(virtualenv).attempt(
        tmp_path / "theirs", *words, seeder="app-data", **variables
    )
    assert ours.returncode == theirs.returncode == 1
    assert "without mvenv" not in ours.stdout + ours.stderr
    assert ours.stdout.splitlines()[-1] == theirs.stdout.splitlines()[-1] != ""
