"""Digests are those that everyone else computes."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvenv.hashes import (
    CHUNK,
    Digest,
    DigestingReader,
    digest_bytes,
    digest_file,
    quick_digest,
    sha256_file,
)

# As xxHash's own `xxhsum -H2` prints them.
XXH3_128_OF_NOTHING = "99aa06d3014798d86001c324468d497f"


def test_digests_of_nothing_are_the_known_ones() -> None:
    assert digest_bytes(b"") == Digest(
        sha256="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        xxh3=XXH3_128_OF_NOTHING,
        size=0,
    )
    assert quick_digest(b"") == XXH3_128_OF_NOTHING


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_files_and_bytes_have_one_digest(size: int, tmp_path: Path) -> None:
    content = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(content)

    assert digest_file(path) == digest_bytes(content)
    assert digest_bytes(content).sha256 == hashlib.sha256(content).hexdigest()
    assert sha256_file(path) == digest_bytes(content).sha256


@given(content=st.binary(max_size=300), sizes=st.lists(st.integers(0, 50)))
def test_a_reader_digests_what_was_read(content: bytes, sizes: list[int]) -> None:
    reader = DigestingReader(io.BytesIO(content))
    read = b"".join(reader.read(size) for size in sizes)

    assert content.startswith(read)
    assert reader.digest() == digest_bytes(read)
    assert read + reader.read() == content
    assert reader.digest() == digest_bytes(content)


def test_a_file_is_found_from_an_open_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        assert digest_file("file", dir_fd=folder) == digest_bytes(b"x")
    finally:
        os.close(folder)


def test_reading_leaves_no_descriptor_open(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    before = len(os.listdir("/dev/fd"))
    digest_file(tmp_path / "file")
    with pytest.raises(IsADirectoryError):
        digest_file(tmp_path)

    assert len(os.listdir("/dev/fd")) == before


def test_a_missing_file_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        digest_file(tmp_path / "none")
