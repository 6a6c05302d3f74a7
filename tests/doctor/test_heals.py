"""Each fault of an environment's files is found, and healed as its class says."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from doctor.conftest import World
from mvenv.env.receipt import FOLDER

GOOD = b"answer = 42\n" * 100


def _zero(path: Path) -> None:
    size = path.stat().st_size
    path.unlink()
    path.write_bytes(bytes(size))


def _empty(path: Path) -> None:
    path.unlink()
    path.touch()


def _cut(path: Path) -> None:
    path.unlink()
    path.write_bytes(GOOD[:77])


def _chmod(path: Path) -> None:
    copy = path.read_bytes()
    stamp = path.stat().st_mtime_ns
    path.unlink()
    path.write_bytes(copy)
    path.chmod(0o600)
    os.utime(path, ns=(stamp, stamp))


PLAIN: dict[str, tuple[str, Callable[[Path], object]]] = {
    "deleted": ("F01", lambda path: path.unlink()),
    "emptied": ("F05", _empty),
    "zeroed": ("F07", _zero),
    "cut": ("F06", _cut),
    "other mode": ("F12", _chmod),
}


@pytest.mark.parametrize("mode", ["hardlink", "copy"])
@pytest.mark.parametrize("damage", PLAIN)
def test_a_plain_fault_is_healed_from_the_store(
    world: World, damage: str, mode: str
) -> None:
    code, break_it = PLAIN[damage]
    (a,) = world.make("a", mode=mode)
    world.wheel.unlink()
    break_it(world.site(a) / "victim.py")

    assert world.codes(a, "--check").get(code) == "left"
    outcome = world.doctor(a)
    assert outcome.code == 0, outcome.out
    assert (world.site(a) / "victim.py").read_bytes() == GOOD
    assert world.healthy(a)


@pytest.mark.parametrize("mode", ["hardlink", "copy"])
def test_a_whole_package_comes_back(world: World, mode: str) -> None:
    (a,) = world.make("a", mode=mode)
    shutil.rmtree(world.site(a) / "victim_more")
    (world.site(a) / "victim.py").unlink()
    (a / "bin/victim").unlink()

    assert world.codes(a)["F02"] == "healed"
    assert world.healthy(a)


def test_the_healed_file_is_shared_again(world: World) -> None:
    (a,) = world.make("a")
    (world.site(a) / "victim.py").unlink()
    world.doctor(a)

    assert (world.site(a) / "victim.py").samefile(world.stored())


def test_a_file_with_its_own_bytes_is_shared_again(world: World) -> None:
    (a,) = world.make("a")
    path = world.site(a) / "victim.py"
    other = path.with_name("other")
    shutil.copy2(path, other)
    other.replace(path)

    assert world.codes(a)["F11"] == "healed"
    assert path.samefile(world.stored())
    assert world.healthy(a)


def test_a_folder_in_place_of_a_file_is_kept(world: World) -> None:
    (a,) = world.make("a")
    path = world.site(a) / "victim.py"
    path.unlink()
    path.mkdir()
    (path / "mine.txt").write_text("mine")

    assert world.codes(a)["F04"] == "left"
    outcome = world.doctor(a, "--fix")
    assert outcome.code == 0, outcome.out
    [kept] = (a / ".mvenv/rescued").glob("*/lib/*/site-packages/victim.py/mine.txt")
    assert kept.read_text() == "mine"
    assert world.healthy(a)


def test_a_private_edit_is_yours_until_you_say_otherwise(world: World) -> None:
    (a,) = world.make("a", mode="copy")
    path = world.site(a) / "victim.py"
    path.write_bytes(b"mine = 1\n" * 300)

    outcome = world.doctor(a, "--fix")
    assert (outcome.code, path.read_bytes()[:4]) == (0, b"mine")
    outcome = world.doctor(a, "--restore")
    assert outcome.code == 0, outcome.out
    assert path.read_bytes() == GOOD
    [kept] = (a / ".mvenv/rescued").glob("*/lib/*/site-packages/victim.py")
    assert kept.read_bytes() == b"mine = 1\n" * 300
    assert f"cp --remove-destination {kept}" in outcome.out


@pytest.mark.parametrize(
    ("path", "code"),
    [("bin/victim", "F26"), ("pyvenv.cfg", "F01"), ("bin/activate", "F26")],
)
def test_what_mvenv_wrote_is_written_again(world: World, path: str, code: str) -> None:
    (a,) = world.make("a")
    before = (a / path).read_bytes()
    (a / path).unlink()

    assert world.codes(a)[code] == "healed"
    assert (a / path).read_bytes() == before
    assert world.healthy(a)


def test_a_record_is_written_again_and_keeps_foreign_rows(world: World) -> None:
    (a,) = world.make("a")
    record = next(world.site(a).glob("victim-1.0.dist-info/RECORD"))
    before = record.read_bytes()
    (world.site(a) / "theirs.py").write_text("")
    record.write_bytes(before.replace(b"victim.py,", b"victim.px,") + b"theirs.py,,\n")

    outcome = world.doctor(a, "--fix")
    assert outcome.code == 0, outcome.out
    assert b"victim.py,sha256=" in record.read_bytes()
    assert b"theirs.py,,\n" in record.read_bytes()


def test_lost_records_are_found_out_again(world: World) -> None:
    (a,) = world.make("a")
    for name in ("receipt", "plan"):
        (a / ".mvenv" / name).unlink()
        outcome = world.doctor(a)
        assert outcome.code == 0, outcome.out
        assert world.healthy(a), world.doctor(a, "--check").out
    shutil.rmtree(a / ".mvenv")
    outcome = world.doctor(a)
    assert outcome.code == 0, outcome.out
    assert world.healthy(a), world.doctor(a, "--check").out


def test_a_moved_environment_is_told_where_it_is(world: World) -> None:
    (a,) = world.make("a")
    moved = world.folder / "moved"
    a.rename(moved)

    assert world.codes(moved)["F33"] == "left"
    outcome = world.doctor(moved, "--fix")
    assert outcome.code == 0, outcome.out
    assert str(moved) in (moved / "bin/victim").read_text()
    assert str(moved) in (moved / "bin/activate").read_text()
    assert world.healthy(moved), world.doctor(moved, "--check").out


def test_a_copy_gets_its_own_name_and_both_are_on_record(world: World) -> None:
    (a,) = world.make("a", mode="copy")
    copy = world.folder / "copy"
    shutil.copytree(a, copy, symlinks=True)

    outcome = world.doctor(copy, "--fix")
    assert outcome.code == 0, outcome.out
    assert len(os.listdir(world.mvenv.store / "envs")) == 2
    assert world.healthy(a, copy), world.doctor(a, copy, "--check").out


def test_a_dangling_interpreter_link_is_linked_again(world: World) -> None:
    (a,) = world.make("a")
    link = a / "bin/python3"
    link.unlink()
    link.symlink_to("nowhere")

    assert world.codes(a)["F03"] == "healed"
    assert world.healthy(a)


def test_one_kind_alone_can_be_healed(world: World) -> None:
    (a,) = world.make("a")
    (world.site(a) / "victim.py").unlink()
    (a / "bin/victim").unlink()

    assert world.codes(a, "--only", "missing-file") == {"F01": "healed"}
    assert not (a / "bin/victim").exists()


def test_a_dry_run_says_what_would_be_done_and_does_nothing(world: World) -> None:
    (a,) = world.make("a")
    (world.site(a) / "victim.py").unlink()
    outcome = world.doctor(a, "--dry-run")

    assert outcome.code == 1
    assert "put back from the store" in outcome.out
    assert not (world.site(a) / "victim.py").exists()


def test_what_belongs_in_a_folder_comes_after_the_folder(world: World) -> None:
    (a,) = world.make("a")
    shutil.rmtree(a / "bin")
    (a / "bin").write_text("mine")

    assert set(world.codes(a, "--fix").values()) == {"healed"}
    assert world.healthy(a)
    assert [path.read_text() for path in a.glob(".mvenv/rescued/*/bin")] == ["mine"]


@pytest.mark.parametrize("name", ["receipt", "plan"])
def test_a_pipe_is_no_record(world: World, name: str) -> None:
    """Nobody waits for what may never come."""
    (a,) = world.make("a")
    record = a / FOLDER / name
    record.unlink()
    os.mkfifo(record)

    assert world.codes(a) == {"F28": "healed"}
    assert world.healthy(a)
