"""Each way of inflating, for tests of what is unpacked and of what is refused."""

from __future__ import annotations

import zlib

import pytest

from mvenv.wheels import archive, inflate

__all__ = ["engine"]


@pytest.fixture(params=["zlib", "isal"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Inflate with the one or the other, and return its name."""
    name: str = request.param
    module = zlib if name == "zlib" else pytest.importorskip("isal.isal_zlib")
    monkeypatch.setattr(inflate, "_ENGINE", module)
    monkeypatch.setattr(archive, "inflate_error", module.error)
    return name
