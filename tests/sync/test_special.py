"""Syncs with something special: conflicts, local folders, damage, other disks."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.indexes import IndexMaker
from kit.lockfiles import PylockWriter
from kit.sdists import ProjectMaker
from kit.snapshots import Entry, tree_snapshot
from kit.wheels import WheelMaker
from mvenv.env.generations import GENERATIONS
from mvenv.env.receipt import FOLDER
from mvenv.locking import lock_folder


def site(environment: Path) -> Path:
    """Return the environment's site-packages."""
    return next(environment.glob("lib/python3*/site-packages"))


def installed(environment: Path) -> dict[str, Entry]:
    """Return all that is in the environment but for our own folder and bytecode."""
    return {
        path: entry
        for path, entry in tree_snapshot(environment).items()
        if path.split("/")[0] != FOLDER and "__pycache__" not in path
    }


def sync(mvenv: Runner, environment: Path, *options: str | Path) -> str:
    """Run `mvenv sync`, which has to work, and return what it said."""
    outcome = mvenv("sync", environment, *options)
    assert outcome.code == 0, outcome.err
    return outcome.out + outcome.err


def fresh(mvenv: Runner, environment: Path, lock: Path) -> dict[str, Entry]:
    """Return what a new environment would have under the same name."""
    aside = environment.with_name("aside")
    environment.rename(aside)
    mvenv.create(environment, lock)
    found = installed(environment)
    shutil.rmtree(environment)
    aside.rename(environment)
    return found


def test_a_conflict_comes_and_goes(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    env = tmp_path / "env"
    aaa = make_wheel("aaa", "1", {"both/x.py": "who = 'aaa'\n", "aaa.py": ""})
    bbb = make_wheel("bbb", "1", {"both/x.py": "who = 'bbb'\n", "bbb.py": ""})
    alone = write_pylock(aaa, path=tmp_path / "pylock.alone.toml")
    together = write_pylock(aaa, bbb, path=tmp_path / "pylock.both.toml")
    mvenv.create(env, alone)
    shared = site(env) / "both" / "x.py"

    assert "bbb has it, aaa had it too" in sync(mvenv, env, "--from", together)
    assert shared.read_text() == "who = 'bbb'\n"
    assert installed(env) == fresh(mvenv, env, together)
    assert "had it too" not in sync(mvenv, env, "--from", alone)
    assert shared.read_text() == "who = 'aaa'\n"
    assert installed(env) == fresh(mvenv, env, alone)
    assert not (env / FOLDER / "rescued").exists()


def test_a_local_folder_is_built_again_and_only_what_changed_is_put(
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    make_project: ProjectMaker,
    tmp_path: Path,
) -> None:
    env = tmp_path / "env"
    project = make_project("local", "1.0", {"local/__init__.py": "v = 1\n"})
    local = {"name": "local", "directory": {"path": str(project), "editable": False}}
    lock = write_pylock(make_wheel("alpha"), packages=[local])
    mvenv.create(env, lock)
    before = {
        path: ((seen := path.lstat()).st_ino, seen.st_mtime_ns)
        for path in env.rglob("*")
        if not path.is_dir() and FOLDER not in str(path)
    }
    module = site(env) / "local" / "__init__.py"
    module.unlink()
    assert "local: files put back" in sync(mvenv, env)
    assert module.read_text() == "v = 1\n"
    after = {path: ((seen := path.lstat()).st_ino, seen.st_mtime_ns) for path in before}
    changed = {path for path in before if after[path] != before[path]}
    assert changed <= {module}
    assert after[module][1] == before[module][1]

    shutil.rmtree(project)
    make_project("local", "1.0", {"local/__init__.py": "v = 22\n"})
    assert "local 1.0 (another file of it)" in sync(mvenv, env)
    assert module.read_text() == "v = 22\n"
    assert mvenv("rollback", env).code == 0
    assert module.read_text() == "v = 1\n"


def test_an_editable_stays_as_it_is(
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    make_project: ProjectMaker,
    tmp_path: Path,
) -> None:
    env = tmp_path / "env"
    devel = make_project("devel", "1.0")
    entry = {"name": "devel", "directory": {"path": str(devel), "editable": True}}
    old = write_pylock(make_wheel("alpha", "1.0"), packages=[entry])
    mvenv.create(env, old)
    before = installed(env)
    new = write_pylock(
        make_wheel("alpha", "2.0"), packages=[entry], path=tmp_path / "pylock.new.toml"
    )
    assert "1 updated ·" in sync(mvenv, env, "--from", new)
    after = installed(env)
    devels = {path for path in before if "devel" in path}
    assert devels
    assert all(after[path] == before[path] for path in devels)
    subprocess.run([env / "bin" / "python", "-c", "import devel"], check=True)


def test_offline_it_needs_only_the_store(
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    simple_index: IndexMaker,
    tmp_path: Path,
) -> None:
    first, second = make_wheel("alpha", "1.0"), make_wheel("alpha", "2.0")
    index = simple_index([first, second])
    old = write_pylock(first, index=index, path=tmp_path / "pylock.old.toml")
    new = write_pylock(second, index=index, path=tmp_path / "pylock.new.toml")
    mvenv.create(tmp_path / "env", old)
    before = tree_snapshot(tmp_path / "env")
    outcome = mvenv("sync", tmp_path / "env", "--from", new, "--offline")

    assert outcome.code == 13
    assert tree_snapshot(tmp_path / "env") == before
    sync(mvenv, tmp_path / "env", "--from", new)
    sync(mvenv, tmp_path / "env", "--from", old, "--offline")
    assert (site(tmp_path / "env") / "alpha/__init__.py").read_text() == (
        "version = '1.0'\n"
    )


def test_a_changed_stored_file_is_not_linked(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    old = write_pylock(make_wheel("alpha", "1.0"), path=tmp_path / "pylock.old.toml")
    new = write_pylock(make_wheel("alpha", "2.0"), path=tmp_path / "pylock.new.toml")
    mvenv.create(tmp_path / "warm", new)
    shutil.rmtree(tmp_path / "warm")
    env = tmp_path / "env"
    mvenv.create(env, old)
    for path in mvenv.store.glob("wheels/*/*/tree/alpha/__init__.py"):
        if "2.0" in path.read_text():
            path.chmod(0o644)
            path.write_text("changed\n")
    said = sync(mvenv, env, "--from", new)

    assert "a stored wheel had been changed" in said
    assert (site(env) / "alpha" / "__init__.py").read_text() == "version = '2.0'\n"


def test_what_stands_in_the_way_is_set_aside_and_told(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    old = write_pylock(make_wheel("alpha", "1.0"), path=tmp_path / "pylock.old.toml")
    new = write_pylock(
        make_wheel("alpha", "1.0"),
        make_wheel("beta", "1", {"beta/x.py": "x\n", "tool.py": "t\n", "sub/y": "y"}),
        make_wheel("gamma", "1", {"gamma/z.py": "z\n"}),
        path=tmp_path / "pylock.new.toml",
    )
    env = tmp_path / "env"
    mvenv.create(env, old)
    packages, outside = site(env), tmp_path / "outside"
    (packages / "tool.py").write_text("my tool\n")
    (packages / "beta" / "x.py").mkdir(parents=True)
    (packages / "beta" / "x.py" / "mine.txt").write_text("mine\n")
    (packages / "sub").write_text("my file\n")
    outside.mkdir()
    (outside / "z.py").write_text("not yours\n")
    (packages / "gamma").symlink_to(outside)
    said = sync(mvenv, env, "--from", new)

    assert installed(env) == fresh(mvenv, env, new)
    assert (outside / "z.py").read_text() == "not yours\n"
    rescued = env / FOLDER / "rescued"
    kept = {path.read_text() for path in rescued.rglob("*") if path.is_file()}
    assert {"my tool\n", "mine\n", "my file\n"} <= kept
    assert any(path.is_symlink() for path in rescued.rglob("gamma"))
    assert "4 files of yours" in said


def test_a_package_that_was_replaced_by_a_link_is_left_whole(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    old = write_pylock(make_wheel("alpha", "1.0"), path=tmp_path / "pylock.old.toml")
    new = write_pylock(make_wheel("alpha", "2.0"), path=tmp_path / "pylock.new.toml")
    env = tmp_path / "env"
    mvenv.create(env, old)
    checkout = tmp_path / "checkout"
    (site(env) / "alpha").rename(checkout)
    (site(env) / "alpha").symlink_to(checkout)
    before = tree_snapshot(checkout)
    sync(mvenv, env, "--from", new)

    assert tree_snapshot(checkout) == before
    assert installed(env) == fresh(mvenv, env, new)


def test_it_waits_for_nobody_for_ever(
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    env = tmp_path / "env"
    mvenv.create(env, write_pylock(make_wheel("alpha")))
    with lock_folder(env, exclusive=True):
        monkeypatch.setitem(
            lock_folder.__wrapped__.__kwdefaults__,  # type: ignore[attr-defined]  # of a context manager's function
            "patience",
            0.1,
        )
        for words in (("sync", env), ("rollback", env), ("edit", env, "alpha")):
            outcome = mvenv(*words)
            assert outcome.code == 75, outcome.err
            assert str(os.getpid()) in outcome.err


def test_generations_behind_a_link_are_not_written(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    old = write_pylock(make_wheel("alpha", "1.0"), path=tmp_path / "pylock.old.toml")
    new = write_pylock(make_wheel("alpha", "2.0"), path=tmp_path / "pylock.new.toml")
    env = tmp_path / "env"
    mvenv.create(env, old)
    outside = tmp_path / "outside"
    (outside / "7").mkdir(parents=True)
    (env / GENERATIONS).symlink_to(outside)
    outcome = mvenv("sync", env, "--from", new)

    assert outcome.code == 17
    assert os.listdir(outside) == ["7"]
    assert os.listdir(outside / "7") == []


def test_on_each_file_system(
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    each_filesystem: Path,
    tmp_path: Path,
) -> None:
    data = {"alpha/data.bin": b"0123456789abcdef" * 1000}
    old = write_pylock(
        make_wheel("alpha", "1.0", {**data, "alpha/a.py": "a\n"}),
        path=tmp_path / "pylock.old.toml",
    )
    new = write_pylock(
        make_wheel("alpha", "2.0", {**data, "alpha/b.py": "b\n"}),
        path=tmp_path / "pylock.new.toml",
    )
    env, store = each_filesystem / "env", each_filesystem / "store"
    mvenv.create(env, old, store=store)
    before = installed(env)
    assert mvenv("sync", env, "--from", new, store=store).code == 0
    after = installed(env)
    shutil.rmtree(env)
    mvenv.create(env, new, store=store)
    assert installed(env) == after
    shutil.rmtree(env)
    mvenv.create(env, old, store=store)
    assert mvenv("sync", env, "--from", new, store=store).code == 0
    assert mvenv("rollback", env, store=store).code == 0
    assert installed(env) == before


def test_its_processes_live_on(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    """A file that is open, or mapped, stays what it is for who has it."""
    old = write_pylock(make_wheel("alpha", "1.0"), path=tmp_path / "pylock.old.toml")
    new = write_pylock(make_wheel("alpha", "2.0"), path=tmp_path / "pylock.new.toml")
    env = tmp_path / "env"
    mvenv.create(env, old)
    program = (
        "import mmap, alpha, sys\n"
        "stream = open(alpha.__file__, 'rb')\n"
        "mapped = mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "print(mapped[:].decode(), end='')\n"
    )
    running = subprocess.Popen(
        [env / "bin" / "python", "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        sync(mvenv, env, "--from", new)
        out, _ = running.communicate("\n")

    assert out == "version = '1.0'\n"
