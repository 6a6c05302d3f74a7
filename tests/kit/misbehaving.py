"""An HTTP server that misbehaves as scripted, and a reporter that remembers."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeAlias

from packaging.utils import canonicalize_name

from mvenv.fetch.download import Fetched, Fetcher, FileRequest
from mvenv.fetch.settings import FetchSettings
from mvenv.progress import Silent, Task, Unit

__all__ = [
    "CONTENT",
    "DEAD",
    "FILE",
    "Behaviour",
    "Handler",
    "MisbehavingServer",
    "Remembering",
    "fetch_all",
    "guarded",
    "ok",
    "page",
    "redirect",
    "reset",
    "sha256",
    "stalled",
    "status",
    "truncated",
    "wanted",
    "with_ranges",
]

CONTENT = bytes(range(256)) * 5000
"""1.28 MB: several chunks."""
FILE = "demo-1.0-py3-none-any.whl"
DEAD = FetchSettings(index_url="http://127.0.0.1:9/simple/", timeout=5.0)
"""Settings that name an index where nobody listens."""

Behaviour: TypeAlias = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Does what was scripted for the path; the last behaviour stays."""

    protocol_version = "HTTP/1.1"
    server: MisbehavingServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's signature
        """Print nothing."""

    def do_GET(self) -> None:
        """Do what is next for the path."""
        with self.server.lock:
            self.server.asked.append(self.path)
            self.server.seen.append(dict(self.headers.items()))
            script = self.server.scripts.get(self.path, [status(404)])
            behaviour = script.pop(0) if len(script) > 1 else script[0]
        with contextlib.suppress(ConnectionError):
            behaviour(self)

    def send(
        self,
        code: int,
        content: bytes,
        headers: Mapping[str, str],
        *,
        length: int | None = None,
    ) -> None:
        """Send a response; ``length`` may lie."""
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        count = len(content) if length is None else length
        self.send_header("Content-Length", str(count))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()
        if count != len(content):
            self.close_connection = True

    def reset(self) -> None:
        """End the connection with a reset."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True


class MisbehavingServer(ThreadingHTTPServer):
    """Serves scripts of behaviours by path."""

    daemon_threads = True
    request_queue_size = 128  # else a burst of connections waits a second

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.scripts: dict[str, list[Behaviour]] = {}
        self.asked: list[str] = []
        self.seen: list[dict[str, str]] = []
        self.stopping = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: breaking off is what is tested."""

    def on(self, path: str, *behaviours: Behaviour) -> str:
        """Script ``path``; return its URL."""
        self.scripts[path] = list(behaviours)
        return self.url(path)

    def url(self, path: str, userinfo: str = "") -> str:
        """Return the URL of ``path``."""
        return f"http://{userinfo}127.0.0.1:{self.server_port}{path}"


def status(code: int, **headers: str) -> Behaviour:
    """Answer with an error."""
    return lambda handler: handler.send(code, b"no\n", headers)


def ok(content: bytes, **headers: str) -> Behaviour:
    """Answer with ``content``."""
    headers.setdefault("Content_Type", "application/octet-stream")
    return lambda handler: handler.send(200, content, headers)


def page(text: str, media_type: str = "text/html") -> Behaviour:
    """Answer with a page."""
    return ok(text.encode(), Content_Type=media_type)


def reset(handler: Handler) -> None:
    """Reset the connection instead of answering."""
    handler.reset()


def truncated(content: bytes, keep: int, **headers: str) -> Behaviour:
    """Promise all of ``content`` and send ``keep`` bytes."""
    return lambda handler: handler.send(
        200, content[:keep], headers, length=len(content)
    )


def redirect(target: str) -> Behaviour:
    """Send elsewhere."""
    return lambda handler: handler.send(302, b"", {"Location": target})


def with_ranges(content: bytes, etag: str) -> Behaviour:
    """Serve ``content`` whole or from where it is asked for."""

    def behave(handler: Handler) -> None:
        asked = handler.headers.get("Range")
        if asked is None or handler.headers.get("If-Range") != etag:
            handler.send(200, content, {"ETag": etag})
            return
        start = int(asked.removeprefix("bytes=").partition("-")[0])
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.send(206, content[start:], {"ETag": etag, "Content-Range": span})

    return behave


def guarded(user: str, password: str, behaviour: Behaviour) -> Behaviour:
    """Do ``behaviour`` for this user, answer 401 to all others."""
    token = base64.b64encode(f"{user}:{password}".encode()).decode()

    def behave(handler: Handler) -> None:
        if handler.headers.get("Authorization") == f"Basic {token}":
            behaviour(handler)
        else:
            handler.send(401, b"", {"WWW-Authenticate": 'Basic realm="x"'})

    return behave


def stalled(content: bytes, keep: int) -> Behaviour:
    """Send ``keep`` bytes, then nothing until the test is over."""

    def behave(handler: Handler) -> None:
        handler.send(200, content[:keep], {}, length=len(content))
        handler.server.stopping.wait(30)

    return behave


def sha256(content: bytes) -> str:
    """Return the sha256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def wanted(
    content: bytes,
    filename: str = "demo-1.0-py3-none-any.whl",
    *,
    hashes: tuple[tuple[str, str], ...] | None = None,
    url: str | None = None,
    path: Path | None = None,
    index: str | None = None,
    index_name: str | None = None,
    size: int | None = None,
) -> FileRequest:
    """Return a request for a file with ``content``."""
    return FileRequest(
        name=canonicalize_name(filename.partition("-")[0]),
        filename=filename,
        hashes=(("sha256", sha256(content)),) if hashes is None else hashes,
        url=url,
        path=path,
        index=index,
        index_name=index_name,
        size=size,
    )


@dataclass
class _RememberedTask:
    label: str
    total: int | None
    done: int = 0

    def advance(self, amount: int) -> None:
        self.done += amount


@dataclass
class Remembering:
    """A reporter that keeps all it is told."""

    lines: list[str] = field(default_factory=list)
    tasks: list[_RememberedTask] = field(default_factory=list)

    def note(self, message: str) -> None:
        """Keep it."""
        self.lines.append(message)

    warn = detail = note

    def task(
        self,
        label: str,
        total: int | None,
        unit: Unit = Unit.BYTES,  # noqa: ARG002  the protocol's signature
    ) -> AbstractContextManager[Task]:
        """Keep it."""
        made = _RememberedTask(label, total)
        self.tasks.append(made)
        return contextlib.nullcontext(made)


def fetch_all(
    requests: Iterable[FileRequest],
    folder: Path,
    settings: FetchSettings = DEAD,
    reporter: Remembering | None = None,
) -> list[Fetched]:
    """Fetch all into ``folder``."""
    with Fetcher(settings, reporter or Silent()) as fetcher:
        return list(fetcher.fetch(requests, folder))
