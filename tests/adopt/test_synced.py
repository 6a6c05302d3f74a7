"""Sync to a lockfile of what another tool made: the environment itself is not in it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

from adopt.installing import MakeEnvironment
from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv.adopt.planning import NO_PLAN
from mvenv.plan.model import PlannedFile, PlannedRecord
from mvenv.plan.own import with_own_files

_SITE = "lib/site-packages"


def _own(environment: Path) -> dict[str, bytes]:
    paths = [environment / "pyvenv.cfg", *environment.glob("bin/[Aa]ctivate*")]
    return {path.name: path.read_bytes() for path in paths}


def test_its_own_files_stay(
    mvenv: Runner,
    pip_environment: MakeEnvironment,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
) -> None:
    """Without pyvenv.cfg its Python is the base interpreter's."""
    folder = pip_environment("env")
    before = _own(folder)
    lock = write_pylock(make_wheel("one"))
    assert mvenv("adopt", folder, "--link-mode", "hardlink").code == 0

    first = mvenv("sync", folder, "--from", lock)
    again = mvenv("sync", folder, "--from", lock)

    assert first.code == 0, first.err
    assert len(before) > 1
    assert _own(folder) == before
    assert "nothing to do" in again.out
    words = [str(folder / "bin/python"), "-c", "import one, sys; print(sys.prefix)"]
    ran = subprocess.run(words, check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == str(folder)


def test_they_go_back_and_are_healed(
    mvenv: Runner,
    pip_environment: MakeEnvironment,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
) -> None:
    folder = pip_environment("env")
    before = _own(folder)
    lock = write_pylock(make_wheel("one"))
    assert mvenv("adopt", folder, "--link-mode", "hardlink").code == 0
    assert mvenv("sync", folder, "--from", lock).code == 0
    (folder / "pyvenv.cfg").unlink()
    (folder / "bin/activate").unlink()

    healed = mvenv("doctor", folder)

    assert "pyvenv.cfg" in healed.out
    assert _own(folder) == before
    assert mvenv("rollback", folder).code == 0
    assert _own(folder) == before


def test_what_a_distribution_had_is_not_its_own() -> None:
    """Nor what is installed at such a place by now."""
    files = {path: PlannedFile(path, b"old", executable=False) for path in "abc"}
    metadata = PlannedFile(f"{_SITE}/x-1.dist-info/INSTALLER", b"", executable=False)
    record = PlannedRecord(f"{_SITE}/x-1.dist-info/RECORD", _SITE, "../../a,,\n", ())
    known = replace(NO_PLAN, files=(*files.values(), metadata), records=(record,))
    new = PlannedFile("b", b"new", executable=False)

    plan = with_own_files(replace(NO_PLAN, files=(new,)), known)

    assert plan.files == (new, files["c"])
