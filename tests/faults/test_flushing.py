"""What a command says it has done is on the disk by then: its flushes, in their order.

That a power cut then takes nothing is tried on real file systems in `test_power_cut`;
here each single flush is missed where it is left out.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv.store.names import SYNCED

pytestmark = pytest.mark.skipif(
    not shutil.which("strace"), reason="there is no `strace`"
)
_CALL = re.compile(r"^(?:\d+ +)?(\w+)\((.*)$")
_TRACED = (
    "syncfs,fsync,fdatasync,rename,renameat,renameat2,link,linkat,symlink,unlink,openat"
)


@dataclass(frozen=True)
class Traced:
    """Environments, and commands whose flushes and renames are told."""

    mvenv: Runner
    folder: Path
    env: Path
    old: Path
    new: Path

    def __call__(self, *words: str | Path) -> list[tuple[str, str]]:
        """Run a command; return its calls by name, each with its arguments."""
        log = self.folder / "log"
        command = [sys.executable, "-m", "mvenv", *map(str, words)]
        done = subprocess.run(
            [
                *("strace", "-f", "-y", "-o", str(log), "-e", f"trace={_TRACED}"),
                *(*command, "--store", str(self.mvenv.store)),
            ],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found = map(_CALL.match, log.read_text(errors="replace").splitlines())
        return [(one[1], one[2]) for one in found if one and " = -1" not in one[2]]


@pytest.fixture
def traced(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> Traced:
    """Return an environment of one lock, and another lock."""
    files: dict[str, str | bytes] = {
        "alpha/__init__.py": "value = 1\n",
        "alpha/data.bin": b"x" * 9_000,
    }
    old = write_pylock(make_wheel("alpha", "1.0", files))
    more = make_wheel("beta", "1.0"), make_wheel("alpha", "2.0", files)
    new = write_pylock(*more, path=tmp_path / "pylock.new.toml")
    mvenv.create(tmp_path / "env", old, "--link-mode", "hardlink")
    return Traced(mvenv, tmp_path, tmp_path / "env", old, new)


def first(calls: list[tuple[str, str]], name: str, *parts: str) -> int:
    """Return the number of the first such call."""
    for number, (called, arguments) in enumerate(calls):
        if called.startswith(name) and all(part in arguments for part in parts):
            return number
    raise AssertionError(f"no {name} with {parts}")


def last(calls: list[tuple[str, str]], name: str, *parts: str) -> int:
    """Return the number of the last such call."""
    return len(calls) - 1 - first(calls[::-1], name, *parts)


def test_new_wheels_are_flushed_before_the_environment_has_its_name(
    traced: Traced,
) -> None:
    calls = traced("create", traced.folder / "other", "--from", traced.new)
    entered = last(calls, "rename", "/wheels/")
    flushed = first(calls[entered:], "syncfs") + entered
    marked = first(calls, "openat", f"/{SYNCED}", "O_CREAT")
    named = first(calls, "rename", f'{traced.folder / "other"}"')

    assert entered < flushed < marked < named


def _missing(traced: Traced) -> None:
    next(traced.env.glob("lib/*/site-packages/alpha/data.bin")).unlink()


def _store_gone(traced: Traced) -> None:
    shutil.rmtree(traced.mvenv.store / "wheels")


@pytest.mark.parametrize(
    ("break_it", "healed"),
    [(_missing, "alpha"), (_store_gone, "/wheels/")],
)
def test_what_doctor_says_is_healed_is_flushed(
    traced: Traced, break_it: Callable[[Traced], None], healed: str
) -> None:
    break_it(traced)
    calls = traced("doctor", traced.env, "--offline")
    changed = max(
        last(calls, name, healed)
        for name in ("rename", "link")
        if any(one[0].startswith(name) and healed in one[1] for one in calls)
    )

    assert last(calls, "syncfs") > changed


def test_a_sync_has_its_journal_on_the_disk_before_it_begins(traced: Traced) -> None:
    calls = traced("sync", traced.env, "--from", traced.new)
    journal = first(calls, "fsync", "/.mvenv")
    changed = first(calls, "rename", "site-packages")
    entered = last(calls, "rename", "/wheels/")
    flushed = first(calls[entered:], "syncfs") + entered

    assert entered < flushed < changed
    assert journal < changed


def test_what_adopting_learned_is_flushed(traced: Traced) -> None:
    shutil.rmtree(traced.mvenv.store)
    shutil.rmtree(traced.env / ".mvenv")
    calls = traced("adopt", traced.env)
    learned = last(calls, "rename", "/adopted/")
    shared = first(calls, "rename", "site-packages/alpha")

    assert any(one[0] == "syncfs" for one in calls[learned:shared])


def test_what_is_imported_is_flushed(traced: Traced) -> None:
    archive = traced.folder / "store.tar"
    assert traced.mvenv("store", "export", archive).code == 0
    shutil.rmtree(traced.mvenv.store)
    calls = traced("store", "import", archive)

    assert first(calls, "openat", f"/{SYNCED}", "O_CREAT") > last(calls, "syncfs")
