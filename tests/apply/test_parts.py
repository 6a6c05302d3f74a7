"""Parts of an environment: all of it, once, and the same sums as of one process."""

from __future__ import annotations

import marshal
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvenv.apply import filling, parts
from mvenv.apply.filling import Filled, fill
from mvenv.apply.parts import Part, ToWrite, share_out
from mvenv.apply.recipe import Recipe
from mvenv.env.bare import BareEnvironment
from mvenv.link.modes import LinkMode
from mvenv.link.tree import FileLink, FolderLinks, Linker
from mvenv.plan.model import Plan, PlannedFile
from mvenv.store.entries import StaleWheels, WheelStore
from mvenv.store.layout import open_layout
from mvenv.store.runs import RunFolder

FINE = patch.multiple(parts, _WORTH_IT=1, _UNITS=2)
STAMP = 1_500_000_000 * 10**9


def above(path: str) -> str:
    return path.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A plan, and the files in its store."""

    plan: Plan
    stored: dict[str, bytes]
    """Paths below the store."""


def _file(name: str, content: bytes, *, private: bool) -> FileLink:
    return FileLink(
        source=name,
        target=name,
        size=len(content),
        mode=0o444,
        mtime_ns=STAMP,
        private=private,
        executable=False,
        sha256="0" * 64,
        xxh3="0" * 32,
    )


@st.composite
def plans(draw: st.DrawFn, source: str = "/store") -> Drawn:
    """Draw a tree of folders, parents first, with files linked and written in it."""
    folders: list[str] = []
    for number in range(draw(st.integers(0, 14))):
        parent = draw(st.sampled_from(["", *folders]))
        folders.append(f"{parent}/{number}" if parent else f"{number}")
    links, written, stored = [], [], {}
    for folder in folders:
        files = []
        for number in range(draw(st.integers(0, 5))):
            content = draw(st.binary(max_size=3))
            stored[f"{folder}/f{number}"] = content
            private = draw(st.booleans()) or not content
            files.append(_file(f"f{number}", content, private=private))
        if files:
            links.append(FolderLinks(f"{source}/{folder}", folder, tuple(files)))
        more = draw(st.integers(0, 2))
        written += [PlannedFile(f"{folder}/w{one}", b"w", False) for one in range(more)]
    plan = Plan(
        folders=tuple(folders),
        links=tuple(links),
        late_links=(),
        files=tuple(written),
        scripts=(),
        records=(),
        conflicts=(),
        distributions=(),
        wheels=(),
    )
    return Drawn(plan, stored)


def weight(part: Part) -> int:
    return (
        parts._FOLDER * len(part.folders)
        + sum(map(parts._weight, part.links))
        + parts._FILE * len(part.files)
    )


@given(plans(), st.integers(1, 6))
def test_all_of_it_is_shared_out_once_and_parents_come_first(
    drawn: Drawn, most: int
) -> None:
    plan = drawn.plan
    files = [ToWrite(*file) for file in plan.files]
    with FINE:
        trunk, shared = share_out(plan, files, most)

    assert 1 <= len(shared) <= most
    every = [*trunk, *(folder for part in shared for folder in part.folders)]
    assert Counter(every) == Counter(plan.folders)
    assert Counter(one for part in shared for one in part.links) == Counter(plan.links)
    assert Counter(one for part in shared for one in part.files) == Counter(files)
    for part in shared:
        made = {"", *trunk}
        for folder in part.folders:
            assert above(folder) in made
            made.add(folder)
        for path in (*(one.target for one in part.links), *map(_place, part.files)):
            assert path in made
    made = {""}
    for folder in trunk:
        assert above(folder) in made
        made.add(folder)


def _place(file: ToWrite) -> str:
    return above(file.path)


@given(plans(), st.integers(2, 6))
def test_parts_are_about_equal(drawn: Drawn, most: int) -> None:
    """None is heavier than another by more than the heaviest piece dealt out."""
    files = [ToWrite(*file) for file in drawn.plan.files]
    with FINE:
        trunk, shared = share_out(drawn.plan, files, most)
    if len(shared) == 1:
        return
    pieces: Counter[str] = Counter()
    known = set(trunk)

    def piece(folder: str) -> str:
        while folder not in known and above(folder) and above(folder) not in known:
            folder = above(folder)
        return folder

    for part in shared:
        for folder in part.folders:
            pieces[piece(folder)] += parts._FOLDER
        for group in part.links:
            pieces[piece(group.target)] += parts._weight(group)
        for file in part.files:
            pieces[piece(_place(file))] += parts._FILE
    # A folder of the trunk is made before, and weighs in the part of its files.
    heaviest = max(pieces.values(), default=0) + parts._FOLDER * (1 + len(trunk))
    weights = [weight(part) for part in shared]

    assert max(weights) - min(weights) <= heaviest


def test_a_small_plan_is_one_part() -> None:
    plan = Drawn(_empty(), {}).plan

    assert share_out(plan, [], 8) == ((), [Part([], [], [])])


def _empty() -> Plan:
    nothing: Any = ()
    names = ("folders", "links", "late_links", "files", "scripts", "records")
    more = ("conflicts", "distributions", "wheels")
    return Plan(**dict.fromkeys((*names, *more), nothing))


def in_parts(
    work: Callable[[Any], Any],
    shared: Sequence[Any],
    *,
    again: Callable[[Any], Any],
) -> list[Any]:
    """Do all here, with results sent as another process sends them."""
    del again
    return [marshal.loads(marshal.dumps(work(part))) for part in shared]  # noqa: S302


def made(drawn: Drawn, folder: Path, most: int, mode: LinkMode) -> Filled:
    """Fill a new folder in at most so many parts."""
    target = folder / f"made{most}"
    target.mkdir()
    layout = open_layout(folder / "store")
    with (
        RunFolder(layout) as run,
        FINE,
        patch.object(filling, "at_once", in_parts),
    ):
        return fill(
            Recipe.of(drawn.plan, most),
            BareEnvironment(folders=(), symlinks=(), files=()),
            target,
            python="/env/bin/python",
            modes=(mode, LinkMode.COPY),
            replaces=False,
            require_link=False,
            store=WheelStore(layout),
            run=run,
        )


@pytest.mark.parametrize("mode", [LinkMode.HARDLINK, LinkMode.COPY])
@given(st.data(), st.integers(2, 5))
def test_the_sums_are_those_of_one_process(
    mode: LinkMode, data: st.DataObject, most: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drawn = data.draw(plans(source=f"{folder}/source"))
        lost = data.draw(st.sets(st.sampled_from([*drawn.stored, "none"]), max_size=2))
        for path, content in drawn.stored.items():
            place = folder / "source" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            place.chmod(0o444)
            os.utime(place, ns=(STAMP, STAMP))
        for path in lost - {"none"}:
            (folder / "source" / path).unlink()
        alone = _linked(drawn, folder, mode)
        found = [_told(drawn, folder, count, mode) for count in (1, most)]

    assert found == [alone, alone]


def _linked(drawn: Drawn, folder: Path, mode: LinkMode) -> object:
    """Return the same, of one linker, and nothing added up."""
    target = folder / "alone"
    target.mkdir()
    root = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        linker = Linker(root, (mode, LinkMode.COPY))
        for path in drawn.plan.folders:
            (target / path).mkdir()
        linker.link_all(drawn.plan.links)
    finally:
        os.close(root)
    missing = linker.tally.mismatched
    if missing:
        return Counter((one.folder.target, one.file.target) for one in missing)
    return linker.tally, sorted(file.path for file in drawn.plan.files)


def _told(drawn: Drawn, folder: Path, most: int, mode: LinkMode) -> object:
    """Return what was made, or what is said to be missing."""
    missing: list[Any] = []

    def stale(_: Any, linker: Any) -> None:
        missing.extend(linker.tally.mismatched)
        if missing:
            raise StaleWheels(frozenset())

    with patch.object(filling._Filling, "_link_rest", stale):
        try:
            filled = made(drawn, folder, most, mode)
        except StaleWheels:
            return Counter((one.folder.target, one.file.target) for one in missing)
    return filled.tally, sorted(one.path for one in filled.generated)
