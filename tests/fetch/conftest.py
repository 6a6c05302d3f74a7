"""Fixtures of fetching: a server that misbehaves, quiet surroundings."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.misbehaving import MisbehavingServer, Remembering


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    """Return a server to script."""
    made = MisbehavingServer()
    serve = functools.partial(made.serve_forever, poll_interval=0.02)
    threading.Thread(target=serve, daemon=True).start()
    yield made
    made.stopping.set()
    made.shutdown()
    made.server_close()


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Keep proxies, netrc and pip's configuration of this machine out."""
    for scheme in ("http", "https", "all", "no"):
        for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture
def reporter() -> Remembering:
    """Return a reporter that remembers."""
    return Remembering()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder."""
    made = tmp_path / "fetched"
    made.mkdir()
    return made


@pytest.fixture(autouse=True)
def _quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a tenth between tries."""
    real = threading.Event.wait
    monkeypatch.setattr(
        "mvenv.fetch.session.threading.Event.wait",
        lambda self, timeout=None: real(self, timeout and timeout / 10),
    )
