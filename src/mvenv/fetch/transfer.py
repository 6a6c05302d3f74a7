"""Bytes of one file from one place into a sink."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mvenv.errors import FetchError, HashMismatch
from mvenv.fetch.redaction import redact_url
from mvenv.fetch.session import NotThere, Session, Transient
from mvenv.fetch.sink import Sink
from mvenv.hashes import CHUNK
from mvenv.progress import Reporter, Task

if TYPE_CHECKING:
    import httpx2

__all__ = ["copy_local", "download"]


def copy_local(path: Path, sink: Sink, session: Session, reporter: Reporter) -> None:
    """Copy a local file; `NotThere` or `FetchError` where it cannot be read.

    A copy, since what is hashed must be what is unpacked.
    """
    try:
        with (
            open(path, "rb", buffering=0) as stream,
            reporter.task(sink.filename, path.stat().st_size) as task,
        ):
            while chunk := stream.read(CHUNK):
                session.check()
                sink.write(chunk)
                task.advance(len(chunk))
    except FileNotFoundError as error:
        raise NotThere(f"`{path}` does not exist") from error
    except OSError as error:
        raise FetchError(f"`{path}` cannot be read: {error.strerror}") from error


def download(
    url: str, sink: Sink, size: int | None, session: Session, reporter: Reporter
) -> None:
    """Download ``url``, which must have ``size`` bytes where that is known.

    Transient failures are retried, from where they stopped when the server can.
    `NotThere`, `HashMismatch` for another size, or another `FetchError`.
    """
    transfer = _Transfer(url, sink, size, session, reporter)
    with transfer.progress:
        session.retrying(transfer.attempt)


class _Transfer:
    def __init__(
        self,
        url: str,
        sink: Sink,
        size: int | None,
        session: Session,
        reporter: Reporter,
    ) -> None:
        self._url = url
        self._sink = sink
        self._size = size
        self._session = session
        self._reporter = reporter
        self._etag: str | None = None
        self._task: Task | None = None
        self.progress = contextlib.ExitStack()

    def attempt(self) -> None:
        """Receive what is still missing."""
        # The hash is that of the file's own bytes: nothing is to be packed on the way.
        headers = {"Accept-Encoding": "identity"}
        if self._sink.count and self._etag:
            headers["Range"] = f"bytes={self._sink.count}-"
            headers["If-Range"] = self._etag
        with self._session.stream(self._url, headers) as response:
            total = self._begin(response)
            limit = self._size if total is None else total
            for chunk in response.iter_raw():
                self._session.check()
                if limit is not None and self._sink.count + len(chunk) > limit:
                    raise self._wrong_size(f"more than {limit}", limit)
                self._sink.write(chunk)
                self._advance(len(chunk))
        if limit is not None and self._sink.count < limit:
            raise Transient(
                f"`{redact_url(self._url)}` ended after {self._sink.count} of"
                f" {limit} bytes"
            )

    def _begin(self, response: httpx2.Response) -> int | None:
        """Return how long the whole will be, ready to take what comes."""
        already = self._sink.count
        partial = response.status_code == 206  # noqa: PLR2004  Partial Content
        start = response.headers.get("Content-Range", "").partition("-")[0]
        if already and not (partial and start == f"bytes {already}"):
            self._sink.restart()
            self._advance(-already)
            already = 0
        if partial and not already:
            raise FetchError(f"`{redact_url(self._url)}` sent a part, not the file")
        etag = response.headers.get("ETag")
        self._etag = etag if etag and not etag.startswith("W/") else None
        length = response.headers.get("Content-Length", "")
        known = re.fullmatch("[0-9]{1,18}", length) is not None
        total = already + int(length) if known else None
        if total is not None and self._size is not None and total != self._size:
            raise self._wrong_size(str(total), self._size)
        if self._task is None:
            task = self._reporter.task(self._sink.filename, total or self._size)
            self._task = self.progress.enter_context(task)
        return total

    def _advance(self, amount: int) -> None:
        if self._task is not None:
            self._task.advance(amount)

    def _wrong_size(self, actual: str, expected: int) -> HashMismatch:
        return HashMismatch(
            f"`{redact_url(self._url)}` is not the file that was locked: it has"
            f" {actual} bytes, not {expected}",
            expected=(f"{expected} bytes",),
            actual=f"{actual} bytes",
            hint="nothing of it was kept. Was the file replaced on the index after"
            " locking? If that is right, lock again",
        )
