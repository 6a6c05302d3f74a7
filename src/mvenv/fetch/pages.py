"""A project's page of an index, HTML or JSON, as offers.

HTML is read with one regular expression, six times as fast as `html.parser`: the
pages of one lockfile can be 40 MB, and the GIL lets one thread read at a time.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self
from urllib.parse import parse_qsl, unquote

from mvenv.errors import FetchError
from mvenv.fetch.redaction import redact_url
from mvenv.fetch.urls import join_url

__all__ = ["Offer", "Offers", "read_page"]

# Comments and scripts are consumed first, so that links in them do not count. Quotes
# are minded: `data-requires-python=">=3.8"` is common, if wrong.
_TAGS = re.compile(
    r"<!--.*?(?:-->|\Z)|<script\b.*?(?:</script>|\Z)"
    r"""|<(a|base)\s((?:[^>"']|"[^"]*"|'[^']*')*)>""",
    re.IGNORECASE | re.DOTALL,
)
_HREF = re.compile(
    r"""(?:^|[\s"'])href\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE
)
_ALGORITHM = re.compile(r"[a-z][a-z0-9_]*\Z")
_HEXADECIMAL = re.compile(r"[0-9a-f]{32,}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A file that a page or a folder offers."""

    filename: str
    url: str
    """Absolute, without a fragment."""
    hashes: tuple[tuple[str, str], ...] = ()
    """What the page says of it: (algorithm, hexadecimal)."""


class Offers(Mapping[str, tuple[Offer, ...]]):
    """The offers of a page or folder by file name, in its order.

    Each is worked out when it is asked for: of the thousands on a page one is wanted.
    """

    def __init__(
        self, raw: Mapping[str, list[Any]], resolve: Callable[[Any], Offer]
    ) -> None:
        self._raw = raw
        self._resolve: Callable[[Any], Offer] = resolve

    def __getitem__(self, filename: str) -> tuple[Offer, ...]:
        return tuple(map(self._resolve, self._raw[filename]))

    def __contains__(self, filename: object) -> bool:
        return filename in self._raw

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    @classmethod
    def of(cls, offers: Iterable[Offer]) -> Self:
        """Return ``offers`` as they are."""
        raw: dict[str, list[Offer]] = {}
        for offer in offers:
            raw.setdefault(offer.filename, []).append(offer)
        return cls(raw, lambda offer: offer)


def read_page(text: str, url: str, *, is_json: bool) -> Offers:
    """Return what the page at ``url`` offers (PEP 503 and PEP 691).

    `FetchError` where it is no such page.
    """
    return _read_json(text, url) if is_json else _read_html(text, url)


def _read_html(text: str, url: str) -> Offers:
    base: str | None = None
    raw: dict[str, list[str]] = {}
    for tag, attributes in _TAGS.findall(text):
        match = _HREF.search(attributes) if tag else None
        if match is None:
            continue
        href = match[match.lastindex or 1].strip()
        if "&" in href:
            href = html.unescape(href)
        if tag.lower() == "base":
            # only the first counts, and it may itself be relative (HTML 4.2.3)
            base = join_url(url, href) if base is None else base
            continue
        filename = _last_part(href)
        if filename:
            raw.setdefault(filename, []).append(href)
    return Offers(raw, partial(_resolve_link, base or url))


def _last_part(href: str) -> str:
    """Return the file name a link leads to, without the cost of taking it apart."""
    for mark in "#?":
        href = href.partition(mark)[0]
    part = href.rpartition("/")[2]
    return unquote(part) if "%" in part else part


def _resolve_link(base: str, href: str) -> Offer:
    target, _, fragment = join_url(base, href).partition("#")
    pairs = ((name.lower(), value.lower()) for name, value in parse_qsl(fragment))
    return Offer(
        filename=_last_part(href),
        url=target,
        hashes=tuple(
            (name, value)
            for name, value in pairs
            if _ALGORITHM.match(name) and _HEXADECIMAL.match(value)
        ),
    )


def _read_json(text: str, url: str) -> Offers:
    try:
        page = json.loads(text)
        files = list(page["files"])
        version = str(page.get("meta", {}).get("api-version", "1.0"))
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
    ) as error:
        raise FetchError(
            f"`{redact_url(url)}` is not an index page: {type(error).__name__}"
        ) from error
    if version.partition(".")[0] != "1":
        raise FetchError(
            f"`{redact_url(url)}` speaks version {version} of the index protocol,"
            " mvenv speaks version 1"
        )
    raw: dict[str, list[dict[str, Any]]] = {}
    for file in files:
        # one broken entry does not hide the others
        if isinstance(file, dict) and {"filename", "url"} <= file.keys():
            raw.setdefault(str(file["filename"]), []).append(file)
    return Offers(raw, partial(_resolve_entry, url))


def _resolve_entry(base: str, file: dict[str, Any]) -> Offer:
    hashes = file.get("hashes")
    return Offer(
        filename=str(file["filename"]),
        url=join_url(base, str(file["url"])).partition("#")[0],
        hashes=tuple(
            (str(name).lower(), str(value).lower())
            for name, value in (hashes if isinstance(hashes, dict) else {}).items()
        ),
    )
