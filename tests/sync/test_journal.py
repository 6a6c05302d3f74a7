"""The record of a change: environments, and what is in them, may be somebody else's."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from mvenv.env import generations
from mvenv.env.generations import SYNCING, Journal, Kept, begin, read_journal
from mvenv.records import store_json

GOOD = Journal(
    number=1,
    plan="0" * 64,
    back_to=None,
    absent=("lib/a.py",),
    other=(Kept("lib/b.py", "1" * 64, 1, 0o644, 5, ".mvenv/rescued/x/lib/b.py"),),
    added=(("lib/c.py", "2" * 64),),
)


@pytest.mark.parametrize("path", ["../a", "/a", "", "a/../../b", "a\0b", "./a", "a//b"])
def test_a_journal_that_leads_outside_is_none(tmp_path: Path, path: str) -> None:
    (tmp_path / ".mvenv").mkdir()
    begin(tmp_path, GOOD)
    assert read_journal(tmp_path) == GOOD
    [kept] = GOOD.other
    for bad in (
        replace(GOOD, absent=(path,)),
        replace(GOOD, added=((path, ""),)),
        replace(GOOD, other=(kept._replace(path=path),)),
        replace(GOOD, other=(kept._replace(place=path),)),
    ):
        kind, version = generations._KIND, generations._FORMAT
        store_json(tmp_path / SYNCING, kind, version, asdict(bad))
        assert read_journal(tmp_path) is None, bad
