"""What a person reads of a store, on a terminal of 80 columns."""

from __future__ import annotations

from pathlib import Path

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker

_WIDE = 80


def test_old_plans_are_what_gives_room_without_wheels(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    one, two = make_wheel("one"), make_wheel("two")
    folder = tmp_path / "env"
    mvenv.create(folder, write_pylock(one, two))
    for wheel in (one, two):
        lock = write_pylock(wheel, path=tmp_path / "pylock.less.toml")
        assert mvenv("sync", folder, "--from", lock).code == 0

    said = mvenv("store", "prune").out.splitlines()[0]

    assert said.startswith("removed 0 wheels, 1 old plan · ")


def test_what_adopt_learned_has_its_plain_version(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    folder = tmp_path / "env"
    mvenv.create(folder, write_pylock(make_wheel("one", "1.5")), "--link-mode", "copy")
    # As another tool would have made it, and nobody has its wheel.
    for path in folder.glob(".mvenv/*"):
        path.unlink()
    (folder / ".mvenv").rmdir()
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "one-1.5.dist-info/INSTALLER").write_text("pip\n")
    other = tmp_path / "other-store"
    assert mvenv("adopt", folder, store=other).code == 0

    lines = mvenv("store", "list", store=other).out.splitlines()

    assert lines[1].split()[:2] == ["one", "1.5"]
    assert lines[1].endswith("adopted")
    assert all(len(line) <= _WIDE for line in lines[:-1])
