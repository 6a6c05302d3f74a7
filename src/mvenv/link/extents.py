"""Which bytes of a file are its own, as the file system tells (``FIEMAP``, Linux).

Reflinks have link counts of one, so only their extents say what is shared. ext4, XFS
and btrfs tell; elsewhere the answer is `None`: unknown.
"""

from __future__ import annotations

import array
import errno
import functools
import operator
import os
import struct
import sys
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Extent", "FileBytes", "file_bytes", "read_extents", "same_extents"]

_FIEMAP = 0xC020660B
"""``_IOWR('f', 11, struct fiemap)`` of ``linux/fs.h``."""
_SYNC = 0x1
"""Write out first: bytes that are only in memory have no place on the disk yet, and
those that overwrite shared ones would be told as shared."""
_HEADER = struct.Struct("=QQIIII")
_EXTENT = struct.Struct("=QQQ16xI12x")
_WHOLE = (1 << 64) - 1
_AT_ONCE = 64
"""Extents asked for in one call; nearly every file has one or two."""

_LAST = 0x1
_UNKNOWN = 0x2
_DELAYED = 0x4
_ENCODED = 0x8
_ENCRYPTED = 0x80
_NOT_ALIGNED = 0x100
_INLINE = 0x200
_TAIL = 0x400
_UNWRITTEN = 0x800
_SHARED = 0x2000
_NO_PROOF = _UNKNOWN | _DELAYED | _ENCODED | _ENCRYPTED | _NOT_ALIGNED | _INLINE | _TAIL
"""With one of these, the place on the disk does not tell the content."""
_UNTOLD = frozenset(
    {errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS, errno.EINVAL, errno.EBADR}
)


class Extent(NamedTuple):
    """Bytes of a file that lie together on the disk."""

    logical: int
    """Where they begin in the file."""
    physical: int
    """Where they begin on the disk."""
    length: int
    flags: int
    """``FIEMAP_EXTENT_…`` of ``linux/fiemap.h``."""


class FileBytes(NamedTuple):
    """What a file takes on the disk."""

    own: int
    """Bytes that only this file has: deleting its last name gives them back."""
    shared: int
    """Bytes that other files have too: reflinks."""
    inline: int
    """Bytes that lie with the file's own record, and take no room of their own."""


def read_extents(descriptor: int, *, sync: bool = True) -> tuple[Extent, ...] | None:
    """Return the extents of an open file, or `None` where nobody tells them.

    `OSError` where the disk refuses.
    """
    if sys.platform != "linux":
        return None
    try:
        return tuple(_ask(descriptor, _SYNC if sync else 0))
    except OSError as error:
        if error.errno in _UNTOLD:
            return None
        raise


def _ask(descriptor: int, flags: int) -> Iterator[Extent]:
    import fcntl

    size = _HEADER.size + _AT_ONCE * _EXTENT.size
    start = 0
    while True:
        # ioctl(2) takes a longer buffer than 1,024 bytes only where it can be changed.
        buffer = array.array("B", bytes(size))
        rest = _WHOLE - start
        _HEADER.pack_into(buffer, 0, start, rest, flags, 0, _AT_ONCE, 0)
        fcntl.ioctl(descriptor, _FIEMAP, buffer, True)
        count = _HEADER.unpack_from(buffer)[3]
        for number in range(count):
            offset = _HEADER.size + number * _EXTENT.size
            extent = Extent(*_EXTENT.unpack_from(buffer, offset))
            yield extent
            if extent.flags & _LAST:
                return
        if count < _AT_ONCE:
            return
        start = extent.logical + extent.length


def file_bytes(descriptor: int, *, sync: bool = True) -> FileBytes | None:
    """Return what an open file takes on the disk, or `None` where nobody tells it.

    Compressed bytes count as what they unpack to: no system call tells how few they
    are. `OSError` where the disk refuses.
    """
    extents = read_extents(descriptor, sync=sync)
    if extents is None:
        return None
    own = shared = inline = 0
    for extent in extents:
        if extent.flags & (_INLINE | _TAIL):
            inline += extent.length
        elif extent.flags & _SHARED:
            shared += extent.length
        else:
            own += extent.length
    return FileBytes(own=own, shared=shared, inline=inline)


def same_extents(one: int, other: int) -> bool | None:
    """Return whether two open files are the same bytes of the disk.

    True proves that their content is identical, without reading it; false says that
    they lie in different places, whatever their content is; `None` says nothing: the
    file system does not tell, or keeps the bytes in a way that proves nothing (inside
    the file's own record, compressed, encrypted). `OSError` where the disk refuses.
    """
    first, second = os.fstat(one), os.fstat(other)
    if os.path.samestat(first, second):
        return True
    if first.st_size != second.st_size:
        return False
    # Two file systems use the same numbers for different places. The subvolumes of
    # one btrfs have different devices too, so that different ones prove nothing.
    same_device = first.st_dev == second.st_dev
    mine = read_extents(one) if same_device else None
    others = read_extents(other) if mine is not None else None
    if mine is None or others is None:
        return None
    flags = functools.reduce(
        operator.or_, (extent.flags for extent in (*mine, *others)), 0
    )
    if flags & _NO_PROOF:
        return None
    if _places(mine, first.st_size) != _places(others, second.st_size):
        return False
    # XFS numbers the blocks of its realtime device anew: only what it says to be
    # shared is one.
    return True if all(extent.flags & _SHARED for extent in mine) else None


def _places(extents: tuple[Extent, ...], size: int) -> list[tuple[int, int, int, bool]]:
    """Return where the bytes lie, neighbours joined; what is past the end is left out.

    File systems may cut the same bytes into extents in different ways, where only a
    part of them is shared with a third file.
    """
    joined: list[tuple[int, int, int, bool]] = []
    for extent in extents:
        logical, physical = extent.logical, extent.physical
        length = min(extent.length, size - logical)
        if length <= 0:
            continue
        unwritten = bool(extent.flags & _UNWRITTEN)
        if joined:
            before, place, count, empty = joined[-1]
            if (before + count, place + count, empty) == (logical, physical, unwritten):
                joined[-1] = (before, place, count + length, empty)
                continue
        joined.append((logical, physical, length, unwritten))
    return joined
