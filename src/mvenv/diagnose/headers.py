"""The headers of METADATA."""

from __future__ import annotations

from mvenv.names import normalized

__all__ = ["says_whose_it_is"]


def says_whose_it_is(content: bytes, distribution: str) -> bool:
    """Return whether METADATA has a version, and the name of this distribution."""
    headers = _read_headers(content)
    named = normalized(headers.get("name", ""))
    return bool(headers.get("version")) and named == normalized(distribution)


def _read_headers(content: bytes) -> dict[str, str]:
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
