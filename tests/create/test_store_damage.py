"""An edited store file never reaches a new environment."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker, sha256_of
from mvenv.store.entries import WheelStore
from mvenv.store.layout import open_layout, store_key


@pytest.fixture
def wheel(make_wheel: WheelMaker) -> Path:
    """Return a wheel with one module to damage."""
    return make_wheel("victim", "1.0", {"victim.py": "answer = 42\n" * 100})


@pytest.fixture
def lock(wheel: Path, write_pylock: PylockWriter) -> Path:
    """Return a lock of it."""
    return write_pylock(wheel)


def _stored(mvenv: Runner) -> Path:
    return next((mvenv.store / "wheels").glob("*/*/tree/victim.py"))


def _installed(environment: Path) -> Path:
    return next(environment.glob("lib/*/site-packages/victim.py"))


def _edit_same_size(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"42", b"43"))
    path.chmod(0o444)


def _become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _become_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "edited through a link": _edit_same_size,
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: os.truncate(path, 100),
    "deleted": lambda path: path.unlink(),
    "a folder": _become_folder,
    "a link": _become_link,
}


@pytest.mark.parametrize("mode", ["hardlink", "copy"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_changed_file_is_fetched_anew(
    mvenv: Runner, lock: Path, tmp_path: Path, damage: str, mode: str
) -> None:
    mvenv.create(tmp_path / "a", lock, "--link-mode", mode)
    DAMAGES[damage](_stored(mvenv))
    outcome = mvenv.create(tmp_path / "b", lock, "--link-mode", mode)

    assert _installed(tmp_path / "b").read_bytes() == b"answer = 42\n" * 100
    assert "had been changed" in outcome.err
    third = mvenv.create(tmp_path / "c", lock, "--link-mode", mode)
    assert "changed" not in third.err


def test_an_edit_is_kept(mvenv: Runner, lock: Path, tmp_path: Path) -> None:
    mvenv.create(tmp_path / "a", lock, "--link-mode", "hardlink")
    _edit_same_size(_installed(tmp_path / "a"))
    outcome = mvenv.create(tmp_path / "b", lock, "--link-mode", "hardlink")
    [kept] = (mvenv.store / "rescued").glob("*/victim.py")

    assert kept.read_bytes() == b"answer = 43\n" * 100
    assert str(kept.parent) in outcome.err
    assert _installed(tmp_path / "a").read_bytes() == b"answer = 43\n" * 100
    assert _installed(tmp_path / "b").read_bytes() == b"answer = 42\n" * 100


def test_offline_a_changed_file_is_refused(
    mvenv: Runner, lock: Path, wheel: Path, tmp_path: Path
) -> None:
    mvenv.create(tmp_path / "a", lock)
    _edit_same_size(_stored(mvenv))
    wheel.unlink()
    outcome = mvenv("create", tmp_path / "b", "--from", lock, "--offline")

    assert outcome.code == 13
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("touch", ["stamp", "mode"])
def test_a_touched_file_is_sealed_again(
    mvenv: Runner, lock: Path, wheel: Path, tmp_path: Path, touch: str
) -> None:
    mvenv.create(tmp_path / "a", lock)
    stored = _stored(mvenv)
    before = stored.stat()
    if touch == "stamp":
        os.utime(stored)
    else:
        stored.chmod(0o666)
    wheel.unlink()
    mvenv.create(tmp_path / "b", lock, "--offline")
    after = stored.stat()

    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


def test_a_manifest_that_is_damaged_is_not_believed(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    mvenv.create(tmp_path / "a", lock)
    manifest = next((mvenv.store / "wheels").glob("*/*/MANIFEST"))
    manifest.chmod(0o644)
    content = bytearray(manifest.read_bytes())
    content[-5] ^= 1
    manifest.write_bytes(content)
    mvenv.create(tmp_path / "b", lock)

    assert _installed(tmp_path / "b").read_bytes() == b"answer = 42\n" * 100


def test_an_entry_that_was_never_flushed_is_hashed_after_a_reboot(
    mvenv: Runner,
    lock: Path,
    wheel: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mvenv.create(tmp_path / "a", lock)
    store = WheelStore(open_layout(mvenv.store))
    key = store_key(sha256_of(wheel))
    entry = store.layout.entry(key)
    (entry / "synced").unlink()
    assert store.find(key) is not None
    assert not (entry / "synced").exists()

    monkeypatch.setattr("mvenv.store.entries.boot_id", lambda: "another boot")
    assert store.find(key) is not None
    assert (entry / "synced").exists()

    (entry / "synced").unlink()
    stored = _stored(mvenv)
    stamp = stored.stat().st_mtime_ns
    stored.chmod(0o644)
    stored.write_bytes(b"\0" * stored.stat().st_size)
    stored.chmod(0o444)
    os.utime(stored, ns=(stamp, stamp))
    assert store.find(key) is None
    mvenv.create(tmp_path / "b", lock)
    assert _installed(tmp_path / "b").read_bytes() == b"answer = 42\n" * 100


def test_a_store_of_another_user_is_not_used(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give folders away")
    mvenv.create(tmp_path / "a", lock)
    os.chown(mvenv.store, 4321, 4321)
    outcome = mvenv("create", tmp_path / "b", "--from", lock)

    assert outcome.code == 16
    assert "another user" in outcome.err


def test_a_store_that_others_can_write_is_not_used(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    mvenv.create(tmp_path / "a", lock)
    mvenv.store.chmod(0o777)
    outcome = mvenv("create", tmp_path / "b", "--from", lock)

    assert outcome.code == 16
    assert "chmod go-w" in outcome.err


def test_a_store_of_a_newer_format_is_left_alone(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    mvenv.create(tmp_path / "a", lock)
    (mvenv.store / "FORMAT").write_text("mvenv store 2\n")
    outcome = mvenv("create", tmp_path / "b", "--from", lock)

    assert outcome.code == 16
    assert "upgrade mvenv" in outcome.err


@pytest.mark.parametrize("left", ["", "\0" * 14])
def test_a_format_without_bytes_is_written_again(
    mvenv: Runner, lock: Path, tmp_path: Path, left: str
) -> None:
    """As a power cut leaves it, soon after the store was made."""
    mvenv.create(tmp_path / "a", lock)
    (mvenv.store / "FORMAT").write_text(left)

    mvenv.create(tmp_path / "b", lock)
    assert (mvenv.store / "FORMAT").read_text() == "mvenv store 1\n"


def test_a_format_that_says_something_else_is_not_overwritten(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    mvenv.create(tmp_path / "a", lock)
    (mvenv.store / "FORMAT").write_text("mine")
    outcome = mvenv("create", tmp_path / "b", "--from", lock)

    assert outcome.code == 16
    assert "`mvenv doctor` writes it again" in outcome.err
    assert (mvenv.store / "FORMAT").read_text() == "mine"


def test_an_empty_file_does_not_make_a_folder_a_store(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "FORMAT").touch()
    (home / "thesis.txt").write_text("mine")
    outcome = mvenv("create", tmp_path / "env", "--from", lock, store=home)

    assert outcome.code == 16
    assert sorted(os.listdir(home)) == ["FORMAT", "thesis.txt"]


def test_a_folder_with_other_things_does_not_become_a_store(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("precious")
    outcome = mvenv("create", tmp_path / "b", "--from", lock, store=home)

    assert outcome.code == 16
    assert os.listdir(home) == ["thesis.txt"]
