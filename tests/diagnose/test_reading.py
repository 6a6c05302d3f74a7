"""What stands in place of a file or folder is not followed, and not waited for."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from mvenv.diagnose.reading import content_at, has_content, opened, sha256_at
from mvenv.hashes import digest_bytes


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    """Return a descriptor of a folder."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_no_link_is_followed(root: int, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real/link").symlink_to("file")
    known = SimpleNamespace(size=1, sha256=digest_bytes(b"x").sha256)

    with opened(root, "real") as folder:
        assert content_at("file", folder, 9) == b"x"
        with pytest.raises(OSError, match="link"):
            sha256_at("link", folder)
    with pytest.raises(OSError, match=r"link|directory"), opened(root, "link"):
        pass
    assert has_content(str(tmp_path / "real/file"), known)
    assert not has_content(str(tmp_path / "real/link"), known)


def test_no_pipe_is_waited_for(root: int, tmp_path: Path) -> None:
    """Nobody writes into it for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def read() -> None:
        with pytest.raises(FileNotFoundError):
            sha256_at("pipe", root)
        assert not has_content(str(pipe), SimpleNamespace(size=0, sha256=""))

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    reading.join(5.0)
    assert not reading.is_alive()
