"""Each of the rules of `kit.never` notices what breaks it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.never import Watch
from kit.wheels import WheelMaker
from mvenv.env.generations import SYNCING

_GOOD = "good = 1\n" * 40


class World:
    """An environment, its store, and a bystander."""

    def __init__(self, base: Path, store: Path) -> None:
        self.env = base / "env"
        self.store = store
        self.bystander = base / "bystander"
        self.bystander.mkdir()
        (self.bystander / "notes.txt").write_text("mine")

    @property
    def module(self) -> Path:
        """Return a linked module of the environment."""
        return next(self.env.glob("lib/*/site-packages/alpha/__init__.py"))

    @property
    def mine(self) -> Path:
        """Return a file that the user made."""
        return self.module.with_name("mine.py")

    def watch(self) -> Watch:
        """Return what watches all of it."""
        return Watch(
            environments=(self.env,),
            stores=(self.store,),
            bystanders=(self.bystander,),
        )


@pytest.fixture
def world(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> World:
    """Return an environment in which the user has a file."""
    world = World(tmp_path, mvenv.store)
    lock = write_pylock(make_wheel("alpha", files={"alpha/__init__.py": _GOOD}))
    mvenv.create(world.env, lock, "--link-mode", "copy", "--no-bytecode")
    world.mine.write_text("mine = 1\n")
    return world


def rewritten(world: World) -> None:
    world.module.write_text("wrong")


def forgotten(world: World) -> None:
    world.mine.unlink()


def strayed(world: World) -> None:
    (world.bystander / "new.txt").touch()


def touched(world: World) -> None:
    os.utime(world.module, ns=(0, 1))


def removed(world: World) -> None:
    world.module.unlink()


def replaced(world: World) -> None:
    beside = world.module.with_name("beside")
    beside.write_text("wrong")
    beside.replace(world.module)


def bytecode(world: World) -> None:
    (world.module.parent / "__pycache__").mkdir()


@pytest.mark.parametrize(
    ("change", "told", "rules"),
    [
        (forgotten, {}, "1"),
        (strayed, {}, "2"),
        (rewritten, {}, "3"),
        (touched, {}, "3"),
        (bytecode, {"read_only": True}, "3"),
        (rewritten, {"claims_health": True}, "34"),
        (replaced, {}, "35"),
        (removed, {"prunes": True}, "36"),
        (removed, {"killed": True}, "37"),
        (lambda _: None, {"failed": True}, "8"),
        (lambda _: None, {"read_only": True, "claims_health": True}, ""),
        (bytecode, {"claims_health": True, "killed": True}, ""),
    ],
)
def test_a_broken_rule_is_told(
    world: World, change: Callable[[World], None], told: dict[str, bool], rules: str
) -> None:
    watch = world.watch()
    watch.begin()
    watch.ended(**told)
    change(world)

    assert sorted({line[0] for line in watch.broken()}) == list(rules)


def test_what_was_rescued_is_not_lost(world: World) -> None:
    with world.watch() as watch:
        rescued = world.env / ".mvenv" / "rescued" / "now"
        rescued.mkdir(parents=True)
        world.mine.rename(rescued / "mine.py")
        watch.ended()


def test_what_no_plan_has_may_be_put_aside(world: World) -> None:
    other = world.mine.parent.with_name("alpha-0.1.dist-info")
    other.mkdir()
    (other / "METADATA").write_text("Name: alpha\n")
    with world.watch() as watch:
        rescued = world.env / ".mvenv" / "rescued" / "now"
        rescued.mkdir(parents=True)
        other.rename(rescued / other.name)
        watch.ended(killed=True)


def test_what_a_plan_has_may_not_be_put_aside(world: World) -> None:
    watch = world.watch()
    watch.begin()
    rescued = world.env / ".mvenv" / "rescued" / "now"
    rescued.mkdir(parents=True)
    world.module.rename(rescued / "__init__.py")
    watch.ended(killed=True)

    assert {line[0] for line in watch.broken()} == {"3", "7"}


@pytest.mark.parametrize("shares", [True, False])
def test_other_bytes_may_be_shared_and_not_made_anew(
    world: World, *, shares: bool
) -> None:
    world.module.write_text("of another version")
    watch = world.watch()
    watch.begin()
    beside = world.module.with_name("beside")
    beside.write_text("of another version")
    beside.replace(world.module)
    watch.ended(shares=shares)

    assert {line[0] for line in watch.broken()} == (set() if shares else {"5"})


@pytest.mark.parametrize("true", [True, False])
def test_a_record_may_have_rows_of_others(world: World, *, true: bool) -> None:
    record = next(world.env.glob("lib/*/site-packages/alpha-*.dist-info/RECORD"))
    content = record.read_text()
    record.write_text("damaged")
    watch = world.watch()
    watch.begin()
    content = f"mine.py,,\n{content}"
    # While it is open no other file gets its inode.
    with record.open():
        record.unlink()
        told_in_it = content if true else content.replace("sha256=", "sha256=A", 1)
        record.write_text(told_in_it)
    watch.ended(killed=True)

    told = {line[0] for line in watch.broken()} - {"1"}
    assert told == (set() if true else {"5"})


@pytest.mark.parametrize("half_done", [True, False])
def test_what_is_made_again_over_a_killed_sync_has_another_date(
    world: World, *, half_done: bool
) -> None:
    if half_done:
        (world.env / SYNCING).touch()
    watch = world.watch()
    watch.begin()
    touched(world)
    watch.ended(installs=True)
    assert {line[0] for line in watch.broken()} == (set() if half_done else {"3"})

    rewritten(world)
    assert "3" in {line[0] for line in watch.broken()}


@pytest.mark.parametrize("damaged", [True, False])
def test_only_a_damaged_wheel_may_be_taken_out(world: World, *, damaged: bool) -> None:
    [entry] = world.store.glob("wheels/*/*")
    if damaged:
        (entry / "tree" / "alpha" / "__init__.py").unlink()
    watch = world.watch()
    watch.begin()
    shutil.rmtree(entry)
    watch.ended(installs=True, killed=True)

    assert {line[0] for line in watch.broken()} == (set() if damaged else {"3"})


@pytest.mark.parametrize("needed", [True, False])
def test_only_what_nobody_needs_may_be_pruned(world: World, *, needed: bool) -> None:
    if not needed:
        shutil.rmtree(world.env)
        world.env.mkdir()
    [entry] = world.store.glob("wheels/*/*")
    watch = world.watch()
    watch.begin()
    shutil.rmtree(entry)
    watch.ended(prunes=True)

    assert {line[0] for line in watch.broken()} == ({"3"} if needed else set())


@pytest.mark.parametrize(
    ("left", "worthless"),
    [
        (b"", True),
        (_GOOD.encode()[:20], True),
        (bytes(360), True),
        (b"bood" + _GOOD.encode()[4:], True),
        (_GOOD.encode() + b"mine", False),
    ],
)
def test_only_a_users_bytes_count(world: World, left: bytes, worthless: bool) -> None:
    world.module.write_bytes(left)
    watch = world.watch()
    watch.begin()
    world.module.write_text(_GOOD)

    assert bool(list(watch.broken())) is not worthless
