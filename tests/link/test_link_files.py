"""One file from one folder to another: never through a link, never over a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mvenv.link.files import copy_file, hard_link, write_new

STAMP = 1_700_000_000_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    """Return a descriptor of the folder that has all of it."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_no_link_is_copied_through(folder: int, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "name").symlink_to("secret")
    with pytest.raises(OSError, match="link"):
        copy_file("name", "new", folder, folder, mode=0o644, mtime_ns=STAMP)
    assert not (tmp_path / "new").exists()

    hard_link("name", "new", folder, folder)
    assert (tmp_path / "new").is_symlink()


@pytest.mark.parametrize("taken", ["file", "link", "dangling"])
def test_a_name_that_is_taken_is_left(folder: int, tmp_path: Path, taken: str) -> None:
    (tmp_path / "mine").write_text("mine")
    if taken == "file":
        (tmp_path / "new").write_text("mine")
    else:
        (tmp_path / "new").symlink_to("mine" if taken == "link" else "nothing")
    with pytest.raises(FileExistsError):
        write_new(b"x", "new", folder, mode=0o644)
    with pytest.raises(FileExistsError):
        copy_file("mine", "new", folder, folder, mode=0o644, mtime_ns=STAMP)
    with pytest.raises(FileExistsError):
        hard_link("mine", "new", folder, folder)

    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "nothing").exists()
