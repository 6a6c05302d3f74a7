"""The command line of the store's upkeep."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker, sha256_of

DAY = 86_400 * 10**9


@pytest.fixture
def lock(make_wheel: WheelMaker, write_pylock: PylockWriter) -> Path:
    """Return a lock of one wheel."""
    return write_pylock(make_wheel("demo", files={"demo.py": "x = 1\n" * 5000}))


def _let_vanish(mvenv: Runner, environment: Path) -> None:
    shutil.rmtree(environment)
    assert mvenv("store", "prune").code == 0
    for mark in mvenv.store.glob("envs/*.absent"):
        os.utime(mark, ns=(0, mark.stat().st_mtime_ns - 8 * DAY))


def test_the_path_is_what_was_chosen(mvenv: Runner) -> None:
    assert mvenv("store", "path").out == f"{mvenv.store}\n"
    assert mvenv("store", "path", "--json").value["store"] == str(mvenv.store)


def test_prune_says_what_it_did(mvenv: Runner, lock: Path, tmp_path: Path) -> None:
    mvenv.create(tmp_path / "a", lock)
    _let_vanish(mvenv, tmp_path / "a")
    said = mvenv("store", "prune", "--dry-run").out.splitlines()
    done = mvenv("store", "prune").out.splitlines()

    assert said[0].startswith("would remove 1 wheel · ")
    assert said[0].removeprefix("would remove") == done[0].removeprefix("removed")
    assert done[0].endswith(" kB back · 0 left")
    assert done[1] == "  demo-1.0-py3-none-any.whl (30.4 kB)"
    assert done[2].endswith("a is gone, and off the record")
    assert mvenv("store", "prune").out == "removed 0 wheels · 0 B back · 0 left\n"


def test_who_is_waited_for_is_named(mvenv: Runner, lock: Path, tmp_path: Path) -> None:
    mvenv.create(tmp_path / "a", lock)
    shutil.rmtree(tmp_path / "a")
    outcome = mvenv("store", "prune")

    assert "a keeps its wheels: gone, not long ago" in outcome.out
    assert "--forget" in outcome.out
    assert mvenv("store", "prune", "--forget", tmp_path / "a").code == 0
    assert list(mvenv.store.glob("wheels/*/*")) == []


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("--older-than", "3d"), 0),
        (("--older-than", "1h"), 1),
        (("--older-than", "90m"), 1),
        (("--max-size", "1GB"), 0),
        (("--max-size", "1kB"), 1),
        (("--max-size", "0"), 1),
        (("--max-size", "0.001MiB"), 1),
    ],
)
def test_times_and_sizes_are_understood(
    mvenv: Runner, lock: Path, tmp_path: Path, words: tuple[str, ...], count: int
) -> None:
    mvenv.create(tmp_path / "a", lock)
    _let_vanish(mvenv, tmp_path / "a")
    [entry] = mvenv.store.glob("wheels/*/*")
    used = entry.stat().st_mtime_ns - 2 * DAY
    os.utime(entry, ns=(used, used))
    value = mvenv("store", "prune", "--json", *words).value

    assert len(value["removed"]) == count


@pytest.mark.parametrize(
    "words",
    [
        ("--older-than", "soon"),
        ("--older-than", "3"),
        ("--older-than", "-3d"),
        ("--max-size", "big"),
        ("--max-size", "1XB"),
        ("--max-size", "-1"),
    ],
)
def test_what_is_no_time_or_size_is_told(mvenv: Runner, words: tuple[str, ...]) -> None:
    assert mvenv("store", "prune", *words).code == 2


def test_nothing_is_emptied_unasked(mvenv: Runner, lock: Path, tmp_path: Path) -> None:
    mvenv.create(tmp_path / "a", lock)
    outcome = mvenv("store", "clean")
    assert outcome.code == 2
    assert "--yes" in outcome.err
    assert mvenv("store", "clean", "--dry-run").code == 0
    assert len(list(mvenv.store.glob("wheels/*/*"))) == 1

    assert mvenv("store", "clean", "--yes").out.startswith("removed 1 wheel · ")
    assert list(mvenv.store.glob("wheels/*/*")) == []
    subprocess.run([tmp_path / "a/bin/python", "-c", "import demo"], check=True)


def test_an_emptied_store_is_filled_from_environments(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    mvenv.create(tmp_path / "a", lock)
    assert mvenv("store", "clean", "--yes").code == 0
    for wheel in (tmp_path / "wheels").iterdir():
        wheel.unlink()
    assert mvenv("doctor", tmp_path / "a", "--offline").code == 0

    [entry] = mvenv.store.glob("wheels/*/*")
    assert (entry / "rebuilt").exists()
    mvenv.create(tmp_path / "b", lock, "--offline")


def test_export_and_import_say_the_sha256(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    mvenv.create(tmp_path / "a", lock)
    out = mvenv("store", "export", tmp_path / "a.tar", "--env", tmp_path / "a").out
    sha256 = sha256_of(tmp_path / "a.tar")
    assert out.splitlines()[0].startswith("exported 1 wheel to ")
    assert out.splitlines()[1] == f"sha256 {sha256}"
    new = tmp_path / "new"
    refused = mvenv(
        "store", "import", tmp_path / "a.tar", "--sha256", "0" * 64, store=new
    )
    assert refused.code == 13
    done = mvenv("store", "import", tmp_path / "a.tar", "--sha256", sha256, store=new)

    assert done.out.splitlines()[0].startswith("imported 1 wheel · 30.4 kB · ")
    again = mvenv("store", "import", tmp_path / "a.tar", store=new)
    assert "imported 0 wheels · 0 B · 1 were there" in again.out
    assert mvenv("store", "import", tmp_path / "none.tar", store=new).code == 18


def test_archives_go_through_pipes(mvenv: Runner, lock: Path, tmp_path: Path) -> None:
    mvenv.create(tmp_path / "a", lock)
    command = [sys.executable, "-m", "mvenv", "store"]
    export = subprocess.run(
        [*command, "export", "-", "--store", mvenv.store],
        capture_output=True,
        check=True,
    )
    done = subprocess.run(
        [*command, "import", "-", "--store", tmp_path / "new", "--json"],
        input=export.stdout,
        capture_output=True,
        check=True,
    )

    assert mvenv("store", "export", tmp_path / "a.tar").code == 0
    assert (tmp_path / "a.tar").read_bytes() == export.stdout
    assert sha256_of(tmp_path / "a.tar") in export.stderr.decode()
    assert sha256_of(tmp_path / "a.tar") in done.stdout.decode()
    assert len(list((tmp_path / "new").glob("wheels/*/*"))) == 1


def test_a_cut_pipe_is_refused(
    mvenv: Runner, lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mvenv.create(tmp_path / "a", lock)
    mvenv("store", "export", tmp_path / "a.tar")
    content = (tmp_path / "a.tar").read_bytes()[:5000]
    stream = io.TextIOWrapper(io.BytesIO(content))
    monkeypatch.setattr(sys, "stdin", stream)
    outcome = mvenv("store", "import", "-", store=tmp_path / "new")

    assert outcome.code == 16
    assert "cut off" in outcome.err
    assert list((tmp_path / "new").glob("wheels/*/*")) == []
