"""Package indexes of local files: PEP 503 (HTML), PEP 691 (JSON), or a folder."""

from __future__ import annotations

import html
import itertools
import json
import shutil
import threading
from collections.abc import Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urljoin, urlsplit

from kit.wheels import escape, sha256_of

__all__ = ["IndexKind", "IndexMaker"]

IndexKind = Literal["html", "json", "file"]

_JSON_TYPE = "application/vnd.pypi.simple.v1+json"


def _project_of(file: Path) -> str:
    stem = file.name.removesuffix(".tar.gz")
    name = stem.split("-")[0] if file.suffix == ".whl" else stem.rpartition("-")[0]
    return escape(name).replace("_", "-")


def _html_page(files: list[Path]) -> bytes:
    links = "".join(
        f'<a href="../../files/{html.escape(file.name)}#sha256={sha256_of(file)}">'
        f"{html.escape(file.name)}</a><br>\n"
        for file in files
    )
    return f"<!DOCTYPE html><html><body>\n{links}</body></html>\n".encode()


def _json_page(project: str, files: list[Path]) -> bytes:
    page = {
        "meta": {"api-version": "1.0"},
        "name": project,
        "files": [
            {
                "filename": file.name,
                "url": f"../../files/{file.name}",
                "hashes": {"sha256": sha256_of(file)},
                "size": file.stat().st_size,
            }
            for file in files
        ],
    }
    return json.dumps(page).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, files: list[Path], kind: IndexKind, log: list[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = {file.name: file for file in files}
        self.kind = kind
        self.log = log


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's signature
        """Print nothing."""

    def do_GET(self) -> None:
        """Answer with a project's page or a file."""
        self.server.log.append(f"{self.command} {self.path}")
        match [unquote(part) for part in urlsplit(self.path).path.split("/") if part]:
            case ["files", name] if name in self.server.files:
                content = self.server.files[name].read_bytes()
                self._answer(content, "application/octet-stream")
            case ["simple", project]:
                self._answer_page(project)
            case _:
                self.send_error(HTTPStatus.NOT_FOUND)

    do_HEAD = do_GET  # noqa: N815  the base's name

    def _answer_page(self, project: str) -> None:
        files = [
            file for file in self.server.files.values() if _project_of(file) == project
        ]
        if not files:
            self.send_error(HTTPStatus.NOT_FOUND)
        elif self.server.kind == "json":
            self._answer(_json_page(project, files), _JSON_TYPE)
        else:
            self._answer(_html_page(files), "text/html; charset=utf-8")

    def _answer(self, content: bytes, media_type: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


class IndexMaker:
    """Serves indexes; ``requests`` has a line ``GET /path`` for each request made."""

    def __init__(self, folder: Path) -> None:
        self.requests: list[str] = []
        self._folder = folder
        self._servers: list[_Server] = []
        self._numbers = itertools.count()

    def __call__(self, files: Path | Iterable[Path], kind: IndexKind = "html") -> str:
        """Return the URL (with its final slash) of a new index of ``files``.

        ``files`` are wheels and sdists, or a folder of them. ``html`` and ``json``
        are served by HTTP on this machine, ``file`` is a folder with a ``file:`` URL.
        """
        chosen = sorted(files.iterdir() if isinstance(files, Path) else files)
        chosen = [file for file in chosen if file.name.endswith((".whl", ".tar.gz"))]
        if kind == "file":
            return self._write_folder(chosen)
        server = _Server(chosen, kind, self.requests)
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        self._servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/simple/"

    @staticmethod
    def file_url(index: str, file: Path) -> str:
        """Return the URL under which ``index`` offers ``file``."""
        return urljoin(index, f"../files/{file.name}")

    def _write_folder(self, files: list[Path]) -> str:
        root = self._folder / f"index{next(self._numbers)}"
        (root / "files").mkdir(parents=True)
        for file in files:
            shutil.copyfile(file, root / "files" / file.name)
        for project, group in itertools.groupby(
            sorted(files, key=_project_of), _project_of
        ):
            page = root / "simple" / project / "index.html"
            page.parent.mkdir(parents=True)
            page.write_bytes(_html_page(list(group)))
        return (root / "simple").as_uri() + "/"

    def close(self) -> None:
        """Stop all servers."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
