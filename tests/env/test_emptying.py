"""A folder that is emptied for an environment: what was in it, and where it is."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from mvenv.env.clearing import emptied
from mvenv.env.state import observe
from mvenv.errors import EnvironmentFault, SystemFault


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with two files."""
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep/one").write_text("one", encoding="utf-8")
    (folder / "two").write_text("two", encoding="utf-8")
    return folder


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def test_it_is_empty_meanwhile_and_nothing_stays(place: Path) -> None:
    with emptied(observe(place), ()):
        assert not _names(place)
        # Where a run that is killed would leave it.
        (aside,) = place.parent.glob(".mvenv-cleared-*")
        assert _names(aside) == {"deep", "one", "two"}

    assert not _names(place)
    assert [*place.parent.iterdir()] == [place]


@pytest.mark.parametrize("error", [EnvironmentFault("no"), KeyboardInterrupt()])
def test_it_is_put_back_where_that_fails(place: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), emptied(observe(place), ()):
        place.rmdir()
        raise error

    assert _names(place) == {"deep", "one", "two"}
    assert [*place.parent.iterdir()] == [place]


def test_nothing_is_put_back_into_what_was_made_meanwhile(place: Path) -> None:
    with pytest.raises(EnvironmentFault) as caught, emptied(observe(place), ()):
        (place / "two").write_text("new", encoding="utf-8")
        raise EnvironmentFault("too late")

    (aside,) = place.parent.glob(".mvenv-cleared-*")
    assert (place / "two").read_text(encoding="utf-8") == "new"
    assert _names(aside) == {"deep", "one", "two"}
    assert str(aside) in str(caught.value.kept)


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EACCES, errno.EROFS])
def test_without_room_beside_it_is_deleted_as_by_venv(
    place: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """On a mount point, and where the parent cannot be written to."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    if code == errno.EXDEV:
        monkeypatch.setattr(os, "rename", refuse)
    else:
        monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with emptied(observe(place), ()):
        assert not _names(place)

    assert [*place.parent.iterdir()] == [place]


def test_what_cannot_be_moved_stays(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it, also what was moved already."""
    really = os.rename

    def rename(source: str, target: str) -> None:
        if source.endswith("/two") and "cleared" in target:
            raise OSError(errno.EACCES, "no")
        really(source, target)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(SystemFault), emptied(observe(place), ()):
        pytest.fail("it was not emptied")

    assert _names(place) == {"deep", "one", "two"}
    assert [*place.parent.iterdir()] == [place]
