"""`mvenv sync`: it becomes what a new one would be, and no more is touched."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.commands import Outcome, Runner
from kit.lockfiles import PylockWriter
from kit.snapshots import Entry, tree_snapshot
from kit.wheels import WheelMaker
from mvenv.env.generations import GENERATIONS, SYNCING
from mvenv.env.receipt import FOLDER, read_receipt
from mvenv.store.layout import StoreLayout
from mvenv.store.registry import roots

Lock = Callable[..., Path]


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


def identities(environment: Path) -> dict[str, tuple[int, int]]:
    """Return inode and mtime of each file."""
    return {
        str(path.relative_to(environment)): (seen.st_ino, seen.st_mtime_ns)
        for path in environment.rglob("*")
        if not path.is_dir() and (seen := path.lstat())
        if path.relative_to(environment).parts[0] != FOLDER
    }


def assert_as_created(
    mvenv: Runner, environment: Path, lock: Path, *options: str
) -> None:
    """Check that the environment is what `mvenv create` would make there now."""
    found = installed(environment)
    stamps = {path: stamp for path, (_, stamp) in identities(environment).items()}
    aside = environment.with_name(f"{environment.name}-aside")
    environment.rename(aside)
    try:
        mvenv.create(environment, lock, *options)
        assert found == installed(environment)
        fresh = identities(environment)
        for path in found:
            written = path.endswith(("RECORD", "INSTALLER", "REQUESTED", ".json"))
            if path in fresh and "/site-packages/" in path and not written:
                assert stamps[path] == fresh[path][1], path
    finally:
        shutil.rmtree(environment)
        aside.rename(environment)


def sync(mvenv: Runner, environment: Path, *options: str | Path) -> Outcome:
    """Run `mvenv sync`, which has to work."""
    outcome = mvenv("sync", environment, *options)
    assert outcome.code == 0, outcome.err
    return outcome


@pytest.fixture
def lock(write_pylock: PylockWriter, tmp_path: Path) -> Lock:
    """Return a function that writes a lock of a name for wheels."""

    def write(name: str, *wheels: Path, **options: object) -> Path:
        return write_pylock(*wheels, path=tmp_path / f"pylock.{name}.toml", **options)  # type: ignore[arg-type]  # passed on as they are

    return write


@pytest.fixture
def old_lock(make_wheel: WheelMaker, lock: Lock) -> Path:
    """Return a lock of what is installed first."""
    return lock(
        "old",
        make_wheel(
            "alpha",
            "1.0",
            {
                "alpha/__init__.py": "version = 1\ndef main(): print('one')\n",
                "alpha/same.py": "same = 1\n",
                "alpha/gone/deep/x.py": "x = 1\n",
                "alpha/empty.py": "",
                "alpha/was_file": "a file\n",
                "alpha/was_folder/inner.txt": "inside\n",
                "alpha.pth": "import sys\n",
                "alpha-1.0.data/scripts/alpha-old": "#!python\nprint('old')\n",
            },
            entry_points="[console_scripts]\nalpha = alpha:main\n"
            "beforehand = alpha:main\n",
        ),
        make_wheel("stays", "1.0"),
        make_wheel(
            "leaves", "1.0", {"leaves/__init__.py": "l = 1\n", "ns/leaves.py": ""}
        ),
        make_wheel("ns-one", "1.0", {"ns/one.py": "one = 1\n"}),
    )


@pytest.fixture
def new_lock(make_wheel: WheelMaker, lock: Lock) -> Path:
    """Return a lock with one of each kind of change."""
    return lock(
        "new",
        make_wheel(
            "alpha",
            "2.0",
            {
                "alpha/__init__.py": "version = 2\ndef main(): print('two')\n",
                "alpha/same.py": "same = 1\n",
                "alpha/empty.py": "",
                "alpha/was_file/inner.txt": "in a folder now\n",
                "alpha/was_folder": "a file now\n",
                "alpha-2.0.data/scripts/alpha-new": "#!python\nprint('new')\n",
            },
            entry_points="[console_scripts]\nalpha = alpha:main\n",
        ),
        make_wheel("stays", "1.0"),
        make_wheel(
            "comes", "1.0", {"comes/__init__.py": "c = 1\n", "comes.pth": "#\n"}
        ),
        make_wheel("ns-one", "1.0", {"ns/one.py": "one = 1\n"}),
    )


@pytest.mark.parametrize("mode", ["hardlink", "copy", "auto"])
def test_it_becomes_what_a_new_one_would_be(
    mvenv: Runner, old_lock: Path, new_lock: Path, tmp_path: Path, mode: str
) -> None:
    env = tmp_path / "env"
    mvenv.create(env, old_lock, "--link-mode", mode)
    before = identities(env)
    outcome = sync(mvenv, env, "--from", new_lock)

    assert "1 updated, 1 added, 1 removed" in outcome.out
    assert "alpha 1.0 → 2.0" in outcome.out
    after = identities(env)
    same = [path for path in before if "/stays" in path or "/one.py" in path]
    assert len(same) >= 5
    assert [before[path] for path in same] == [after[path] for path in same]
    assert before["bin/python"] == after["bin/python"]
    receipt = read_receipt(env)
    assert receipt is not None
    assert receipt.lockfile == str(new_lock)
    assert {one.name for one in receipt.distributions} == {
        "alpha",
        "stays",
        "comes",
        "ns-one",
    }
    assert not (env / SYNCING).exists()
    assert_as_created(mvenv, env, new_lock, "--link-mode", mode)
    again = sync(mvenv, env)
    assert "nothing to do" in again.out


def test_nothing_to_do_touches_nothing(
    mvenv: Runner, old_lock: Path, tmp_path: Path
) -> None:
    env = tmp_path / "env"
    mvenv.create(env, old_lock)

    def everything() -> dict[str, tuple[int, int, int]]:
        return {
            str(path): (seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns)
            for path in (env, *env.rglob("*"))
            if (seen := path.lstat())
        }

    before = everything()
    outcome = sync(mvenv, env, "--json")

    assert outcome.value["untouched"]
    assert before == everything()


def test_the_environment_works_after_it(
    mvenv: Runner, old_lock: Path, new_lock: Path, tmp_path: Path
) -> None:
    env = tmp_path / "env"
    mvenv.create(env, old_lock)
    python = env / "bin" / "python"
    subprocess.run([python, "-c", "import alpha, alpha.same, leaves"], check=True)
    assert list(env.rglob("*.pyc"))
    sync(mvenv, env, "--from", new_lock)
    done = subprocess.run(
        [env / "bin" / "alpha"], capture_output=True, text=True, check=True
    )

    assert done.stdout == "two\n"
    assert not (env / "bin" / "beforehand").exists()
    assert not (env / "bin" / "alpha-old").exists()
    assert not (site(env) / "leaves").exists()
    assert not (site(env) / "alpha" / "gone").exists()


def test_the_store_keeps_what_both_generations_need(
    mvenv: Runner, old_lock: Path, new_lock: Path, tmp_path: Path
) -> None:
    env = tmp_path / "env"
    mvenv.create(env, old_lock)
    (first,) = roots(StoreLayout(mvenv.store))
    sync(mvenv, env, "--from", new_lock)
    (root,) = roots(StoreLayout(mvenv.store))
    receipt = read_receipt(env)

    assert receipt is not None
    assert root.id == first.id == receipt.id
    assert root.plan == receipt.plan != first.plan
    assert set(first.wheels) < set(root.wheels)
    assert {one.wheel for one in receipt.distributions} < set(root.wheels)


def test_rollback_and_redo(
    mvenv: Runner, old_lock: Path, new_lock: Path, tmp_path: Path
) -> None:
    env = tmp_path / "env"
    mvenv.create(env, old_lock)
    before, was = installed(env), read_receipt(env)
    sync(mvenv, env, "--from", new_lock)
    after, now = installed(env), read_receipt(env)

    assert mvenv("rollback", env).code == 0
    assert installed(env) == before
    back = read_receipt(env)
    assert back is not None
    assert was is not None
    assert (back.plan, back.lockfile) == (was.plan, was.lockfile)
    assert len(os.listdir(env / GENERATIONS)) == 1
    assert_as_created(mvenv, env, old_lock)

    assert mvenv("rollback", env).code == 0
    assert installed(env) == after
    again = read_receipt(env)
    assert again is not None
    assert now is not None
    assert (again.plan, again.lockfile) == (now.plan, now.lockfile)


def test_rollback_without_a_store(
    mvenv: Runner, old_lock: Path, new_lock: Path, tmp_path: Path
) -> None:
    env = tmp_path / "env"
    mvenv.create(env, old_lock)
    before = installed(env)
    sync(mvenv, env, "--from", new_lock)
    for entry in mvenv.store.glob("wheels/*/*"):
        shutil.rmtree(entry)

    outcome = mvenv("rollback", env)
    assert outcome.code == 0, outcome.err
    assert installed(env) == before


def test_there_is_nothing_to_go_back_to(
    mvenv: Runner, old_lock: Path, tmp_path: Path
) -> None:
    env = tmp_path / "env"
    mvenv.create(env, old_lock)
    outcome = mvenv("rollback", env)

    assert outcome.code == 17
    assert "no previous generation" in outcome.err


def test_a_dry_run_writes_nothing(
    mvenv: Runner, old_lock: Path, new_lock: Path, tmp_path: Path
) -> None:
    env = tmp_path / "env"
    mvenv.create(env, old_lock)
    (site(env) / "stays" / "__init__.py").unlink()
    before = tree_snapshot(env), tree_snapshot(mvenv.store)
    outcome = sync(mvenv, env, "--from", new_lock, "--dry-run", "--offline")

    assert (tree_snapshot(env), tree_snapshot(mvenv.store)) == before
    assert "would sync" in outcome.out
    assert "1 updated, 1 added, 1 removed, 1 restored" in outcome.out


def test_missing_and_edited_files_are_put_back_and_edits_are_kept(
    mvenv: Runner, old_lock: Path, tmp_path: Path
) -> None:
    env = tmp_path / "env"
    mvenv.create(env, old_lock, "--link-mode", "copy")
    before = installed(env)
    (site(env) / "stays" / "__init__.py").unlink()
    (site(env) / "alpha" / "same.py").write_text("mine = 1\n")
    (env / "bin" / "alpha").write_text("my script\n")
    outcome = sync(mvenv, env)

    assert installed(env) == before
    kept = [path for path in (env / FOLDER / "rescued").rglob("*") if path.is_file()]
    assert {path.read_text() for path in kept} == {"mine = 1\n", "my script\n"}
    assert "2 restored" in outcome.out
    assert "2 files of yours" in outcome.out
    # They come back, and still are where they were rescued to.
    assert mvenv("rollback", env).code == 0
    assert (site(env) / "alpha" / "same.py").read_text() == "mine = 1\n"
    assert all(path.stat().st_nlink == 1 for path in kept)


def test_groups_stay_unless_asked(
    mvenv: Runner, make_wheel: WheelMaker, lock: Lock, tmp_path: Path
) -> None:
    wheels = [make_wheel("alpha"), make_wheel("extra-one")]
    locked = lock(
        "x",
        *wheels,
        extras=["more"],
        markers={"extra-one": "'more' in extras"},
    )
    env = tmp_path / "env"
    mvenv.create(env, locked, "--extra", "more")
    assert sync(mvenv, env, "--json").value["untouched"]
    (folder := site(env) / "extra_one").rename(tmp_path / "aside")
    sync(mvenv, env)
    assert folder.exists()
    shutil.rmtree(tmp_path / "aside")
    lock(
        "x",
        *wheels,
        extras=["more", "other"],
        markers={"extra-one": "'more' in extras"},
    )
    value = sync(mvenv, env, "--extra", "other", "--json").value
    assert value["changed"] == [{"name": "extra-one", "old": "1.0", "new": None}]
    assert sync(mvenv, env, "--json").value["untouched"]


def test_another_interpreter_is_refused(
    mvenv: Runner, old_lock: Path, tmp_path: Path
) -> None:
    env = tmp_path / "env"
    mvenv.create(env, old_lock)
    (tmp_path / "python").symlink_to("/bin/true")

    outcome = mvenv("sync", env, "--python", str(tmp_path / "python"))
    assert outcome.code == 12
    assert sync(mvenv, env, "--python", str(env / "bin" / "python")).code == 0


@pytest.mark.parametrize("what", ["absent", "foreign", "venv", "moved"])
def test_what_is_no_environment_of_ours_is_refused(
    mvenv: Runner, old_lock: Path, tmp_path: Path, what: str
) -> None:
    env = tmp_path / "env"
    if what == "foreign":
        (env / "sub").mkdir(parents=True)
    elif what == "venv":
        env.mkdir()
        (env / "pyvenv.cfg").write_text("home = /usr\n")
    elif what == "moved":
        mvenv.create(tmp_path / "first", old_lock)
        (tmp_path / "first").rename(env)

    outcome = mvenv("sync", env, "--from", old_lock)
    assert outcome.code == 17
    assert "hint" in outcome.err


def test_a_lost_entry_in_the_registry_is_made_again(
    mvenv: Runner, old_lock: Path, new_lock: Path, tmp_path: Path
) -> None:
    env = tmp_path / "env"
    mvenv.create(env, old_lock)
    sync(mvenv, env, "--from", new_lock)
    layout = StoreLayout(mvenv.store)
    (root,) = roots(layout)
    (layout.envs / root.id).unlink()
    assert "nothing to do" in sync(mvenv, env).out

    (again,) = roots(layout)
    # The previous generation's wheels too.
    assert set(again.wheels) == set(root.wheels)
    assert again.plan == root.plan
