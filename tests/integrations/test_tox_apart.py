"""Environments that are made in a process of their own."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv.errors import MvenvError
from mvenv.integrations import tox_apart

Asked = dict[str, Any]


@pytest.fixture
def asked(
    tmp_path: Path, make_wheel: WheelMaker, write_pylock: PylockWriter
) -> dict[str, Any]:
    """Return what to make: an environment with one wheel."""
    variables = {
        "HOME": str(tmp_path),
        "MVENV_STORE": str(tmp_path / "store"),
        "MVENV_OFFLINE": "1",
    }
    return {
        "variables": variables,
        "folder": str(tmp_path / "env"),
        "lockfile": str(write_pylock(make_wheel("one"))),
        "start": str(tmp_path),
        "python": sys.executable,
        "groups": {},
        "seeds": (),
        "upgrade_seeds": False,
        "system_site_packages": False,
        "copies": False,
        "environ": variables,
        "keep": (),
    }


def _has_one(asked: Asked) -> bool:
    return any(Path(asked["folder"]).glob("lib/*/site-packages/one/__init__.py"))


def test_it_is_made_elsewhere_and_what_is_said_comes_here(
    asked: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "mvenv")

    assert tox_apart.make_apart(asked)

    assert _has_one(asked)
    assert caplog.messages


@pytest.mark.parametrize("sealed", [True, False])
def test_what_variables_say_of_the_store_is_heeded(asked: Asked, sealed: bool) -> None:
    asked["variables"]["MVENV_NO_SEAL"] = "" if sealed else "1"
    tox_apart.make(asked)

    store = Path(asked["variables"]["MVENV_STORE"])
    (stored,) = store.glob("wheels/*/*/tree/one/__init__.py")
    assert bool(stored.stat().st_mode & 0o222) is not sealed


def test_what_fails_there_fails_here_in_the_same_words(asked: Asked) -> None:
    asked["lockfile"] += ".not"
    with pytest.raises(MvenvError) as here:
        tox_apart.make(asked)
    with pytest.raises(MvenvError) as apart:
        tox_apart.make_apart(asked)

    assert apart.value.message.startswith(here.value.message)


@pytest.mark.parametrize("program", ["exit 0", "exit 3", "kill -9 $$", "echo nonsense"])
def test_where_no_other_process_serves_it_is_made_here(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(sys, "executable", _script(tmp_path, program))
    monkeypatch.setattr(tox_apart, "_MANY", 1)
    with _another_thread():
        tox_apart.make(asked)

    assert _has_one(asked)


@pytest.mark.parametrize("program", ["kill -INT $$", "exit 130"])
def test_one_that_was_interrupted_is_not_begun_again(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(sys, "executable", _script(tmp_path, program))

    with pytest.raises(MvenvError, match="interrupted"):
        tox_apart.make_apart(asked)


@pytest.mark.parametrize(
    ("many", "threads", "apart"), [(1, True, True), (2, True, False), (1, False, False)]
)
def test_small_ones_are_made_here(
    asked: Asked,
    monkeypatch: pytest.MonkeyPatch,
    many: int,
    threads: bool,
    apart: bool,
) -> None:
    """And where there are no threads: nothing is in the way there."""
    elsewhere: list[Asked] = []
    monkeypatch.setattr(tox_apart, "_MANY", many)

    def take(each: Asked) -> bool:
        elsewhere.append(each)
        return True

    monkeypatch.setattr(tox_apart, "make_apart", take)
    if threads:
        with _another_thread():
            tox_apart.make(asked)
    else:
        monkeypatch.setattr(threading, "active_count", lambda: 1)
        tox_apart.make(asked)

    assert bool(elsewhere) is apart
    assert _has_one(asked) is not apart


def test_it_ends_with_whoever_asked(
    asked: Asked, make_wheel: WheelMaker, write_pylock: PylockWriter
) -> None:
    """Even where that one is killed, while it waits for an index that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        index = f"http://127.0.0.1:{server.getsockname()[1]}/"
        asked["lockfile"] = str(write_pylock(make_wheel("far"), index=index))
        asked["variables"]["MVENV_OFFLINE"] = ""
        server.settimeout(_PATIENCE)
        command = [sys.executable, "-c", _ASK, json.dumps(asked)]
        with subprocess.Popen(command) as asking:
            connection, _ = server.accept()
            asking.kill()
        with connection:
            # Far less than what one waits for an index.
            connection.settimeout(5.0)
            while connection.recv(1 << 16):
                pass


_PATIENCE = 20.0
_ASK = """\
import json, sys
from mvenv.integrations.tox_apart import make_apart
make_apart(json.loads(sys.argv[1]))
"""


def _script(folder: Path, text: str) -> str:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@contextlib.contextmanager
def _another_thread() -> Iterator[None]:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
