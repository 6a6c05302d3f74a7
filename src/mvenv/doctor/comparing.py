"""What only the right bytes can tell about wrong ones."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from mvenv.diagnose.model import Finding, HealClass
from mvenv.hashes import CHUNK

__all__ = ["compare", "is_worthless"]

_BLOCK = 512
"""Bytes that a disk reads and loses together."""
_FLIPPED = 8
"""Bits that may have turned over by themselves, in one file."""
_LIKE_CHANCE = 16
"""One byte in so many may be equal by chance."""
_STRANGE = 4
"""One byte in so many is no text: then it is nobody's edit of a text."""
_TEXT = frozenset((*range(32, 127), 9, 10, 12, 13))


def compare(finding: Finding, bad: Path, good: Path) -> Finding:
    """Return the finding with the right code, where the good bytes are at hand.

    A lost end and turned bits are nobody's work; everything else may be.
    """
    try:
        if finding.code == "F06" and _is_beginning(bad, good):
            detail = f"{finding.detail}, its end is lost"
            return replace(finding, heal=HealClass.PLAIN, detail=detail)
        if finding.code == "F09" and (found := _rotten(bad, good)):
            return replace(finding, code="F16", heal=HealClass.PLAIN, detail=found)
    except OSError:
        return finding
    return finding


def is_worthless(bad: Path, good: Path | None) -> bool:
    """Return whether a file's bytes are nobody's: none, nulls, a beginning."""
    try:
        if bad.is_symlink() or not bad.is_file():
            return False
        if bad.stat().st_size == 0 or _is_null(bad):
            return True
        return good is not None and _is_beginning(bad, good)
    except OSError:
        return False


def _is_null(path: Path) -> bool:
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            if chunk.count(0) != len(chunk):
                return False
    return True


def _is_beginning(bad: Path, good: Path) -> bool:
    with bad.open("rb") as short, good.open("rb") as long:
        while chunk := short.read(CHUNK):
            if long.read(len(chunk)) != chunk:
                return False
    return True


def _rotten(bad: Path, good: Path) -> str:
    """Return in what way bytes have rotted; empty where it may be an edit."""
    flipped = blocks = 0
    if os.path.getsize(bad) != os.path.getsize(good):
        return ""
    with bad.open("rb") as left, good.open("rb") as right:
        while block := left.read(_BLOCK):
            true = right.read(_BLOCK)
            if block == true:
                continue
            blocks += 1
            bits = int.from_bytes(block) ^ int.from_bytes(true)
            if bits.bit_count() <= _FLIPPED:
                flipped += bits.bit_count()
            elif not _is_garbage(block, true):
                return ""
    if flipped > _FLIPPED:
        return ""
    if flipped:
        return f"{flipped} bit{'' if flipped == 1 else 's'} turned over"
    return f"{blocks} block{'' if blocks == 1 else 's'} lost"


def _is_garbage(block: bytes, true: bytes) -> bool:
    if block.count(0) == len(block):
        return True
    equal = sum(one == other for one, other in zip(block, true, strict=True))
    strange = sum(byte not in _TEXT for byte in block)
    return equal * _LIKE_CHANCE < len(block) and strange * _STRANGE > len(block)
