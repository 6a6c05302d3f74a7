"""Real file systems for tests: ext4, XFS and btrfs from sparse loop images.

All mounts live in a mount namespace of the test process: whatever kills it, the
kernel unmounts them and frees the loop devices. Each xdist worker has its own.
"""

from __future__ import annotations

import ctypes
import fcntl
import itertools
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import NoReturn

import pytest

__all__ = ["MOUNTED_KINDS", "Disk", "Filesystems"]

MOUNTED_KINDS = ("ext4", "xfs", "btrfs", "tmpfs")
"""What `Filesystems.folder` takes."""

_CLONE_NEWNS = 0x00020000
_GIB = 1 << 30
# Sparse: what is not written takes no room. Large enough for a science stack.
_IMAGE_BYTES = 8 * _GIB
_MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-m", "0"),
    "xfs": ("mkfs.xfs", "-q", "-m", "reflink=1"),
    "btrfs": ("mkfs.btrfs", "-q"),
}
# linux/fs.h, xfs_fs.h: _IOR('X', 125, __u32), without writing the log out first
_SHUTDOWN, _NO_LOG_FLUSH = 0x8004587D, 2
# linux/fs.h: FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR, struct fsxattr
_GET_ATTRIBUTES, _SET_ATTRIBUTES = 0x801C581F, 0x401C5820
_ATTRIBUTES = struct.Struct("5I8x")
_PROJECT_INHERIT = 0x200
_ENDING = 10.0
"""Seconds in which all processes of a killed run must have ended."""


def _give_up(reason: str) -> NoReturn:
    """Skip the test, or fail it where such skips are not wanted."""
    if os.environ.get("MVENV_REQUIRE_FILESYSTEMS") == "1":
        pytest.fail(f"MVENV_REQUIRE_FILESYSTEMS=1, but {reason}")
    pytest.skip(reason)


def _run(*command: str | Path) -> None:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        _give_up(f"`{command[0]}` failed: {done.stderr.strip()[:300]}")


def _unmount(folder: Path) -> bool:
    """Unmount at once, or, where a test left a process behind, when that ends."""
    return any(
        subprocess.run(["umount", *options, str(folder)], check=False).returncode == 0
        for options in ([], ["--lazy"])
    )


def _is_busy(folder: Path) -> bool:
    """Try to unmount, and return whether somebody is in the way."""
    done = subprocess.run(["umount", str(folder)], capture_output=True, check=False)
    return done.returncode != 0


@cache
def _enter_own_namespace() -> None:
    """Leave the machine's mount table; `os.unshare` is new in Python 3.12."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(_CLONE_NEWNS):
        _give_up(f"no mount namespace: {os.strerror(ctypes.get_errno())}")
    _run("mount", "--make-rprivate", "/")


class Disk:
    """A file system that loses its power: what was not flushed is gone."""

    def __init__(self, image: Path, folder: Path) -> None:
        self.image = image
        self.folder = folder

    def cut_power(self) -> None:
        """Stop the file system at once: nothing more reaches the disk."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def start_again(self) -> None:
        """Mount it anew, as after the power came back; nobody may stay in it."""
        until = time.monotonic() + _ENDING
        # Who ends with a process that was killed does so a moment later.
        while time.monotonic() < until and _is_busy(self.folder):
            time.sleep(0.05)
        if os.path.ismount(self.folder):
            _run("umount", self.folder)
        _run("mount", "-o", "loop", self.image, self.folder)


class Filesystems:
    """Mounts file systems below ``root`` when they are first asked for."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._mounts: list[Path] = []
        self._numbers = itertools.count()

    @cached_property
    def ext4(self) -> Path:
        """An ext4: hard links (65,000 a file), no reflinks."""
        return self._mount_image("ext4", _IMAGE_BYTES)

    @cached_property
    def xfs(self) -> Path:
        """An XFS with reflinks."""
        return self._mount_image("xfs", _IMAGE_BYTES)

    @cached_property
    def btrfs(self) -> Path:
        """A btrfs: reflinks, and hard links (65,535 a file)."""
        return self._mount_image("btrfs", _IMAGE_BYTES)

    @cached_property
    def tmpfs(self) -> Path:
        """A tmpfs: hard links, no reflinks."""
        return self.limited_tmpfs(_GIB)

    def folder(self, kind: str) -> Path:
        """Return a new folder on the file system ``kind`` of `MOUNTED_KINDS`."""
        mounts: dict[str, Callable[[], Path]] = {
            "ext4": lambda: self.ext4,
            "xfs": lambda: self.xfs,
            "btrfs": lambda: self.btrfs,
            "tmpfs": lambda: self.tmpfs,
        }
        folder = mounts[kind]() / f"folder{next(self._numbers)}"
        folder.mkdir()
        return folder

    def tiny_disk(self, size: int = 16 << 20) -> Path:
        """Return a new ext4 of ``size`` bytes, to be filled until ENOSPC."""
        return self._mount_image("ext4", size)

    def disk(self, kind: str, size: int = 1 << 30) -> Disk:
        """Return a new ext4 or XFS whose power can be cut."""
        image = self._make_image(kind, size)
        return Disk(image, self._mount("-o", "loop", image))

    def limited_tmpfs(self, size: int, inodes: int = 0) -> Path:
        """Return a new tmpfs of ``size`` bytes and ``inodes`` (0: no limit)."""
        options = f"size={size},nr_inodes={inodes},mode=755"
        return self._mount("-t", "tmpfs", "-o", options, "tmpfs")

    def bind(self, folder: Path) -> Path:
        """Return a new mount of ``folder``: links to it from without give EXDEV."""
        self._prepare()
        return self._mount("--bind", folder)

    def overlay(self, lower: Path, upper: Path, work: Path) -> Path:
        """Return a new overlay of ``upper`` over ``lower``; not on an overlay."""
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        return self._mount("-t", "overlay", "-o", options, "overlay")

    def subvolume(self, limit: int | None = None) -> Path:
        """Return a new btrfs subvolume: EDQUOT past ``limit`` bytes, where given."""
        folder = self.btrfs / f"subvolume{next(self._numbers)}"
        _run("btrfs", "-q", "subvolume", "create", folder)
        if limit is not None:
            _run("btrfs", "-q", "quota", "enable", self.btrfs)
            _run("btrfs", "-q", "qgroup", "limit", str(limit), folder)
        return folder

    def project_folder(self, project: int = 42) -> Path:
        """Return a new XFS folder of a quota project: links into it give EXDEV."""
        folder = self.xfs / f"project{next(self._numbers)}"
        folder.mkdir()
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            attributes = bytearray(_ATTRIBUTES.size)
            fcntl.ioctl(descriptor, _GET_ATTRIBUTES, attributes)
            flags, extent, extents, _, cow = _ATTRIBUTES.unpack(attributes)
            changed = (flags | _PROJECT_INHERIT, extent, extents, project, cow)
            fcntl.ioctl(descriptor, _SET_ATTRIBUTES, _ATTRIBUTES.pack(*changed))
        finally:
            os.close(descriptor)
        return folder

    def take_away(self, disk: Disk) -> None:
        """Unmount a disk that is of no more use, and free what its image takes."""
        assert _unmount(disk.folder)
        self._mounts.remove(disk.folder)
        disk.image.unlink()

    def close(self) -> None:
        """Unmount all, the newest first, and remove the images."""
        failed = [mount for mount in reversed(self._mounts) if not _unmount(mount)]
        # Never walk into what is still mounted: it may be a bind of anything.
        for image in self._root.glob("*.img"):
            image.unlink()
        assert not failed, f"still mounted: {failed}"

    def _prepare(self) -> None:
        if os.geteuid() != 0:
            _give_up("mounting file systems needs root")
        _enter_own_namespace()

    def _mount_image(self, kind: str, size: int) -> Path:
        return self._mount("-o", "loop", self._make_image(kind, size))

    def _make_image(self, kind: str, size: int) -> Path:
        self._prepare()
        make = _MAKE[kind]
        if shutil.which(make[0]) is None:
            _give_up(f"there is no `{make[0]}`")
        image = self._root / f"{kind}{next(self._numbers)}.img"
        image.touch()
        os.truncate(image, size)
        _run(*make, image)
        return image

    def _mount(self, *arguments: str | Path) -> Path:
        self._prepare()
        folder = self._root / f"mount{next(self._numbers)}"
        folder.mkdir()
        _run("mount", *arguments, folder)
        self._mounts.append(folder)
        return folder
