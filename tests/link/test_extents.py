"""What the file system tells of a file's bytes, compared with what it gives back."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kit.filesystems import Filesystems
from mvenv.link.extents import FileBytes, file_bytes, same_extents
from mvenv.link.files import copy_file, reflink_file

SIZE = 1 << 20
"""Bytes; whole blocks on every file system here."""


@contextmanager
def _opened(*paths: Path) -> Iterator[list[int]]:
    descriptors = [os.open(path, os.O_RDONLY) for path in paths]
    try:
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _reflink(source: Path, name: str) -> Path:
    folder = os.open(source.parent, os.O_RDONLY)
    try:
        reflink_file(source.name, name, folder, folder, mode=0o644, mtime_ns=0)
    finally:
        os.close(folder)
    return source.with_name(name)


def _copy(source: Path, name: str) -> Path:
    folder = os.open(source.parent, os.O_RDONLY)
    try:
        copy_file(source.name, name, folder, folder, mode=0o644, mtime_ns=0)
    finally:
        os.close(folder)
    return source.with_name(name)


def _bytes_of(path: Path) -> FileBytes | None:
    with _opened(path) as [descriptor]:
        return file_bytes(descriptor)


def _same(one: Path, other: Path) -> bool | None:
    with _opened(one, other) as [first, second]:
        return same_extents(first, second)


@pytest.fixture(params=["xfs", "btrfs"])
def folder(filesystems: Filesystems, request: pytest.FixtureRequest) -> Path:
    """Return a new folder of a file system that has reflinks."""
    return filesystems.folder(request.param)


def _write(path: Path, size: int = SIZE) -> Path:
    path.write_bytes(os.urandom(size))
    return path


def test_a_file_alone_has_its_bytes_for_itself(each_filesystem: Path) -> None:
    found = _bytes_of(_write(each_filesystem / "file"))

    if "tmpfs" in _kind(each_filesystem):
        assert found is None
    else:
        assert found == FileBytes(own=SIZE, shared=0, inline=0)


def _kind(folder: Path) -> str:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return next(one.split()[2] for one in lines if one.split()[1] == str(folder.parent))


def test_what_a_reflink_shares_is_nobodys_own(folder: Path) -> None:
    file = _write(folder / "file")
    clone = _reflink(file, "clone")

    assert _bytes_of(file) == FileBytes(own=0, shared=SIZE, inline=0)
    assert _bytes_of(clone) == FileBytes(own=0, shared=SIZE, inline=0)
    clone.unlink()
    # XFS takes its time to forget a file.
    deadline = time.monotonic() + 10
    while _bytes_of(file) != FileBytes(own=SIZE, shared=0, inline=0):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_is_written_to_a_reflink_becomes_its_own(folder: Path) -> None:
    file = _write(folder / "file")
    clone = _reflink(file, "clone")
    with clone.open("r+b") as stream:
        stream.seek(SIZE // 2)
        stream.write(os.urandom(SIZE // 4))
    found = _bytes_of(clone)

    assert found is not None
    # XFS copies a little more at once than what was written (its cowextsize).
    assert SIZE // 4 <= found.own <= SIZE // 2
    assert found.own + found.shared == SIZE


def test_many_extents_are_counted_whole(folder: Path) -> None:
    path = folder / "holes"
    with path.open("wb") as stream:
        for number in range(200):
            stream.seek(number * 2 * 65536)
            stream.write(os.urandom(65536))
            os.fsync(stream.fileno())

    assert _bytes_of(path) == FileBytes(own=200 * 65536, shared=0, inline=0)


def test_a_reflink_is_proven_to_be_the_same(folder: Path) -> None:
    # Not whole blocks: what is past the end proves nothing and disproves nothing.
    file = _write(folder / "file", SIZE + 100)

    assert _same(file, _reflink(file, "clone")) is True
    assert _same(file, file) is True


def test_a_copy_is_not_proven_to_be_the_same(folder: Path) -> None:
    file = _write(folder / "file")

    assert _same(file, _copy(file, "copy")) is False


@pytest.mark.parametrize("way", ["write", "mmap"])
@pytest.mark.parametrize("place", [0, SIZE // 2, SIZE - 1])
def test_one_changed_byte_ends_the_proof(folder: Path, way: str, place: int) -> None:
    file = _write(folder / "file")
    clone = _reflink(file, "clone")
    flipped = bytes([file.read_bytes()[place] ^ 1])
    with clone.open("r+b") as stream:
        if way == "mmap":
            with mmap.mmap(stream.fileno(), 0) as mapped:
                mapped[place : place + 1] = flipped
                assert _same(file, clone) is False
        else:
            stream.seek(place)
            stream.write(flipped)
            stream.flush()
            assert _same(file, clone) is False


def test_a_longer_reflink_is_another_file(folder: Path) -> None:
    file = _write(folder / "file")
    clone = _reflink(file, "clone")
    with clone.open("ab") as stream:
        stream.write(b"more")

    assert _same(file, clone) is False


def test_what_lies_in_the_inode_proves_nothing(filesystems: Filesystems) -> None:
    file = _write(filesystems.folder("btrfs") / "small", 100)
    clone = _reflink(file, "clone")
    other = _write(file.with_name("other"), 100)

    assert _same(file, clone) is None
    assert _same(file, other) is None
    found = _bytes_of(file)
    assert found is not None
    assert (found.own, found.shared) == (0, 0)
    assert found.inline >= 100


def test_compressed_bytes_prove_nothing(filesystems: Filesystems) -> None:
    file = filesystems.folder("btrfs") / "file"
    with file.open("wb") as stream:
        # FS_IOC_SETFLAGS with FS_COMPR_FL: as `chattr +c`.
        _compress(stream.fileno())
        stream.write(b"text " * SIZE)

    assert _same(file, _reflink(file, "clone")) is None


def _compress(descriptor: int) -> None:
    import fcntl
    import struct

    fcntl.ioctl(descriptor, 0x40086602, struct.pack("l", 0x4))


def test_nobody_tells_on_a_tmpfs(filesystems: Filesystems) -> None:
    file = _write(filesystems.folder("tmpfs") / "file")

    assert _bytes_of(file) is None
    assert _same(file, _copy(file, "copy")) is None


def test_files_of_two_file_systems_prove_nothing(filesystems: Filesystems) -> None:
    one = _write(filesystems.folder("xfs") / "file")
    other = filesystems.folder("ext4") / "file"
    other.write_bytes(one.read_bytes())

    assert _same(one, other) is None


def test_empty_files_are_the_same(folder: Path) -> None:
    one, other = _write(folder / "one", 0), _write(folder / "other", 0)

    assert _same(one, other) is True
