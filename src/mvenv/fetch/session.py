"""One client for pages and files: trust, proxies, passwords, retries, breaking off."""

from __future__ import annotations

import contextlib
import email.utils
import os
import random
import re
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from mvenv.errors import FetchError
from mvenv.fetch.redaction import redact_text, redact_url
from mvenv.fetch.settings import FetchSettings
from mvenv.fetch.urls import origin_of, split_userinfo

if TYPE_CHECKING:
    import httpx2

    from mvenv.fetch.credentials import CredentialBook
    from mvenv.fetch.transport import PooledTransport

__all__ = ["Interrupted", "NotThere", "Session", "Transient"]

_T = TypeVar("_T")

_MAX_PAUSE = 30.0
"""Seconds; an index that asks for more patience is given up."""
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 528)})


class Interrupted(Exception):
    """The run was broken off: stop without a word."""


class NotThere(FetchError):
    """A server's plain answer that it does not have what was asked for."""


class Transient(FetchError):
    """A failure that may pass.

    ``after`` is how many seconds the server asks to wait; ``unreachable`` is the
    server's origin where no connection could be made.
    """

    def __init__(
        self,
        message: str,
        *,
        after: float | None = None,
        unreachable: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.after = after
        self.unreachable = unreachable


class Session:
    """Requests by HTTP. Safe for threads; `break_off` ends all that is under way."""

    def __init__(self, settings: FetchSettings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._client: httpx2.Client | None = None
        self._book: CredentialBook | None = None
        self._transports: list[PooledTransport] = []
        self._unreachable: set[str] = set()

    @contextlib.contextmanager
    def stream(
        self, url: str, headers: dict[str, str] | None = None
    ) -> Iterator[httpx2.Response]:
        """Return the response to a GET, its body unread.

        `NotThere`, `Transient` or another `FetchError` for what is no success.
        """
        import httpx2

        client = self._opened()
        plain, userinfo = split_userinfo(url)
        if userinfo is not None:
            self.learn(plain, *userinfo)
        try:
            with client.stream("GET", plain, headers=headers) as got:
                self.check()
                _raise_for_status(got, url)
                yield got
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
            self.check()
            raise self._explained(error, url) from error

    def retrying(self, attempt: Callable[[], _T]) -> _T:
        """Return what ``attempt`` does, tried again while its failures may pass."""
        tries = 0
        while True:
            self.check()
            try:
                return attempt()
            except Transient as error:
                self.check()
                given_up = error.unreachable in self._unreachable
                pause = error.after
                if pause is None:
                    # spread, so that the threads do not come back all at once
                    pause = min(8.0, 0.25 * 2**tries) * random.uniform(0.7, 1.3)  # noqa: S311  no secret
                if tries >= self._settings.retries and error.unreachable:
                    # what follows asks this host once each, not five times
                    self._unreachable.add(error.unreachable)
                if tries >= self._settings.retries or given_up or pause > _MAX_PAUSE:
                    raise
                tries += 1
                self._stop.wait(pause)

    def check(self) -> None:
        """Raise `Interrupted` after `break_off`."""
        if self._stop.is_set():
            raise Interrupted

    def learn(self, url: str, username: str, password: str | None) -> None:
        """Use these credentials below ``url``."""
        self._opened()
        if self._book is not None:
            self._book.add(url, username, password)

    def break_off(self) -> None:
        """Make all that waits, in whatever thread, raise `Interrupted`; final."""
        self._stop.set()
        for transport in self._transports:
            transport.break_off()

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            client, self._client = self._client, None
            self._transports.clear()
        if client is not None:
            client.close()

    def _opened(self) -> httpx2.Client:
        with self._lock:
            if self._client is None:
                self._client = self._open()
            return self._client

    def _open(self) -> httpx2.Client:
        import httpx2

        from mvenv import __version__
        from mvenv.fetch.credentials import CredentialBook

        settings = self._settings
        book = self._book = self._book or CredentialBook(settings)
        trusted = self._ssl_context()
        mounts: dict[str, httpx2.BaseTransport | None] = {}
        if settings.trusted_hosts:
            unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            unchecked.check_hostname = False
            unchecked.verify_mode = ssl.CERT_NONE
            for host in settings.trusted_hosts:
                mounts[f"all://{host}"] = self._transport(unchecked, host)
        try:
            return httpx2.Client(
                auth=book,
                headers={"User-Agent": f"mvenv/{__version__}"},
                follow_redirects=True,
                timeout=httpx2.Timeout(settings.timeout),
                verify=trusted,
                mounts=mounts,
                # Proxies of the environment are httpx2's business; without any, its
                # transport is replaced by the cheaper one.
                transport=None if _proxies() else self._pooled(trusted),
            )
        except (ValueError, ImportError, httpx2.InvalidURL) as error:
            raise FetchError(
                f"a proxy of the environment cannot be used: {redact_text(str(error))}",
                hint="look at HTTP_PROXY, HTTPS_PROXY and ALL_PROXY",
            ) from error

    def _transport(self, context: ssl.SSLContext, host: str) -> httpx2.BaseTransport:
        import httpx2

        proxies = _proxies()
        proxy = proxies.get("https") or proxies.get("http") or proxies.get("all")
        if proxy and not urllib.request.proxy_bypass(host):
            return httpx2.HTTPTransport(verify=context, proxy=proxy)
        return self._pooled(context)

    def _pooled(self, context: ssl.SSLContext) -> PooledTransport:
        from mvenv.fetch.transport import PooledTransport

        transport = PooledTransport(context)
        self._transports.append(transport)
        return transport

    def _ssl_context(self) -> ssl.SSLContext:
        import httpx2

        bundle = self._settings.ca_bundle
        try:
            if bundle is None:
                context = httpx2.create_ssl_context()
            elif os.path.isdir(bundle):
                context = ssl.create_default_context(capath=bundle)
            else:
                context = ssl.create_default_context(cafile=bundle)
            if self._settings.client_cert is not None:
                context.load_cert_chain(self._settings.client_cert)
        except OSError as error:
            raise FetchError(
                f"certificates cannot be read: {error.strerror or error}",
                hint="is the path of the certificate bundle right?",
            ) from error
        return context

    def _explained(self, error: Exception, url: str) -> FetchError:
        """Return an error of ours for one of the HTTP library's."""
        import httpx2

        shown = redact_url(url)
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return FetchError(
                    f"the certificate of `{shown}` is not trusted:"
                    f" {cause.verify_message}",
                    hint="name your own authority's bundle in SSL_CERT_FILE",
                )
            cause = cause.__cause__
        reason = redact_text(str(error)) or type(error).__name__
        failed = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
        unreachable = origin_of(url) if failed else None
        if isinstance(error, httpx2.TimeoutException):
            return Transient(
                f"`{shown}` was silent for {self._settings.timeout:g} seconds",
                unreachable=unreachable,
            )
        passing = (httpx2.NetworkError, httpx2.RemoteProtocolError, httpx2.ProxyError)
        if isinstance(error, passing):
            hint = "is the network there? `--offline` uses none"
            return Transient(
                f"`{shown}` could not be read: {reason}",
                unreachable=unreachable,
                hint=hint if unreachable else None,
            )
        return FetchError(f"`{shown}` could not be read: {reason}")


def _proxies() -> dict[str, str]:
    """Return the proxies of the environment, by the rules that `httpx2` follows."""
    found = urllib.request.getproxies()
    return {name: found[name] for name in ("http", "https", "all") if name in found}


def _raise_for_status(response: httpx2.Response, url: str) -> None:
    status = response.status_code
    if response.is_success:
        return
    shown = redact_url(url)
    try:
        words = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        words = str(status)
    if status in {404, 410}:
        raise NotThere(f"`{shown}`: {words}")
    if status in _TRANSIENT:
        after = _seconds(response.headers.get("Retry-After"))
        raise Transient(f"`{shown}` answered {words}", after=after)
    hint = None
    if status in {401, 403}:
        hint = (
            "credentials are taken from the index URL, from netrc, and for a source"
            " that the lockfile names from POETRY_HTTP_BASIC_<NAME>_USERNAME and"
            " POETRY_HTTP_BASIC_<NAME>_PASSWORD"
        )
    raise FetchError(f"`{shown}` answered {words}", hint=hint)


def _seconds(retry_after: str | None) -> float | None:
    """Return what a ``Retry-After`` header means (RFC 9110, 10.2.3)."""
    if not retry_after:
        return None
    if re.fullmatch(r"\s*[0-9]+\s*", retry_after):
        return float(retry_after)
    try:
        moment = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())
