"""A quick check that is shared out finds what one process finds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doctor.conftest import World
from mvenv.link.tree import TEMPORARY

PROGRAM = """\
import os, sys
os.sched_getaffinity = lambda _process: {0, 1, 2}
import mvenv.diagnose.scanning
mvenv.diagnose.scanning._WORTH_IT = 1
forked = os.fork
def fork():
    print("forked", file=sys.stderr)
    return forked()
os.fork = fork
from mvenv.cli import main
main(sys.argv[1:])
"""


def _missing(site: Path) -> None:
    (site / "victim.py").unlink()


def _folder_gone(site: Path) -> None:
    shutil.rmtree(site / "victim_more")


def _link_for_folder(site: Path) -> None:
    """Let a link to right files stand where a folder belongs."""
    (site / "victim_more").rename(site.parent / "elsewhere")
    (site / "victim_more").symlink_to(site.parent / "elsewhere")


def _file_for_folder(site: Path) -> None:
    shutil.rmtree(site / "victim_more")
    (site / "victim_more").write_text("mine")


def _stranger(site: Path) -> None:
    (site / "victim_more" / "mine.py").write_text("mine")


def _leftover(site: Path) -> None:
    (site / TEMPORARY).write_text("half a file")


def _nothing(_site: Path) -> None: ...


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")
@pytest.mark.parametrize(
    "break_it",
    [
        _missing,
        _folder_gone,
        _link_for_folder,
        _file_for_folder,
        _stranger,
        _leftover,
        _nothing,
    ],
)
def test_it_finds_the_same(break_it: Callable[[Path], None], world: World) -> None:
    (a,) = world.make("a")
    break_it(world.site(a))
    words = ["doctor", str(a), "--check", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words, "--store", str(world.mvenv.store)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    here = world.mvenv(*words)

    assert "forked" in done.stderr
    assert (done.returncode, _told(json.loads(done.stdout))) == (
        here.code,
        _told(here.value),
    )


def _told(value: dict[str, Any]) -> dict[str, Any]:
    value.pop("seconds")
    return value
