"""Names of distributions, and the headers of their metadata."""

from __future__ import annotations

import re

__all__ = ["normalized", "read_headers"]

_SEPARATORS = re.compile(r"[-_.]+")


def normalized(name: str) -> str:
    """Return a project's name as PEP 503 has it."""
    return _SEPARATORS.sub("-", name).lower()


def read_headers(content: bytes) -> dict[str, str]:
    """Return the headers of METADATA by their lower-case names; none where garbled.

    The first of each name; the text behind the first empty line is left out.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return {}
    found: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip():
            break
        name, colon, value = line.partition(":")
        if colon and not line[0].isspace():
            found.setdefault(name.strip().lower(), value.strip())
    return found
