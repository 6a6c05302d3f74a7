"""Each fault of the store is found, and healed from what environments have."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from doctor.conftest import World
from kit.snapshots import tree_snapshot

GOOD = b"answer = 42\n" * 100


def _entry(world: World) -> Path:
    return world.stored().parent.parent


def _break_manifest(world: World) -> None:
    path = _entry(world) / "MANIFEST"
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def _leave_temporary(world: World) -> None:
    (world.stored().parent / ".mvenv-new~").write_text("half")


def _leave_trash(world: World) -> None:
    (world.mvenv.store / "trash/old.0").mkdir()


def _leave_run(world: World) -> None:
    folder = world.mvenv.store / "tmp/boot.1.abcdef01"
    (folder / "1").mkdir(parents=True)
    (folder / ".lock").touch()


def _break_record(world: World) -> None:
    record = next((world.mvenv.store / "envs").iterdir())
    record.write_bytes(record.read_bytes()[:-4])


def _say(world: World, text: str) -> None:
    (world.mvenv.store / "FORMAT").write_text(text)


DAMAGES: dict[str, tuple[str, Callable[[World], object]]] = {
    "pruned": ("F40", lambda world: shutil.rmtree(_entry(world))),
    "incomplete": ("F41", lambda world: world.stored().unlink()),
    "killed run": ("F42", _leave_run),
    "mode": ("F44", lambda world: world.stored().chmod(0o666)),
    "manifest": ("F45", _break_manifest),
    "no manifest": ("F45", lambda world: (_entry(world) / "MANIFEST").unlink()),
    "registry": ("F47", _break_record),
    "format": ("F47", lambda world: (world.mvenv.store / "FORMAT").unlink()),
    "empty format": ("F47", lambda world: _say(world, "")),
    "zeroed format": ("F47", lambda world: _say(world, "\0" * 14)),
    "other format": ("F47", lambda world: _say(world, "something else")),
    "trash": ("F52", _leave_trash),
    "temporary": ("F52", _leave_temporary),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_plain_fault_is_healed_without_the_wheel(world: World, damage: str) -> None:
    code, break_it = DAMAGES[damage]
    (a,) = world.make("a")
    world.wheel.unlink()
    break_it(world)

    assert world.codes(a, "--check", "--offline").get(code) == "left"
    outcome = world.doctor(a, "--offline")
    assert outcome.code == 0, outcome.out
    again = world.doctor(a, "--offline")
    assert (again.code, "healed:" in again.out) == (0, False), again.out
    assert world.healthy(a)
    assert world.stored().read_bytes() == GOOD


def test_alien_files_are_moved_aside_only_when_asked(world: World) -> None:
    (a,) = world.make("a")
    alien = world.stored().with_name("alien.txt")
    alien.write_text("whose?")

    assert world.doctor(a).code == 1
    assert alien.exists()
    assert world.doctor(a, "--fix").code == 0
    [kept] = (world.mvenv.store / "rescued").rglob("alien.txt")
    assert kept.read_text() == "whose?"
    assert world.healthy(a)


def test_alien_names_in_the_whole_store_are_found(world: World) -> None:
    (a,) = world.make("a")
    (world.mvenv.store / "wheels" / "notes").mkdir()
    (world.mvenv.store / "mine.txt").write_text("whose?")

    assert world.healthy(a)
    assert world.codes("--whole-store", "--check") == {"F46": "left"}
    assert world.doctor("--whole-store", "--fix").code == 0
    [kept] = (world.mvenv.store / "rescued").rglob("mine.txt")
    assert kept.read_text() == "whose?"


def test_a_deleted_store_is_made_again_from_the_environments(world: World) -> None:
    a, b = world.make("projects/a", "projects/b")
    world.wheel.unlink()
    shutil.rmtree(world.mvenv.store)
    outcome = world.doctor("--all", world.folder / "projects", "--offline")

    assert outcome.code == 0, outcome.out
    assert world.healthy(a, b)
    assert world.stored().read_bytes() == GOOD
    world.mvenv("create", world.folder / "c", "--from", world.lock, "--offline")
    assert (world.site(world.folder / "c") / "victim.py").read_bytes() == GOOD


def test_an_entry_from_before_a_power_cut_is_hashed_and_marked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (a,) = world.make("a")
    (_entry(world) / "synced").unlink()
    for module in ("store.entries", "diagnose.entries", "diagnose.twins"):
        monkeypatch.setattr(f"mvenv.{module}.boot_id", lambda: "another boot")

    assert world.doctor(a, "--check").code == 0
    assert not (_entry(world) / "synced").exists()
    assert world.doctor(a).code == 0
    assert (_entry(world) / "synced").exists()


def test_a_newer_store_is_never_written(world: World) -> None:
    (a,) = world.make("a")
    (world.mvenv.store / "FORMAT").write_text("mvenv store 2\n")
    before = tree_snapshot(world.mvenv.store)
    outcome = world.doctor(a, "--fix")

    assert outcome.code == 1
    assert "upgrade mvenv" in outcome.out
    assert tree_snapshot(world.mvenv.store) == before


@pytest.mark.parametrize("damaged", [False, True])
@pytest.mark.parametrize("word", ["--check", "--dry-run"])
def test_looking_writes_nothing_at_all(
    world: World, edit: Callable[..., None], word: str, damaged: bool
) -> None:
    a, b = world.make("a", "b")
    if damaged:
        edit(world.site(a) / "victim.py", b"mine = 1\n")
        (world.site(b) / "victim_more/data.bin").unlink()
        shutil.rmtree(world.mvenv.store / "tmp")
    before = _stats(world.folder)
    world.doctor("--all", word, "--full", "--whole-store")

    assert _stats(world.folder) == before


def _stats(folder: Path) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for base, folders, files in os.walk(folder):
        for name in (*folders, *files, "."):
            path = os.path.join(base, name)
            seen = os.lstat(path)
            found[path] = (
                seen.st_ino,
                seen.st_mode,
                seen.st_mtime_ns,
                seen.st_ctime_ns,
            )
    return found


def test_a_store_that_is_not_there_is_not_made_by_looking(world: World) -> None:
    (a,) = world.make("a")
    shutil.rmtree(world.mvenv.store)
    world.doctor(a, "--check")

    assert not world.mvenv.store.exists()
