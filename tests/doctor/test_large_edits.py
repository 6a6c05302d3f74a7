"""A large file that two wheels share: changed under one name, put right under all."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Container
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kit.commands import Outcome, Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv.store.entries import WheelStore
from mvenv.store.layout import StoreKey, open_layout, store_key
from mvenv.wheels.manifest import LARGE, Manifest

BIG = hashlib.shake_256(b"big").digest(LARGE)
EDIT = hashlib.shake_256(b"edit").digest(LARGE)
APART = ("F11", "F35")
"""Where a wheel came anew, a second later: with other stamps, which are not shared."""
PATHS = {"alpha": "alpha/big.so", "beta": "beta/lib/same.so"}


@dataclass(frozen=True, slots=True)
class World:
    """Environments of two wheels with one large file; ``a`` has alpha, ``b`` beta."""

    folder: Path
    mvenv: Runner
    wheels: dict[str, Path]
    locks: dict[str, Path]

    def make(self, name: str, wheel: str, mode: str = "hardlink") -> Path:
        """Create an environment of one wheel."""
        folder = self.folder / name
        self.mvenv.create(folder, self.locks[wheel], "--link-mode", mode)
        return folder

    def installed(self, environment: Path, wheel: str) -> Path:
        """Return the large file in an environment."""
        return next(environment.glob(f"lib/*/site-packages/{PATHS[wheel]}"))

    def stored(self, wheel: str) -> Path:
        """Return it in the store."""
        [path] = self.mvenv.store.glob(f"wheels/*/*/tree/{PATHS[wheel]}")
        return path

    def doctor(self, *words: str | Path) -> Outcome:
        """Run doctor."""
        return self.mvenv("doctor", *words)

    def findings(self, *words: str | Path) -> list[dict[str, Any]]:
        """Return what a run that prints JSON found."""
        found: list[dict[str, Any]] = self.doctor(*words, "--json").value["findings"]
        return found

    def healthy(self, *environments: Path, but: Container[str] = ("F35",)) -> bool:
        """Return whether nothing is found in them, or in the store.

        ``but`` are codes that may be: others were deleted.
        """
        outcomes = [
            self.doctor(*environments, "--check", "--full", "--json"),
            self.doctor("--whole-store", "--check", "--full", "--json"),
        ]
        found = [one for outcome in outcomes for one in outcome.value["findings"]]
        verified = self.mvenv("store", "verify").code == 0
        return verified and all(one["code"] in but for one in found)

    def lose_the_wheels(self) -> None:
        """Let nothing be fetched any more."""
        for wheel in self.wheels.values():
            wheel.unlink()

    def entry(self, wheel: str) -> Path:
        """Return the folder of a wheel in the store."""
        return self.stored(wheel).parents[len(Path(PATHS[wheel]).parts)]


@pytest.fixture
def world(
    tmp_path: Path,
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
) -> World:
    """Return the wheels and their locks."""
    wheels = {
        name: make_wheel(name, files={path: BIG, f"{name}.py": "x = 1\n" * 99})
        for name, path in PATHS.items()
    }
    locks = {
        name: write_pylock(wheel, path=tmp_path / f"pylock.{name}.toml")
        for name, wheel in wheels.items()
    }
    return World(tmp_path, mvenv, wheels, locks)


@pytest.fixture
def pair(world: World) -> tuple[Path, Path]:
    """Return the environments ``a`` and ``b``, which share the file."""
    a, b = world.make("a", "alpha"), world.make("b", "beta")
    assert world.installed(a, "alpha").samefile(world.installed(b, "beta"))
    assert world.healthy(a, b)
    return a, b


def edit(path: Path, content: bytes = EDIT, *, stamp: bool = False) -> None:
    """Write through a link."""
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(before.st_mode & 0o777)
    if stamp:
        os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))


def assert_put_right(world: World, a: Path, b: Path) -> None:
    """Look at all names of the file."""
    names = [
        world.stored("alpha"),
        world.stored("beta"),
        world.installed(a, "alpha"),
        world.installed(b, "beta"),
    ]
    assert [name.read_bytes() == BIG for name in names] == [True] * 4
    assert all(name.samefile(names[0]) for name in names)
    assert world.healthy(a, b)


@pytest.mark.parametrize("looked", ["a", "b", "both", "all"])
@pytest.mark.parametrize("edited", ["a", "b"])
@pytest.mark.parametrize("stamp", [False, True], ids=["edited", "hidden"])
def test_one_run_names_and_heals_all(
    world: World, pair: tuple[Path, Path], looked: str, edited: str, stamp: bool
) -> None:
    a, b = pair
    edit(
        world.installed(a, "alpha") if edited == "a" else world.installed(b, "beta"),
        stamp=stamp,
    )
    words: dict[str, list[str | Path]] = {
        "a": [a],
        "b": [b],
        "both": [a, b],
        "all": ["--whole-store"],
    }
    full = ["--full"] if stamp else []
    [told] = world.findings(*words[looked], *full, "--check")
    [healed] = world.findings(*words[looked], *full, "--fix")

    for finding, fate in ((told, "left"), (healed, "healed")):
        assert finding["code"] == ("F09" if stamp else "F08")
        assert finding["fate"] == fate
        assert set(finding["users"]) == {str(a), str(b)}
    [kept] = healed["rescued"]
    assert Path(kept["kept"]).read_bytes() == EDIT
    assert_put_right(world, a, b)


def test_both_wheels_are_locked_in_one_order(
    world: World, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two who heal must not wait for each other."""
    locked: list[str] = []
    lock = WheelStore.locked

    def noting(store: WheelStore, key: StoreKey) -> AbstractContextManager[None]:
        locked.append(key)
        return lock(store, key)

    monkeypatch.setattr(WheelStore, "locked", noting)
    edit(world.installed(pair[0], "alpha"))
    assert world.doctor("--whole-store", "--fix").code == 0

    assert locked == sorted(world.entry(name).name for name in PATHS)


def test_the_store_tells_of_both(world: World, pair: tuple[Path, Path]) -> None:
    edit(world.installed(pair[0], "alpha"))
    outcome = world.mvenv("store", "verify", "--json")

    assert outcome.code == 1
    assert len(outcome.value["wrong"]) == 2


def test_no_wheel_is_healed_from_the_bad_one(
    world: World, pair: tuple[Path, Path]
) -> None:
    a, b = pair
    world.lose_the_wheels()
    edit(world.installed(b, "beta"), stamp=True)
    before = world.stored("alpha").stat()
    outcome = world.doctor(a, b, "--full", "--fix", "--offline")

    assert outcome.code == 1
    assert "no good copy was found" in outcome.out
    after = world.stored("alpha").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert world.stored("beta").read_bytes() == EDIT


def test_a_copy_of_another_wheel_heals(world: World, pair: tuple[Path, Path]) -> None:
    a, b = pair
    world.make("copy", "beta", "copy")
    world.lose_the_wheels()
    edit(world.installed(a, "alpha"))
    outcome = world.doctor(a, "--fix", "--offline")

    assert outcome.code == 0, outcome.out
    assert_put_right(world, a, b)


def test_another_wheel_in_the_store_heals(
    world: World, pair: tuple[Path, Path]
) -> None:
    """One that has an inode of its own."""
    a, b = pair
    own = world.stored("beta")
    seen = own.stat()
    own.unlink()
    own.write_bytes(BIG)
    own.chmod(0o444)
    os.utime(own, ns=(seen.st_mtime_ns, seen.st_mtime_ns))
    shutil.rmtree(b)
    world.lose_the_wheels()
    edit(world.installed(a, "alpha"))
    outcome = world.doctor(a, "--fix", "--offline")

    assert outcome.code == 0, outcome.out
    assert "another wheel in the store" in outcome.out
    assert world.stored("alpha").samefile(world.stored("beta"))
    assert world.healthy(a)


def test_a_missing_file_comes_from_the_other_wheel(
    world: World, pair: tuple[Path, Path]
) -> None:
    a, b = pair
    world.lose_the_wheels()
    world.stored("alpha").unlink()
    world.installed(a, "alpha").unlink()
    outcome = world.doctor(a, "--fix", "--offline")

    assert outcome.code == 0, outcome.out
    assert_put_right(world, a, b)


def test_a_wheel_made_again_shares_again(world: World, pair: tuple[Path, Path]) -> None:
    a, b = pair
    shutil.rmtree(world.entry("alpha"))
    world.lose_the_wheels()
    outcome = world.doctor(a, "--offline")

    assert outcome.code == 0, outcome.out
    assert_put_right(world, a, b)


def test_a_wheel_made_again_beside_a_bad_one(
    world: World, pair: tuple[Path, Path]
) -> None:
    """What was lost meanwhile has the bad inode no more."""
    a, b = pair
    copy = world.make("copy", "alpha", "copy")
    shutil.rmtree(world.entry("alpha"))
    world.lose_the_wheels()
    edit(world.installed(a, "alpha"), stamp=True)
    outcome = world.doctor(a, b, copy, "--full", "--fix", "--offline")

    assert outcome.code == 0, outcome.out
    assert world.installed(a, "alpha").read_bytes() == BIG
    assert world.installed(b, "beta").read_bytes() == BIG
    assert world.healthy(a, b, copy)


def test_an_edit_of_what_only_the_other_wheel_has_is_no_private_one(
    world: World, pair: tuple[Path, Path]
) -> None:
    """The first wheel's entry is gone, and its environment has the second's inode."""
    a, b = pair
    shutil.rmtree(world.entry("alpha"))
    shutil.rmtree(b)
    world.lose_the_wheels()
    edit(world.installed(a, "alpha"))
    codes = {one["code"] for one in world.findings(a, "--check", "--offline")}

    assert "F08" in codes
    assert "F10" not in codes


def test_an_edit_of_what_was_set_aside_with_the_other_wheel(
    world: World, pair: tuple[Path, Path]
) -> None:
    """A create takes what is bad out of the store, and its environment is gone."""
    a, b = pair
    edit(world.installed(b, "beta"))
    shutil.rmtree(b)
    world.make("c", "beta")
    shutil.rmtree(world.entry("alpha"))
    codes = {one["code"] for one in world.findings(a, "--fix")}

    assert {"F08", "F40"} <= codes
    assert "F10" not in codes
    assert world.installed(a, "alpha").read_bytes() == BIG
    assert world.healthy(a, but=APART)


def test_a_create_takes_nothing_from_the_bad_one(
    world: World, pair: tuple[Path, Path]
) -> None:
    a, b = pair
    edit(world.installed(b, "beta"))
    world.make("c", "alpha")

    assert world.stored("alpha").read_bytes() == BIG
    assert world.stored("beta").read_bytes() == EDIT
    [healed] = world.findings(b, "--fix")
    assert set(healed["users"]) == {str(a), str(b)}
    assert world.installed(a, "alpha").read_bytes() == BIG
    assert world.installed(b, "beta").read_bytes() == BIG
    assert world.healthy(a, b, but=APART)


def test_what_another_wheel_has_still_is_found_from_here(
    world: World, pair: tuple[Path, Path]
) -> None:
    """The environment's own wheel came anew, and the other has the bad inode."""
    a, b = pair
    edit(world.installed(b, "beta"))
    world.make("c", "alpha")
    found = world.findings(a, "--fix")

    [healed] = [one for one in found if one["code"] == "F08"]
    assert set(healed["users"]) == {str(a), str(b)}
    assert world.stored("beta").read_bytes() == BIG
    assert world.installed(b, "beta").read_bytes() == BIG
    assert world.healthy(a, b, but=APART)


def test_a_touched_date_is_put_back(world: World, pair: tuple[Path, Path]) -> None:
    a, b = pair
    os.utime(world.installed(a, "alpha"))

    assert world.doctor(a, "--check").code == 0
    assert world.doctor(a).code == 0
    assert_put_right(world, a, b)


def test_a_lost_seal_is_put_back(world: World, pair: tuple[Path, Path]) -> None:
    a, b = pair
    world.installed(b, "beta").chmod(0o600)

    assert world.doctor(a).code == 0
    assert_put_right(world, a, b)


def test_two_in_one_environment(
    world: World, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    """Both names are hit, in one place."""
    lock = write_pylock(*world.wheels.values(), path=tmp_path / "pylock.two.toml")
    both = tmp_path / "both"
    world.mvenv.create(both, lock)
    edit(world.installed(both, "alpha"))
    [healed] = world.findings(both, "--fix")

    assert healed["users"] == [str(both)]
    assert_put_right(world, both, both)


def test_two_manifests_that_differ(world: World, pair: tuple[Path, Path]) -> None:
    """As when one was written again from what environments had of an earlier time."""
    a, b = pair
    place = world.entry("alpha") / "MANIFEST"
    manifest = Manifest.from_bytes(place.read_bytes())
    assert manifest is not None
    rows = tuple(
        row._replace(mtime_ns=row.mtime_ns - 10**9) if row.size >= LARGE else row
        for row in manifest.files
    )
    changed = Manifest(
        sha256=manifest.sha256,
        filename=manifest.filename,
        boot_id=manifest.boot_id,
        files=rows,
    )
    place.chmod(0o644)
    place.write_bytes(changed.to_bytes())
    before = world.stored("beta").stat()
    for _ in range(2):
        assert world.doctor("--whole-store", "--fix").code == 0

    assert world.mvenv("store", "verify").code == 0
    assert world.stored("beta").stat().st_ino == before.st_ino
    assert world.stored("beta").stat().st_mtime_ns == before.st_mtime_ns
    assert not world.stored("alpha").samefile(world.stored("beta"))
    assert world.doctor(b, "--check", "--full").code == 0
    assert world.installed(a, "alpha").read_bytes() == BIG


def test_a_damaged_row_is_told_and_set_aside(
    world: World, pair: tuple[Path, Path]
) -> None:
    [row] = (world.mvenv.store / "large").iterdir()
    row.chmod(0o644)
    row.write_bytes(b"mvenv large 1 0\n[]")

    assert [one["code"] for one in world.findings("--whole-store")] == ["F47"]
    assert world.healthy(*pair)
    assert store_key(row.name)
    assert open_layout(world.mvenv.store).large.is_dir()
