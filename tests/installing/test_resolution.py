"""From pip's report to a pylock.toml that says the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mvenv.installing.notes import Notes
from mvenv.installing.resolution import packages_of
from mvenv.lockfiles import read_lockfile

_SHA = "a" * 64


def _item(name: str, url: str, **more: Any) -> dict[str, Any]:
    info = {"url": url, "archive_info": {"hashes": {"sha256": _SHA}}}
    return {
        "metadata": {"name": name, "version": "1.0"},
        "download_info": info,
        "is_direct": False,
    } | more


def test_each_kind_of_source_can_be_read_again(tmp_path: Path) -> None:
    archive = "https://host.example/direct-1.0.tar.gz"
    vcs = {
        "url": "https://host.example/repository",
        "vcs_info": {"vcs": "git", "commit_id": "b" * 40, "requested_revision": "v1"},
        "subdirectory": "below",
    }
    found = packages_of(
        {
            "install": [
                _item(
                    "Some.Wheel", "https://f.example/some_wheel-1.0-py3-none-any.whl"
                ),
                _item("source", "https://f.example/source-1.0.tar.gz"),
                _item("local", "file:///a%20b/local-1.0-py3-none-any.whl"),
                _item("direct", archive, is_direct=True),
                _item("cloned", "", is_direct=True, download_info=vcs),
            ]
        }
    )
    notes = Notes(tmp_path / "notes")
    notes.add(found.packages)
    read = {str(one.name): one for one in read_lockfile(notes.lockfile).pylock.packages}

    assert found.whole
    assert read.keys() == {"some-wheel", "source", "local", "direct", "cloned"}
    assert read["some-wheel"].wheels
    assert read["some-wheel"].wheels[0].hashes == {"sha256": _SHA}
    assert read["source"].sdist
    assert read["source"].sdist.url == "https://f.example/source-1.0.tar.gz"
    assert read["local"].wheels
    assert read["local"].wheels[0].path == "/a b/local-1.0-py3-none-any.whl"
    assert read["direct"].archive
    assert read["direct"].archive.url == archive
    assert read["cloned"].vcs
    assert read["cloned"].vcs.commit_id == "b" * 40
    assert read["cloned"].vcs.subdirectory == "below"


@pytest.mark.parametrize(
    "info",
    [
        {"url": "file:///project", "dir_info": {"editable": True}},
        {"url": "file:///project", "dir_info": {}},
        {"url": "https://f.example/one-1.0.tar.gz", "archive_info": {}},
        {"url": "x", "vcs_info": {"vcs": "hg", "commit_id": "b" * 40}},
    ],
)
def test_what_has_no_file_with_a_hash_is_left_out(info: dict[str, Any]) -> None:
    other = _item("other", "https://f.example/other-1.0-py3-none-any.whl")
    found = packages_of({"install": [_item("one", "", download_info=info), other]})

    assert not found.whole
    assert [one["name"] for one in found.packages] == ["other"]


def test_the_old_way_to_say_a_hash() -> None:
    """Of pip before 22.3 or so."""
    info = {
        "url": "https://f.example/one-1.0.zip",
        "archive_info": {"hash": f"sha256={_SHA}"},
    }

    (package,) = packages_of(
        {"install": [_item("one", "", download_info=info)]}
    ).packages

    assert package["sdist"]["hashes"] == {"sha256": _SHA}


def test_notes_are_at_a_place_with_one_name(tmp_path: Path) -> None:
    """Receipts name it, and what they name is compared."""
    notes = Notes(tmp_path / "project" / ".." / "notes")

    assert notes.lockfile == tmp_path / "notes" / "pylock.toml"


def test_the_same_packages_make_the_same_bytes(tmp_path: Path) -> None:
    """Whatever their order, and whatever was there: plans go by them."""
    one = {
        "name": "one",
        "version": "1.0",
        "sdist": {"name": 'o"ne.tar.gz', "url": "x"},
    }
    two = {"name": "two", "version": "1.0"}
    first, second = Notes(tmp_path / "first"), Notes(tmp_path / "second")
    first.add([one, two])
    second.add([two | {"version": "0.9"}])
    second.add([one])
    second.add([two])

    assert first.lockfile.read_bytes() == second.lockfile.read_bytes()
    assert second.packages()["one"] == one


def test_a_projects_wheel_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    for name in ("mine-1.0-py3", "other-1.0-py3", "mine-1.1-py3"):
        wheel = tmp_path / f"{name}-none-any.whl"
        wheel.write_text(name)
        notes.keep_wheel(wheel)

    names = [one.name for one in notes.wheels()]

    assert names == ["mine-1.1-py3-none-any.whl", "other-1.0-py3-none-any.whl"]
    notes.forget()
    assert notes.wheels() == ()
