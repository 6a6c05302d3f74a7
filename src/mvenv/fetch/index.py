"""Asking indexes and folders which files they have of a project."""

from __future__ import annotations

import enum
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mvenv.errors import FetchError
from mvenv.fetch.pages import Offer, Offers, read_page
from mvenv.fetch.redaction import redact_url
from mvenv.fetch.session import NotThere, Session
from mvenv.fetch.settings import DEFAULT_INDEX_URL, FetchSettings
from mvenv.fetch.urls import file_url_path, filename_of, split_userinfo
from mvenv.progress import Reporter

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

__all__ = ["Index", "Place", "PlaceKind"]

_ARCHIVES = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz")
_PAGES = (".html", ".htm")
_ACCEPT = (
    "application/vnd.pypi.simple.v1+json,"
    " application/vnd.pypi.simple.v1+html; q=0.2, text/html; q=0.1"
)


class PlaceKind(enum.Enum):
    """How a place is laid out."""

    INDEX = "index"
    """A page per project below it (PEP 503)."""
    LINKS = "links"
    """One page or folder for all projects, or one file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where files can be."""

    kind: PlaceKind
    url: str
    """Without user information; a ``file:`` URL for folders."""

    @property
    def is_local(self) -> bool:
        """Tell whether it needs no network."""
        return file_url_path(self.url) is not None

    @property
    def shown(self) -> str:
        """Return it as messages name it."""
        path = file_url_path(self.url)
        return redact_url(self.url) if path is None else str(path)


class Index:
    """The places of the settings. Each page is read once; safe for threads.

    A context manager where it has no ``session`` given and so opens its own.
    """

    def __init__(
        self,
        settings: FetchSettings,
        reporter: Reporter,
        *,
        session: Session | None = None,
    ) -> None:
        self._settings = settings
        self._reporter = reporter
        self._session = session or Session(settings)
        self._lock = threading.Lock()
        self._pages: dict[tuple[Place, str], Future[Offers]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def locate(
        self,
        name: NormalizedName,
        *,
        index: str | None = None,
        index_name: str | None = None,
    ) -> Mapping[str, tuple[str, ...]]:
        """Return the URLs of every file of ``name``, by file name, best place first.

        Nothing is left out for its tags, its Python or being yanked: the lockfile has
        chosen. `FetchError` where a place cannot be read; not being there is none.
        """
        return _Located(
            tuple(
                self.offers(place, name)
                for place in self.places(index=index, index_name=index_name)
            )
        )

    def places(self, *, index: str | None, index_name: str | None) -> tuple[Place, ...]:
        """Return where to look, in this order.

        Folders and pages of links come first, since they are near; then the given
        index alone, or the default one and the extra ones. The public index counts as
        the default one, so that a mirror set for it serves.
        """
        settings = self._settings
        places = [self._links_place(entry) for entry in settings.find_links]
        if index is not None and index.rstrip("/") != DEFAULT_INDEX_URL.rstrip("/"):
            places.append(self._index_place(index, index_name))
        else:
            urls = (settings.index_url, *settings.extra_index_urls)
            places += [self._index_place(url, None) for url in urls]
        if settings.offline:
            places = [place for place in places if place.is_local]
        return tuple(dict.fromkeys(places))

    def offers(self, place: Place, name: NormalizedName) -> Offers:
        """Return what ``place`` has, of ``name`` where it tells projects apart.

        Empty where the project is not there; `FetchError` where it cannot be read.
        """
        key = (place, name if place.kind is PlaceKind.INDEX else "")
        with self._lock:
            page = self._pages.get(key)
            if page is None:
                mine: Future[Offers] = Future()
                self._pages[key] = mine
        if page is not None:
            return page.result()
        try:
            offers = self._read(place, name)
        except BaseException as error:
            mine.set_exception(error)
            raise
        mine.set_result(offers)
        return offers

    def _links_place(self, entry: str) -> Place:
        if "://" not in entry and not entry.startswith("file:"):
            entry = Path(os.path.abspath(os.path.expanduser(entry))).as_uri()
        return Place(kind=PlaceKind.LINKS, url=split_userinfo(entry)[0])

    def _index_place(self, url: str, index_name: str | None) -> Place:
        plain, userinfo = split_userinfo(url)
        known = self._settings.credentials_for(index_name)
        if known is not None:
            self._session.learn(plain, known.username, known.password)
        elif userinfo is not None:
            self._session.learn(plain, *userinfo)
        return Place(kind=PlaceKind.INDEX, url=plain.rstrip("/") + "/")

    def _read(self, place: Place, name: NormalizedName) -> Offers:
        path = file_url_path(place.url)
        if place.kind is PlaceKind.INDEX:
            if path is not None:
                return self._read_index_folder(path / name)
            return self._read_remote(f"{place.url}{name}/")
        if path is not None:
            return self._read_links(path)
        if filename_of(place.url).endswith(_ARCHIVES):
            offer = Offer(filename=filename_of(place.url), url=place.url)
            return Offers.of([offer])
        return self._read_remote(place.url)

    def _read_remote(self, url: str) -> Offers:
        def attempt() -> tuple[str, str, str]:
            with self._session.stream(url, {"Accept": _ACCEPT}) as response:
                response.read()
                # As the specification has it; codecs that servers name may be any.
                response.encoding = "utf-8"
                media_type = response.headers.get("Content-Type", "")
                return response.text, str(response.url), media_type

        self._reporter.detail(f"asking {redact_url(url)}")
        try:
            text, final_url, media_type = self._session.retrying(attempt)
        except NotThere:
            return Offers.of(())
        # Not every server names the type, so the text itself has the last word.
        is_json = "json" in media_type or text[:64].lstrip("\ufeff \r\n\t")[:1] == "{"
        return read_page(text, final_url, is_json=is_json)

    def _read_index_folder(self, folder: Path) -> Offers:
        page = folder / "index.html"
        if page.is_file():
            return _reading(page, _read_local_page)
        return _reading(folder, _list_folder) if folder.is_dir() else Offers.of(())

    def _read_links(self, path: Path) -> Offers:
        if path.is_dir():
            return _reading(path, _list_folder)
        if not path.exists():
            self._reporter.warn(f"find-links: `{path}` does not exist")
            return Offers.of(())
        if path.name.endswith(_PAGES):
            return _reading(path, _read_local_page)
        return Offers.of([Offer(filename=path.name, url=path.as_uri())])


class _Located(Mapping[str, tuple[str, ...]]):
    """The offers of several places together, worked out for what is asked for."""

    def __init__(self, places: tuple[Offers, ...]) -> None:
        self._places = places
        self._names = dict.fromkeys(itertools.chain.from_iterable(places))

    def __getitem__(self, filename: str) -> tuple[str, ...]:
        if filename not in self._names:
            raise KeyError(filename)
        offers = itertools.chain.from_iterable(
            place[filename] for place in self._places if filename in place
        )
        return tuple(dict.fromkeys(offer.url for offer in offers))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _reading(path: Path, read: Callable[[Path], Offers]) -> Offers:
    try:
        return read(path)
    except OSError as error:
        raise FetchError(f"`{path}` cannot be read: {error.strerror}") from error


def _read_local_page(page: Path) -> Offers:
    text = page.read_text("utf-8", errors="replace")
    # The page of `…/simple/idna/` resolves links as its folder does by HTTP.
    return read_page(text, page.as_uri(), is_json=False)


def _list_folder(folder: Path) -> Offers:
    found: list[Offer] = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            path = folder / entry.name
            if entry.name.endswith(_PAGES):
                pages = _read_local_page(path).values()
                found += itertools.chain.from_iterable(pages)
            elif entry.name.endswith(_ARCHIVES) and entry.is_file():
                url = path.absolute().as_uri()
                found.append(Offer(filename=entry.name, url=url))
    return Offers.of(found)
