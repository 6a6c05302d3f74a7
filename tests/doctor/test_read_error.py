"""A disk that cannot read a file (F17), and a stored file that is full (F50)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from doctor.conftest import World
from kit.filesystems import Filesystems

_FULL = 65_000
"""Links of one file on ext4."""


def doctor_who_cannot_read(world: World, *words: str | Path, bad: list[Path]) -> Any:
    """Run doctor; every read of ``bad`` files, by these names, is an I/O error."""
    if shutil.which("strace") is None:
        pytest.skip("there is no `strace`")
    paths = [word for path in bad for word in ("-P", str(path))]
    calls = "read,pread64,copy_file_range,sendfile,mmap"
    command = [sys.executable, "-m", "mvenv", "doctor", *map(str, words), "--json"]
    trace = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={calls}"]
    trace += ["-e", f"inject={calls}:error=EIO"]
    done = subprocess.run(
        [*trace, *paths, *command, "--store", str(world.mvenv.store)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    if "ptrace" in done.stderr:
        pytest.skip(f"nothing can be traced here: {done.stderr}")
    assert "Traceback" not in done.stderr, done.stderr
    return json.loads(done.stdout)


def test_a_file_that_cannot_be_read_is_replaced_under_all_its_names(
    world: World,
) -> None:
    """The scan goes on behind it, and what replaces it has an inode of its own."""
    a, b = world.make("a", "b")
    names = [world.site(one) / "victim.py" for one in (a, b)]
    bad = [*names, world.stored()]
    inode = world.stored().stat().st_ino
    (world.site(a) / "victim_more/data.bin").unlink()

    found = doctor_who_cannot_read(world, a, "--full", "--check", bad=bad)
    assert {one["code"] for one in found["findings"]} == {"F17", "F01"}
    assert found["exit_code"] == 1
    assert {path.stat().st_ino for path in bad} == {inode}
    healed = doctor_who_cannot_read(world, a, "--full", bad=bad)

    assert healed["exit_code"] in {0, 1}
    assert {path.read_bytes() for path in bad} == {b"answer = 42\n" * 100}
    assert len({path.stat().st_ino for path in bad}) == 1
    assert world.stored().stat().st_ino != inode
    assert world.healthy(a, b)


def test_a_stored_file_that_takes_no_more_links(
    world: World, filesystems: Filesystems
) -> None:
    """The store gets a fresh one, and the old one stays with whom it is with."""
    home = filesystems.folder("ext4")
    folder, store = home / "a", home / "store"
    other = home / "b"
    for one in (folder, other):
        world.mvenv.create(one, world.lock, "--link-mode", "hardlink", store=store)
    stored = next(store.glob("wheels/*/*/tree/victim.py"))
    lost = next(folder.glob("lib/*/site-packages")) / "victim.py"
    kept = next(other.glob("lib/*/site-packages")) / "victim.py"
    lost.unlink()
    links = home / "links"
    links.mkdir()
    for number in range(_FULL - stored.stat().st_nlink):
        os.link(stored, links / str(number))
    assert stored.stat().st_nlink == _FULL
    old = stored.stat().st_ino

    outcome = world.mvenv("doctor", folder, "--offline", store=store)

    assert outcome.code == 0, outcome.out
    assert lost.stat().st_ino == stored.stat().st_ino != old
    assert kept.stat().st_ino == old
    looked = world.mvenv("doctor", folder, other, "--check", "--full", store=store)
    assert looked.code == 0, looked.out
