"""What may be shown of URLs. Part of the warm path: settings say where files are."""

from __future__ import annotations

__all__ = ["redact_text", "redact_url"]

_USERINFO = r"(?<=://)[^/\s?#`'\"]*@"


def redact_text(text: str) -> str:
    """Return ``text`` without the user information of the URLs in it.

    User names go too, since tokens travel as user names.
    """
    if "@" not in text:
        return text
    import re

    return re.sub(_USERINFO, "***@", text)


def redact_url(url: str) -> str:
    """Return ``url`` as it may be shown.

    Query and fragment go as well: storage services sign their URLs there.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    authority = _before(rest, "/?#")
    port = authority.rpartition(":")[2]
    is_port = port == authority or port.isdigit() or authority.endswith(("]", ":"))
    if "@" not in authority and not is_port:
        # a password with an unescaped "/", "?" or "#" in it
        return f"{scheme}://***"
    return redact_text(_before(url, "?#"))


def _before(text: str, ends: str) -> str:
    for end in ends:
        text = text.partition(end)[0]
    return text
