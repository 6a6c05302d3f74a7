"""One large file under the names of several wheels: one fault, told once."""

from __future__ import annotations

import stat
from collections.abc import Iterable

from mvenv.diagnose.model import Finding
from mvenv.wheels.manifest import LARGE

__all__ = ["inode_of", "one_each"]


def inode_of(finding: Finding) -> tuple[int, int] | None:
    """Return device and inode of a large file with other names; of others `None`."""
    expected = finding.expected
    if expected is None or expected.size < LARGE or finding.path is None:
        return None
    try:
        seen = (finding.where / finding.path).lstat()
    except OSError:
        return None
    if not stat.S_ISREG(seen.st_mode) or seen.st_nlink == 1:
        return None
    return seen.st_dev, seen.st_ino


def one_each(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings in the store without those that others are one with.

    What heals a file under one of its names heals it under all of them that must be
    sealed alike.
    """
    found = []
    seen = set()
    for finding in findings:
        inode, expected = inode_of(finding), finding.expected
        if inode is not None and expected is not None:
            fault = (inode, expected.sha256, expected.mode, expected.mtime_ns)
            if fault in seen:
                continue
            seen.add(fault)
        found.append(finding)
    return found
