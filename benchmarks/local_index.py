"""A package index of one folder's wheels, on this machine: the network at its best.

``python benchmarks/local_index.py FOLDER`` prints its URL and serves until it is ended.
"""

from __future__ import annotations

import contextlib
import hashlib
import html
import re
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

__all__ = ["serving"]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = {f"/files/{path.name}": path for path in folder.glob("*.whl")}
        self.pages: dict[str, bytes] = {}
        for address, path in sorted(self.files.items()):
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            project = re.sub("[-_.]+", "-", path.name.partition("-")[0]).lower()
            link = f'<a href="{html.escape(address)}#sha256={digest}">{path.name}</a>\n'
            page = f"/simple/{project}/"
            self.pages[page] = (
                self.pages.get(page, b"<!DOCTYPE html>\n") + link.encode()
            )

    def handle_error(self, *_: object) -> None:
        """Print nothing: who was answered may hang up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else a small answer waits for the acknowledgement of its own header.
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's signature
        """Print nothing."""

    def do_GET(self) -> None:
        """Answer with a page or a wheel."""
        if page := self.server.pages.get(self.path):
            self._begin("text/html; charset=utf-8", len(page))
            if self.command == "GET":
                self.wfile.write(page)
        elif path := self.server.files.get(self.path):
            self._begin("application/octet-stream", path.stat().st_size)
            # By the kernel alone, so that serving takes little of what is measured.
            if self.command == "GET":
                with path.open("rb") as stream:
                    self.connection.sendfile(stream)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    do_HEAD = do_GET  # noqa: N815  the base's name

    def _begin(self, media_type: str, length: int) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(length))
        self.end_headers()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder from another process; give the URL of the index."""
    command = [sys.executable, __file__, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().strip() if server.stdout else ""
        finally:
            server.terminate()


def main() -> None:
    """Serve the folder that is named."""
    server = _Server(Path(sys.argv[1]))
    print(f"http://127.0.0.1:{server.server_address[1]}/simple/", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
