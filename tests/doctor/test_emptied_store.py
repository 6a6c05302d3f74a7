"""A store that was emptied is filled again, and shared again; and who is not hit."""

from __future__ import annotations

import shutil
from pathlib import Path

from doctor.conftest import World
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker


def inode(world: World, environment: Path) -> int:
    return (world.site(environment) / "victim.py").stat().st_ino


def test_all_share_with_it_again(world: World) -> None:
    """Though each file still had several names."""
    folders = world.make("a", "b", "c")
    assert world.mvenv("store", "clean", "--yes").code == 0

    healed = world.doctor("--all", "--offline")

    assert healed.code == 0, healed.out
    assert {inode(world, one) for one in folders} == {world.stored().stat().st_ino}
    assert world.stored().stat().st_nlink == 4
    assert world.healthy(*folders)


def test_adopt_shares_with_what_was_fetched_anew(world: World) -> None:
    a, b = world.make("a", "b")
    assert world.mvenv("store", "clean", "--yes").code == 0
    [c] = world.make("c")
    assert inode(world, a) == inode(world, b) != inode(world, c)

    assert world.mvenv("adopt", a, b).code == 0

    assert inode(world, a) == inode(world, b) == inode(world, c)
    assert world.healthy(a, b, c)


def test_who_is_gone_is_not_hit(world: World) -> None:
    a, b = world.make("a", "b")
    assert world.mvenv("store", "clean", "--yes").code == 0
    shutil.rmtree(b)

    found = world.doctor("--all", "--check", "--json", "--offline").value["findings"]

    assert [one["users"] for one in found if one["code"] == "F40"] == [[str(a)]]
    shutil.rmtree(a)
    outcome = world.doctor("--all", "--offline")
    assert outcome.code == 0, outcome.out
    assert "F40" not in outcome.out


def test_what_only_a_rollback_needs_is_no_fault(
    world: World, make_wheel: WheelMaker, write_pylock: PylockWriter
) -> None:
    """The environment keeps those files itself."""
    [folder] = world.make("a")
    newer = make_wheel("victim", "2.0", {"victim.py": "answer = 43\n" * 100})
    lock = write_pylock(newer, path=world.folder / "pylock.new.toml")
    assert world.mvenv("sync", folder, "--from", lock).code == 0
    assert world.mvenv("store", "clean", "--yes").code == 0

    outcome = world.doctor("--all", "--offline")

    assert outcome.code == 0, outcome.out
    assert world.mvenv("rollback", folder).code == 0
    assert "answer = 42" in (world.site(folder) / "victim.py").read_text()
    assert world.doctor("--all", "--offline").code == 0
    assert world.healthy(folder)
