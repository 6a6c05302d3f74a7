"""tox with the runner `mvenv`, where somebody has things in an environment's folder."""

from __future__ import annotations

import shutil
import venv

import pytest

from integrations.conftest import Workplace, point_at
from kit.indexes import IndexMaker
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker

pytest.importorskip("tox")

SHOW = (
    "python -c \"import importlib.metadata as m; print('has', *sorted(d.name"
    " + '=' + d.version for d in m.distributions()))\""
)


def _ini(body: str) -> str:
    core = "requires = mvenv\nenv_list = a\nno_package = true"
    return f"[tox]\n{core}\n[testenv]\n{body}\n"


@pytest.mark.parametrize("mode", ["auto", "copy"])
def test_what_else_is_in_its_folder_stays(
    workplace: Workplace, make_wheel: WheelMaker, simple_index: IndexMaker, mode: str
) -> None:
    """As with tox's own runner: until it is recreated."""
    point_at(workplace, simple_index, [make_wheel("above")])
    workplace.write("tox.ini", _ini(f"deps = above\ncommands = {SHOW}"))
    workplace.write(".tox/a/mine.txt", "mine")
    workplace.write(".tox/a/my/own.txt", "own")

    first = workplace.succeed("tox", MVENV_LINK_MODE=mode)
    again = workplace.succeed("tox", MVENV_LINK_MODE=mode)

    assert "has above=1.0\n" in first
    assert "has above=1.0\n" in again
    assert "damaged" not in again
    assert (workplace.root / ".tox/a/mine.txt").read_text(encoding="utf-8") == "mine"
    assert (workplace.root / ".tox/a/my/own.txt").read_text(encoding="utf-8") == "own"
    workplace.succeed("tox", "-r", MVENV_LINK_MODE=mode)
    assert not (workplace.root / ".tox/a/mine.txt").exists()


@pytest.mark.parametrize("mode", ["auto", "copy"])
def test_an_environment_that_is_somebodys_is_not_replaced(
    workplace: Workplace, make_wheel: WheelMaker, simple_index: IndexMaker, mode: str
) -> None:
    """As `tox devenv` finds it; where it cannot be taken over that is said."""
    point_at(workplace, simple_index, [make_wheel("above")])
    workplace.write("tox.ini", _ini(f"deps = above\ncommands = {SHOW}"))
    venv.create(workplace.root / "venv", symlinks=True)
    workplace.write("venv/mine.txt", "mine")

    ran = workplace.run("tox", "devenv", "venv", "-e", "a", MVENV_LINK_MODE=mode)
    again = workplace.run("tox", "devenv", "venv", "-e", "a", MVENV_LINK_MODE=mode)

    assert ran.code == again.code == (1 if mode == "copy" else 0), ran.out
    assert (workplace.root / "venv/mine.txt").read_text(encoding="utf-8") == "mine"
    assert ("has things that tox did not put there" in again.out) == (mode == "copy")
    if mode == "auto":
        assert [*workplace.root.glob("venv/lib/*/site-packages/above")]


def test_a_lockfile_does_not_replace_what_is_somebodys(
    workplace: Workplace, make_wheel: WheelMaker, write_pylock: PylockWriter
) -> None:
    """What would be installed by hand into it is not known."""
    lock = write_pylock(make_wheel("above"))
    workplace.write("tox.ini", _ini(f"lock = {lock}\ncommands = {SHOW}"))
    workplace.write(".tox/a/lib/mine.txt", "mine")

    ran = workplace.run("tox")

    assert ran.code == 1
    assert "has things that tox did not put there" in ran.out
    assert (workplace.root / ".tox/a/lib/mine.txt").exists()
    assert "has above=1.0\n" in workplace.succeed("tox", "-r")


def test_one_over_the_rest_of_another_forgets_what_that_had(
    workplace: Workplace, make_wheel: WheelMaker, simple_index: IndexMaker
) -> None:
    point_at(workplace, simple_index, [make_wheel("above"), make_wheel("other")])
    workplace.write("tox.ini", _ini(f"deps = other\ncommands = {SHOW}"))
    workplace.succeed("tox")
    env = workplace.root / ".tox/a"
    for one in ("bin", ".mvenv", "lib"):
        shutil.rmtree(env / one)
    for one in (".tox-info.json", "pyvenv.cfg"):
        (env / one).unlink()
    workplace.write(".tox/a/lib/mine.txt", "mine")
    workplace.write("tox.ini", _ini(f"deps = above\ncommands = {SHOW}"))

    out = workplace.succeed("tox")

    assert "has above=1.0\n" in out
    assert (env / "lib/mine.txt").exists()
