"""`mvenv.EnvBuilder` stands in for `venv.EnvBuilder`."""

from __future__ import annotations

import sys
import types
import venv as theirs
from pathlib import Path
from typing import Any

import pytest

import mvenv
from dropin.conftest import tree_of
from dropin.test_venv_command import BASE, FURTHER
from kit.commands import Runner


@pytest.fixture(autouse=True)
def _in_a_store(shared_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MVENV_STORE", str(shared_store))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"symlinks": True},
        {"symlinks": True, "system_site_packages": True, "prompt": "x"},
        {"symlinks": True, "prompt": ".", "clear": True},
    ],
)
def test_as_the_standard_library_makes_it(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    mvenv.create(tmp_path / "one" / "env", **options)
    theirs.create(tmp_path / "two" / "env", **options)
    one, two = tmp_path / "one" / "env", tmp_path / "two" / "env"

    assert tree_of(one, without=FURTHER) == tree_of(two)
    ours = (one / "pyvenv.cfg").read_text().replace(str(one), str(two))
    # That is for people: here it is the interpreter that the environment is of.
    told = (two / "pyvenv.cfg").read_text().replace(sys.executable, str(BASE))
    assert ours == f"{told}mvenv = {mvenv.__version__}\n"


def test_with_pip(tmp_path: Path, mvenv: Runner, shared_store: Path) -> None:
    sys.modules["mvenv"].EnvBuilder(with_pip=True, symlinks=True).create(tmp_path / "e")

    assert (tmp_path / "e" / "bin" / "pip").is_file()
    told = mvenv("doctor", tmp_path / "e", "--check", "--full", store=shared_store)
    assert told.code == 0, told.out


class Noting(mvenv.EnvBuilder):
    """As in the documentation of `venv`: hooks see the context."""

    def post_setup(self, context: types.SimpleNamespace) -> None:
        """Put something of one's own into it."""
        Path(context.env_dir, "noted").write_text(context.env_exe)


def test_hooks(tmp_path: Path, mvenv: Runner, shared_store: Path) -> None:
    env = tmp_path / "env"
    Noting(symlinks=True).create(env)

    assert (env / "noted").read_text().startswith(str(env))
    told = mvenv("doctor", env, "--check", "--json", store=shared_store)
    assert told.code == 0, told.out
    assert {one["code"] for one in told.value["findings"]} <= {"F14"}


def test_errors_are_those_of_venv(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((ValueError, OSError)):
        mvenv.create(tmp_path / "file")
    with pytest.raises(ValueError, match="together"):
        mvenv.EnvBuilder(upgrade=True, clear=True).create(tmp_path / "x")
    with pytest.raises(TypeError):
        mvenv.create(tmp_path / "x", False, clear=True, system_site_packages=True)
    assert not (tmp_path / "x").exists()
