"""Where one file may be: asked for place by place, with what was learnt on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mvenv.errors import FetchError, FileNotOffered, HashMismatch
from mvenv.fetch.index import Index, Place
from mvenv.fetch.pages import Offer, Offers
from mvenv.fetch.redaction import redact_url
from mvenv.fetch.urls import file_url_path, split_url

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

__all__ = ["FileRequest", "Search"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRequest:
    """A file that is wanted, as a lockfile describes it."""

    name: NormalizedName
    filename: str
    hashes: tuple[tuple[str, str], ...]
    """(algorithm, hexadecimal)."""
    url: str | None = None
    path: Path | None = None
    index: str | None = None
    """URL of the index the lockfile names."""
    index_name: str | None = None
    """Its name there, which credentials may go by."""
    size: int | None = None
    """Bytes."""
    alternatives: tuple[FileRequest, ...] = ()
    """Others of the same project, best first: for indexes that have only those."""

    def offered(self, index: Index) -> FileRequest:
        """Return what ``index`` has, the best of it; itself where it has none."""
        if not self.alternatives:
            return self
        try:
            names = index.locate(
                self.name, index=self.index, index_name=self.index_name
            )
        except FetchError:
            # The search meets the same trouble, and tells.
            return self
        for one in (self, *self.alternatives):
            if one.filename in names:
                return one
        return self


class Search:
    """The search for one file."""

    def __init__(self, request: FileRequest, index: Index, *, offline: bool) -> None:
        self._request = request
        self._index = index
        self._offline = offline
        self.rejections: list[str] = []
        """A sentence for each place without it."""
        self.errors: list[FetchError] = []
        """What went wrong, or was wrong, elsewhere."""

    def offers(self) -> Iterator[Offer]:
        """Return where the file may be, nearest first; ask each place when needed."""
        seen: set[str] = set()
        for offer in self._all():
            local = file_url_path(offer.url)
            if offer.url in seen or (self._offline and local is None):
                continue
            seen.add(offer.url)
            mismatch = _announced_mismatch(offer, self._request)
            if mismatch is None:
                yield offer
            else:
                self.errors.append(mismatch)

    def _all(self) -> Iterator[Offer]:
        request = self._request
        if request.path is not None:
            if request.path.is_file():
                yield _own_offer(request, request.path.absolute().as_uri())
            else:
                self.rejections.append(f"`{request.path}` does not exist")
        if request.url is not None:
            if split_url(request.url).scheme in {"http", "https", "file"}:
                yield _own_offer(request, request.url.partition("#")[0])
            else:
                shown = redact_url(request.url)
                self.errors.append(
                    FetchError(f"`{shown}` is no http, https or file URL")
                )
        direct = request.path is not None or request.url is not None
        if direct and request.index is None:
            return
        for place in self._index.places(
            index=request.index, index_name=request.index_name
        ):
            try:
                offers = self._index.offers(place, request.name)
            except FetchError as error:
                self.errors.append(error)
                continue
            if request.filename not in offers:
                self.rejections.append(_not_among(request, place, offers))
            yield from offers.get(request.filename, ())

    def verdict(self) -> FetchError:
        """Return the one error to report: wrong bytes, then failures, then absence."""
        for error in self.errors:
            if isinstance(error, HashMismatch):
                return error
        if self.errors:
            return self.errors[0]
        return FileNotOffered(
            f"`{self._request.filename}` is nowhere to be found",
            rejections=tuple(self.rejections),
            hint="is the index right that it was locked from? A file that was deleted"
            " there needs a new lock",
        )


def _own_offer(request: FileRequest, url: str) -> Offer:
    return Offer(filename=request.filename, url=url)


def _announced_mismatch(offer: Offer, request: FileRequest) -> HashMismatch | None:
    """Return why the page itself says that this is another file, if it does."""
    announced = dict(offer.hashes)
    for algorithm in {name.lower() for name, _ in request.hashes} & set(announced):
        locked = {v.lower() for name, v in request.hashes if name.lower() == algorithm}
        actual = announced[algorithm]
        if actual not in locked:
            expected = tuple(f"{algorithm}:{value}" for value in sorted(locked))
            return HashMismatch(
                f"`{redact_url(offer.url)}` is not the file that was locked: expected"
                f" {' or '.join(expected)}, the index says {algorithm}:{actual}",
                expected=expected,
                actual=f"{algorithm}:{actual}",
                hint="it was not fetched. Was the file replaced on the index after"
                " locking? If that is right, lock again",
            )
    return None


def _not_among(request: FileRequest, place: Place, offers: Offers) -> str:
    if not offers:
        return f"`{place.shown}` has nothing of `{request.name}`"
    from difflib import get_close_matches

    nearest = get_close_matches(request.filename, offers, n=3, cutoff=0.3)
    named = ", ".join(f"`{name}`" for name in nearest) or "other projects' only"
    return f"`{place.shown}` has {len(offers)} files, not this one; nearest: {named}"
