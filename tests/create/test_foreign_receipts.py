"""A receipt lies in a folder that somebody else may have filled: it is not trusted."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker, sha256_of
from mvenv.env.receipt import RECEIPT, read_receipt
from mvenv.interpreters import inspect_interpreter
from mvenv.records import load_json, store_json, write_record
from mvenv.store.layout import StoreLayout
from mvenv.store.registry import roots


@pytest.fixture
def lock(make_wheel: WheelMaker, write_pylock: PylockWriter) -> Path:
    """Return a lock of one small wheel."""
    return write_pylock(make_wheel("demo"))


Change = Callable[[dict[str, Any]], object]


def _forge(env: Path, change: Change) -> None:
    value = load_json(env / RECEIPT, "receipt", 1)
    change(value)
    store_json(env / RECEIPT, "receipt", 1, value)


def test_its_identifier_names_no_file_elsewhere(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("precious")
    env = tmp_path / "env"
    mvenv.create(env, lock)
    for name in (str(precious), "../../precious.txt"):
        change = {"id": name}
        _forge(env, lambda value: value.update(change))  # noqa: B023  called at once
        mvenv.create(env, lock, "--clear")

        assert precious.read_text() == "precious"


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.update(new_key=1),
        lambda value: value.pop("path"),
        lambda value: value.update(distributions=None),
        lambda value: value.update(distributions=[{"name": "x"}]),
        lambda value: value.update(generated=[["a", "b"]]),
        lambda value: value.update(id=7),
    ],
)
def test_one_of_another_version_is_as_good_as_none(
    mvenv: Runner,
    lock: Path,
    tmp_path: Path,
    change: Callable[[dict[str, Any]], object],
) -> None:
    env = tmp_path / "env"
    mvenv.create(env, lock)
    _forge(env, change)

    assert read_receipt(env) is None
    mvenv.create(env, lock, "--clear")
    assert read_receipt(env) is not None


@pytest.mark.parametrize("payload", [b"[", b"[]", b"null", b"\xff", b"[" * 200_000])
def test_what_is_no_receipt_under_a_right_checksum(
    mvenv: Runner, lock: Path, tmp_path: Path, payload: bytes
) -> None:
    env = tmp_path / "env"
    mvenv.create(env, lock)
    write_record(env / RECEIPT, "receipt", 1, payload)

    mvenv.create(env, lock, "--clear")


def test_clearing_a_copy_leaves_the_original_on_record(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    mvenv.create(original, lock)
    shutil.copytree(original, copy, symlinks=True)
    mvenv.create(copy, lock, "--clear")

    paths = {root.path for root in roots(StoreLayout(mvenv.store))}
    assert paths == {str(original), str(copy)}


def test_it_tells_the_lock_that_was_read_and_not_what_came_after(
    mvenv: Runner, lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = sha256_of(lock)

    def rewrite_then_inspect(*arguments: Any, **options: Any) -> Any:
        lock.write_text("another tool locks again\n")
        return inspect_interpreter(*arguments, **options)

    monkeypatch.setattr("mvenv.creation.inspect_interpreter", rewrite_then_inspect)
    mvenv.create(tmp_path / "env", lock)

    receipt = read_receipt(tmp_path / "env")
    assert receipt is not None
    assert receipt.lockfile_sha256 == read
