"""Scratch folders: gone with their owner, swept when it was killed, never another's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mvenv.records import store_json, sweep_temporaries
from mvenv.scratch import ScratchFolder, is_abandoned, sweep_scratch
from mvenv.store.layout import open_layout
from mvenv.store.registry import Root, register, roots
from mvenv.store.runs import sweep

HOUR = 3600.0


def fill(folder: Path) -> None:
    (folder / "below/deep").mkdir(parents=True)
    (folder / "below/deep/file").write_text("x")
    (folder / "link").symlink_to("/nowhere")


def dead(parent: Path, name: str = "x-dead") -> Path:
    """Make what a killed process leaves."""
    folder = parent / name
    fill(folder)
    (folder / ".lock").touch()
    return folder


def test_it_goes_with_the_context(tmp_path: Path) -> None:
    with ScratchFolder(tmp_path, "x-") as scratch:
        fill(scratch.path)

    assert os.listdir(tmp_path) == []


def test_the_living_is_not_swept(tmp_path: Path) -> None:
    dead(tmp_path)
    with ScratchFolder(tmp_path, "x-") as scratch:
        sweep_scratch(tmp_path, "x-")

        assert list(tmp_path.iterdir()) == [scratch.path]


def test_what_is_not_ours_is_not_swept(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving files away needs root")
    other = dead(tmp_path)
    os.chown(other, 12345, 12345)

    sweep_scratch(tmp_path, "x-")

    assert (other / "below/deep/file").exists()


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "scratches").mkdir()
    elsewhere = dead(tmp_path, "elsewhere")
    (tmp_path / "scratches/x-link").symlink_to(elsewhere)
    folder = dead(tmp_path / "scratches")
    (folder / "into").symlink_to(elsewhere)

    sweep_scratch(tmp_path / "scratches", "x-")

    assert os.listdir(tmp_path / "scratches") == ["x-link"]
    assert (elsewhere / "below/deep/file").exists()


def test_a_name_that_leads_elsewhere_by_now_is_left(tmp_path: Path) -> None:
    """In a folder that others can write to, anybody can put a link there."""
    elsewhere = tmp_path / "elsewhere"
    fill(elsewhere)
    with ScratchFolder(tmp_path, "x-") as scratch:
        scratch.path.rename(tmp_path / "moved")
        scratch.path.symlink_to(elsewhere)

    assert (elsewhere / "below/deep/file").exists()
    assert not is_abandoned(scratch.path)


def test_a_half_deleted_one_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock goes last, so that what a kill leaves can still be found dead."""
    deleted: list[str] = []
    remove = os.unlink

    def note(path: str, *, dir_fd: int | None = None) -> None:
        deleted.append(path)
        remove(path, dir_fd=dir_fd)

    scratch = ScratchFolder(tmp_path, "x-")
    fill(scratch.path)
    monkeypatch.setattr(os, "unlink", note)
    scratch.remove()

    assert deleted[-1] == ".lock"
    assert len(deleted) == 3


def test_records_without_a_name_are_swept_in_time(tmp_path: Path) -> None:
    layout = open_layout(tmp_path / "store")
    root = Root(id="a", path="/e", wheels=(), plan="", lockfile=None)
    register(layout, root)
    for age, name in enumerate((".a.77.0", ".b.77.1")):
        store_json(layout.envs / name, "environment", 1, {"id": name})
        moment = layout.tmp.stat().st_mtime - 2 * age * HOUR
        os.utime(layout.envs / name, (moment, moment))

    assert roots(layout) == (root,)
    sweep(layout)
    assert sorted(os.listdir(layout.envs)) == [".a.77.0", "a"]
    sweep_temporaries(layout.envs)
    assert os.listdir(layout.envs) == ["a"]
