"""Who deletes from a store, or changes an environment, is waited for by all others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv.locking import lock_folder
from mvenv.store.layout import StoreLayout
from mvenv.store.locking import alone

BUSY = 75


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mvenv.locking.lock_folder", "mvenv.store.locking.using"):
        defaults = f"{name}.__wrapped__.__kwdefaults__"
        monkeypatch.setattr(defaults, {"patience": 0.05})


@pytest.fixture
def words(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> dict[str, tuple[str | Path, ...]]:
    """Return commands for a store and an environment ``env`` that has two states."""
    old, new, env = tmp_path / "pylock.old.toml", tmp_path / "pylock.toml", tmp_path
    write_pylock(make_wheel("alpha", "1.0"), path=old)
    write_pylock(make_wheel("alpha", "2.0"), path=new)
    env /= "env"
    mvenv.create(env, new)
    assert mvenv("sync", env, "--from", old).code == 0
    assert mvenv("store", "export", tmp_path / "all.tar").code == 0
    return {
        "create": ("create", tmp_path / "other", "--from", old),
        "clear": ("create", env, "--clear", "--from", new),
        "sync": ("sync", env, "--from", new),
        "foresight": ("sync", env, "--from", new, "--dry-run"),
        "rollback": ("rollback", env),
        "edit": ("edit", env, "alpha"),
        "adopt": ("adopt", env),
        "check": ("doctor", env, "--check"),
        "export": ("store", "export", tmp_path / "again.tar"),
        "import": ("store", "import", tmp_path / "all.tar"),
    }


@pytest.mark.parametrize(
    "name",
    ["create", "sync", "rollback", "edit", "adopt", "check", "export", "import"],
)
def test_who_deletes_is_waited_for(
    mvenv: Runner, words: dict[str, tuple[str | Path, ...]], name: str
) -> None:
    """What is looked for must be there until it is linked."""
    with alone(StoreLayout(mvenv.store)):
        assert mvenv(*words[name]).code == BUSY

    assert mvenv(*words[name]).code == 0


@pytest.mark.parametrize(
    "name", ["clear", "sync", "foresight", "rollback", "edit", "adopt", "check"]
)
def test_who_changes_an_environment_is_waited_for(
    mvenv: Runner,
    words: dict[str, tuple[str | Path, ...]],
    tmp_path: Path,
    name: str,
) -> None:
    with lock_folder(tmp_path / "env", exclusive=True):
        assert mvenv(*words[name]).code == BUSY

    assert mvenv(*words[name]).code == 0


@pytest.mark.usefixtures("words")
def test_a_heal_waits_for_who_deletes(
    mvenv: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who came when all had been looked at."""
    treatment = import_module("mvenv.doctor.treatment")

    @contextlib.contextmanager
    def nobody(_layout: StoreLayout) -> Iterator[None]:
        yield

    [module] = (tmp_path / "env").glob("lib/python*/site-packages/alpha/__init__.py")
    module.unlink()
    assert "in_use" in vars(treatment)
    monkeypatch.setattr("mvenv.doctor.looking.in_use", nobody)
    with alone(StoreLayout(mvenv.store)):
        assert mvenv("doctor", tmp_path / "env").code == BUSY
    assert not module.exists()

    assert mvenv("doctor", tmp_path / "env").code == 0
    assert module.exists()


@pytest.mark.usefixtures("words")
def test_nothing_is_remembered_of_what_others_hold(
    mvenv: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no fault: the next look does the same work again."""
    monkeypatch.setattr("mvenv.doctor.remembering._PATIENCE", 0.05)
    memory = tmp_path / "env/.mvenv/scrub"
    assert not memory.exists()
    with lock_folder(tmp_path / "env", exclusive=False):
        assert mvenv("doctor", tmp_path / "env").code == 0
    assert not memory.exists()

    assert mvenv("doctor", tmp_path / "env").code == 0
    assert memory.exists()
