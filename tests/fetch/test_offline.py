"""No network, and what there is without one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kit.indexes import IndexMaker
from kit.misbehaving import (
    CONTENT,
    DEAD,
    FILE,
    MisbehavingServer,
    fetch_all,
    ok,
    wanted,
)
from kit.wheels import WheelMaker
from mvenv.errors import OfflineError


def test_offline_all_missing_files_are_named_before_anything(
    server: MisbehavingServer, folder: Path, make_wheel: WheelMaker
) -> None:
    here = make_wheel("here")
    requests = [
        wanted(CONTENT, url=server.on(f"/{FILE}", ok(CONTENT))),
        wanted(here.read_bytes(), here.name),
        wanted(b"2", "two-2-py3-none-any.whl"),
    ]
    chosen = replace(DEAD, offline=True, find_links=(str(here.parent),))

    with pytest.raises(OfflineError, match="2 files are needed") as caught:
        fetch_all(requests, folder, chosen)

    assert FILE in caught.value.message
    assert "two-2-py3-none-any.whl" in caught.value.message
    assert here.name not in caught.value.message
    assert server.asked == []
    assert not list(folder.iterdir())


def test_of_many_missing_files_some_are_named(folder: Path) -> None:
    requests = [wanted(b"x", f"n{number}-2-py3-none-any.whl") for number in range(8)]

    with pytest.raises(OfflineError, match="8 files are needed") as caught:
        fetch_all(requests, folder, replace(DEAD, offline=True))

    assert caught.value.message.count(".whl") == 5
    assert caught.value.message.endswith(" and 3 more")


def test_offline_folders_serve(
    folder: Path, make_wheel: WheelMaker, simple_index: IndexMaker
) -> None:
    one, two, three = (make_wheel(n) for n in ("one", "two", "three"))
    index = simple_index([one], "file")
    chosen = replace(
        DEAD, index_url=index, offline=True, find_links=(two.parent.as_uri(),)
    )

    found = fetch_all(
        [
            wanted(one.read_bytes(), one.name),
            wanted(two.read_bytes(), two.name),
            wanted(three.read_bytes(), three.name, path=three),
        ],
        folder,
        chosen,
    )

    assert len(found) == 3
