"""A record is its old bytes or its new ones, or nothing; never a part, never a lie."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.filesystems import Filesystems
from kit.snapshots import tree_snapshot
from mvenv.records import (
    load_json,
    read_record,
    replace_bytes,
    seal_record,
    store_json,
    unseal_record,
    write_record,
)

SEALED = seal_record("plan", 3, b"line one\nline two\n\x00\xff")

# Writes two records over one another until it is killed.
WRITER = """
import sys
from pathlib import Path
from mvenv.records import write_record
path = Path(sys.argv[1])
payloads = [bytes([letter]) * 300_000 for letter in b"ab"]
write_record(path, "k", 1, payloads[0])
print("ready", flush=True)
while True:
    for payload in payloads:
        write_record(path, "k", 1, payload)
"""


def test_what_goes_in_comes_out() -> None:
    assert unseal_record("plan", 3, SEALED) == b"line one\nline two\n\x00\xff"
    assert SEALED.startswith(b"mvenv plan 3 ")


@given(st.binary())
def test_any_payload_comes_out(payload: bytes) -> None:
    assert unseal_record("k", 1, seal_record("k", 1, payload)) == payload


def test_another_kind_or_version_is_no_record() -> None:
    assert unseal_record("plans", 3, SEALED) is None
    assert unseal_record("plan", 4, SEALED) is None


def test_every_changed_byte_is_seen() -> None:
    for place, right in enumerate(SEALED):
        for wrong in range(256):
            damaged = SEALED[:place] + bytes([wrong]) + SEALED[place + 1 :]
            if wrong != right:
                assert unseal_record("plan", 3, damaged) is None, (place, wrong)


def test_every_cut_is_seen() -> None:
    for place in range(len(SEALED)):
        assert unseal_record("plan", 3, SEALED[:place]) is None
        assert unseal_record("plan", 3, SEALED[place + 1 :]) is None
        assert unseal_record("plan", 3, SEALED[:place] + bytes(64)) is None


@given(st.binary())
def test_noise_is_no_record(noise: bytes) -> None:
    assert unseal_record("plan", 3, noise) is None
    assert unseal_record("plan", 3, SEALED + noise + b"x") is None


def test_json_comes_back(tmp_path: Path) -> None:
    value = {"a": [1, None, True, "ü\udce9"], "b": {}}
    store_json(tmp_path / "r", "k", 1, value)

    assert load_json(tmp_path / "r", "k", 1) == value
    assert load_json(tmp_path / "r", "k", 2) is None


def test_what_cannot_be_read_is_absent(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    assert read_record(tmp_path / "none", "k", 1) is None
    assert read_record(tmp_path / "folder", "k", 1) is None
    assert load_json(tmp_path / "none", "k", 1) is None


def test_replacing_keeps_readers_of_the_old_bytes(tmp_path: Path) -> None:
    path = tmp_path / "r"
    replace_bytes(path, b"old")
    (tmp_path / "linked").hardlink_to(path)
    with path.open("rb") as reader:
        replace_bytes(path, b"new", mode=0o600)

        assert reader.read() == b"old"
    assert (tmp_path / "linked").read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["linked", "r"]


def test_a_name_of_full_length_can_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 127)
    replace_bytes(path, b"x")

    assert os.listdir(tmp_path) == [path.name]


def test_a_failed_write_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    before = tree_snapshot(tmp_path)

    with pytest.raises(IsADirectoryError):
        replace_bytes(tmp_path / "folder", b"x")
    with pytest.raises(FileNotFoundError):
        replace_bytes(tmp_path / "none/file", b"x")

    assert tree_snapshot(tmp_path) == before


def test_a_full_disk_keeps_the_old_record(filesystems: Filesystems) -> None:
    folder = filesystems.tiny_disk()
    write_record(folder / "r", "k", 1, b"old")
    before = tree_snapshot(folder)

    with pytest.raises(OSError, match="No space left"):
        write_record(folder / "r", "k", 1, bytes(32 << 20))

    assert tree_snapshot(folder) == before


def test_a_killed_writer_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "r"
    whole = {b"a" * 300_000, b"b" * 300_000}
    for delay in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE
        )
        with writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            for _ in range(20):
                assert read_record(path, "k", 1) in whole
            time.sleep(delay * 0.003)
            writer.send_signal(signal.SIGKILL)

        assert read_record(path, "k", 1) in whole
