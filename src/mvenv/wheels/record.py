"""RECORD: read from a wheel, and rendered true for what was installed.

"Recording installed projects" and "Binary distribution format" of the packaging
specifications: CSV rows of path, hash, size.
"""

from __future__ import annotations

import binascii
import functools
import io
import posixpath

from mvenv.errors import InvalidWheel
from mvenv.values import NamedTuple

__all__ = ["RecordEntry", "read_record", "record_row"]

STRONG = frozenset(
    {
        "sha256",
        "sha384",
        "sha512",
        "sha3_256",
        "sha3_384",
        "sha3_512",
        "blake2b",
        "blake2s",
    }
)
"""Hashes that count. "The hash algorithm must be sha256 or better; specifically, md5,
sha1 and sha224 are not permitted": rows with those are taken as rows without."""

_NEED_QUOTES = frozenset(',"\r\n')
_DIGITS = 18
"""Of a size, at most."""
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_FROM_URL_SAFE = str.maketrans("-_", "+/")


class RecordEntry(NamedTuple):
    """What RECORD says of one file."""

    algorithm: str | None
    """`None` where there is no hash that counts."""
    digest: str
    """URL-safe base64 without padding."""
    size: int | None

    def differs(self, sha256: str, size: int) -> bool:
        """Return whether a file with this size and sha256 is another one.

        Says nothing of other algorithms.
        """
        if self.size is not None and self.size != size:
            return True
        return self.algorithm == "sha256" and self.digest != _encode(sha256)

    def sha256(self) -> str | None:
        """Return the sha256 in hexadecimal, `None` where the row has none."""
        if self.algorithm != "sha256":
            return None
        try:
            found = binascii.a2b_base64(self.digest.translate(_FROM_URL_SAFE) + "=")
        except ValueError:
            return None
        return found.hex()

    def is_digest(self, digest: bytes) -> bool:
        """Return whether ``digest``, by the row's algorithm, is what it says."""
        return self.digest == _encode(digest.hex())


def read_record(content: bytes, member: str) -> dict[str, RecordEntry]:
    """Return RECORD's rows by path; folders and RECORD's own row are left out.

    `InvalidWheel` where it cannot be read, or says two things of one file.
    """
    import csv

    entries: dict[str, RecordEntry] = {}
    try:
        rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidWheel(f"`{member}` cannot be read", member=member) from error
    for row in rows:
        if not row or not row[0] or row[0].endswith("/"):
            continue
        path = _canonical(row[0])
        entry = _entry([*row, "", ""], member)
        if path != member and entries.setdefault(path, entry) != entry:
            raise InvalidWheel(f"`{member}` has `{path}` twice", member=path)
    return entries


def _canonical(path: str) -> str:
    # Tools on Windows have written backslashes, others `./` before every path.
    path = path.replace("\\", "/")
    return posixpath.normpath(path) if "./" in path or "//" in path else path


def _entry(row: list[str], member: str) -> RecordEntry:
    algorithm, _, digest = row[1].strip().partition("=")
    size = row[2].strip()
    if size and not (size.isascii() and size.isdigit() and len(size) <= _DIGITS):
        raise InvalidWheel(
            f"`{member}` has no valid size for `{row[0]}`", member=row[0]
        )
    if algorithm not in STRONG:
        return RecordEntry(None, "", int(size) if size else None)
    return RecordEntry(algorithm, digest.rstrip("="), int(size) if size else None)


def record_row(path: str, sha256: str | None, size: int | None, site: str) -> str:
    """Return one row with its newline.

    ``path`` is below the environment and made relative to ``site``, the folder of
    the distribution's dist-info's parent. RECORD's own row has neither hash nor size.
    """
    name = _relative(path, site)
    if sha256 is None or size is None:
        return f"{name},,\n"
    return f"{name},sha256={_encode(sha256)},{size}\n"


def _relative(path: str, site: str) -> str:
    folder, _, name = path.rpartition("/")
    relative = _relative_folder(folder, site) + name
    if not _NEED_QUOTES.isdisjoint(relative):
        relative = relative.replace('"', '""')
        return f'"{relative}"'
    return relative


@functools.lru_cache(maxsize=4096)
def _relative_folder(folder: str, site: str) -> str:
    """Return ``folder`` as seen from ``site``, ready to have a name put behind it."""
    if folder.startswith(f"{site}/"):
        # Nearly all; relpath would be a third of the time that a RECORD takes.
        return f"{folder[len(site) + 1 :]}/"
    relative = posixpath.relpath(f"/{folder}", f"/{site}")
    return "" if relative == "." else f"{relative}/"


def _encode(sha256: str) -> str:
    encoded = binascii.b2a_base64(binascii.unhexlify(sha256), newline=False)
    return encoded.translate(_URL_SAFE).rstrip(b"=").decode("ascii")
