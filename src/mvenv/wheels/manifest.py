"""The manifest of an unpacked wheel: what every file in it must be.

Our own, since RECORD files in the wild are wrong or incomplete. Format 1 is text,
sealed as a record of the kind ``manifest``: a line of facts, then a line a file,
sorted by path, its fields separated by tabs::

    <sha256 of the wheel>  <file name of the wheel>  <boot id>
    <sha256>  <xxh3_128>  <size>  <mode, octal>  <mtime, ns>  <path, "/" between>

Paths hold no control characters (such wheels are refused), so lines and tabs are
safe.
"""

from __future__ import annotations

from mvenv.records import seal_record, unseal_record
from mvenv.values import NamedTuple, dataclass

__all__ = ["FORMAT", "LARGE", "Manifest", "ManifestFile", "manifest_facts"]

FORMAT = 1
LARGE = 1 << 20
"""Bytes from which on files that are equal in two wheels are one file in a store."""


class ManifestFile(NamedTuple):
    """One file of an unpacked wheel."""

    path: str
    """Below the tree, "/" between the parts."""
    sha256: str
    xxh3: str
    size: int
    mode: int
    """Permission bits as sealed: 0o444 or 0o555 (0o644 or 0o755 without the seal)."""
    mtime_ns: int
    """The stamp, as the file system keeps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All files of an unpacked wheel, sorted by path."""

    sha256: str
    """Of the wheel file."""
    filename: str
    """Of the wheel, like ``idna-3.10-py3-none-any.whl``."""
    boot_id: str
    """Of the machine's run in which it was unpacked; empty where unknown."""
    files: tuple[ManifestFile, ...]

    def to_bytes(self) -> bytes:
        """Return the sealed text."""
        lines = [f"{self.sha256}\t{self.filename}\t{self.boot_id}"]
        lines += [
            f"{file.sha256}\t{file.xxh3}\t{file.size}\t{file.mode:o}"
            f"\t{file.mtime_ns}\t{file.path}"
            for file in self.files
        ]
        text = "\n".join(lines) + "\n"
        return seal_record("manifest", FORMAT, text.encode())

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest | None:
        """Return the manifest, or `None` where it is damaged or of another format."""
        payload = unseal_record("manifest", FORMAT, content)
        if payload is None:
            return None
        files = []
        try:
            facts, *rows = payload.decode().removesuffix("\n").split("\n")
            sha256, filename, boot_id = facts.split("\t")
            for row in rows:
                digest, quick, size, mode, mtime, path = row.split("\t")
                files.append(
                    ManifestFile(
                        path, digest, quick, int(size), int(mode, 8), int(mtime)
                    )
                )
        except ValueError:
            return None
        return cls(
            sha256=sha256, filename=filename, boot_id=boot_id, files=tuple(files)
        )


def manifest_facts(content: bytes) -> tuple[str, str, str] | None:
    """Return sha256, file name and boot id of a manifest, without its files.

    `None` where it is damaged or of another format.
    """
    payload = unseal_record("manifest", FORMAT, content)
    if payload is None:
        return None
    try:
        sha256, filename, boot_id = payload.partition(b"\n")[0].decode().split("\t")
    except ValueError:
        return None
    return sha256, filename, boot_id
