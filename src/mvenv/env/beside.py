"""The hidden folder beside an environment: the new is built there, the old one ends."""

from __future__ import annotations

import contextlib
import os

from mvenv.paths import parent_of
from mvenv.scratch import ScratchFolder, sweep_scratch
from mvenv.workers import detach

__all__ = ["NEW", "Holder", "removed_later", "sweep_beside"]

_PREFIX = ".mvenv-build-"
NEW = "new"
"""What is built in it; after an exchange, the old environment."""
_LARGE = 2_000
"""Files and folders whose deletion takes longer than starting a process for it."""


class Holder(ScratchFolder):
    """A hidden folder beside the environment, with the new one in it."""

    def __init__(self, parent: str) -> None:
        super().__init__(parent, _PREFIX, mode=0o755)
        try:
            # Keeps the rest out of version control while it is built.
            with open(f"{self.path_text}/.gitignore", "wb", buffering=0) as stream:
                stream.write(b"*\n")
            os.mkdir(f"{self.path_text}/{NEW}", 0o755)
        except BaseException:
            self.remove()
            raise


def sweep_beside(place: str) -> None:
    """Delete what killed runs left beside an environment."""
    sweep_scratch(parent_of(place), _PREFIX)


def removed_later(holder: Holder, old: str) -> bool:
    """Leave a large environment that was replaced to a process that deletes it.

    One that is killed leaves the rest to the next run. What cannot be deleted is then
    told by who looks for it, and not here.
    """
    if not _is_large(old) or not detach(holder.remove, keep=holder.lock):
        return False
    holder.let_go()
    return True


def _is_large(folder: str) -> bool:
    count = 0
    with contextlib.suppress(OSError):
        for _, folders, files in os.walk(folder):
            count += len(folders) + len(files)
            if count > _LARGE:
                return True
    return False
