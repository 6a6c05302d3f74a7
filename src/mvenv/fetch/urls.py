"""URLs: their parts, and the files that some of them name."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urljoin, urlsplit, urlunsplit

__all__ = [
    "Userinfo",
    "file_url_path",
    "filename_of",
    "join_url",
    "origin_of",
    "split_url",
    "split_userinfo",
    "vcs_url",
]

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Userinfo(NamedTuple):
    """The part of a URL before ``@``, decoded."""

    username: str
    password: str | None


def split_url(url: str) -> SplitResult:
    """Return the parts of ``url``; all of it as a path where it is no URL.

    What is none (like ``http://[x``) is reported when it cannot be fetched.
    """
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", url, "", "")


def join_url(base: str, link: str) -> str:
    """Return what ``link`` on the page ``base`` means; itself where that is no URL."""
    try:
        return urljoin(base, link)
    except ValueError:
        return link


def split_userinfo(url: str) -> tuple[str, Userinfo | None]:
    """Return ``url`` without its user information, and that."""
    parts = split_url(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    username, colon, password = userinfo.partition(":")
    return (
        urlunsplit(parts._replace(netloc=host)),
        Userinfo(unquote(username), unquote(password) if colon else None),
    )


def origin_of(url: str) -> str:
    """Return scheme, host and port in one spelling."""
    parts = split_url(url)
    port = _port(parts)
    suffix = "" if port in {None, _DEFAULT_PORTS.get(parts.scheme)} else f":{port}"
    return f"{parts.scheme}://{(parts.hostname or '').lower()}{suffix}"


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:  # not a number
        return None


def file_url_path(url: str) -> Path | None:
    """Return the path that a ``file:`` URL names, `None` for any other URL."""
    parts = split_url(url)
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
        return None
    # With it come HTTP, TLS and e-mail, for which a warm run has no use.
    from urllib.request import url2pathname

    path = url2pathname(parts.path)
    return None if "\0" in path else Path(path)


def filename_of(url: str) -> str:
    """Return the last part of a URL's path, decoded."""
    return unquote(split_url(url).path.rpartition("/")[2])


def vcs_url(kind: str, url: str) -> str:
    """Return a repository's address as a URL, without the prefix ``<kind>+``.

    ``url`` may be git's short form (``git@host:path``) or an absolute path.
    """
    url = url.removeprefix(f"{kind}+").partition("#")[0]
    if "://" in url:
        return url
    host, colon, path = url.partition(":")
    if colon and "/" not in host:
        return f"ssh://{host}/{path.removeprefix('/')}"
    return Path(url).as_uri()
