"""The collector of garbage is held off, and goes on after it: for whoever it was on."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import ModuleType
from typing import Any

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv import doctor
from mvenv.collector import collector_at_work, collector_held
from mvenv.doctor import treatment


@pytest.fixture(autouse=True)
def _on() -> Iterator[None]:
    """Let it be on, as it is in every new process."""
    was_on = gc.isenabled()
    gc.enable()
    yield
    (gc.enable if was_on else gc.disable)()


def test_it_goes_on_at_the_end() -> None:
    with collector_held():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_goes_on_after_an_error() -> None:
    with pytest.raises(KeyError), collector_held():
        raise KeyError
    assert gc.isenabled()


def test_what_is_off_stays_off() -> None:
    gc.disable()
    with collector_held():
        pass
    assert not gc.isenabled()


def test_the_first_to_end_leaves_it_to_the_last() -> None:
    """As under `tox -p`, where environments are looked at in threads."""
    both, one_left = Barrier(2), Barrier(2)

    def first() -> None:
        with collector_held():
            both.wait(10)
        one_left.wait(10)

    def last() -> bool:
        with collector_held():
            both.wait(10)
            one_left.wait(10)
            return gc.isenabled()

    with ThreadPoolExecutor(2) as threads:
        ended, seen = threads.submit(first), threads.submit(last)
        ended.result()
        assert not seen.result()
    assert gc.isenabled()


def test_it_works_meanwhile_where_much_is_to_do() -> None:
    with collector_held():
        with collector_at_work():
            assert gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_work_does_not_switch_on_what_was_off() -> None:
    gc.disable()
    with collector_held(), collector_at_work():
        assert not gc.isenabled()
    gc.enable()
    with collector_at_work():
        pass
    assert gc.isenabled()


def test_doctor_holds_it_off_while_it_looks(
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    env = tmp_path / "env"
    mvenv.create(env, write_pylock(make_wheel("small", files={"small/a.py": "1"})))
    seen = []

    def watched(name: str, place: ModuleType) -> None:
        work = getattr(place, name)

        def watching(*asked: Any) -> Any:
            seen.append((name, gc.isenabled()))
            return work(*asked)

        monkeypatch.setattr(place, name, watching)

    watched("_look", doctor)
    watched("treat", treatment)
    [damaged] = env.glob("lib/*/site-packages/small/a.py")
    damaged.unlink()
    assert mvenv("doctor", env).code == 0

    assert damaged.read_text() == "1"
    assert seen == [("_look", False), ("treat", True)]
    assert gc.isenabled()
