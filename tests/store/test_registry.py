"""The registry: who is on record, who is gone, and since when."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mvenv.store.layout import StoreKey, StoreLayout, open_layout
from mvenv.store.registry import (
    Root,
    absent_for_ns,
    last_seen_ns,
    mark_absent,
    mark_seen,
    new_id,
    register,
    roots,
    unreadable_records,
    unregister,
)

HOUR = 3600 * 10**9


@pytest.fixture
def layout(tmp_path: Path) -> StoreLayout:
    """Return a new store."""
    return open_layout(tmp_path / "store")


@pytest.fixture
def root(layout: StoreLayout) -> Root:
    """Return an environment that is on record."""
    made = Root(
        id=new_id(),
        path="/somewhere/.venv",
        wheels=(StoreKey("a" * 64),),
        plan="b" * 64,
        lockfile=None,
    )
    register(layout, made)
    return made


def test_a_record_comes_back_as_it_was(layout: StoreLayout, root: Root) -> None:
    assert roots(layout) == (root,)
    assert unreadable_records(layout) == ()


@pytest.mark.parametrize("content", [b"", b"mvenv environment 1 0\n{}", b"\x00" * 50])
def test_a_damaged_record_is_told(
    layout: StoreLayout, root: Root, content: bytes
) -> None:
    (layout.envs / root.id).write_bytes(content)

    assert roots(layout) == ()
    assert unreadable_records(layout) == (root.id,)


def test_marks_and_files_being_written_are_no_records(
    layout: StoreLayout, root: Root
) -> None:
    mark_absent(layout, root.id)
    (layout.envs / f".{root.id}.12.0").touch()

    assert roots(layout) == (root,)
    assert unreadable_records(layout) == ()


def test_absence_counts_from_when_it_was_first_noticed(
    layout: StoreLayout, root: Root
) -> None:
    assert absent_for_ns(layout, root.id) is None
    mark_absent(layout, root.id)
    mark = layout.envs / f"{root.id}.absent"
    noticed = mark.stat().st_mtime_ns - 5 * HOUR
    os.utime(mark, ns=(noticed, noticed))
    mark_absent(layout, root.id)
    age = absent_for_ns(layout, root.id)

    assert age is not None
    assert 5 * HOUR <= age < 6 * HOUR


def test_a_mark_from_the_future_is_of_now(layout: StoreLayout, root: Root) -> None:
    mark_absent(layout, root.id)
    mark = layout.envs / f"{root.id}.absent"
    later = mark.stat().st_mtime_ns + 5 * HOUR
    os.utime(mark, ns=(later, later))

    assert absent_for_ns(layout, root.id) == 0


def test_who_is_seen_again_is_not_absent(layout: StoreLayout, root: Root) -> None:
    os.utime(layout.envs / root.id, ns=(HOUR, HOUR))
    mark_absent(layout, root.id)
    mark_seen(layout, root.id)

    assert absent_for_ns(layout, root.id) is None
    assert last_seen_ns(layout, root.id) > HOUR
    assert roots(layout) == (root,)


def test_unregistering_leaves_nothing(layout: StoreLayout, root: Root) -> None:
    mark_absent(layout, root.id)
    unregister(layout, root.id)

    assert os.listdir(layout.envs) == []


@pytest.mark.parametrize("name", ["../FORMAT", "", "..", "A" * 16])
def test_no_mark_lands_elsewhere(layout: StoreLayout, name: str) -> None:
    before = sorted(layout.root.rglob("*"))
    mark_absent(layout, name)
    mark_seen(layout, name)

    assert sorted(layout.root.rglob("*")) == before


def test_asking_the_time_leaves_no_trace(layout: StoreLayout, root: Root) -> None:
    mark_absent(layout, root.id)
    before = layout.envs.stat().st_mtime_ns
    absent_for_ns(layout, root.id)

    assert layout.envs.stat().st_mtime_ns == before
