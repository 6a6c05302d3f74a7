"""The first environment of a lock, unpacked by processes: as if there were none.

Each run is an interpreter of its own: nothing is forked where threads are, and the
runner of these tests has some.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

from kit.indexes import IndexMaker
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker, sha256_of
from mvenv.store.entries import WheelStore
from mvenv.store.layout import StoreLayout, store_key
from wheels.rawzip import STORED, Entry, write_wheel

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="forks on Linux only"
)

_BEGIN = """\
import atexit, os, signal, sys
os.sched_getaffinity = lambda _process: set(range({processors}))
from mvenv.store.entries import WheelStore
here = os.getpid()
really = WheelStore.ingest
def ingest(self, archive, key, filename, root):
    where = "here" if os.getpid() == here else "elsewhere"
    log(where)
    {also}
    stored = really(self, archive, key, filename, root)
    log_peak()
    return stored
def log(line):
    with open({log!r}, "a") as stream:
        stream.write(line + "\\n")
def log_peak():
    with open("/proc/self/status") as stream:
        log(next(line for line in stream if line.startswith("VmHWM:")))
WheelStore.ingest = ingest
atexit.register(log_peak)
from mvenv.cli import main
main(sys.argv[1:])
"""
_COUNT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    code: int
    said: str
    memory: int
    """Bytes of the largest process at its peak: by the process itself, since what a
    parent is told counts the one that forked."""
    where: set[str]
    """Where wheels were unpacked."""
    store: StoreLayout


Creation: TypeAlias = Callable[..., _Run]


@pytest.fixture
def creation(tmp_path: Path) -> Creation:
    """Run `mvenv create` with an empty store, as if there were some processors."""

    def run(lock: Path, *, processors: int = 2, also: str = "pass") -> _Run:
        number = len(list(tmp_path.glob("store-*")))
        log, store = tmp_path / f"log-{number}", tmp_path / f"store-{number}"
        begin = _BEGIN.format(processors=processors, log=str(log), also=also)
        words = ["create", str(tmp_path / f"env-{number}"), "--from", str(lock)]
        command = [sys.executable, "-c", begin, *words, "--store", str(store)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = log.read_text().splitlines()
        peaks = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
        return _Run(
            code=done.returncode,
            said=done.stderr,
            memory=max(map(int, peaks)) << 10,
            where={"here", "elsewhere"}.intersection(lines),
            store=StoreLayout(store),
        )

    return run


@pytest.fixture
def wheels(make_wheel: WheelMaker) -> list[Path]:
    """Return wheels enough for several processes."""
    files = {f"part_{number}.py": f"x = {number}\n" for number in range(20)}
    return [
        make_wheel(
            f"demo{number}",
            files={f"demo{number}/{name}": text for name, text in files.items()},
            executables=[f"demo{number}/part_3.py"],
        )
        for number in range(_COUNT)
    ]


def _stored(layout: StoreLayout, wheels: list[Path]) -> list[object]:
    store = WheelStore(layout)
    found: list[object] = []
    for path in wheels:
        wheel = store.find(store_key(sha256_of(path)))
        assert wheel is not None
        assert store.verify(wheel) == ()
        manifest = wheel.manifest
        rows = [(one.path, one.sha256, one.xxh3, one.mode) for one in manifest.files]
        found.append((manifest.filename, manifest.boot_id, rows))
    return found


def test_what_processes_take_in_is_the_same(
    creation: Creation,
    wheels: list[Path],
    write_pylock: PylockWriter,
    simple_index: IndexMaker,
) -> None:
    lock = write_pylock(*wheels, index=simple_index(wheels))
    alone, several = creation(lock, processors=1), creation(lock)

    assert (alone.code, several.code) == (0, 0), several.said
    assert (alone.where, several.where) == ({"here"}, {"elsewhere"})
    assert _stored(alone.store, wheels) == _stored(several.store, wheels)
    assert list(several.store.tmp.iterdir()) == []


@pytest.mark.parametrize(
    "trouble",
    ["os.kill(os.getpid(), signal.SIGKILL)", "raise MemoryError", "sys.exit(3)"],
)
def test_processes_that_are_lost_lose_nothing(
    creation: Creation,
    wheels: list[Path],
    write_pylock: PylockWriter,
    simple_index: IndexMaker,
    trouble: str,
) -> None:
    lock = write_pylock(*wheels, index=simple_index(wheels))
    run = creation(lock, also=f"if os.getpid() != here: {trouble}")

    assert run.code == 0, run.said
    assert run.where == {"here", "elsewhere"}
    assert len(_stored(run.store, wheels)) == _COUNT
    assert list(run.store.tmp.iterdir()) == []


def test_a_refused_wheel_is_told_as_ever(
    creation: Creation,
    wheels: list[Path],
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    simple_index: IndexMaker,
) -> None:
    record = "wrong/__init__.py,sha256=AAAA,1\n"
    files = {"wrong/__init__.py": "x = 1\n", "wrong-1.0.dist-info/RECORD": record}
    wheels.append(make_wheel("wrong", files=files))
    lock = write_pylock(*wheels, index=simple_index(wheels))
    alone, several = creation(lock, processors=1), creation(lock)

    assert alone.code == several.code != 0
    assert "is not what RECORD says" in several.said
    assert "Traceback" not in several.said
    assert several.said == alone.said
    assert list(several.store.tmp.iterdir()) == []


def test_no_wheel_and_no_file_is_held_in_memory_whole(
    creation: Creation,
    wheels: list[Path],
    write_pylock: PylockWriter,
    simple_index: IndexMaker,
    tmp_path: Path,
) -> None:
    size = 200 << 20
    noise = bytes(range(256)) * (1 << 12) * (size >> 20)
    entries = [
        Entry("demo/stored.bin", noise, method=STORED),
        Entry("demo/zeros.bin", bytes(size)),
    ]
    large = write_wheel(tmp_path / "demo-1.0-py3-none-any.whl", entries)
    del noise, entries
    wheels.append(large)
    run = creation(write_pylock(*wheels, index=simple_index(wheels)))

    assert run.code == 0, run.said
    assert run.memory < size // 2
