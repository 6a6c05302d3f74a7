"""Many files at once, each proven by its hashes before it is handed over."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeAlias

from mvenv.errors import (
    FetchError,
    MvenvError,
    OfflineError,
    SeveralErrors,
    SystemFault,
)
from mvenv.fetch.index import Index
from mvenv.fetch.pages import Offer
from mvenv.fetch.redaction import redact_url
from mvenv.fetch.search import FileRequest, Search
from mvenv.fetch.session import Interrupted, NotThere, Session, Transient
from mvenv.fetch.settings import FetchSettings
from mvenv.fetch.sink import Sink, check_hashes
from mvenv.fetch.transfer import copy_local, download
from mvenv.fetch.urls import file_url_path
from mvenv.progress import Reporter

__all__ = ["Fetched", "Fetcher", "FileRequest"]

_SHOWN = 5
"""Names of files that are told at most."""
_GOODBYE = 2.0
"""Seconds that a broken off thread is waited for: only a name look-up or a connection
being made cannot be cut short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A file that came and is what the lockfile says."""

    request: FileRequest
    path: Path
    """In a folder of its own, under its own name. The receiver's to move or delete."""
    sha256: str


_Outcome: TypeAlias = Fetched | BaseException


class Fetcher:
    """Fetches files, `FetchSettings.workers` at a time, over kept connections.

    A context manager. After a `fetch` that was broken off it is of no more use.
    """

    def __init__(self, settings: FetchSettings, reporter: Reporter) -> None:
        self._settings = settings
        self._reporter = reporter
        self._session = Session(settings)
        self.index = Index(settings, reporter, session=self._session)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def fetch(
        self, requests: Iterable[FileRequest], folder: Path
    ) -> Generator[Fetched, None, None]:
        """Return an iterator of the files as each is complete, long ones begun first.

        They lie below ``folder``, which must exist. Before anything is asked for:
        `FetchError` for each file without a hash that proves something, `OfflineError`
        naming every file that only a network has. While iterating: what fails does not
        stop the rest; at the end all failures are raised together (`HashMismatch`,
        `FileNotOffered`, other `FetchError`). A disk that refuses (`SystemFault`) ends
        it at once. Closing the iterator, or any exception, breaks off all that is
        under way and leaves nothing that was not handed over.
        """
        wanted = tuple(dict.fromkeys(requests))
        self._refuse_unproven(wanted)
        if self._settings.offline:
            self._refuse_remote(wanted)
        return self._run(sorted(wanted, key=_expected_size, reverse=True), folder)

    def _refuse_unproven(self, wanted: tuple[FileRequest, ...]) -> None:
        errors: list[MvenvError] = []
        for request in wanted:
            try:
                _check(request)
            except FetchError as error:
                errors.append(error)
        if errors:
            raise SeveralErrors.unless_one(errors)

    def _refuse_remote(self, wanted: tuple[FileRequest, ...]) -> None:
        nearest = [request.offered(self.index) for request in wanted]
        missing = [
            request.filename
            for request in nearest
            if next(self._search(request).offers(), None) is None
        ]
        if missing:
            count = "1 file is" if len(missing) == 1 else f"{len(missing)} files are"
            listed = ", ".join(f"`{name}`" for name in missing[:_SHOWN])
            more = len(missing) - _SHOWN
            raise OfflineError(
                f"{count} needed and not to be fetched: {listed}"
                + (f" and {more} more" if more > 0 else ""),
                hint="run once without `--offline`, or name a folder with the files"
                " by `--find-links`",
            )

    def _search(self, request: FileRequest) -> Search:
        return Search(request, self.index, offline=self._settings.offline)

    def _run(
        self, wanted: list[FileRequest], folder: Path
    ) -> Generator[Fetched, None, None]:
        if not wanted:
            return
        todo: queue.SimpleQueue[FileRequest] = queue.SimpleQueue()
        done: queue.SimpleQueue[_Outcome] = queue.SimpleQueue()
        for request in wanted:
            todo.put(request)
        nursery = _make_nursery(folder)
        # Daemons: a thread that hangs in a name look-up must not keep the process.
        threads = [
            threading.Thread(
                target=self._work, args=(todo, done, nursery), daemon=True, name="fetch"
            )
            for _ in range(min(len(wanted), self._settings.workers))
        ]
        finished = False
        try:
            for thread in threads:
                thread.start()
            yield from self._hand_over(len(wanted), done, folder)
            finished = True
        except MvenvError as error:
            # Failures that were waited for leave nothing under way.
            finished = not isinstance(error, SystemFault)
            raise
        finally:
            if not finished:
                self._session.break_off()
            deadline = time.monotonic() + _GOODBYE
            for thread in threads:
                if thread.ident is not None:
                    thread.join(max(0.0, deadline - time.monotonic()))
            shutil.rmtree(nursery, ignore_errors=True)

    def _hand_over(
        self, count: int, done: queue.SimpleQueue[_Outcome], folder: Path
    ) -> Generator[Fetched, None, None]:
        errors: list[MvenvError] = []
        for _ in range(count):
            outcome = done.get()
            if isinstance(outcome, Fetched):
                yield _adopt(outcome, folder)
            elif isinstance(outcome, MvenvError) and not isinstance(
                outcome, SystemFault
            ):
                errors.append(outcome)
            else:
                raise outcome
        if errors:
            raise SeveralErrors.unless_one(_condensed(errors))

    def _work(
        self,
        todo: queue.SimpleQueue[FileRequest],
        done: queue.SimpleQueue[_Outcome],
        nursery: Path,
    ) -> None:
        while True:
            try:
                request = todo.get_nowait()
            except queue.Empty:
                return
            try:
                self._session.check()
                done.put(self._obtain(request, nursery))
            except Interrupted:
                done.put(FetchError("fetching was broken off"))
            except BaseException as error:  # noqa: BLE001  raised again by the receiver
                done.put(error)

    def _obtain(self, request: FileRequest, nursery: Path) -> Fetched:
        request = request.offered(self.index)
        _check(request)
        search = self._search(request)
        for offer in search.offers():
            try:
                return self._receive(offer, request, nursery)
            except NotThere as error:
                search.rejections.append(error.message)
            except FetchError as error:
                search.errors.append(error)
        raise search.verdict()

    def _receive(self, offer: Offer, request: FileRequest, nursery: Path) -> Fetched:
        try:
            slot = Path(tempfile.mkdtemp(dir=nursery))
        except OSError as error:
            self._session.check()
            raise SystemFault.from_os_error(error, "making a folder") from error
        part = slot / "file.part"
        try:
            sink = Sink(part, request.filename, request.hashes)
            with contextlib.closing(sink):
                path = file_url_path(offer.url)
                if path is None:
                    download(
                        offer.url, sink, request.size, self._session, self._reporter
                    )
                else:
                    copy_local(path, sink, self._session, self._reporter)
                sha256 = sink.verify(redact_url(offer.url))
            complete = slot / request.filename
            os.rename(part, complete)
        except OSError as error:
            shutil.rmtree(slot, ignore_errors=True)
            self._session.check()
            raise SystemFault.from_os_error(error, "keeping a file") from error
        except BaseException:
            shutil.rmtree(slot, ignore_errors=True)
            raise
        return Fetched(request=request, path=complete, sha256=sha256)


def _make_nursery(folder: Path) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix=".fetching-", dir=folder))
    except OSError as error:
        raise SystemFault.from_os_error(error, "making a folder") from error


def _adopt(fetched: Fetched, folder: Path) -> Fetched:
    """Move a file out of what is deleted at the end."""
    slot = fetched.path.parent
    home = folder / slot.name
    try:
        os.rename(slot, home)
    except OSError as error:
        raise SystemFault.from_os_error(error, "keeping a file") from error
    return Fetched(
        request=fetched.request,
        path=home / fetched.path.name,
        sha256=fetched.sha256,
    )


def _expected_size(request: FileRequest) -> int:
    if request.size is not None:
        return request.size
    # Unknown: compiled code is mostly larger than pure Python.
    return 100_000 if request.filename.endswith("-any.whl") else 2_000_000


def _check(request: FileRequest) -> None:
    """Refuse what nothing proves, and what is no file name, with a `FetchError`."""
    filename = request.filename
    check_hashes(filename, request.hashes)
    if filename in {"", ".", ".."} or "/" in filename or "\0" in filename:
        raise FetchError(f"`{filename!r}` is no file name")


def _condensed(errors: list[MvenvError]) -> list[MvenvError]:
    """Return the errors, with one for each host that is out of reach."""
    kept: list[MvenvError] = []
    unreachable: dict[str, list[Transient]] = {}
    for error in errors:
        if isinstance(error, Transient) and error.unreachable is not None:
            unreachable.setdefault(error.unreachable, []).append(error)
        else:
            kept.append(error)
    for origin, group in unreachable.items():
        first = group[0]
        if len(group) > 1:
            count = len(group)
            message = f"{count} files need `{origin}`, which is out of reach:"
            first = Transient(f"{message} {first.message}", hint=first.hint)
        kept.append(first)
    return kept
