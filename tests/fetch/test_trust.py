"""Certificates and proxies are those of the environment, or those that are given."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kit.misbehaving import (
    CONTENT,
    DEAD,
    FILE,
    Handler,
    MisbehavingServer,
    fetch_all,
    ok,
    wanted,
)
from mvenv.errors import FetchError


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a PEM file with a self-signed certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    made = folder / "both.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
            *("-days", "2", "-subj", "/CN=mvenv test"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    parts = [(folder / name).read_text() for name in ("cert.pem", "key.pem")]
    made.write_text("".join(parts))
    return made


@pytest.fixture
def secure(certificate: Path) -> Iterator[MisbehavingServer]:
    """Return a server that speaks TLS."""
    server = MisbehavingServer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.on(f"/{FILE}", ok(CONTENT))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def secure_url(server: MisbehavingServer) -> str:
    """Return the URL of the file."""
    return server.url(f"/{FILE}").replace("http:", "https:")


@pytest.fixture(autouse=True)
def _no_certificates_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)


def test_unknown_certificates_are_refused(
    secure: MisbehavingServer, folder: Path
) -> None:
    with pytest.raises(FetchError, match="is not trusted") as caught:
        fetch_all([wanted(CONTENT, url=secure_url(secure))], folder)

    assert caught.value.hint
    assert secure.asked == []


def test_ssl_cert_file(
    secure: MisbehavingServer,
    folder: Path,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    assert fetch_all([wanted(CONTENT, url=secure_url(secure))], folder)


def test_a_given_bundle(
    secure: MisbehavingServer, folder: Path, certificate: Path
) -> None:
    chosen = replace(DEAD, ca_bundle=str(certificate), client_cert=str(certificate))

    assert fetch_all([wanted(CONTENT, url=secure_url(secure))], folder, chosen)


def test_a_bundle_that_is_not_there(secure: MisbehavingServer, folder: Path) -> None:
    chosen = replace(DEAD, ca_bundle=str(folder / "none.pem"))

    with pytest.raises(FetchError, match="certificates cannot be read"):
        fetch_all([wanted(CONTENT, url=secure_url(secure))], folder, chosen)


@pytest.mark.parametrize("with_port", [True, False])
def test_trusted_hosts(
    secure: MisbehavingServer, folder: Path, *, with_port: bool
) -> None:
    host = f"127.0.0.1:{secure.server_port}" if with_port else "127.0.0.1"
    chosen = replace(DEAD, trusted_hosts=("elsewhere", host))

    assert fetch_all([wanted(CONTENT, url=secure_url(secure))], folder, chosen)


def test_a_proxy(
    server: MisbehavingServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def relay(handler: Handler) -> None:
        asked.append(handler.headers["Host"])
        ok(CONTENT)(handler)

    url = f"http://files.invalid/{FILE}"
    server.on(url, relay)
    monkeypatch.setenv("http_proxy", server.url(""))

    assert fetch_all([wanted(CONTENT, url=url)], folder)
    assert asked == ["files.invalid"]
