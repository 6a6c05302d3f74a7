"""Names in an environment's folder that are another program's, as tox has some."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mvenv.creation import CreateRequest, create
from mvenv.env.compiled import Bytecode
from mvenv.errors import EnvironmentExists
from mvenv.fetch.settings import FetchSettings
from mvenv.link.modes import LinkPolicy
from mvenv.progress import Silent
from mvenv.selection.groups import GroupOptions

Make = Callable[..., None]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return what makes a bare environment that keeps some names."""

    def carry_out(env: Path, *keep: str, clear: bool = True) -> None:
        request = CreateRequest(
            folder=env,
            lockfile=None,
            locked=False,
            start=tmp_path,
            python=None,
            groups=GroupOptions(),
            policy=LinkPolicy.AUTO,
            require_link=False,
            seeds=(),
            bytecode=Bytecode.NONE,
            prompt=None,
            system_site_packages=False,
            clear=clear,
            store=tmp_path / "store",
            seal=True,
            fetch=FetchSettings(),
            environ=dict(os.environ),
            keep=keep,
        )
        create(request, Silent())

    return carry_out


def _fill(env: Path) -> tuple[int, ...]:
    (env / "log").mkdir(parents=True, exist_ok=True)
    (env / "log" / "1.log").write_text("said")
    (env / "file.lock").write_text("held")
    return tuple((env / name).stat().st_ino for name in ("log", "file.lock"))


def test_what_is_kept_does_not_make_a_folder_foreign(
    make: Make, tmp_path: Path
) -> None:
    """The same files, not copies: somebody may hold a lock on one."""
    env = tmp_path / "env"
    before = _fill(env)
    make(env, "file.lock", "log", "not-there")

    assert (env / "pyvenv.cfg").is_file()
    assert (env / "log" / "1.log").read_text() == "said"
    assert _fill(env) == before


def test_an_environment_that_is_replaced_keeps_it_too(
    make: Make, tmp_path: Path
) -> None:
    env = tmp_path / "env"
    make(env)
    (env / "other").touch()
    before = _fill(env)
    make(env, "file.lock", "log")

    assert _fill(env) == before
    assert not (env / "other").exists()
    assert (env / ".mvenv" / "receipt").exists() or (env / "pyvenv.cfg").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["env", "store"]


def test_what_is_not_to_be_kept_is_in_the_way(make: Make, tmp_path: Path) -> None:
    env = tmp_path / "env"
    _fill(env)

    with pytest.raises(EnvironmentExists):
        make(env, "log")


def test_where_names_cannot_be_exchanged(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is filled in place, and again."""
    monkeypatch.setattr("mvenv.env.place._can_exchange", lambda _folder: False)
    env = tmp_path / "env"
    before = _fill(env)
    for _ in range(2):
        make(env, "file.lock", "log")

        assert (env / "pyvenv.cfg").is_file()
        assert _fill(env) == before
