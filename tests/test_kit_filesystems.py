"""The mounted file systems are what the tests on them believe they are."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from kit.filesystems import MOUNTED_KINDS, Filesystems

FICLONE = 0x40049409


def clone(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("wb") as writer:
        fcntl.ioctl(writer, FICLONE, reader.fileno())


def write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        os.fsync(stream.fileno())


@pytest.mark.parametrize("kind", MOUNTED_KINDS)
def test_reflinks_work_where_they_should(filesystems: Filesystems, kind: str) -> None:
    folder = filesystems.folder(kind)
    (folder / "a").write_bytes(b"x" * 8192)

    if kind in {"xfs", "btrfs"}:
        clone(folder / "a", folder / "b")
        assert (folder / "b").read_bytes() == b"x" * 8192
    else:
        with pytest.raises(OSError, match=r"(?i)not supported"):
            clone(folder / "a", folder / "b")


def test_each_filesystem_links(each_filesystem: Path) -> None:
    (each_filesystem / "a").touch()
    (each_filesystem / "b").hardlink_to(each_filesystem / "a")

    assert (each_filesystem / "a").stat().st_nlink == 2


def test_a_tiny_disk_fills_up(filesystems: Filesystems) -> None:
    disk = filesystems.tiny_disk()

    with pytest.raises(OSError, match="No space left"):
        (disk / "big").write_bytes(b"x" * (16 << 20))


def test_a_limited_tmpfs_runs_out_of_inodes(filesystems: Filesystems) -> None:
    folder = filesystems.limited_tmpfs(1 << 20, inodes=3)

    (folder / "a").touch()
    (folder / "b").touch()
    with pytest.raises(OSError, match="No space left"):
        (folder / "c").touch()


def test_a_bind_mount_refuses_links(filesystems: Filesystems) -> None:
    folder = filesystems.folder("ext4")
    (folder / "a").touch()
    bound = filesystems.bind(folder)

    assert bound.stat().st_dev == folder.stat().st_dev
    with pytest.raises(OSError, match="cross-device") as refused:
        (bound / "b").hardlink_to(folder / "a")
    assert refused.value.errno == errno.EXDEV


def test_a_project_folder_refuses_links(filesystems: Filesystems) -> None:
    (filesystems.xfs / "outside").touch()
    project = filesystems.project_folder()

    with pytest.raises(OSError, match="cross-device"):
        (project / "inside").hardlink_to(filesystems.xfs / "outside")


def test_a_subvolume_refuses_links_and_keeps_its_limit(
    filesystems: Filesystems,
) -> None:
    (filesystems.btrfs / "outside").touch()
    volume = filesystems.subvolume(limit=1 << 20)

    with pytest.raises(OSError, match="cross-device"):
        (volume / "inside").hardlink_to(filesystems.btrfs / "outside")
    with pytest.raises(OSError, match="quota"):
        write_durably(volume / "big", os.urandom(1 << 24))


def test_the_machine_sees_no_mount(filesystems: Filesystems) -> None:
    mount = str(filesystems.ext4)

    assert mount in Path("/proc/self/mounts").read_text()
    assert mount not in Path(f"/proc/{os.getppid()}/mounts").read_text()
    mounts = subprocess.run(["mount"], capture_output=True, text=True, check=True)
    assert mount in mounts.stdout
