"""A store that somebody tidied up or wrote into."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.filesystems import Filesystems
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv.store.layout import StoreLayout, open_layout
from mvenv.store.runs import discard


@pytest.fixture
def lock(make_wheel: WheelMaker, write_pylock: PylockWriter) -> Path:
    """Return a lock of one small wheel."""
    files = {"demo/__init__.py": "version = 1\n", "demo/deep/data.txt": "data\n"}
    return write_pylock(make_wheel("demo", "1.0", files))


def _tree(store: Path) -> Path:
    [tree] = store.glob("wheels/*/*/tree")
    return tree


@pytest.mark.parametrize(
    "name",
    [
        "tmp",
        "trash",
        "rescued",
        "locks",
        "builds",
        "interpreters",
        "envs",
        "plans",
        "wheels",
    ],
)
def test_any_folder_may_be_lost(
    mvenv: Runner, lock: Path, tmp_path: Path, name: str
) -> None:
    mvenv.create(tmp_path / "a", lock)
    shutil.rmtree(mvenv.store / name)

    mvenv.create(tmp_path / "b", lock)
    assert (mvenv.store / name).is_dir()


def test_a_newer_format_is_left_alone_where_folders_are_missing(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    open_layout(mvenv.store)
    (mvenv.store / "FORMAT").write_text("mvenv store 2\n")
    shutil.rmtree(mvenv.store / "plans")

    assert mvenv("create", tmp_path / "env", "--from", lock).code == 16
    assert not (mvenv.store / "plans").exists()


@pytest.mark.parametrize("damage", ["folder", "file", "link", "added"])
def test_what_stands_where_a_file_belongs_is_kept(
    mvenv: Runner, lock: Path, tmp_path: Path, damage: str
) -> None:
    mvenv.create(tmp_path / "a", lock)
    tree = _tree(mvenv.store)
    if damage == "folder":
        (tree / "demo/__init__.py").unlink()
        (tree / "demo/__init__.py").mkdir()
        (tree / "demo/__init__.py/thesis.txt").write_text("precious")
    elif damage == "file":
        shutil.rmtree(tree / "demo/deep")
        (tree / "demo/deep").write_text("precious")
    elif damage == "link":
        (tmp_path / "thesis.txt").write_text("precious")
        (tree / "demo/__init__.py").unlink()
        (tree / "demo/__init__.py").symlink_to(tmp_path / "thesis.txt")
    else:
        (tree / "demo/__init__.py").unlink()
        (tree / "demo/thesis.txt").write_text("precious")
    mvenv.create(tmp_path / "b", lock)

    kept = [path for path in mvenv.store.glob("rescued/**/*") if path.is_file()]
    assert [path.read_text() for path in kept] == ["precious"]
    assert _tree(mvenv.store).joinpath("demo/deep/data.txt").read_text() == "data\n"
    assert os.listdir(mvenv.store / "trash") == []


@pytest.mark.parametrize("edited", ["METADATA", "WHEEL", "entry_points.txt", "tool"])
def test_no_edit_reaches_an_environment_by_what_is_read(
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
    edited: str,
) -> None:
    wheel = make_wheel(
        "demo",
        "1.0",
        {"demo.py": "", "demo-1.0.data/scripts/tool": "#!python\nprint('good')\n"},
        entry_points="[console_scripts]\nrun = demo:main\n",
    )
    lock = write_pylock(wheel)
    mvenv.create(tmp_path / "a", lock)
    [path] = _tree(mvenv.store).rglob(edited)
    path.chmod(0o644)
    path.write_text("#!python\nprint('evil')\n")
    path.chmod(0o444)
    shutil.rmtree(mvenv.store / "ready")  # A plan that is recalled reads none of them.
    outcome = mvenv.create(tmp_path / "b", lock)

    assert "had been changed" in outcome.err
    assert "good" in (tmp_path / "b/bin/tool").read_text()
    assert (tmp_path / "b/bin/run").exists()
    [kept] = mvenv.store.glob(f"rescued/**/{edited}")
    assert "evil" in kept.read_text()


def test_a_grave_of_another_container_is_not_in_the_way(tmp_path: Path) -> None:
    layout = StoreLayout(tmp_path / "store")
    open_layout(layout.root)
    # The first grave of a process with our number, killed while it emptied it.
    (layout.trash / f"key.{os.getpid()}.0").mkdir()
    (layout.trash / f"key.{os.getpid()}.0" / "left").touch()
    for _ in range(2):
        (layout.root / "key").mkdir()
        discard(layout, layout.root / "key")

    assert len(os.listdir(layout.trash)) == 1


def test_a_store_that_cannot_be_written_to_is_told_with_a_way_out(
    filesystems: Filesystems,
    mvenv: Runner,
    make_wheel: WheelMaker,
    tmp_path: Path,
    write_pylock: PylockWriter,
) -> None:
    lock = write_pylock(make_wheel("demo"))
    disk = filesystems.limited_tmpfs(64 << 20)
    mvenv.create(tmp_path / "one", lock, store=disk / "store")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    outcome = mvenv("create", tmp_path / "two", "--from", lock, store=disk / "store")

    assert outcome.code == 18
    assert "read-only" in outcome.err
    assert "--store" in outcome.err
