"""The memory of a stored tree: it agrees with what nobody touched, and nothing else."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mvenv.store.names import MANIFEST, SEEN, TREE
from mvenv.store.seen import folders_of, is_as_seen, put_down

PATHS = ("pkg/__init__.py", "pkg/deep/down/data.bin", "single.py")


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    root = tmp_path / "entry"
    (root / TREE / "pkg/deep/down").mkdir(parents=True)
    for path in PATHS:
        (root / TREE / path).write_text(path)
    (root / MANIFEST).write_text("what each file must be")
    put_down(root, PATHS, shared=False)
    return root


def inodes(root: Path) -> Iterator[int]:
    for path in PATHS:
        yield (root / TREE / path).lstat().st_ino


def agrees(root: Path) -> bool:
    return is_as_seen(root, folders_of(PATHS), inodes(root))


def test_folders() -> None:
    assert folders_of(PATHS) == ["", "pkg", "pkg/deep", "pkg/deep/down"]


def test_what_nobody_touched_agrees(entry: Path) -> None:
    assert agrees(entry)


def test_links_and_modes_of_files_do_not_matter(entry: Path, tmp_path: Path) -> None:
    os.link(entry / TREE / "single.py", tmp_path / "twin.py")
    (entry / TREE / "single.py").chmod(0o444)

    assert agrees(entry)


def test_it_moves_with_its_entry(entry: Path, tmp_path: Path) -> None:
    entry.rename(tmp_path / "elsewhere")

    assert agrees(tmp_path / "elsewhere")


def _put_back(folder: Path, change: Callable[[], object]) -> None:
    """Make a change, and set the folder's dates as if it had not been made."""
    before = folder.stat()
    change()
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


def _alien(root: Path) -> None:
    folder = root / TREE / "pkg/deep"
    _put_back(folder, lambda: (folder / "alien.txt").write_text("mine"))


def _alien_folder(root: Path) -> None:
    folder = root / TREE / "pkg"
    _put_back(folder, (folder / "alien").mkdir)


def _replaced(root: Path) -> None:
    place = root / TREE / "pkg/__init__.py"
    other = root / "other"
    other.write_text(PATHS[0])
    _put_back(place.parent, lambda: other.rename(place))


def _other_manifest(root: Path) -> None:
    (root / MANIFEST).write_text("what each file must be.")


def _there_and_back(root: Path) -> None:
    """Take a name away and back: it may have become another file meanwhile."""
    place = root / TREE / "single.py"
    place.rename(root / "away")
    (root / "away").rename(place)


def _lost_memory(root: Path) -> None:
    (root / SEEN).unlink()


def _damaged_memory(root: Path) -> None:
    content = bytearray((root / SEEN).read_bytes())
    content[-1] ^= 1
    (root / SEEN).chmod(0o644)
    (root / SEEN).write_bytes(content)


@pytest.mark.parametrize(
    "change",
    [
        _alien,
        _alien_folder,
        _replaced,
        _other_manifest,
        _there_and_back,
        _lost_memory,
        _damaged_memory,
    ],
)
def test_any_change_of_names_is_noticed(
    change: Callable[[Path], None], entry: Path
) -> None:
    # The clock by which files are dated ticks a few hundred times a second.
    time.sleep(0.02)
    change(entry)

    assert not agrees(entry)


def test_other_inodes_are_noticed(entry: Path) -> None:
    one, two, _ = inodes(entry)

    assert not is_as_seen(entry, folders_of(PATHS), (one, two))
    assert not is_as_seen(entry, folders_of(PATHS), (one, two, two))


def test_a_tree_that_others_may_have_changed_just_now_is_not_put_down(
    entry: Path,
) -> None:
    (entry / SEEN).unlink()
    put_down(entry, PATHS)
    assert not (entry / SEEN).exists()

    time.sleep(1.1)
    put_down(entry, PATHS)
    assert agrees(entry)


def test_what_cannot_be_put_down_is_no_error(tmp_path: Path) -> None:
    put_down(tmp_path / "not there", PATHS)
