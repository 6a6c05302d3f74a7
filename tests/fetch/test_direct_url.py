"""direct_url.json as PEP 610 and pip have it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mvenv.fetch.direct_url import (
    archive_direct_url,
    directory_direct_url,
    strip_credentials,
    vcs_direct_url,
)


def test_an_archive() -> None:
    made = archive_direct_url(
        "https://me:secret@h/a.tar.gz",
        (("md5", "1"), ("sha256", "2")),
        subdirectory="below",
    )

    assert json.loads(made) == {
        "url": "https://h/a.tar.gz",
        "archive_info": {"hash": "sha256=2", "hashes": {"md5": "1", "sha256": "2"}},
        "subdirectory": "below",
    }


def test_a_commit() -> None:
    made = vcs_direct_url("git", "https://h/r.git", "c0", requested_revision="v1")

    assert made == (
        b'{"url": "https://h/r.git", "vcs_info": {"commit_id": "c0",'
        b' "requested_revision": "v1", "vcs": "git"}}'
    )


def test_a_commit_by_gits_short_form() -> None:
    made = json.loads(vcs_direct_url("git", "git@h.org:o/r", "c0", subdirectory="s"))

    assert made == {
        "url": "ssh://git@h.org/o/r",
        "vcs_info": {"vcs": "git", "commit_id": "c0"},
        "subdirectory": "s",
    }


@pytest.mark.parametrize("editable", [True, False])
def test_a_folder(*, editable: bool) -> None:
    made = json.loads(directory_direct_url(Path("/a b/c"), editable=editable))

    assert made == {
        "url": "file:///a%20b/c",
        "dir_info": {"editable": True} if editable else {},
    }


@pytest.mark.parametrize(
    ("url", "stripped"),
    [
        ("https://h/x", "https://h/x"),
        ("https://me:secret@h:1/x?y#z", "https://h:1/x?y#z"),
        ("https://token@h/x", "https://h/x"),
        ("https://${USER}:${PASSWORD}@h/x", "https://${USER}:${PASSWORD}@h/x"),
        ("https://${TOKEN}@h/x", "https://${TOKEN}@h/x"),
        ("https://${USER}:secret@h/x", "https://h/x"),
        ("ssh://git@h/x", "ssh://git@h/x"),
        ("ssh://me@h/x", "ssh://h/x"),
        ("file:///a/b@c", "file:///a/b@c"),
    ],
)
def test_credentials_are_taken_out(url: str, stripped: str) -> None:
    assert strip_credentials(url) == stripped
