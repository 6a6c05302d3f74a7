"""All kinds of faults that can be made on a user's own disk."""

from __future__ import annotations

from mvenv.selftest.contents import CONTENT_KINDS
from mvenv.selftest.files import FILE_KINDS
from mvenv.selftest.metadata import METADATA_KINDS
from mvenv.selftest.model import Kind
from mvenv.selftest.stored import STORE_KINDS
from mvenv.selftest.surroundings import WORLD_KINDS

__all__ = ["KINDS", "NOT_MADE"]

KINDS: tuple[Kind, ...] = (
    *FILE_KINDS,
    *CONTENT_KINDS,
    *METADATA_KINDS,
    *WORLD_KINDS,
    *STORE_KINDS,
)

NOT_MADE: dict[str, str] = {
    "F17": "a disk that cannot read needs a device of its own",
    "F19": "quarantine is known to macOS alone",
    "F32": "needs a second minor version of Python",
    "F37": "a full or read-only disk needs a file system of its own",
    "F49": "needs a second file system",
    "F50": "65,000 links of one file",
    "F53": "the store keeps no archives",
}
"""Codes of which no fault is made here, and why: the tests make most of them."""
