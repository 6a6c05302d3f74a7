"""What is installed in an environment, by whichever tool: read from its RECORDs."""

from __future__ import annotations

import base64
import binascii
import json
import os
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from mvenv.env.receipt import FOLDER
from mvenv.errors import EnvironmentFault, InvalidWheel
from mvenv.names import normalized
from mvenv.target import Scheme
from mvenv.wheels.metadata import parse_headers
from mvenv.wheels.record import RecordEntry, read_record

__all__ = ["Environment", "Installation", "Row", "read_installed"]

_SHA256_BYTES = 32
_SUFFIX = ".dist-info"
_WRITTEN = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})


class Row(NamedTuple):
    """What RECORD says of one file."""

    path: str
    """Below the environment, "/" between; never outside of it."""
    sha256: str | None
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """One distribution, as its dist-info has it."""

    name: str
    """As in METADATA."""
    normalized: str
    version: str
    dist_info: str
    """Below the environment."""
    rows: Mapping[str, Row]
    """By path; without RECORD itself."""
    alone: str | None
    """Why its files are left alone, where they are."""

    @property
    def site(self) -> str:
        """Return the folder that its RECORD is relative to."""
        return self.dist_info.rpartition("/")[0]

    @property
    def proves(self) -> bool:
        """Return whether RECORD says what any file of it must be."""
        return any(row.sha256 is not None for row in self.rows.values())

    def is_written(self, path: str) -> bool:
        """Return whether a file of it is written by whoever installs it."""
        folder, _, name = path.rpartition("/")
        if name.endswith(".pyc") and folder.endswith("__pycache__"):
            return True
        # An empty file that virtualenv puts beside each distribution that it seeds.
        if path == f"{self.dist_info.removesuffix('.dist-info')}.virtualenv":
            return True
        return folder == self.dist_info and (name in _WRITTEN or name.startswith("uv_"))


@dataclass(frozen=True)
class Environment:
    """The folder that is adopted."""

    path: Path
    """As its scripts name it."""
    place: Path
    """Where it really is."""
    scheme: Scheme

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Return its links to folders of its own, like ``lib64``."""
        found = {}
        for name in os.listdir(self.place):
            place = self.place / name
            if place.is_symlink() and place.is_dir():
                below = os.path.relpath(os.path.realpath(place), self.place)
                if not below.startswith(".."):
                    found[name] = below
        return found

    def own(self, path: str) -> str | None:
        """Return a path with its real top folder; `None` where it leads outside."""
        path = posixpath.normpath(path)
        top, slash, below = path.partition("/")
        if slash and top in self.aliases:
            path = f"{self.aliases[top]}/{below}"
        if path.startswith(("/", "../")) or path in {".", ".."} or "\0" in path:
            return None
        return None if path.split("/", 1)[0] == FOLDER else path

    @cached_property
    def _inside(self) -> dict[str, bool]:
        return {}

    def is_inside(self, path: str) -> bool:
        """Return whether no link leads to the folder of a file.

        Behind one the files are somebody else's.
        """
        folder = path.rpartition("/")[0]
        known = self._inside.get(folder)
        if known is None:
            real = os.path.realpath(self.place)
            expected = f"{real}/{folder}" if folder else real
            known = os.path.realpath(self.place / folder) == expected
            self._inside[folder] = known
        return known

    @cached_property
    def sites(self) -> tuple[str, ...]:
        """Return the folders that distributions are in."""
        both = (self.scheme.purelib, self.scheme.platlib)
        return tuple(dict.fromkeys(filter(None, map(self.own, both))))


def read_installed(environment: Environment) -> tuple[Installation, ...]:
    """Return all distributions, sorted by the path of their dist-info.

    What cannot be read is one to be left alone. `EnvironmentFault` where nobody can
    tell which there are.
    """
    found = []
    for site in environment.sites:
        try:
            names = sorted(os.listdir(environment.place / site))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise EnvironmentFault(
                f"`{environment.path / site}` cannot be listed: {reason}",
                hint="`mvenv doctor` says whose it is",
            ) from error
        found += [
            _read(environment, f"{site}/{name}")
            for name in names
            if name.endswith(_SUFFIX) and (environment.place / site / name).is_dir()
        ]
    return tuple(found)


def _read(environment: Environment, dist_info: str) -> Installation:
    folder = environment.place / dist_info
    stem = dist_info.rpartition("/")[2].removesuffix(_SUFFIX)
    name, _, version = stem.partition("-")
    rows: dict[str, Row] = {}
    alone = None
    if folder.is_symlink():
        alone = "its metadata folder is a link"
    else:
        try:
            headers = parse_headers((folder / "METADATA").read_bytes(), "METADATA")
            name, version = headers["name"], headers["version"]
            rows = {row.path: row for row in _rows(environment, dist_info)}
            alone = _left_alone(folder)
        except FileNotFoundError as error:
            alone = f"it has no {os.path.basename(error.filename)}"
        except (OSError, KeyError, InvalidWheel):
            alone = "its metadata cannot be read"
    return Installation(
        name=name,
        normalized=normalized(name),
        version=version,
        dist_info=dist_info,
        rows=rows,
        alone=alone,
    )


def _left_alone(folder: Path) -> str | None:
    """Return why it is left alone: the files of a local project are its user's."""
    try:
        said = json.loads((folder / "direct_url.json").read_bytes())
        local = said.get("dir_info")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError, RecursionError):
        return "its direct_url.json cannot be read"
    if local is None:
        return None
    editable = isinstance(local, dict) and local.get("editable")
    return "it is editable" if editable else "it is a local project"


def _rows(environment: Environment, dist_info: str) -> Iterator[Row]:
    site, _, name = dist_info.rpartition("/")
    own = f"{name}/RECORD"
    content = (environment.place / dist_info / "RECORD").read_bytes()
    for said, entry in read_record(content, own).items():
        path = environment.own(f"{site}/{said}")
        if path is not None and said != own:
            yield Row(path, _sha256(entry), entry.size)


def _sha256(entry: RecordEntry) -> str | None:
    if entry.algorithm != "sha256":
        return None
    padding = "=" * (-len(entry.digest) % 4)
    try:
        digest = base64.urlsafe_b64decode(entry.digest + padding)
    except (binascii.Error, ValueError):
        return None
    return digest.hex() if len(digest) == _SHA256_BYTES else None
