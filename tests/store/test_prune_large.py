"""What comes back where two wheels share a file, and what becomes of its record."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker, sha256_of
from mvenv.link.usage import measure
from mvenv.progress import Silent
from mvenv.prune import CleanRequest, Pruned, PruneRequest, clean, prune
from mvenv.records import load_json
from mvenv.wheels.manifest import LARGE

BIG = hashlib.shake_256(b"big").digest(LARGE)
ROW = hashlib.sha256(BIG).hexdigest()
DAY = 24 * 3600 * 10**9


def _prune(store: Path, **options: object) -> Pruned:
    return prune(PruneRequest(store=store, **options), Silent())  # type: ignore[arg-type]  # any option


def _vanish(store: Path, *environments: Path) -> None:
    """Delete environments, and let them be gone for long."""
    for environment in environments:
        shutil.rmtree(environment)
    _prune(store)
    for mark in store.glob("envs/*.absent"):
        noticed = mark.stat().st_mtime_ns - 8 * DAY
        os.utime(mark, ns=(noticed, noticed))


def _blocks(store: Path) -> int:
    folders = ("wheels", "plans", "ready", "large")
    return measure(store / name for name in folders).on_disk


@pytest.fixture
def wheels(make_wheel: WheelMaker) -> tuple[Path, Path]:
    """Return two wheels with one large file."""
    return make_wheel("one", files={"one.so": BIG}), make_wheel(
        "two", files={"two.so": BIG}
    )


@pytest.fixture
def store(
    mvenv: Runner,
    wheels: tuple[Path, Path],
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> Path:
    """Return a store with an environment of each."""
    for name, wheel in zip("ab", wheels, strict=True):
        lock = write_pylock(wheel, path=tmp_path / f"pylock.{name}.toml")
        mvenv.create(tmp_path / name, lock)
    return mvenv.store


def test_what_another_wheel_has_does_not_come_back(
    store: Path, wheels: tuple[Path, Path], tmp_path: Path
) -> None:
    _vanish(store, tmp_path / "a")
    before = _blocks(store)
    said = _prune(store, dry_run=True)
    done = _prune(store)

    assert [one.filename for one in done.removed] == [wheels[0].name]
    assert said.bytes == done.bytes == before - _blocks(store)
    assert done.bytes < LARGE
    assert done.exact
    # The one that is left is on record alone, and is what the next wheel shares.
    rows = load_json(store / "large" / ROW, "large", 1)
    assert [row[0] for row in rows] == [sha256_of(wheels[1])]
    assert (said.large, done.large) == (0, 0)


def test_with_the_last_wheel_it_comes_back_once(store: Path, tmp_path: Path) -> None:
    _vanish(store, tmp_path / "a", tmp_path / "b")
    before = _blocks(store)
    said = _prune(store, dry_run=True)
    assert (store / "large" / ROW).exists()
    done = _prune(store)

    assert said.bytes == done.bytes == before - _blocks(store)
    assert LARGE <= done.bytes < 2 * LARGE
    assert (said.large, done.large) == (1, 1)
    assert os.listdir(store / "large") == []


def test_a_size_counts_what_stays(store: Path, tmp_path: Path) -> None:
    """Taking one of the two out is of little use; the second brings the file back."""
    _vanish(store, tmp_path / "a", tmp_path / "b")
    whole = _prune(store, max_size=1 << 40)
    assert whole.removed == ()
    assert whole.left_bytes is not None
    said = _prune(store, max_size=LARGE, dry_run=True)
    assert len(said.removed) == 2
    done = _prune(store, max_size=whole.left_bytes - 1)

    assert len(done.removed) == 1
    assert done.left_bytes == whole.left_bytes - done.bytes
    assert done.left_bytes == measure(store.glob("wheels/*/*")).on_disk > LARGE


def test_clean_takes_all(store: Path, tmp_path: Path) -> None:
    cleaned = clean(CleanRequest(store=store), Silent())

    assert cleaned.large == 1
    assert cleaned.bytes < LARGE
    assert os.listdir(store / "large") == []
    for name in "ab":
        site = next((tmp_path / name).glob("lib/*/site-packages"))
        assert next(site.glob("*.so")).read_bytes() == BIG


def test_du_counts_it_once(mvenv: Runner, store: Path, tmp_path: Path) -> None:
    value = mvenv("du", "--json").value["store"]
    assert LARGE <= value["on_disk"] < 2 * LARGE
    assert value["unused"] == 0
    _vanish(store, tmp_path / "a")
    unused = mvenv("du", "--json").value["store"]["unused"]

    assert 0 < unused < LARGE


@pytest.mark.parametrize("damaged", [b"", b"mvenv large 1 0\n[]"])
def test_damaged_records_are_swept(store: Path, damaged: bytes) -> None:
    (store / "large" / ROW).write_bytes(damaged)

    assert _prune(store).large == 1
    assert os.listdir(store / "large") == []


def test_what_a_killed_writer_left_is_swept(store: Path) -> None:
    left = store / "large" / f".{ROW}.1.1"
    left.write_bytes(b"")
    os.utime(left, ns=(0, 0))
    _prune(store)

    assert os.listdir(store / "large") == [ROW]
