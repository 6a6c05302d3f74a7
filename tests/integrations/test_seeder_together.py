"""Many environments at once, in threads as tox has them, and in processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kit.virtualenvs import Virtualenv
from mvenv.store.entries import WheelStore
from mvenv.store.layout import StoreLayout, store_key
from oracles.comparing import untrue_rows

THREADS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from virtualenv import cli_run
with ThreadPoolExecutor(len(sys.argv) - 1) as pool:
    for session in pool.map(lambda place: cli_run([place]), sys.argv[1:]):
        print(type(session.seeder).__name__)
"""


def _check(virtualenv: Virtualenv, places: list[Path]) -> None:
    for place in places:
        assert untrue_rows(place) == []
        (module,) = place.glob("lib/*/site-packages/pip/__main__.py")
        assert module.stat().st_nlink > len(places)
        assert not list(place.glob(".mvenv*"))
    held = WheelStore(StoreLayout(virtualenv.store))
    for folder in virtualenv.store.glob("wheels/*/*"):
        wheel = held.find(store_key(folder.name))
        assert wheel is not None
        assert held.verify(wheel) == ()
    assert list((virtualenv.store / "tmp").iterdir()) == []


def test_threads_with_an_empty_store(virtualenv: Virtualenv, tmp_path: Path) -> None:
    places = [tmp_path / f"env{number}" for number in range(6)]
    variables = virtualenv.environ("mvenv", MVENV_LINK_MODE="hardlink")

    done = virtualenv.python("-c", THREADS, *places, variables=variables)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["MvenvSeeder"] * len(places)
    assert "without mvenv" not in done.stderr
    _check(virtualenv, places)


def test_processes_with_an_empty_store(virtualenv: Virtualenv, tmp_path: Path) -> None:
    places = [tmp_path / f"env{number}" for number in range(4)]
    command = [sys.executable, "-m", "virtualenv"]
    variables = virtualenv.environ("mvenv", MVENV_LINK_MODE="hardlink")
    running = [
        subprocess.Popen(
            [*command, str(place)],
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for place in places
    ]
    said = [one.communicate()[0] for one in running]

    assert [one.returncode for one in running] == [0] * len(places), said
    assert "without mvenv" not in "".join(said)
    _check(virtualenv, places)
