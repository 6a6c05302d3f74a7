"""Locks on folders."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from mvenv.errors import Busy
from mvenv.locking import lock_folder


def test_who_changes_is_alone(tmp_path: Path) -> None:
    with (
        lock_folder(tmp_path, exclusive=False),
        lock_folder(tmp_path, exclusive=False),
        pytest.raises(Busy, match="at work on"),
        lock_folder(tmp_path, exclusive=True, patience=0.0),
    ):
        pass
    with lock_folder(tmp_path, exclusive=True):
        pass


def test_a_folder_that_was_replaced_while_we_waited(tmp_path: Path) -> None:
    """The lock is of what has the name by then, never of the one that had it."""
    folder, old = tmp_path / "env", tmp_path / "old"
    folder.mkdir()
    held = threading.Event()

    def wait() -> None:
        with lock_folder(folder, exclusive=True, patience=10.0):
            held.set()

    thread = threading.Thread(target=wait)
    with lock_folder(folder, exclusive=True):
        thread.start()
        assert not held.wait(0.1)
        folder.rename(old)
        folder.mkdir()
        other = lock_folder(folder, exclusive=True)
        other.__enter__()
    assert not held.wait(0.2)
    other.__exit__(None, None, None)
    thread.join(10.0)
    assert held.is_set()


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError),
        lock_folder(tmp_path / "none", exclusive=False),
    ):
        pass
