"""The parts of the benchmark suite that prepare: lists, locks, settings, counts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import limit
from contents import distributions, installed_files
from filling import write_lock
from kit.commands import Runner
from memory import measure_together, parse_pss
from tools import calm, read_version
from weighing import allocated_once
from workloads import make_pyproject


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """Make something like an environment: links, private files, folders in folders."""
    root, store = tmp_path / "finished", tmp_path / "store"
    store.mkdir()
    for folder, links in {"lib/a/b": 30, "lib/a/c": 20, "lib/d": 40, "bin": 0}.items():
        (root / folder).mkdir(parents=True)
        (root / folder / "private").write_text("mine")
        for number in range(links):
            name = f"{folder.replace('/', '-')}-{number}"
            (store / name).write_text(name)
            os.link(store / name, root / folder / name)
    (root / "lib64").symlink_to("lib")
    return root


def _all_links(root: Path) -> set[tuple[str, int]]:
    return {
        (str(path.relative_to(root)), path.stat().st_ino)
        for path in root.rglob("*")
        if path.is_file() and path.stat().st_nlink > 1 and "lib64" not in path.parts
    }


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_work_is_shared_out_whole_and_evenly(finished: Path, workers: int) -> None:
    root = limit.read_links(finished)

    first, parts = limit.share_out(root, workers)

    shared = [one.path for part in parts for piece in part for one in piece.all()]
    if workers > 1:
        shared += [one.path for one in first]
        loads = [sum(piece.weight for piece in part) for part in parts]
        assert max(loads) - min(loads) <= 45
    else:
        shared.append("")
    assert sorted(shared) == sorted(["", "bin", "lib", "lib/a", *_LEAVES])
    assert len(parts) == workers


_LEAVES = ["lib/a/b", "lib/a/c", "lib/d"]


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
@pytest.mark.parametrize("workers", [1, 2])
def test_the_limit_makes_all_folders_and_links(
    finished: Path, tmp_path: Path, workers: int
) -> None:
    program = limit.build(tmp_path)
    assert program is not None
    links, target = tmp_path / "links", tmp_path / "target"
    links.write_bytes(limit.compose(finished, workers))

    subprocess.run([program, links, target, str(workers)], check=True)

    assert _all_links(target) == {(path, inode) for path, inode in _all_links(finished)}
    assert (target / "bin").is_dir()
    assert not (target / "bin" / "private").exists()


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_the_limit_fails_where_something_is_there(
    finished: Path, tmp_path: Path
) -> None:
    program = limit.build(tmp_path)
    assert program is not None
    links = tmp_path / "links"
    links.write_bytes(limit.compose(finished, 2))

    done = subprocess.run(
        [program, links, tmp_path, "2"], capture_output=True, check=False
    )

    assert done.returncode == 1
    assert b"File exists" in done.stderr


def test_an_inode_is_counted_once_and_a_known_one_not_at_all(finished: Path) -> None:
    store = finished.parent / "store"
    private = 4 * os.stat(finished / "bin" / "private").st_blocks * 512
    folders = [finished, *(one for one in finished.rglob("*") if one.is_dir())]
    own = sum(one.lstat().st_blocks for one in folders) * 512 + private

    _, known = allocated_once([store])

    assert allocated_once([finished], known)[0] == own
    assert allocated_once([finished, finished])[0] == allocated_once([finished])[0]


def test_mvenv_installs_the_filling(mvenv: Runner, tmp_path: Path) -> None:
    lock = write_lock(tmp_path / "filling", 3)
    place = tmp_path / "filled"

    mvenv("create", str(place), "--from", str(lock), "--offline")

    assert distributions(place) == {f"filling-{number}-1-0" for number in range(3)}
    assert "lib" in next(installed_files(place))[0]


def test_settings_that_distort_are_left_out_and_the_index_is_kept() -> None:
    given = {
        "HOME": "/home/me",
        "PIP_INDEX_URL": "https://index.example/simple",
        "PIP_NO_CACHE_DIR": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "UV_LINK_MODE": "copy",
        "MVENV_LINK_MODE": "copy",
        "VIRTUAL_ENV": "/venv",
    }

    assert calm(given) == {
        "HOME": "/home/me",
        "PIP_INDEX_URL": "https://index.example/simple",
        "UV_DEFAULT_INDEX": "https://index.example/simple",
        "PDM_PYPI_URL": "https://index.example/simple",
    }


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("pip 26.3 from /x/python3.11/site-packages/pip (python 3.11)", "26.3"),
        ("uv 0.13.9 (x86_64-unknown-linux-gnu)", "0.13.9"),
        ("Poetry (version 2.5.1)", "2.5.1"),
        ("no number", "unknown"),
    ],
)
def test_the_version_is_read_out_of_what_a_program_says(
    said: str, version: str
) -> None:
    assert read_version(said) == version


def test_the_projects_for_others_leave_nothing_to_choose() -> None:
    text = make_pyproject("web", ["a==1"], "[tool.uv]\npackage = false\n")

    project = tomllib.loads(text)
    assert project["project"]["dependencies"] == ["a==1"]
    assert project["tool"]["uv"] == {"package": False}


def test_the_proportional_set_size_is_read() -> None:
    rollup = "5581-7ffe ---p 00000000 00:00 0 [rollup]\nRss: 20 kB\nPss:   12 kB\n"

    assert parse_pss(rollup) == 12 * 1024
    assert parse_pss("") == 0


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="no procfs")
def test_the_memory_of_all_processes_is_added(tmp_path: Path) -> None:
    child = "import time; held = bytearray(30_000_000); time.sleep(1)"
    parent = (
        "import subprocess, sys; held = bytearray(30_000_000);"
        f"subprocess.run([sys.executable, '-c', '{child}'])"
    )

    run = measure_together(
        [sys.executable, "-c", parent], log=tmp_path / "log", environ=os.environ
    )

    assert run.memory > 60_000_000


def test_a_command_that_fails_ends_the_measuring(tmp_path: Path) -> None:
    failing = [sys.executable, "-c", "raise SystemExit('no')"]

    with pytest.raises(SystemExit, match="ended with 1"):
        measure_together(failing, log=tmp_path / "log", environ=os.environ)
