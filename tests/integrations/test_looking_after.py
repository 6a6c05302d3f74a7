"""The look that an environment gets before it is used: what it must not pass over."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from functools import partial
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv import locking
from mvenv.doctor import looking
from mvenv.errors import Busy
from mvenv.installing.notes import Notes
from mvenv.integrations.looking_after import look_after
from mvenv.store import durability
from mvenv.surroundings import Surroundings


@pytest.fixture
def folder(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> Path:
    """Return an environment with one wheel."""
    lock = write_pylock(make_wheel("one"))
    assert mvenv.create(tmp_path / "env", lock).code == 0
    return tmp_path / "env"


@pytest.fixture
def said(mvenv: Runner, tmp_path: Path) -> Surroundings:
    """Return where the store is."""
    store = str(mvenv.store)
    variables = {"HOME": str(tmp_path), "MVENV_STORE": store, "MVENV_OFFLINE": "1"}
    return Surroundings.of(variables)


def _module(folder: Path) -> Path:
    (found,) = folder.glob("lib/*/site-packages/one/__init__.py")
    return found


def test_nothing_is_said_of_one_that_is_right(folder: Path, said: Surroundings) -> None:
    assert look_after(folder, said) == ("", "")


def test_what_never_reached_the_disk_is_read(
    folder: Path, said: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut: the stamps are right, and the bytes are null."""
    for mark in Path(said.store).rglob("synced"):
        mark.unlink()
    monkeypatch.setattr(durability, "_BOOT_IDS", ["another"])
    module = _module(folder)
    content, stamp = module.read_bytes(), module.stat()
    module.chmod(0o644)
    module.write_bytes(bytes(len(content)))
    module.chmod(stamp.st_mode & 0o777)
    os.utime(module, ns=(stamp.st_mtime_ns, stamp.st_mtime_ns))

    healed, wrong = look_after(folder, said)

    assert "null bytes" in healed
    assert not wrong
    assert _module(folder).read_bytes() == content


def test_what_cannot_be_looked_at_is_not_right(
    folder: Path, said: Surroundings
) -> None:
    shutil.rmtree(folder / ".mvenv")
    for record in Path(said.store, "envs").iterdir():
        record.unlink()
    _module(folder).unlink()

    assert look_after(folder, said)[1]


def test_one_that_is_in_use_is_busy(
    folder: Path, said: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = partial(locking.lock_folder, patience=0.1)
    monkeypatch.setattr(looking, "lock_folder", patient)
    with locking.lock_folder(folder, exclusive=True), pytest.raises(Busy):
        look_after(folder, said)


def test_one_that_is_being_made_is_not_right(folder: Path, said: Surroundings) -> None:
    mark = folder / ".mvenv/building"
    mark.write_text("x", encoding="utf-8")
    with mark.open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(Busy):
            look_after(folder, said)


def test_use_is_put_down(folder: Path, said: Surroundings) -> None:
    """Prune spares what was seen not long ago."""
    (record,) = Path(said.store, "envs").iterdir()
    absent = record.with_name(f"{record.name}.absent")
    absent.touch()
    long_ago = time.time() - 20 * 86400
    for path in (record, absent):
        os.utime(path, (long_ago, long_ago))

    look_after(folder, said)

    assert not absent.exists()
    assert record.stat().st_mtime > long_ago + 86400


def test_one_without_notes_does_without_them(
    folder: Path, said: Surroundings, tmp_path: Path
) -> None:
    """It was made from a lockfile, or nothing was installed yet."""
    assert look_after(folder, said, Notes(tmp_path / "notes")) == ("", "")


@pytest.mark.parametrize("kept", [".mvenv", "mine"])
def test_notes_of_another_folder_can_be_lost_too(
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    said: Surroundings,
    tmp_path: Path,
    kept: str,
) -> None:
    """A lockfile of the user's is not ours to miss."""
    lock = tmp_path / kept / "env/pylock.toml"
    lock.parent.mkdir(parents=True)
    write_pylock(make_wheel("one")).rename(lock)
    assert mvenv.create(tmp_path / "env", lock).code == 0
    notes = Notes(tmp_path / "other/.mvenv/env")
    assert look_after(tmp_path / "env", said, notes) == ("", "")
    lock.unlink()

    wrong = look_after(tmp_path / "env", said, notes)[1]

    assert bool(wrong) == (kept == ".mvenv")


def test_it_is_right_without_the_store_that_is_named(
    folder: Path, said: Surroundings
) -> None:
    variables = {**said.environ, "MVENV_STORE": "/proc/nowhere"}

    assert look_after(folder, Surroundings.of(variables)) == ("", "")
    _module(folder).unlink()
    assert "is missing" in look_after(folder, Surroundings.of(variables))[0]
