"""Real limits, not injected: full disks, quotas, few descriptors, small files.

Each is met at several points of a run, by leaving more and more room. What must hold
is what `kit.faults.Stage` says: whole, or an error in words and nothing half-made.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

from kit.faults import SCENARIOS, Stage
from kit.filesystems import Filesystems
from kit.snapshots import tree_snapshot

KIB = 1 << 10
SYSTEM_FAULT = 18


def fill(folder: Path, *, leave: int) -> Path:
    """Write until nothing more fits but ``leave`` bytes; return what takes the room."""
    fillers = folder / "lost+found"
    fillers.mkdir(exist_ok=True)
    room = fillers / "room"
    # Set aside first: where a quota is reached, files cannot be made shorter.
    write_until_full(room, leave)
    write_until_full(fillers / "rest", 1 << 40)
    room.unlink()
    os.sync()
    return fillers


def write_until_full(path: Path, most: int) -> None:
    """Write up to ``most`` bytes, in ever smaller pieces; quotas take a piece whole."""
    piece = 64 * KIB
    with path.open("wb", buffering=0) as stream:
        while piece >= 4 * KIB and stream.tell() < most:
            try:
                stream.write(os.urandom(min(piece, most - stream.tell())))
                os.fsync(stream.fileno())
            except OSError as error:
                if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                    raise
                piece //= 2


def fill_inodes(folder: Path, *, leave: int) -> Path:
    """Make files until there are no more inodes, then delete ``leave`` of them."""
    fillers = folder / "fillers"
    fillers.mkdir()
    made = 0
    with pytest.raises(OSError, match="No space left"):
        while True:
            (fillers / str(made)).touch()
            made += 1
    for number in range(made - leave, made):
        (fillers / str(number)).unlink()
    return fillers


def run_filled(stage: Stage, limit: Callable[[], Path]) -> tuple[int, list[str]]:
    """Run once where something is full, judge it, make room, and run to the end."""
    stage.reset()
    fillers = limit()
    ended = stage.trace.run(stage.command(threads=True))
    standing = stage.standing()
    wrong = [*stage.judge(ended, standing), *stage.check_store(), *stage.leftovers()]
    shutil.rmtree(fillers)
    return ended.returncode, [*wrong, *stage.again(standing)]


def run_limited(stage: Stage, limit: str) -> tuple[int, list[str]]:
    """Run once under a limit of the shell, judge it, and run without to the end.

    What cannot be deleted with so few descriptors is left to the next run.
    """
    stage.reset()
    shell = ["sh", "-c", f'ulimit {limit}; exec "$@"', "sh"]
    ended = stage.trace.run([*shell, *stage.command(threads=True)])
    standing = stage.standing()
    wrong = [*stage.judge(ended, standing), *stage.check_store()]
    return ended.returncode, [*wrong, *stage.again(standing)]


def outcomes(runs: Iterable[tuple[int, list[str]]]) -> Iterator[int]:
    """Yield the exit codes of runs with which nothing was wrong."""
    for code, wrong in runs:
        assert wrong == [], f"exit {code}"
        yield code


@pytest.mark.parametrize("name", ["cold", "clear"])
def test_a_full_disk(filesystems: Filesystems, name: str) -> None:
    disk = filesystems.tiny_disk()
    stage = Stage.build(SCENARIOS[name], disk / "stage")

    codes = list(
        outcomes(
            run_filled(stage, partial(fill, disk, leave=leave * KIB))
            for leave in (0, 12, 40, 90, 160, 240, 400, 900)
        )
    )

    assert SYSTEM_FAULT in codes
    assert codes[-1] == 0


def test_a_full_disk_below_the_environment_alone(
    filesystems: Filesystems, tmp_path: Path
) -> None:
    mount = filesystems.limited_tmpfs(2 << 20)
    stage = Stage.build(SCENARIOS["in-place"], tmp_path / "stage", mount=mount)

    codes = list(
        outcomes(
            run_filled(stage, partial(fill, mount, leave=leave * KIB))
            for leave in (0, 20, 60)
        )
    )

    assert codes == [SYSTEM_FAULT] * 3


def test_no_more_inodes(filesystems: Filesystems) -> None:
    disk = filesystems.limited_tmpfs(64 << 20, inodes=600)
    stage = Stage.build(SCENARIOS["cold"], disk / "stage")

    codes = list(
        outcomes(
            run_filled(stage, partial(fill_inodes, disk, leave=leave))
            for leave in (1, 8, 20, 40, 70, 110, 250)
        )
    )

    assert SYSTEM_FAULT in codes
    assert codes[-1] == 0


def test_a_quota(filesystems: Filesystems) -> None:
    folder = filesystems.subvolume(limit=8 << 20)
    stage = Stage.build(SCENARIOS["cold"], folder / "stage")

    codes = list(
        outcomes(
            run_filled(stage, partial(fill, folder, leave=leave * KIB))
            for leave in (0, 64, 256, 1024)
        )
    )

    assert SYSTEM_FAULT in codes


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cold", "clear"])
def test_few_descriptors(name: str, build_stage: Callable[[str], Stage]) -> None:
    stage = build_stage(name)

    codes = list(
        outcomes(run_limited(stage, f"-n {many}") for many in (8, 10, 12, 14, 18, 64))
    )

    assert codes[0] != 0
    assert codes[-1] == 0


@pytest.mark.slow
def test_small_files_only(build_stage: Callable[[str], Stage]) -> None:
    stage = build_stage("fetch")

    codes = list(
        outcomes(
            # Units of 512 bytes; the kernel's signal is ignored by Python.
            run_limited(stage, f"-f {size}")
            for size in (1, 4, 16, 4096)
        )
    )

    assert codes[0] == SYSTEM_FAULT
    assert codes[-1] == 0


def immutable(folder: Path) -> None:
    """Keep everybody, root too, from making names in a folder."""
    if shutil.which("chattr") is None:
        pytest.skip("there is no `chattr`")
    subprocess.run(["chattr", "+i", str(folder)], check=True)


def test_a_parent_that_cannot_be_written_to(filesystems: Filesystems) -> None:
    stage = Stage.build(SCENARIOS["warm"], filesystems.folder("ext4") / "stage")
    stage.reset()
    parent = stage.environment.parent
    immutable(parent)
    try:
        before = tree_snapshot(parent)
        ended = stage.trace.run(stage.command(threads=True))

        assert ended.returncode == SYSTEM_FAULT, ended.output
        assert "Traceback" not in ended.output
        assert str(parent) in ended.output
        assert tree_snapshot(parent) == before
    finally:
        subprocess.run(["chattr", "-i", str(parent)], check=True)

    assert stage.again("absent") == []


def test_an_empty_folder_in_such_a_parent(filesystems: Filesystems) -> None:
    stage = Stage.build(SCENARIOS["warm"], filesystems.folder("ext4") / "stage")
    stage.reset()
    stage.environment.mkdir()
    parent = stage.environment.parent
    immutable(parent)
    try:
        ended = stage.trace.run(stage.command(threads=True))

        assert ended.returncode == 0, ended.output
        assert stage.standing() == "new"
    finally:
        subprocess.run(["chattr", "-i", str(parent)], check=True)
