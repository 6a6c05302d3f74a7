"""Poetry's ``python-versions`` as specifiers and markers.

Poetry's constraints know ``^3.9``, ``~3.11``, ``3.12``, ``||`` and wildcards; PEP 440
and PEP 751 do not.
"""

from __future__ import annotations

import re

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

__all__ = ["parse_python_versions"]

_AFTER_OPERATOR = re.compile(r"(?<=[\^~=<>])\s+")
_TERM = re.compile(r"(?P<op>\^|~=|~|===?|=|!=|<=?|>=?)?v?(?P<version>\d.*)")
_ANY = re.compile(r"[vV]?[xX*](\.[xX*])*")


def parse_python_versions(text: str) -> tuple[SpecifierSet, ...]:
    """Return the alternatives of ``text``, one of which must hold.

    An empty `SpecifierSet` allows every version. Raises `ValueError`.
    """
    alternatives = re.split(r"\s*\|\|?\s*", text.strip())
    return tuple(_parse_alternative(one) for one in alternatives)


def _parse_alternative(text: str) -> SpecifierSet:
    closed = _AFTER_OPERATOR.sub("", text)
    terms = [term for term in re.split(r"[,\s]+", closed) if term]
    if not terms:
        raise ValueError(f"`{text}` is not a range of Python versions")
    try:
        return SpecifierSet(",".join(_translate(term) for term in terms))
    except (InvalidSpecifier, InvalidVersion):
        raise ValueError(f"`{text}` is not a range of Python versions") from None


def _translate(term: str) -> str:
    if _ANY.fullmatch(term):
        return ""
    match = _TERM.fullmatch(term)
    if match is None:
        raise InvalidSpecifier(term)
    operator, text = match["op"] or "==", match["version"]
    if operator == "=":
        operator = "=="
    if operator in {"^", "~"}:
        version = Version(text)
        after = _caret(version) if operator == "^" else _tilde(version)
        return f">={version},<{after}"
    if operator == "~=" and len(Version(text).release) == 1:
        return f">={text},<{Version(text).major + 1}"
    return f"{operator}{text}"


def _caret(version: Version) -> str:
    """Return the next version that may break: the first part that is not 0 grows."""
    release = version.release
    for index, part in enumerate(release):
        if part or index == len(release) - 1:
            return ".".join(map(str, [*release[:index], part + 1]))
    raise AssertionError("a release has a part")


def _tilde(version: Version) -> str:
    release = version.release
    if len(release) == 1:
        return str(release[0] + 1)
    return f"{release[0]}.{release[1] + 1}"
