"""Distributions that somebody installed by hand: found by their metadata folders."""

from __future__ import annotations

import base64
import binascii
import os
import posixpath
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mvenv.env.receipt import FOLDER, Installed
from mvenv.errors import InvalidWheel
from mvenv.names import normalized
from mvenv.plan.model import Plan
from mvenv.wheels.record import RecordEntry, read_record

__all__ = ["ForeignDistribution", "find_foreign", "ours_of"]

_METADATA = (".dist-info", ".egg-info")
_OURS = "mvenv"
_LONGEST = 40
"""Bytes of an installer's name."""
_MOST = 1 << 26
"""Bytes of a RECORD; more is no RECORD."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignDistribution:
    """A distribution that mvenv did not install."""

    name: str
    """Normalised."""
    version: str
    installer: str
    """As it says; empty where it does not."""
    metadata: str
    """Its folder or file, below the environment."""
    files: tuple[tuple[str, str | None], ...]
    """Path below the environment and sha256, RECORD last; empty where there is none
    that can be read, so that it cannot be taken out."""

    def as_json(self) -> dict[str, str]:
        """Return what ``--json`` prints of it."""
        return {
            "name": self.name,
            "version": self.version,
            "installer": self.installer,
        }


def ours_of(
    distributions: Iterable[Installed], plans: Iterable[Plan]
) -> dict[str, set[str]]:
    """Return metadata folders of ours, with the installers that may be named there.

    What was adopted names the one that installed it, and its plan has that.
    """
    found: dict[str, set[str]] = {one.dist_info: {"", _OURS} for one in distributions}
    for plan in plans:
        for one in plan.files:
            metadata, _, name = one.path.rpartition("/")
            if name == "INSTALLER" and metadata in found:
                found[metadata].add(_named(one.content))
    return found


def find_foreign(
    place: Path,
    sites: Iterable[str],
    ours: Mapping[str, Container[str]],
    *,
    aliases: Mapping[str, str],
    reserved: Container[str],
) -> tuple[ForeignDistribution, ...]:
    """Return what was installed by hand into the folders ``sites``.

    ``ours`` are the metadata folders of plans, with the installers that may be named
    there (`ours_of`). ``aliases`` are links to folders
    (``lib64``); ``reserved`` is the environment itself, which nobody's RECORD owns.
    """
    found = []
    for site in dict.fromkeys(sites):
        try:
            names = sorted(os.listdir(place / site))
        except OSError:
            continue
        for name in names:
            stem, kind = posixpath.splitext(name)
            metadata = f"{site}/{name}"
            if kind not in _METADATA or stem.startswith("~"):
                continue
            # Ours may have been installed over, in the same version.
            if _installer(place, metadata) in ours.get(metadata, ()):
                continue
            found.append(_read(place, site, metadata, aliases, reserved))
    return tuple(found)


def _read(
    place: Path,
    site: str,
    metadata: str,
    aliases: Mapping[str, str],
    reserved: Container[str],
) -> ForeignDistribution:
    stem = posixpath.splitext(posixpath.basename(metadata))[0]
    name, _, version = stem.partition("-")
    record = f"{metadata}/RECORD"
    rows: dict[str, RecordEntry] = {}
    try:
        content = _content(place / record)
        rows = read_record(content, record) if content else {}
    except InvalidWheel:
        content = b""
    files = [
        (path, _sha256(row))
        for listed, row in rows.items()
        if (path := _below(site, listed, aliases)) is not None
        and not _is_reserved(path, reserved)
        and path != record
    ]
    return ForeignDistribution(
        name=normalized(name),
        version=version.partition("-py")[0],
        installer=_installer(place, metadata),
        metadata=metadata,
        files=(*files, (record, None)) if content else (),
    )


def _installer(place: Path, metadata: str) -> str:
    return _named(_content(place / metadata / "INSTALLER"))


def _named(content: bytes) -> str:
    return content[:_LONGEST].decode(errors="replace").strip()


def _content(path: Path) -> bytes:
    try:
        if path.is_symlink() or path.stat().st_size > _MOST:
            return b""
        return path.read_bytes()
    except OSError:
        return b""


def _below(site: str, listed: str, aliases: Mapping[str, str]) -> str | None:
    """Return where a row's path is in the environment, or `None`: not in it."""
    if listed.startswith("/") or "\0" in listed:
        return None
    path = posixpath.normpath(posixpath.join(site, listed))
    top, slash, below = path.partition("/")
    if top == "..":
        return None
    return f"{aliases[top]}/{below}" if slash and top in aliases else path


def _is_reserved(path: str, reserved: Container[str]) -> bool:
    return path in reserved or path.split("/", 1)[0] == FOLDER


def _sha256(row: RecordEntry) -> str | None:
    if row.algorithm != "sha256":
        return None
    padded = row.digest + "=" * (-len(row.digest) % 4)
    try:
        return base64.urlsafe_b64decode(padded).hex()
    except (binascii.Error, ValueError):
        return None
