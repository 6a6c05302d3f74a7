"""Copies that are proven: hashed once they are where no other process knows them."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mvenv.hashes import Digest, digest_file
from mvenv.link.files import copy_file, reflink_file
from mvenv.link.modes import NEXT_MODE

__all__ = ["ProvenCopies", "open_folder"]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""What the target refuses; anything else may be the source's fault."""


@dataclass(slots=True)
class ProvenCopies:
    """Makes copies, by reflink where that works. For one thread."""

    _no_clones: set[int] = field(default_factory=set, init=False)
    """Devices from which no reflink works."""

    def copy(
        self, place: Path, new: Path, *, sha256: str, size: int, mode: int, stamp: int
    ) -> Digest | None:
        """Copy the file ``place`` to ``new``, if it has these bytes.

        Never the same inode: who has it open for writing could change it later. Its
        mtime becomes ``stamp``. `None`, and nothing is made, where it is no file, not
        readable, or has other bytes. `OSError` where ``new`` cannot be made.
        """
        try:
            seen = place.lstat()
            if not stat.S_ISREG(seen.st_mode) or seen.st_size != size:
                return None
            self._copy(place, seen.st_dev, new, mode, stamp)
        except OSError as error:
            if error.errno in _FULL:
                raise
            return None
        digest = digest_file(new)
        if (digest.sha256, digest.size) == (sha256, size):
            return digest
        new.unlink()
        return None

    def _copy(self, place: Path, device: int, new: Path, mode: int, stamp: int) -> None:
        with open_folder(place.parent) as source, open_folder(new.parent) as target:
            names = (place.name, new.name, source, target)
            if device not in self._no_clones:
                try:
                    reflink_file(*names, mode=mode, mtime_ns=stamp)
                except OSError as error:
                    if error.errno not in NEXT_MODE:
                        raise
                    self._no_clones.add(device)
                else:
                    return
            copy_file(*names, mode=mode, mtime_ns=stamp)


@contextlib.contextmanager
def open_folder(folder: Path) -> Iterator[int]:
    """Give the descriptor of a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
