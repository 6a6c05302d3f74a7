"""Killed anywhere, import, prune and clean leave whole entries, and can go on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.snapshots import tree_snapshot
from kit.wheels import WheelMaker
from mvenv.store.entries import WheelStore
from mvenv.store.layout import StoreLayout, store_key
from mvenv.store.runs import sweep

KILLED = Path(__file__).parents[1] / "adopt" / "killed.py"
DAY = 86_400 * 10**9


@pytest.fixture
def store(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> Path:
    """Return a store of two environments, one of which is long gone."""
    mvenv.create(tmp_path / "a", write_pylock(make_wheel("one"), make_wheel("both")))
    mvenv.create(tmp_path / "b", write_pylock(make_wheel("two"), make_wheel("both")))
    shutil.rmtree(tmp_path / "a")
    assert mvenv("store", "prune").code == 0
    for mark in mvenv.store.glob("envs/*.absent"):
        os.utime(mark, ns=(0, mark.stat().st_mtime_ns - 8 * DAY))
    return mvenv.store


def _run(count: int, *words: str | Path) -> bool:
    """Run a command that is killed at its change ``count``; return if it was."""
    done = subprocess.run(
        [sys.executable, KILLED, str(count), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode != 0


def _assert_whole(store: Path) -> None:
    """Every entry that has its name has all its files."""
    opened = WheelStore(StoreLayout(store))
    for path in store.glob("wheels/*/*"):
        wheel = opened.find(store_key(path.name))
        assert wheel is not None, path
        assert opened.verify(wheel) == ()


def _assert_tidy(store: Path) -> None:
    sweep(StoreLayout(store))
    assert os.listdir(store / "tmp") == []
    assert os.listdir(store / "trash") == []


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_a_killed_import_leaves_whole_entries(mvenv: Runner, tmp_path: Path) -> None:
    assert mvenv("store", "export", tmp_path / "a.tar").code == 0
    new = tmp_path / "new"
    counts: set[int] = set()
    for count in range(1, 400, 3):
        shutil.rmtree(new, ignore_errors=True)
        if not _run(count, "store", "import", tmp_path / "a.tar", "--store", new):
            break
        if (new / "FORMAT").exists():
            _assert_whole(new)
            counts.add(len(list(new.glob("wheels/*/*"))))
        assert mvenv("store", "import", tmp_path / "a.tar", store=new).code == 0
        _assert_whole(new)
        assert len(list(new.glob("wheels/*/*"))) == 3
        _assert_tidy(new)
    else:
        pytest.fail("it was always killed")

    assert counts >= {0, 1, 2}


@pytest.mark.parametrize(
    ("word", "step"),
    [
        ("prune", 4),
        pytest.param("prune", 1, marks=pytest.mark.slow),
        pytest.param("clean", 1, marks=pytest.mark.slow),
    ],
)
def test_a_killed_removal_leaves_whole_entries(
    mvenv: Runner, store: Path, tmp_path: Path, word: str, step: int
) -> None:
    words = ("store", word, *(["--yes"] if word == "clean" else []))
    environment = tree_snapshot(tmp_path / "b")
    shutil.copytree(store, tmp_path / "kept")
    left = 2 if word == "prune" else 0
    counts: set[int] = set()
    for count in range(1, 200, step):
        shutil.rmtree(store)
        shutil.copytree(tmp_path / "kept", store)
        if not _run(count, *words, "--store", store):
            break
        _assert_whole(store)
        counts.add(len(list(store.glob("wheels/*/*"))))
        assert tree_snapshot(tmp_path / "b") == environment
        assert mvenv(*words).code == 0
        _assert_whole(store)
        assert len(list(store.glob("wheels/*/*"))) == left
        _assert_tidy(store)
    else:
        pytest.fail("it was always killed")

    assert counts == set(range(left, 4)) if step == 1 else counts <= {2, 3}
