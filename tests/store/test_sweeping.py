"""Many that sweep a store while others discard from it: nobody fails or is robbed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from mvenv.store.layout import open_layout
from mvenv.store.runs import deleting, is_being_deleted, sweep

SECONDS = 2.0
SWEEPER = """
import sys, time
from pathlib import Path
from mvenv.store.layout import StoreLayout
from mvenv.store.runs import sweep
layout, end = StoreLayout(Path(sys.argv[1])), time.time() + float(sys.argv[2])
while time.time() < end:
    sweep(layout)
"""
DISCARDER = """
import os, sys, time
from pathlib import Path
from mvenv.store.layout import StoreLayout
from mvenv.store.runs import RunFolder, discard
layout, end = StoreLayout(Path(sys.argv[1])), time.time() + float(sys.argv[2])
done = 0
while time.time() < end:
    with RunFolder(layout) as run:
        made = run.new_path()
        for number in range(4):
            folder = made / str(number) / "deep"
            folder.mkdir(parents=True)
            for name in range(20):
                (folder / str(name)).touch()
        entry = layout.root / "wheels" / str(os.getpid())
        os.rename(made, entry)
        discard(layout, entry)
        assert not entry.exists()
        assert os.listdir(run.path) == [".lock"]
    done += 1
print(done)
"""


def _start(program: str, store: Path, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, str(store), str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_sweeping_while_others_discard(tmp_path: Path) -> None:
    layout = open_layout(tmp_path / "store")
    discarding = [_start(DISCARDER, layout.root, SECONDS) for _ in range(2)]
    sweeping = [_start(SWEEPER, layout.root, SECONDS) for _ in range(2)]
    ended = [process.communicate() for process in (*discarding, *sweeping)]

    assert [error for _, error in ended] == [""] * 4
    assert all(int(done) > 1 for done, _ in ended[:2])
    assert os.listdir(layout.trash) == os.listdir(layout.tmp) == []


def test_what_killed_ones_left_is_swept_by_several_at_once(tmp_path: Path) -> None:
    layout = open_layout(tmp_path / "store")
    killed = [_start(DISCARDER, layout.root, 60.0) for _ in range(2)]
    deadline = time.monotonic() + 30
    while not os.listdir(layout.trash) and time.monotonic() < deadline:
        pass
    for process in killed:
        process.kill()
        process.communicate()
    grave = layout.trash / "killed-before-it-began"
    (grave / "below").mkdir(parents=True)
    (grave / "below" / "file").touch()
    sweeping = [_start(SWEEPER, layout.root, 0.5) for _ in range(3)]

    assert [process.communicate()[1] for process in sweeping] == [""] * 3
    sweep(layout)
    assert os.listdir(layout.trash) == os.listdir(layout.tmp) == []


def test_what_is_being_deleted_is_no_leftover(tmp_path: Path) -> None:
    layout = open_layout(tmp_path / "store")
    with deleting(layout), deleting(layout):
        assert is_being_deleted(layout)

    assert not is_being_deleted(layout)
