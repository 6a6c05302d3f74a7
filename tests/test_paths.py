"""Paths as text are spelled as `pathlib` spells them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvenv.cli.words import shortest
from mvenv.paths import absolute, parent_of, read_bytes

PATHS = st.lists(st.sampled_from(["a", "b c", ".", "..", "", "~", "é"]), max_size=6)


@given(parts=PATHS, root=st.sampled_from(["", "/", "//", "///"]))
def test_absolute(parts: list[str], root: str) -> None:
    text = root + "/".join(parts)

    assert absolute(text) == str(Path(text).absolute())
    assert absolute(Path(text)) == str(Path(text).absolute())
    assert parent_of(absolute(text)) == str(Path(text).absolute().parent)


def test_shortest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert shortest(tmp_path / "a" / "b") == "a/b"
    assert shortest(str(tmp_path)) == "."
    assert shortest(f"{tmp_path}-other") == f"{tmp_path}-other"
    assert shortest("/elsewhere") == "/elsewhere"


def test_only_a_file_is_read(tmp_path: Path) -> None:
    """A pipe would be waited for, and a device need not end."""
    (tmp_path / "file").write_bytes(b"all of it")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/null")

    assert read_bytes(tmp_path / "file") == b"all of it"
    for name in ("pipe", "device"):
        with pytest.raises(OSError, match="not a regular file"):
            read_bytes(tmp_path / name)
    with pytest.raises(IsADirectoryError):
        read_bytes(tmp_path)
