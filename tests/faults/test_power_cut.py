"""The power goes while wheels are taken in: no entry is there that is not whole.

A file system on an image is shut down without writing its log or its files out, at
moments spread over a cold `mvenv create`, and mounted again. Cuts of each file system:
a few here, ``MVENV_FULL_FAULTS=1`` makes it a hundred.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kit.filesystems import Disk, Filesystems
from kit.wheels import WheelMaker
from mvenv.env.receipt import PLAN, read_receipt
from mvenv.hashes import sha256_file
from mvenv.plan.record import load_plan
from mvenv.store import entries
from mvenv.store.entries import WheelStore
from mvenv.store.layout import StoreLayout, store_key

pytestmark = pytest.mark.slow

CUTS = 100 if os.environ.get("MVENV_FULL_FAULTS") == "1" else 6
WHEELS = 24
FILES = 40


@pytest.fixture
def lockfile(
    tmp_path: Path, make_wheel: WheelMaker, write_pylock: Callable[..., Path]
) -> Path:
    """Return a lockfile of wheels with files of all sizes."""
    wheels = [
        make_wheel(
            f"p{number}",
            files={
                f"p{number}/m{file}.py": os.urandom(1 << (file % 15))
                for file in range(FILES)
            },
            folder=tmp_path / "wheels",
        )
        for number in range(WHEELS)
    ]
    return write_pylock(*wheels)


@pytest.fixture
def after_the_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this another run of the machine, which a cut would have begun."""
    monkeypatch.setattr(entries, "boot_id", lambda: "another")


def start(disk: Disk, lockfile: Path) -> subprocess.Popen[bytes]:
    """Start a cold create with all that it makes on the disk."""
    return run(disk, "create", disk.folder / "env", "--from", lockfile)


def run(disk: Disk, *command: str | Path) -> subprocess.Popen[bytes]:
    """Start a command with its store on the disk."""
    return subprocess.Popen(
        [sys.executable, "-m", "mvenv", *command, "--store", disk.folder / "store"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill it, as a cut does."""
    process.send_signal(signal.SIGKILL)
    process.wait()


def trusted(store: Path) -> Iterator[tuple[str, bool]]:
    """Give each entry that the store would use, and whether it is what it says."""
    wheels = WheelStore(StoreLayout(store))
    for entry in sorted(store.glob("wheels/*/*")):
        found = wheels.find(store_key(entry.name))
        if found is not None:
            yield entry.name, not wheels.verify(found)


def wrong_files(environment: Path, store: Path) -> list[str]:
    """Return the files of an environment that are not what they must be."""
    plan = load_plan((environment / PLAN).read_bytes(), StoreLayout(store))
    receipt = read_receipt(environment)
    assert plan is not None
    assert receipt is not None
    expected = {one.path: one.sha256 for one in receipt.generated}
    for folder in (*plan.links, *plan.late_links):
        expected |= {
            f"{folder.target}/{file.target}": file.sha256 for file in folder.files
        }
    return [
        path
        for path, sha256 in expected.items()
        if not (environment / path).is_file()
        or sha256_file(environment / path) != sha256
    ]


def cold_seconds(disk: Disk, lockfile: Path) -> float:
    """Return how long an undisturbed run takes; what it made stays."""
    started = time.monotonic()
    assert start(disk, lockfile).wait() == 0
    return time.monotonic() - started


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
@pytest.mark.usefixtures("after_the_cut")
def test_no_entry_is_used_that_is_not_whole(
    filesystems: Filesystems, lockfile: Path, kind: str
) -> None:
    whole = cold_seconds(filesystems.disk(kind), lockfile)
    seen = 0
    for cut in range(CUTS):
        disk = filesystems.disk(kind)
        process = start(disk, lockfile)
        # The last ones come after the end: what is reported must have reached the disk.
        time.sleep(whole * (cut + 1) / (CUTS - 1))
        disk.cut_power()
        ended_well = process.poll() == 0
        end(process)
        disk.start_again()

        states = dict(trusted(disk.folder / "store"))
        assert all(states.values()), states
        receipt = read_receipt(disk.folder / "env")
        if ended_well:
            assert len(states) == WHEELS
        if receipt is not None:
            assert wrong_files(disk.folder / "env", disk.folder / "store") == []
        seen += len(states)
        # The name of the environment itself may be lost, with all that is in it.
        assert start(disk, lockfile).wait() == (17 if receipt else 0)
        filesystems.take_away(disk)

    assert seen


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_no_edit_is_lost_while_it_is_taken_back(
    filesystems: Filesystems, lockfile: Path, kind: str
) -> None:
    seconds = 0.0
    for cut in range(CUTS + 1):
        disk = filesystems.disk(kind)
        make = (disk.folder / "env", "--from", lockfile, "--link-mode", "hardlink")
        assert run(disk, "create", *make).wait() == 0
        edited = edit_in_place(disk.folder / "env")
        subprocess.run(["sync", "-f", disk.folder], check=True)
        started = time.monotonic()
        heal = ("doctor", disk.folder / "env", "--fix", "--offline")
        process = run(disk, *heal)
        if not cut:
            # The first is not cut, and tells how long it takes.
            assert process.wait() == 0
            seconds = time.monotonic() - started
        else:
            time.sleep(seconds * (0.3 + cut / CUTS))
        disk.cut_power()
        end(process)
        disk.start_again()

        assert all(found(disk.folder, one) for one in edited)
        assert run(disk, *heal).wait() == 0
        assert all(found(disk.folder, one) for one in edited)
        assert wrong_files(disk.folder / "env", disk.folder / "store") == []
        filesystems.take_away(disk)


def edit_in_place(environment: Path) -> list[str]:
    """Write into shared files, and return the hashes of what they are then."""
    edited = []
    for path in sorted(environment.glob("lib/python*/site-packages/p*/m1.py")):
        path.chmod(0o644)
        path.write_bytes(path.read_bytes() + b"edited\n")
        edited.append(sha256_file(path))
    return edited


def found(folder: Path, sha256: str) -> bool:
    """Return whether a file with these bytes is anywhere in ``folder``."""
    files = (path for path in folder.rglob("m1.py*") if path.is_file())
    return any(sha256_file(path) == sha256 for path in files)
