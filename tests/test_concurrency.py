"""Many at once on one store: all get what they asked for, and each wheel once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kit.indexes import IndexMaker
from kit.interpreters import Interpreters
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker, sha256_of
from mvenv.creation import CreateRequest, create
from mvenv.env.compiled import Bytecode
from mvenv.env.receipt import read_receipt
from mvenv.fetch.settings import FetchSettings
from mvenv.link.modes import LinkPolicy
from mvenv.progress import Silent
from mvenv.selection import GroupOptions
from mvenv.store.entries import WheelStore
from mvenv.store.layout import StoreKey, StoreLayout, open_layout
from mvenv.store.registry import roots
from oracles.stores import damage, stored_keys

CROWD = 8
ROOT = Path(__file__).parents[1]
GO = """\
import sys
from mvenv.cli import main
import mvenv.creation
print("ready", flush=True)
sys.stdin.readline()
main(sys.argv[1:])
"""
"""Imports everything, and waits: so that all really begin at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """One environment to be made."""

    folder: Path
    lock: Path
    python: str = sys.executable
    all_groups: bool = False


Maker = Callable[[Sequence[_Wish], Path], list[dict[str, Any]]]


def _by_processes(wishes: Sequence[_Wish], store: Path) -> list[dict[str, Any]]:
    """Return what each process says, all having begun at once."""
    started = [
        subprocess.Popen(
            [
                *(sys.executable, "-c", GO, "create", str(wish.folder)),
                *("--from", str(wish.lock), "--python", wish.python),
                *("--store", str(store), "--link-mode", "hardlink", "--json"),
                *(["--all-groups"] if wish.all_groups else []),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for wish in wishes
    ]
    for one in started:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in started:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    answers = [one.communicate() for one in started]
    for one, (out, errors) in zip(started, answers, strict=True):
        assert one.returncode == 0, out + errors
    return [json.loads(out) for out, _ in answers]


def _by_threads(wishes: Sequence[_Wish], store: Path) -> list[dict[str, Any]]:
    """Return what each call says, all having begun at once."""
    barrier = threading.Barrier(len(wishes))

    def make(wish: _Wish) -> dict[str, Any]:
        request = CreateRequest(
            folder=wish.folder,
            lockfile=wish.lock,
            start=wish.folder.parent,
            python=wish.python,
            groups=GroupOptions(all_groups=wish.all_groups),
            policy=LinkPolicy.HARDLINK,
            require_link=True,
            seeds=(),
            bytecode=Bytecode.NONE,
            prompt=None,
            system_site_packages=False,
            clear=False,
            store=store,
            seal=True,
            fetch=FetchSettings.from_environment(os.environ),
            environ=dict(os.environ),
        )
        barrier.wait()
        return create(request, Silent()).as_json()

    with ThreadPoolExecutor(len(wishes)) as pool:
        return list(pool.map(make, wishes))


def _check_store(store: Path) -> None:
    """Check every stored byte, and that nobody left anything behind."""
    assert damage(store) == []
    for key in stored_keys(store):
        assert (StoreLayout(store).entry(key) / "synced").exists()
    for name in ("tmp", "trash", "rescued"):
        assert list((store / name).iterdir()) == [], name


def _check_links(store: Path, environments: Sequence[Path]) -> None:
    """Check that what was linked are the very files that the store has now.

    Had two stored the same wheel, some environment would have the other's files.
    """
    wheels = WheelStore(StoreLayout(store))
    users: set[str] = set()
    for environment in environments:
        receipt = read_receipt(environment)
        assert receipt is not None
        users.update(one.wheel for one in receipt.distributions if one.wheel)
        inodes = {
            (status.st_dev, status.st_ino)
            for folder, _, names in os.walk(environment)
            for status in (Path(folder, name).lstat() for name in names)
        }
        for one in receipt.distributions:
            wheel = wheels.find(StoreKey(one.wheel or ""))
            assert wheel is not None
            linked = [
                file
                for file in wheel.manifest.files
                if (wheel.tree / file.path).stat().st_nlink > 1
            ]
            assert linked
            for file in linked:
                status = (wheel.tree / file.path).stat()
                assert (status.st_dev, status.st_ino) in inodes, (one.name, file.path)
    assert users == set(stored_keys(store))


def _storm(wishes: Sequence[_Wish], store: Path, make: Maker) -> None:
    made = make(wishes, store)

    assert [Path(one["path"]) for one in made] == [wish.folder for wish in wishes]
    assert {one["link_mode"] for one in made} == {"hardlink"}
    _check_store(store)
    places = {root.path for root in roots(StoreLayout(store))}
    assert {str(wish.folder) for wish in wishes} <= places
    _check_links(store, [wish.folder for wish in wishes])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Locks:
    locks: tuple[Path, ...]
    modules: tuple[tuple[str, ...], ...]
    """What each lock makes importable."""
    keys: frozenset[str]


@pytest.fixture
def overlapping(
    make_wheel: WheelMaker,
    simple_index: IndexMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> _Locks:
    """Return locks of six wheels each, of twelve in all."""
    wheels = [
        make_wheel(
            f"crowd{number}",
            files={
                f"crowd{number}/__init__.py": f"number = {number}\n",
                **{
                    f"crowd{number}/part{part}.py": f"x = {number * part}\n" * 500
                    for part in range(1, 30)
                },
            },
            entry_points=f"[console_scripts]\ncrowd{number} = crowd{number}:main\n",
        )
        for number in range(12)
    ]
    index = simple_index(wheels)
    chosen = [[(start + step) % 12 for step in range(6)] for start in range(CROWD)]
    locks = [
        write_pylock(
            *(wheels[number] for number in numbers),
            index=index,
            path=tmp_path / f"pylock.{place}.toml",
        )
        for place, numbers in enumerate(chosen)
    ]
    return _Locks(
        locks=tuple(locks),
        modules=tuple(tuple(f"crowd{one}" for one in numbers) for numbers in chosen),
        keys=frozenset(map(sha256_of, wheels)),
    )


def test_eight_at_once_make_one_store(tmp_path: Path) -> None:
    for turn in range(50):
        barrier = threading.Barrier(CROWD)

        def make(
            store: Path = tmp_path / f"store{turn}",
            barrier: threading.Barrier = barrier,
        ) -> Path:
            barrier.wait()
            return open_layout(store).root

        with ThreadPoolExecutor(CROWD) as pool:
            made = [pool.submit(make) for _ in range(CROWD)]
            assert {one.result() for one in made} == {tmp_path / f"store{turn}"}


@pytest.mark.parametrize("make", [_by_processes, _by_threads])
def test_eight_at_once_fill_one_empty_store(
    make: Maker, overlapping: _Locks, simple_index: IndexMaker, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    first = [
        _Wish(folder=tmp_path / f"first{place}", lock=lock)
        for place, lock in enumerate(overlapping.locks)
    ]

    _storm(first, store, make)

    assert set(stored_keys(store)) == overlapping.keys
    for wish, modules in zip(first, overlapping.modules, strict=True):
        code = f"import {', '.join(f'{one}.part29' for one in modules)}"
        subprocess.run([wish.folder / "bin" / "python", "-c", code], check=True)

    asked = len(simple_index.requests)
    second = [
        _Wish(folder=tmp_path / f"second{place}", lock=lock)
        for place, lock in enumerate(overlapping.locks)
    ]

    _storm(second, store, make)

    assert len(simple_index.requests) == asked


@pytest.mark.parametrize("make", [_by_processes, _by_threads])
def test_eight_at_once_make_the_same_environment(
    make: Maker, overlapping: _Locks, tmp_path: Path
) -> None:
    wishes = [
        _Wish(folder=tmp_path / f"env{place}", lock=overlapping.locks[0])
        for place in range(CROWD)
    ]

    _storm(wishes, tmp_path / "store", make)

    assert len(stored_keys(tmp_path / "store")) == 6


@pytest.mark.index
@pytest.mark.slow
@pytest.mark.parametrize("make", [_by_processes, _by_threads])
def test_eight_at_once_make_real_stacks(
    make: Maker, interpreters: Interpreters, tmp_path: Path
) -> None:
    locks = ROOT / "benchmarks" / "locks"
    stacks = [
        (locks / "small", "3.11", False),
        (locks / "small", "3.12", False),
        (ROOT / "examples" / "web", "3.11", False),
        (ROOT / "examples" / "web", "3.13", False),
        (locks / "web", "3.11", False),
        (locks / "web", "3.11", True),
        (locks / "web", "3.12", True),
        (locks / "web", "3.13", True),
    ]
    for turn in ("first", "second"):
        wishes = [
            _Wish(
                folder=tmp_path / f"{turn}{place}",
                lock=folder / "poetry.lock",
                python=str(interpreters.get(python).executable),
                all_groups=groups,
            )
            for place, (folder, python, groups) in enumerate(stacks)
        ]

        _storm(wishes, tmp_path / "store", make)
