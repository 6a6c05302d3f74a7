"""What is flushed before what, and that no name is ever missing.

By the system calls of one run, in their order; `test_power_cut` tries it on real file
systems. And where the disk cannot flush, no success is told.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit.lockfiles import PylockWriter
from kit.strace import Call, Strace
from kit.wheels import WheelMaker

ONE_THREAD = Path(__file__).with_name("one_thread.py")
FRESH = """
import sys
from pathlib import Path
from mvenv.store import entries
from mvenv.store.layout import open_layout, store_key
from mvenv.store.runs import RunFolder
entries._FRESH_ENOUGH = 0
layout = open_layout(Path(sys.argv[1]))
[key] = [path.name for path in layout.root.glob("wheels/*/*")]
with RunFolder(layout) as run:
    entries.WheelStore(layout).fresh_inode(store_key(key), "alpha.py", run)
"""


@dataclass(frozen=True, slots=True)
class World:
    """A store, an environment ``env`` and two lockfiles in one folder."""

    folder: Path
    old: Path
    new: Path

    @property
    def store(self) -> Path:
        """Return the store."""
        return self.folder / "store"

    @property
    def env(self) -> Path:
        """Return the environment."""
        return self.folder / "env"

    @property
    def module(self) -> Path:
        """Return a module in it."""
        return next(self.env.glob("lib/python*/site-packages")) / "alpha.py"

    @property
    def stored(self) -> Path:
        """Return it in the store."""
        return next(self.store.glob("wheels/*/*/tree/alpha.py"))

    def make(self) -> None:
        """Make the environment of the old lock, by hard links."""
        self.mvenv("create", self.env, "--from", self.old, "--link-mode", "hardlink")

    def mvenv(self, *words: str | Path) -> None:
        """Run a command, which has to work."""
        command = [sys.executable, "-m", "mvenv", *words]
        done = subprocess.run(
            command, env=self.environ(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def environ(self) -> dict[str, str]:
        """Return the variables of commands."""
        return {**os.environ, "MVENV_STORE": str(self.store)}

    def command(self, *words: str | Path) -> list[str]:
        """Return a command that does all of its work in one thread."""
        return [sys.executable, str(ONE_THREAD), *map(str, words)]

    def strace(self) -> Strace:
        """Return what traces commands."""
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        return Strace(logs, self.environ(), cwd=self.folder)

    def calls(self, *words: str | Path, further: Sequence[Path] = ()) -> list[Call]:
        """Return what a command changes in the folder, in its order."""
        traced = self.strace().calls(self.command(*words), self.folder, *further)
        return [call for call in traced if not call.reads]

    def forget_tool(self) -> None:
        """Make the environment one of copies that nobody knows, and no store."""
        self.mvenv("create", self.env, "--from", self.old, "--link-mode", "copy")
        shutil.rmtree(self.env / ".mvenv")
        shutil.rmtree(self.store)

    def edit(self) -> None:
        """Write through a link, as an editor does that is told to."""
        self.stored.chmod(0o644)
        self.stored.write_bytes(b"mine = 1\n")


@pytest.fixture
def world(tmp_path: Path, make_wheel: WheelMaker, write_pylock: PylockWriter) -> World:
    """Return one without an environment yet."""
    files: dict[str, str | bytes] = {"alpha.py": "a = 1\n" * 99, "b/__init__.py": ""}
    old = make_wheel("alpha", "1.0", files)
    new = make_wheel("alpha", "2.0", {"alpha.py": "a = 2\n" * 99})
    return World(
        tmp_path / "world",
        write_pylock(old, path=tmp_path / "pylock.old.toml"),
        write_pylock(new, path=tmp_path / "pylock.new.toml"),
    )


@pytest.fixture(autouse=True)
def _folder(world: World) -> None:
    world.folder.mkdir()


def numbers(calls: Sequence[Call], names: str, *parts: str) -> Iterator[int]:
    """Yield the numbers of calls of these names with all ``parts`` in them."""
    for number, call in enumerate(calls):
        if call.name in names.split("|") and all(part in call.text for part in parts):
            yield number


def first(calls: Sequence[Call], names: str, *parts: str) -> int:
    """Return the number of the first one."""
    found = next(numbers(calls, names, *parts), None)
    assert found is not None, f"no {names} with {parts}"
    return found


def last(calls: Sequence[Call], names: str, *parts: str) -> int:
    """Return the number of the last one."""
    first(calls, names, *parts)
    return list(numbers(calls, names, *parts))[-1]


def removals(calls: Sequence[Call], name: str) -> list[str]:
    """Return the calls that take a name away, but in scratch folders."""
    found = numbers(calls, "unlink|unlinkat", f'{name}"')
    texts = (calls[number].text for number in found)
    return [text for text in texts if "/store/tmp/" not in text]


def test_create(world: World) -> None:
    """Wheels are marked when they are on the disk; then the environment is named.

    Before it has any of their files the store knows of it: prune would not.
    """
    calls = world.calls("create", world.env, "--from", world.old)
    entering = last(calls, "rename", "/store/wheels/")
    filling = last(calls, "linkat|write", "/site-packages")
    flushing = first(calls, "syncfs", "/store")
    marking = first(calls, "openat", '/synced"')
    naming = last(calls, "rename", '/world/env"')
    known = first(calls, "rename", f"{world.store}/envs/")

    assert entering < flushing < marking < naming
    assert filling < flushing
    assert known < first(calls, "linkat|write", "/site-packages")


def test_create_on_two_disks(world: World) -> None:
    """The environment's is flushed too."""
    shared = Path("/dev/shm")  # noqa: S108  another file system, where there is one
    if not shared.is_dir() or shared.stat().st_dev == world.folder.stat().st_dev:
        pytest.skip("there is no other file system")
    store = shared / f"mvenv-test-{os.getpid()}"
    words = ("create", world.env, "--from", world.old, "--store", store)
    try:
        calls = world.calls(*words, further=[store])
    finally:
        shutil.rmtree(store)

    naming = last(calls, "rename", '/world/env"')
    assert first(calls, "syncfs", str(store)) < naming
    assert first(calls, "syncfs", "/world/") < naming


def test_sync(world: World) -> None:
    """What is under way is on record, on the disk, before its first change."""
    world.make()
    calls = world.calls("sync", world.env, "--from", world.new)
    entering = last(calls, "rename", "/store/wheels/")
    flushing = first(calls, "syncfs", "/store")
    marking = first(calls, "openat", '/synced"')
    keeping = last(calls, "linkat", "/.mvenv/generations/")
    record = first(calls, "fsync", "/.mvenv/syncing>")
    named = first(calls, "fsync", "/.mvenv>")
    changes = list(numbers(calls, "renameat|renameat2|unlinkat", "/site-packages>"))
    receipt = last(calls, "rename", '/.mvenv/receipt"')
    ending = last(calls, "rename", "/.mvenv/syncing")

    assert entering < flushing < marking < record
    assert keeping < record < named < changes[0]
    assert changes[-1] < receipt < ending
    assert removals(calls, "alpha.py") == []


def test_heal(world: World) -> None:
    """An edit is on the disk, under its new name, before the old one goes."""
    world.make()
    world.edit()
    calls = world.calls("doctor", world.env, "--fix")
    kept = first(calls, "fsync", "/rescued/", "alpha.py>")
    named = next(
        number
        for number in numbers(calls, "fsync", "/rescued/")
        if "alpha.py" not in calls[number].text
    )
    replaced = [*numbers(calls, "renameat|renameat2|rename", '"alpha.py"')]
    flushing = last(calls, "syncfs", "/store")

    assert kept < replaced[0]
    assert named < replaced[0]
    assert len(replaced) == 2
    assert replaced[-1] < flushing
    assert removals(calls, "alpha.py") == []


@pytest.mark.parametrize("name", ["create", "heal", "rebuild", "adopt", "import"])
def test_who_makes_an_entry_is_alone_with_it(world: World, name: str) -> None:
    """Its lock is held while it gets its name, or a file of it does."""
    if name == "adopt":
        world.forget_tool()
    elif name != "create":
        world.make()
    if name == "heal":
        world.edit()
    elif name == "rebuild":
        shutil.rmtree(next(world.store.glob("wheels/*")))
    elif name == "import":
        world.mvenv("store", "export", world.folder / "all.tar")
        shutil.rmtree(world.store)
    words: dict[str, tuple[str | Path, ...]] = {
        "create": ("create", world.env, "--from", world.old),
        "heal": ("doctor", world.env, "--fix"),
        "rebuild": ("doctor", world.env, "--offline"),
        "adopt": ("adopt", world.env),
        "import": ("store", "import", world.folder / "all.tar"),
    }
    calls = world.calls(*words[name])
    if name == "heal":
        naming = first(calls, "renameat", "/store/wheels/", '"alpha.py"')
    else:
        folder = "/store/adopted/" if name == "adopt" else "/store/wheels/"
        naming = first(calls, "rename", f', "{world.folder}{folder}')
    held = [
        "LOCK_UN" not in calls[number].text
        for number in numbers(calls, "flock", "/store/locks/")
        if number < naming
    ]

    assert held[-1:] == [True]


def test_rebuild(world: World) -> None:
    world.make()
    shutil.rmtree(next(world.store.glob("wheels/*")))
    calls = world.calls("doctor", world.env, "--offline")
    entering = last(calls, "rename", "/store/wheels/")
    flushing = list(numbers(calls, "syncfs", "/store"))

    assert any(entering < one < first(calls, "openat", '/synced"') for one in flushing)


def test_fill_in(world: World) -> None:
    """Into an entry that is there already: each file, then its name."""
    world.make()
    entry = world.stored.parent.parent
    world.stored.unlink()
    (entry / "MANIFEST").unlink()
    calls = world.calls("doctor", world.env, "--offline")
    flushing = first(calls, "fsync", "/store/tmp/", "/alpha.py>")
    entering = first(calls, "rename", "/store/tmp/", '/tree/alpha.py"')
    naming = last(calls, "fsync", "/store/wheels/", "/tree>")
    knowing = last(calls, "rename", '/MANIFEST"')

    assert flushing < entering < naming < knowing


def test_adopt(world: World) -> None:
    """The store's bytes before the environment's go, and those before its receipt."""
    world.forget_tool()
    calls = world.calls("adopt", world.env)
    entering = last(calls, "rename", "/store/adopted/")
    flushing = first(calls, "syncfs", "/store")
    marking = first(calls, "openat", '/synced"')
    linking = list(numbers(calls, "linkat", "/site-packages>"))
    again = last(calls, "syncfs", "/env")
    receipt = last(calls, "rename", '/.mvenv/receipt"')
    known = first(calls, "rename", f"{world.store}/envs/")

    assert entering < flushing < marking < linking[0]
    assert known < linking[0]
    assert linking[-1] < again < receipt


def test_export(world: World) -> None:
    world.make()
    calls = world.calls("store", "export", world.folder / "all.tar")

    assert last(calls, "fsync", "/world/.all.tar.") < last(
        calls, "rename", '/world/all.tar"'
    )


def test_import(world: World) -> None:
    world.make()
    world.mvenv("store", "export", world.folder / "all.tar")
    shutil.rmtree(world.store)
    calls = world.calls("store", "import", world.folder / "all.tar")
    writing = last(calls, "write", "/tree/")
    flushing = first(calls, "syncfs", "/store")
    marking = first(calls, "openat", '/synced"')
    entering = first(calls, "rename", "/store/wheels/")

    assert writing < flushing < marking < entering


def test_a_fresh_inode(world: World) -> None:
    """For a stored file that takes no more links: its entry is marked already."""
    world.make()
    command = [sys.executable, "-c", FRESH, str(world.store)]
    calls = world.strace().calls(command, world.folder)

    assert first(calls, "fsync", "/store/tmp/") < first(
        calls, "rename", "/store/tmp/", '/tree/alpha.py"'
    )
    assert removals(calls, "alpha.py") == []


def test_taking_out(world: World) -> None:
    """An entry is there whole, or not at all."""
    world.make()
    calls = world.calls("store", "clean", "--yes")

    assert first(calls, "rename", "/store/wheels/", "/store/trash/") < min(
        numbers(calls, "unlink|unlinkat|rmdir", "alpha")
    )
    assert list(numbers(calls, "unlinkat", "/store/wheels/")) == []


@pytest.mark.parametrize("name", ["create", "sync", "rebuild", "adopt", "import"])
def test_a_disk_that_cannot_flush(world: World, name: str) -> None:
    """No success is told, and nothing is taken in that may not be there."""
    words: tuple[str | Path, ...] = (name, world.env)
    if name == "create":
        words = (*words, "--from", world.old)
    elif name == "adopt":
        world.forget_tool()
    else:
        world.make()
    if name == "sync":
        words = (*words, "--from", world.new)
    elif name == "rebuild":
        shutil.rmtree(next(world.store.glob("wheels/*")))
        words = ("doctor", world.env, "--offline")
    elif name == "import":
        world.mvenv("store", "export", world.folder / "all.tar")
        shutil.rmtree(world.store)
        words = ("store", "import", world.folder / "all.tar")
    before = set(world.store.glob("*/*/*/MANIFEST"))
    call = Call(name="syncfs", number=1, text="", reads=False)
    failed = world.strace().fail(world.command(*words), call, "EIO")

    assert failed.fired
    assert failed.returncode == 18, failed.output
    assert "the disk reports an error" in failed.output
    assert set(world.store.glob("*/*/*/MANIFEST")) == before
    if name in {"sync", "adopt"}:
        assert world.module.read_bytes() == b"a = 1\n" * 99
