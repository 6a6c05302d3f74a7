"""Count what an environment adds to a disk, by its blocks and by the disk's own count.

The disk's own count (``statvfs``, as ``df``) is exact only where nobody else writes,
so it is taken on file systems made for it: loop images, which need root.
"""

from __future__ import annotations

import ctypes
import json
import os
import stat
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

__all__ = ["IMAGES", "allocated", "can_mount", "flush", "image", "used_bytes"]

IMAGES = {
    # Else the kernel goes on to write inode tables while things are timed.
    "ext4": ("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"),
    "xfs": ("mkfs.xfs", "-q", "-m", "reflink=1"),
    "btrfs": ("mkfs.btrfs", "-q"),
}
"""File systems of which an image can be made, on disk as their own defaults have it."""
_IMAGE_BYTES = 48 << 30
"""Sparse; ext4 makes inodes by the size, and many environments need many."""
_CLONE_NEWNS = 0x00020000
_BLOCK = 512
"""Bytes of ``st_blocks``' unit, whatever the file system's block is."""


def can_mount() -> bool:
    """Return whether images can be mounted here."""
    return os.geteuid() == 0


@cache
def _mount_apart() -> None:
    """Mount in a namespace of our own, so whatever ends us also unmounts."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(_CLONE_NEWNS):
        raise SystemExit(os.strerror(ctypes.get_errno()))
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


@contextmanager
def image(kind: str, folder: Path, name: str | None = None) -> Iterator[Path]:
    """Give a new, empty file system; nothing of it is left afterwards.

    Of a kind in `IMAGES`, or tmpfs, at ``name`` in ``folder``.
    """
    _mount_apart()
    file, mount = folder / f"{name or kind}.img", folder / f"{name or kind}.mount"
    mount.mkdir()
    try:
        if kind == "tmpfs":
            subprocess.run(["mount", "-t", kind, kind, str(mount)], check=True)
        else:
            _mount_image(kind, file, mount)
        try:
            yield mount
        finally:
            subprocess.run(["umount", str(mount)], check=True)
    finally:
        mount.rmdir()
        file.unlink(missing_ok=True)


def _mount_image(kind: str, file: Path, mount: Path) -> None:
    file.touch()
    os.truncate(file, _IMAGE_BYTES)
    subprocess.run([*IMAGES[kind], str(file)], check=True, capture_output=True)
    # Discarding would punch holes into the file, on the disk below, while we measure.
    options = "loop,nodiscard"
    subprocess.run(["mount", "-o", options, str(file), str(mount)], check=True)


def flush(folder: Path) -> None:
    """Write out all that waits to be written on the file system of ``folder``."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if library.syncfs(descriptor):
            raise SystemExit(os.strerror(ctypes.get_errno()))
    finally:
        os.close(descriptor)


def used_bytes(folder: Path) -> int:
    """Return the bytes in use on the file system of ``folder``, all written out."""
    # btrfs frees and counts with a commit's delay.
    flush(folder)
    flush(folder)
    status = os.statvfs(folder)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def allocated(environment: Path) -> dict[str, dict[str, int]]:
    """Return counts and allocated bytes of an environment by the kind of thing.

    ``shared`` are hard links to the store (a reflink has blocks of its own by this
    count: only the disk's count shows that they are shared). ``generated`` files were
    written by mvenv, ``private`` ones copied from the store.
    """
    generated = _generated(environment)
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for folder, names, files in os.walk(environment):
        _add(counts, sizes, "folders", os.lstat(folder))
        for name in (*files, *(name for name in names if _is_link(folder, name))):
            status = os.lstat(os.path.join(folder, name))
            below = os.path.relpath(os.path.join(folder, name), environment)
            if stat.S_ISLNK(status.st_mode):
                kind = "symlinks"
            elif status.st_nlink > 1:
                kind = "shared"
            elif below in generated:
                kind = "generated"
            elif below.startswith(".mvenv/"):
                kind = "receipt"
            else:
                kind = "private"
            _add(counts, sizes, kind, status)
    return {kind: {"count": counts[kind], "bytes": sizes[kind]} for kind in counts}


def _add(
    counts: Counter[str], sizes: Counter[str], kind: str, status: os.stat_result
) -> None:
    counts[kind] += 1
    sizes[kind] += status.st_blocks * _BLOCK


def _is_link(folder: str, name: str) -> bool:
    return os.path.islink(os.path.join(folder, name))


def _generated(environment: Path) -> frozenset[str]:
    """Return the files that the receipt lists as written and not linked."""
    record = (environment / ".mvenv" / "receipt").read_text(encoding="utf-8")
    receipt = json.loads(record.partition("\n")[2])
    return frozenset(path for path, *_ in receipt["generated"])
