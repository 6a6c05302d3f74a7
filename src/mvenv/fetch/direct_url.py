"""What ``direct_url.json`` says of where a distribution came from (PEP 610).

As the bytes that pip writes, so that an environment compares equal to pip's.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlunsplit

from mvenv.fetch.urls import split_url, vcs_url

__all__ = [
    "archive_direct_url",
    "directory_direct_url",
    "strip_credentials",
    "vcs_direct_url",
]

_VARIABLES = re.compile(r"\$\{[A-Za-z0-9-_]+\}(:\$\{[A-Za-z0-9-_]+\})?\Z")


def archive_direct_url(
    url: str, hashes: tuple[tuple[str, str], ...], *, subdirectory: str | None = None
) -> bytes:
    """Return it for a wheel or sdist at ``url`` (``file:`` for a path)."""
    info: dict[str, Any] = {"hashes": dict(hashes)}
    best = dict(hashes).get("sha256")
    algorithm, value = ("sha256", best) if best else next(iter(hashes), ("", ""))
    if value:
        # superseded by `hashes`, still the only one that older tools read
        info["hash"] = f"{algorithm}={value}"
    return _rendered(url, subdirectory, archive_info=info)


def vcs_direct_url(
    kind: str,
    url: str,
    commit: str,
    *,
    requested_revision: str | None = None,
    subdirectory: str | None = None,
) -> bytes:
    """Return it for a commit of a repository; ``kind`` is ``git``."""
    info = {"vcs": kind, "commit_id": commit}
    if requested_revision is not None:
        info["requested_revision"] = requested_revision
    return _rendered(vcs_url(kind, url), subdirectory, vcs_info=info)


def directory_direct_url(
    path: Path, *, editable: bool, subdirectory: str | None = None
) -> bytes:
    """Return it for a local folder, absolute."""
    info = {"editable": True} if editable else {}
    return _rendered(path.as_uri(), subdirectory, dir_info=info)


def strip_credentials(url: str) -> str:
    """Return ``url`` without user name and password.

    Kept are environment variables (``${USER}:${PASSWORD}``) and the user ``git``,
    which are no secrets (PEP 610).
    """
    parts = split_url(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at or userinfo == "git" or _VARIABLES.match(userinfo):
        return url
    return urlunsplit(parts._replace(netloc=host))


def _rendered(url: str, subdirectory: str | None, **info: Any) -> bytes:
    value = {"url": strip_credentials(url), **info}
    if subdirectory is not None:
        value["subdirectory"] = subdirectory
    return json.dumps(value, sort_keys=True).encode()
