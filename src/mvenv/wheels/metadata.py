"""A wheel's own words about itself: its dist-info folder, METADATA and WHEEL.

As the "Binary distribution format" and "Core metadata" specifications have it, read
with pip's tolerance.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from mvenv.errors import InvalidWheel

if TYPE_CHECKING:
    from packaging.utils import NormalizedName
    from packaging.version import Version

__all__ = [
    "SCHEME_FOLDERS",
    "WheelName",
    "check_data_folders",
    "check_wheel",
    "find_dist_info",
    "parse_headers",
    "parse_wheel_name",
]

SCHEME_FOLDERS = frozenset({"purelib", "platlib", "headers", "scripts", "data"})
"""What a ``.data`` folder may have in it."""
_SUPPORTED_MAJOR = 1
_EMPTY_LINE = re.compile(r"(?>\r\n|\r|\n){2}")
"""Where headers end. Atomic: one CR LF is one line's end, not two."""


class WheelName(NamedTuple):
    """What a wheel's file name says."""

    name: NormalizedName
    version: Version


def parse_wheel_name(filename: str) -> WheelName:
    """Return name and version; `InvalidWheel` where it is no wheel's file name."""
    from packaging.utils import parse_wheel_filename

    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except ValueError as error:  # also for numbers of thousands of digits
        raise InvalidWheel("its file name is not that of a wheel") from error
    return WheelName(name, version)


def find_dist_info(paths: Iterable[str]) -> str:
    """Return the one ``.dist-info`` folder at the top; `InvalidWheel` if not one."""
    tops = {path.partition("/")[0] for path in paths}
    found = sorted(top for top in tops if top.endswith(".dist-info"))
    if not found:
        raise InvalidWheel("it has no `.dist-info` folder")
    if len(found) > 1:
        raise InvalidWheel(f"it has several `.dist-info` folders: {', '.join(found)}")
    return found[0]


def check_data_folders(paths: Iterable[str]) -> None:
    """Refuse what has no place in any scheme, as pip does."""
    for path in paths:
        top, _, below = path.partition("/")
        if top.endswith(".data"):
            kind, separator, _ = below.partition("/")
            if kind not in SCHEME_FOLDERS or not separator:
                raise InvalidWheel(
                    f"`{path}` is in none of the folders that `.data` may have"
                    f" ({', '.join(sorted(SCHEME_FOLDERS))})",
                    member=path,
                )


def parse_headers(content: bytes, member: str) -> dict[str, str]:
    """Return header fields by lower-case name, the first of each.

    `InvalidWheel` where the file is not UTF-8, as with pip.
    """
    from email.parser import HeaderParser

    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InvalidWheel(f"`{member}` is not UTF-8", member=member) from error
    # What follows the first empty line is a readme, which the parser would split
    # into lines for nothing.
    end = _EMPTY_LINE.search(text)
    text = text[: end.end()] if end else text
    headers: dict[str, str] = {}
    for key, value in HeaderParser().parsestr(text).items():
        headers.setdefault(key.lower(), str(value).strip())
    return headers


def check_wheel(said: WheelName, dist_info: str, metadata: bytes, wheel: bytes) -> None:
    """Refuse a wheel whose contents are another distribution's, or of a later format.

    Names are compared normalised, versions by PEP 440.
    """
    _check_wheel_version(wheel, f"{dist_info}/WHEEL")
    member = f"{dist_info}/METADATA"
    headers = parse_headers(metadata, member)
    for field, wanted in (("Name", said.name), ("Version", str(said.version))):
        value = headers.get(field.lower())
        if not value:
            raise InvalidWheel(f"`{member}` has no `{field}`", member=member)
        if not _agrees(value, said, field):
            raise InvalidWheel(
                f"`{member}` says `{field}: {value}`, and the file name `{wanted}`",
                member=member,
            )
    _check_dist_info(said, dist_info)


def _agrees(value: str, said: WheelName, field: str) -> bool:
    from packaging.utils import canonicalize_name
    from packaging.version import Version

    if field == "Name":
        return canonicalize_name(value) == said.name
    try:
        return Version(value) == said.version
    except ValueError:
        return False


def _check_dist_info(said: WheelName, dist_info: str) -> None:
    from packaging.utils import canonicalize_name

    stem = canonicalize_name(dist_info.removesuffix(".dist-info"))
    if not stem.startswith(f"{said.name}-"):
        raise InvalidWheel(
            f"its folder `{dist_info}` is not that of `{said.name}`", member=dist_info
        )
    # Installed distributions are told apart by this folder's name (pip reads the
    # version from it), so one that names another version would lie for ever.
    version = dist_info.removesuffix(".dist-info").rpartition("-")[2]
    if _is_other_version(version.replace("_", "-"), said):
        raise InvalidWheel(
            f"its folder `{dist_info}` is not that of version `{said.version}`",
            member=dist_info,
        )


def _is_other_version(text: str, said: WheelName) -> bool:
    from packaging.version import Version

    try:
        return Version(text) != said.version
    except ValueError:
        return False


def _check_wheel_version(wheel: bytes, member: str) -> None:
    text = parse_headers(wheel, member).get("wheel-version", "")
    major, _, _ = text.partition(".")
    if not re.fullmatch("[0-9]{1,9}", major):
        raise InvalidWheel(f"`{member}` has no valid `Wheel-Version`", member=member)
    # "A wheel installer should warn if Wheel-Version is greater than the version it
    # supports, and must fail if Wheel-Version has a greater major version."
    if int(major) != _SUPPORTED_MAJOR:
        raise InvalidWheel(
            f"it is of Wheel-Version {text}, and 1 is what can be installed",
            member=member,
            hint="a newer mvenv may read it",
        )
