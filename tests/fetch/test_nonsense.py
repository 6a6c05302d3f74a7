"""What servers, settings and locks say that nobody should: an error, never a crash."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.lockfiles import PoetryLockWriter
from kit.wheels import WheelMaker
from mvenv.errors import BuildError
from mvenv.fetch.build import vcs_requirement

FILE = "demo-1.0-py3-none-any.whl"
JSON = "application/vnd.pypi.simple.v1+json"


class _Server(ThreadingHTTPServer):
    """Answers each question with what a test gave for its kind."""

    daemon_threads = True
    page: tuple[int, dict[str, str], bytes]
    file: tuple[int, dict[str, str], bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/simple/"


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002  its name
        """Be quiet."""

    def do_GET(self) -> None:
        server = self.server
        status, headers, body = (
            server.file if self.path.endswith(".whl") else server.page
        )
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def wheel(make_wheel: WheelMaker) -> Path:
    """Return a wheel."""
    return make_wheel("demo")


@pytest.fixture
def server(wheel: Path) -> Iterator[_Server]:
    """Serve it, until told otherwise."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.page = (200, {}, f'<a href="/{FILE}">{FILE}</a>'.encode())
    server.file = (200, {}, wheel.read_bytes())
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def lock(wheel: Path, write_poetry_lock: PoetryLockWriter) -> Path:
    """Return a lock of the wheel."""
    return write_poetry_lock(wheel)


def _entry(url: str) -> bytes:
    return json.dumps({"files": [{"filename": FILE, "url": url}]}).encode()


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        (JSON, b'{"files":' + b"[" * 200_000),
        (JSON, _entry(f"http://[x/{FILE}")),
        (JSON, _entry(f"http://\ud800/{FILE}")),
        ("text/html", f'<a href="http://[x/{FILE}">x</a>'.encode()),
        ("text/html", f'<base href="http://[x"><a href="{FILE}">x</a>'.encode()),
    ],
    ids=["deep", "URL in JSON", "surrogate", "URL in HTML", "base"],
)
def test_a_page_of_nonsense(
    mvenv: Runner,
    server: _Server,
    lock: Path,
    tmp_path: Path,
    media_type: str,
    body: bytes,
) -> None:
    server.page = (200, {"Content-Type": media_type}, body)
    outcome = mvenv(
        "create", tmp_path / "env", "--from", lock, "--index-url", server.url
    )

    assert outcome.code == 13, outcome.err


@pytest.mark.parametrize("charset", ["rot13", "hex", "idna", "unheard-of", "utf-16"])
def test_a_page_is_utf_8_whatever_it_says(
    mvenv: Runner, server: _Server, lock: Path, tmp_path: Path, charset: str
) -> None:
    status, _, body = server.page
    server.page = (status, {"Content-Type": f"text/html; charset={charset}"}, body)

    mvenv.create(tmp_path / "env", lock, "--index-url", server.url)


@pytest.mark.parametrize("length", ["²", "1" * 5000, "-5"])
def test_a_length_that_is_none(
    mvenv: Runner, server: _Server, lock: Path, tmp_path: Path, length: str
) -> None:
    status, _, body = server.file
    server.file = (status, {"Content-Length": length}, body)

    mvenv.create(tmp_path / "env", lock, "--index-url", server.url)


def test_a_pause_that_is_none(
    mvenv: Runner, server: _Server, lock: Path, tmp_path: Path
) -> None:
    server.page = (503, {"Retry-After": "²"}, b"")
    outcome = mvenv(
        "create", tmp_path / "env", "--from", lock, "--index-url", server.url
    )

    assert outcome.code == 13
    assert "503" in outcome.err


@pytest.mark.parametrize("option", ["--index-url", "--extra-index-url", "--find-links"])
@pytest.mark.parametrize(
    "url", ["http://[x/", "http://127.0.0.1:1/\udcff"], ids=["bracket", "no UTF-8"]
)
def test_an_address_that_is_none(
    mvenv: Runner, lock: Path, tmp_path: Path, option: str, url: str
) -> None:
    outcome = mvenv("create", tmp_path / "env", "--from", lock, option, url)

    assert outcome.code == 13, outcome.err


def test_a_proxy_that_is_none(
    mvenv: Runner,
    server: _Server,
    lock: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "foo://me:secret@x")
    outcome = mvenv(
        "create", tmp_path / "env", "--from", lock, "--index-url", server.url
    )

    assert outcome.code == 13
    assert "HTTP_PROXY" in outcome.err
    assert "secret" not in outcome.err


@pytest.mark.parametrize(
    ("url", "commit"),
    [
        ("https://h.invalid/r", "main"),
        ("https://h.invalid/r", "--output=/tmp/x"),
        ("https://h.invalid/r", "abc1234"),
        ("https://h.invalid/r\n--index-url https://evil.invalid", "1" * 40),
        ("--upload-pack=touch x", "1" * 40),
        ("some/folder", "1" * 40),
        ("https://[x/r", "1" * 40),
    ],
)
def test_a_commit_that_is_none(url: str, commit: str) -> None:
    with pytest.raises(BuildError):
        vcs_requirement("git", url, commit)
