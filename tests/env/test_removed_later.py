"""A large environment that was replaced is deleted when nobody waits for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import mvenv as package
from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="forks on Linux only"
)
PROGRAM = """
import json, os, sys, time
from mvenv import scratch
from mvenv.cli import run
from mvenv.env import beside
settings = json.loads(sys.argv[1])
here, really = os.getpid(), scratch._delete
def delete(folder):
    if os.getpid() != here:
        fds = [f"/proc/self/fd/{one}" for one in os.listdir("/proc/self/fd")]
        told = {
            "process": os.getpid(),
            "session": os.getsid(0) not in (os.getsid(here), here),
            "nice": os.nice(0),
            "open": sorted({os.readlink(one) for one in fds if os.path.exists(one)}),
        }
        with open(settings["told"] + "~", "w") as stream:
            json.dump(told, stream)
        os.rename(settings["told"] + "~", settings["told"])
        while not os.path.exists(settings["go"]):
            time.sleep(0.01)
    really(folder)
scratch._delete = delete
beside._LARGE = settings["large"]
fork, forks = os.fork, settings["forks"]
def count():
    global forks
    forks -= 1
    if forks < 0:
        raise BlockingIOError(11, "no more processes")
    return fork()
os.fork = count
sys.exit(run(settings["words"]))
"""


class Clearing:
    """Clears an environment; who deletes the old one waits for a word."""

    def __init__(self, mvenv: Runner, lock: Path, folder: Path) -> None:
        self._mvenv, self.lock = mvenv, lock
        self.environment = folder / "project" / ".venv"
        self.told, self.go = folder / "told", folder / "go"
        mvenv.create(self.environment, lock)

    def __call__(
        self, *, large: int = 5, forks: int = 2
    ) -> subprocess.CompletedProcess[str]:
        """Clear it, in a process of its own that reads to the end what is said."""
        (self.environment / "old").write_text("old")
        words = ["create", self.environment, "--from", self.lock, "--clear", "--json"]
        settings = {
            "words": [*map(str, words), "--store", str(self._mvenv.store)],
            "told": str(self.told),
            "go": str(self.go),
            "large": large,
            "forks": forks,
        }
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps(settings)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[1])},
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        assert not (self.environment / "old").exists()
        return done

    def beside(self) -> list[Path]:
        """Return what is there of old environments."""
        return list(self.environment.parent.glob(".mvenv-build-*"))

    def process(self) -> dict[str, Any]:
        """Return what the process that deletes told of itself."""
        wait_until(self.told.exists)
        told: dict[str, Any] = json.loads(self.told.read_text())
        return told


def wait_until(done: Any) -> None:
    """Wait for what comes soon, and fail where it does not."""
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def clearing(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> Clearing:
    """Return an environment to clear."""
    return Clearing(mvenv, write_pylock(make_wheel("demo")), tmp_path)


def test_nobody_waits_for_it(clearing: Clearing) -> None:
    done = clearing()
    [holder] = clearing.beside()

    assert (holder / "new" / "old").exists()
    assert (holder / ".gitignore").read_text() == "*\n"
    assert json.loads(done.stdout)["path"] == str(clearing.environment)
    clearing.go.touch()
    wait_until(lambda: not clearing.beside())


def test_the_process_has_nothing_of_ours(clearing: Clearing) -> None:
    clearing()
    told = clearing.process()
    [holder] = clearing.beside()
    clearing.go.touch()

    # What lists them is open, too.
    listed = {one for one in told["open"] if not one.startswith("/proc/")}
    assert listed == {"/dev/null", str(holder / ".lock")}
    assert (told["session"], told["nice"]) == (True, 19)


def test_others_let_it_work_and_wait_for_nothing(
    clearing: Clearing, mvenv: Runner
) -> None:
    clearing()
    before = clearing.beside()
    pruned = mvenv("store", "prune", "--json")
    looked = mvenv("doctor", "--check", clearing.environment)
    mvenv.create(clearing.environment, clearing.lock, "--clear")

    assert (pruned.code, looked.code) == (0, 0), looked.out
    assert clearing.beside() == before
    clearing.go.touch()
    wait_until(lambda: not clearing.beside())


@pytest.mark.parametrize("by", ["create", "prune"])
def test_what_a_killed_one_leaves_is_swept(
    clearing: Clearing, mvenv: Runner, by: str
) -> None:
    clearing()
    process = clearing.process()["process"]
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: not is_running(process))
    assert clearing.beside()
    if by == "create":
        mvenv.create(clearing.environment, clearing.lock, "--clear")
    else:
        outcome = mvenv("store", "prune")
        assert outcome.code == 0
        assert "could not" not in outcome.out + outcome.err

    assert clearing.beside() == []


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_small_one_is_gone_at_once(clearing: Clearing) -> None:
    clearing(large=2_000)

    assert clearing.beside() == []
    assert not clearing.told.exists()


@pytest.mark.parametrize("forks", [0, 1])
def test_where_only_one_process_is_to_be_had(clearing: Clearing, forks: int) -> None:
    """Or none: then it is gone at once."""
    clearing(forks=forks)

    assert clearing.beside() == []
    assert not clearing.told.exists()


def test_beside_threads_it_is_gone_at_once(
    clearing: Clearing, mvenv: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread can hold a lock that the other process would wait for."""
    monkeypatch.setattr("mvenv.env.beside._LARGE", 1)
    monkeypatch.setattr("threading.active_count", lambda: 2)
    # A small one would be gone by then in either case.
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("another process was made"))
    mvenv.create(clearing.environment, clearing.lock, "--clear")

    assert clearing.beside() == []
