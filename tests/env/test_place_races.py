"""What others do to a folder between the look at it and the taking of its name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kit.filesystems import Filesystems
from mvenv.env.place import open_place
from mvenv.env.receipt import BUILDING, FOLDER
from mvenv.env.state import Standing, observe
from mvenv.errors import EnvironmentExists, EnvironmentFault, SystemFault


def _environment(folder: Path, text: str = "old") -> None:
    folder.mkdir(exist_ok=True)
    (folder / "pyvenv.cfg").write_text(text)


def _fill(folder: Path) -> None:
    with open_place(observe(folder), clear=False, fingerprint="f1") as place:
        (place.folder / "pyvenv.cfg").write_text("new")
        place.commit(lambda: frozenset({"pyvenv.cfg"}))


@pytest.mark.parametrize("now", ["folder", "file", "link"])
def test_only_what_was_seen_is_replaced(tmp_path: Path, now: str) -> None:
    env, elsewhere = tmp_path / "env", tmp_path / "elsewhere"
    _environment(env)
    state = observe(env)
    with (
        pytest.raises(EnvironmentExists, match="somebody else"),
        open_place(state, clear=True, fingerprint="f1") as place,
    ):
        (place.folder / "pyvenv.cfg").write_text("new")
        env.rename(tmp_path / "moved")
        if now == "folder":
            env.mkdir()
            (env / "thesis.txt").write_text("precious")
        elif now == "file":
            env.write_text("precious")
        else:
            elsewhere.mkdir()
            (elsewhere / "thesis.txt").write_text("precious")
            env.symlink_to(elsewhere)
        place.commit(lambda: frozenset({"pyvenv.cfg"}))

    kept = env if now == "file" else env / "thesis.txt"
    assert kept.read_text() == "precious"
    assert env.is_symlink() is (now == "link")
    assert not list(tmp_path.glob(".mvenv-*"))


def test_of_two_that_replace_one_environment_the_second_is_refused(
    tmp_path: Path,
) -> None:
    env = tmp_path / "env"
    _environment(env)
    seen = observe(env)
    with open_place(seen, clear=True, fingerprint="f1") as place:
        (place.folder / "pyvenv.cfg").write_text("first")
        place.commit(frozenset)
    with (
        pytest.raises(EnvironmentExists, match="somebody else"),
        open_place(seen, clear=True, fingerprint="f1") as place,
    ):
        place.commit(frozenset)

    assert (env / "pyvenv.cfg").read_text() == "first"


def test_in_place_the_second_does_not_overwrite_what_the_first_made(
    filesystems: Filesystems,
) -> None:
    mount = filesystems.limited_tmpfs(1 << 20)
    seen = observe(mount)
    _fill(mount)
    (mount / "mine.txt").write_text("mine")
    for fingerprint in ("f1", "f2"):
        with (
            pytest.raises(EnvironmentExists, match="somebody else"),
            open_place(seen, clear=False, fingerprint=fingerprint),
        ):
            pass

    assert observe(mount).standing is Standing.ENVIRONMENT
    assert (mount / "mine.txt").read_text() == "mine"


def test_what_a_killed_run_began_is_not_deleted_where_it_could_be_replaced(
    tmp_path: Path,
) -> None:
    env = tmp_path / "env"
    (env / FOLDER).mkdir(parents=True)
    (env / BUILDING).write_text("f1")
    (env / "thesis.txt").write_text("precious")
    with (
        pytest.raises(EnvironmentExists, match="something else"),
        open_place(observe(env), clear=False, fingerprint="f2"),
    ):
        pass
    _fill(env)

    assert (env / "thesis.txt").read_text() == "precious"
    assert observe(env).standing is Standing.ENVIRONMENT


def test_nobody_replaces_a_folder_that_another_is_filling(tmp_path: Path) -> None:
    env = tmp_path / "env"
    (env / FOLDER).mkdir(parents=True)
    (env / BUILDING).write_text("f1")
    with open_place(observe(env), clear=False, fingerprint="f1") as first:
        with (
            pytest.raises(EnvironmentFault, match="another mvenv"),
            open_place(observe(env), clear=True, fingerprint="f2") as second,
        ):
            second.commit(frozenset)
        (first.folder / "pyvenv.cfg").write_text("first")
        first.commit(lambda: frozenset({"pyvenv.cfg"}))

    assert (env / "pyvenv.cfg").read_text() == "first"


def test_a_mark_that_says_nothing_yet_leaves_an_environment_one(tmp_path: Path) -> None:
    env = tmp_path / "env"
    _environment(env)
    (env / FOLDER).mkdir()
    (env / BUILDING).touch()

    assert observe(env).standing is Standing.ENVIRONMENT


@pytest.mark.parametrize("linked", [FOLDER, BUILDING])
def test_a_mark_is_not_written_through_a_link(
    filesystems: Filesystems, tmp_path: Path, linked: str
) -> None:
    mount = filesystems.limited_tmpfs(1 << 20)
    precious = tmp_path / "precious"
    precious.mkdir()
    name = os.path.relpath(BUILDING, FOLDER)
    (precious / name).write_text("precious")
    _environment(mount)
    if linked == FOLDER:
        (mount / FOLDER).symlink_to(precious)
    else:
        (mount / FOLDER).mkdir()
        (mount / BUILDING).symlink_to(precious / name)
    with (
        pytest.raises(SystemFault),
        open_place(observe(mount), clear=True, fingerprint="f1"),
    ):
        pass

    assert (precious / name).read_text() == "precious"
