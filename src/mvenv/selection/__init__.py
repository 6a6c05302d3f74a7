"""What to install: the pure choice from a lockfile for a target.

The algorithm is PEP 751's, `packaging.pylock.Pylock.select`; what is ours is the
reasons: every file that was there and why it was refused.
"""

from __future__ import annotations

from mvenv.selection.groups import GroupOptions
from mvenv.selection.model import (
    ArchiveChoice,
    Chosen,
    DirectoryChoice,
    FileChoice,
    IndexChoice,
    Selection,
    VcsChoice,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mvenv.lockfiles.model import Lockfile
    from mvenv.target import Target

__all__ = [
    "ArchiveChoice",
    "Chosen",
    "DirectoryChoice",
    "FileChoice",
    "GroupOptions",
    "IndexChoice",
    "Selection",
    "VcsChoice",
    "select",
]


def select(lockfile: Lockfile, target: Target, options: GroupOptions) -> Selection:
    """Return all that is to be installed; reads and writes nothing.

    Raises `UsageError` for options that exclude each other, `SelectionError` for a
    group, an extra or an interpreter that the lockfile does not know, and for two
    releases of one distribution; `NoCompatibleFile` where no file fits. Several
    problems come as `SeveralErrors`.
    """
    from mvenv.selection.choice import select as choose

    return choose(lockfile, target, options)
