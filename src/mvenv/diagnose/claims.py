"""Which paths distributions list in their RECORD, besides what was planned."""

from __future__ import annotations

import base64
import binascii
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mvenv.diagnose.reading import content_at, opened
from mvenv.errors import InvalidWheel
from mvenv.plan.model import Plan
from mvenv.wheels.record import RecordEntry, read_record

__all__ = ["Foreign", "claims_of", "listed_files", "sha256_of_row"]

_MOST = 1 << 26
"""Bytes of a RECORD; more is no RECORD."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A distribution that mvenv did not install."""

    name: str
    """Normalised."""
    version: str
    metadata: str
    """Its folder, below the environment."""
    installer: str


def listed_files(root: int, metadata: str) -> dict[str, RecordEntry]:
    """Return what a distribution's RECORD lists, by path below the environment."""
    site = metadata.rpartition("/")[0]
    try:
        with opened(root, metadata) as folder:
            content = content_at("RECORD", folder, _MOST)
        rows = read_record(content, "RECORD")
    except (OSError, InvalidWheel):
        return {}
    found = {}
    for listed, row in rows.items():
        path = posixpath.normpath(posixpath.join(site, listed))
        if not listed.startswith("/") and path.partition("/")[0] != "..":
            found[path] = row
    return found


def sha256_of_row(row: RecordEntry) -> str | None:
    """Return the sha256 that a row has, in hexadecimal; empty where it is garbled."""
    if row.algorithm != "sha256":
        return None
    try:
        padded = row.digest + "=" * (-len(row.digest) % 4)
        return base64.urlsafe_b64decode(padded).hex()
    except (binascii.Error, ValueError):
        return ""


def claims_of(
    root: int, foreign: Iterable[Foreign], plan: Plan
) -> dict[str, dict[str, str | None]]:
    """Return who lists each path besides its owner: name and sha256.

    Distributions installed by hand, and those of the plan that had to yield.
    """
    claims: dict[str, dict[str, str | None]] = {}
    for one in foreign:
        for path, row in listed_files(root, one.metadata).items():
            claims.setdefault(path, {})[one.name] = sha256_of_row(row)
    for path, name, sha256 in _yielded(plan):
        claims.setdefault(path, {})[name] = sha256
    return claims


def _yielded(plan: Plan) -> Iterator[tuple[str, str, str]]:
    losers = {
        name: conflict.path for conflict in plan.conflicts for name in conflict.losers
    }
    if not losers:
        return
    rest = {wheel.key: wheel.rest for wheel in plan.wheels}
    paths = {conflict.path for conflict in plan.conflicts}
    for one in plan.distributions:
        if one.name not in losers or one.wheel is None:
            continue
        site = one.dist_info.rpartition("/")[0]
        for key, files in rest.items():
            if key != one.wheel:
                continue
            for file in files:
                if (path := f"{site}/{file.path}") in paths:
                    yield path, one.name, file.sha256
