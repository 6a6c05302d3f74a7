"""Who we say we are: index URLs, the lockfile's sources, netrc, the keyring."""

from __future__ import annotations

import threading
from collections.abc import Generator

import httpx2

from mvenv.fetch.settings import FetchSettings
from mvenv.fetch.urls import origin_of, split_url, split_userinfo

__all__ = ["CredentialBook"]

_Pair = tuple[str, str]


class CredentialBook(httpx2.Auth):
    """Finds the credentials for each request. Safe for threads.

    Those of the index whose URL is the longest match are first, then those of any
    index on the same host (files lie beside the index, not below it), then netrc's;
    when that is refused, the keyring is asked if the settings want it.
    """

    def __init__(self, settings: FetchSettings) -> None:
        self._settings = settings
        self._lock = threading.RLock()
        self._known: dict[str, tuple[str, str | None]] = {}
        self._netrc: dict[str, _Pair | None] = {}
        self._keyring: dict[str, _Pair | None] = {}
        for url in (
            settings.index_url,
            *settings.extra_index_urls,
            *settings.find_links,
        ):
            self.add_from(url)

    def add_from(self, url: str) -> None:
        """Use the user information of ``url``, if any, below it."""
        plain, userinfo = split_userinfo(url)
        if userinfo is not None:
            self.add(plain, *userinfo)

    def add(self, url: str, username: str, password: str | None) -> None:
        """Use these credentials below ``url``."""
        with self._lock:
            self._known[url.rstrip("/") + "/"] = (username, password)

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Send the request with what is known, and once more with what is found."""
        pair = self._find(str(request.url))
        if pair is not None:
            request.headers["Authorization"] = _basic(pair)
        response = yield request
        if response.status_code != 401:  # noqa: PLR2004  Unauthorized
            return
        # After a redirect it is another host that refuses, with other credentials.
        refused = str(response.url)
        second = self._find(refused) if origin_of(refused) != _origin(request) else None
        second = second or self._from_keyring(refused)
        if second is None or second == pair:
            return
        retry = httpx2.Request("GET", refused, headers=request.headers)
        retry.extensions = request.extensions
        retry.headers["Host"] = response.url.netloc.decode("ascii")
        retry.headers["Authorization"] = _basic(second)
        yield retry

    def _find(self, url: str) -> _Pair | None:
        username, password = self._from_indexes(url) or (None, None)
        if username is not None and password is not None:
            return username, password
        found = self._from_netrc(url)
        if found is not None and username in {None, "", found[0]}:
            return found
        # a token may stand alone as the user name
        return None if username is None else (username, "")

    def _from_indexes(self, url: str) -> tuple[str, str | None] | None:
        with self._lock:
            known = dict(self._known)
        same_host = [one for one in known if origin_of(one) == origin_of(url)]
        if not same_host:
            return None
        path = split_url(url).path
        best = max(same_host, key=lambda one: _shared(split_url(one).path, path))
        return known[best]

    def _from_netrc(self, url: str) -> _Pair | None:
        from unearth.utils import get_netrc_auth

        origin = origin_of(url)
        with self._lock:
            if origin not in self._netrc:
                self._netrc[origin] = get_netrc_auth(url)
            return self._netrc[origin]

    def _from_keyring(self, url: str) -> _Pair | None:
        if not self._settings.keyring:
            return None
        from unearth.auth import get_keyring_auth

        username = (self._from_indexes(url) or (None,))[0]
        origin = origin_of(url)
        with self._lock:
            if origin not in self._keyring:
                index = next(
                    (one for one in self._known if origin_of(one) == origin), None
                )
                self._keyring[origin] = get_keyring_auth(
                    index, username
                ) or get_keyring_auth(split_url(url).netloc, username)
            return self._keyring[origin]


def _origin(request: httpx2.Request) -> str:
    return origin_of(str(request.url))


def _basic(pair: _Pair) -> str:
    import base64

    text = f"{pair[0]}:{pair[1]}".encode()
    return f"Basic {base64.b64encode(text).decode('ascii')}"


def _shared(one: str, other: str) -> int:
    """Return how many leading path segments are shared."""
    count = 0
    for left, right in zip(one.split("/"), other.split("/"), strict=False):
        if left != right:
            break
        count += 1
    return count
