"""Who changes an environment waits for who looks, and who looks for who changes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv.locking import lock_folder

BUSY = 75


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every command give up soon."""
    monkeypatch.setitem(
        lock_folder.__wrapped__.__kwdefaults__,  # type: ignore[attr-defined]  # of a context manager's function
        "patience",
        0.1,
    )


@pytest.fixture
def env(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> Path:
    """Return an environment; beside it lies another lock."""
    mvenv.create(tmp_path / "env", write_pylock(make_wheel("alpha", "1.0")))
    write_pylock(make_wheel("alpha", "2.0"), path=tmp_path / "pylock.new.toml")
    return tmp_path / "env"


def _seen(env: Path) -> dict[Path, tuple[int, ...]]:
    return {
        path: (seen.st_ino, seen.st_mode, seen.st_mtime_ns, seen.st_ctime_ns)
        for path in env.rglob("*")
        if (seen := path.lstat())
    }


CHANGES: dict[str, Callable[[Path], tuple[str | Path, ...]]] = {
    "sync": lambda env: ("sync", env, "--from", env.parent / "pylock.new.toml"),
    "edit": lambda env: ("edit", env, "alpha"),
    "adopt": lambda env: ("adopt", env),
    "create": lambda env: (
        *("create", env, "--clear", "--from"),
        env.parent / "pylock.new.toml",
    ),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", CHANGES)
def test_nothing_is_changed_under_the_eyes_of_others(
    mvenv: Runner, env: Path, name: str
) -> None:
    before = _seen(env)
    with lock_folder(env, exclusive=False):
        outcome = mvenv(*CHANGES[name](env))

    assert outcome.code == BUSY, outcome.out + outcome.err
    assert str(os.getpid()) in outcome.err
    assert _seen(env) == before
    assert mvenv(*CHANGES[name](env)).code == 0


@pytest.mark.usefixtures("impatient")
def test_a_rollback_waits_too(mvenv: Runner, env: Path) -> None:
    assert mvenv(*CHANGES["sync"](env)).code == 0
    with lock_folder(env, exclusive=False):
        assert mvenv("rollback", env).code == BUSY
    assert mvenv("rollback", env).code == 0


@pytest.mark.usefixtures("impatient")
def test_nobody_looks_at_what_is_being_changed(mvenv: Runner, env: Path) -> None:
    with lock_folder(env, exclusive=True):
        outcome = mvenv("doctor", env, "--check", "--json")

    assert outcome.code == BUSY
    assert [one["path"] for one in outcome.value["unchecked"]] == [str(env)]
    assert outcome.value["environments"] == []
