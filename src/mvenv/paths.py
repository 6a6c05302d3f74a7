"""Paths as text, as `pathlib` would spell them.

Importing `pathlib` takes a tenth of the time in which a small environment is made. So
the warm path has its paths as text (``*_text``), and gives others a `Path` of it.
"""

from __future__ import annotations

import errno
import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    StrPath = str | os.PathLike[str]

__all__ = ["StrPath", "absolute", "data_folder", "parent_of", "read_bytes"]


def absolute(path: StrPath) -> str:
    """Return what ``Path(path).absolute()`` is: ``..`` stays, for links."""
    text = os.fspath(path)
    if not text.startswith("/"):
        text = f"{os.getcwd()}/{text}"
    parts = [part for part in text.split("/") if part not in {"", "."}]
    # POSIX gives exactly two slashes a meaning of their own.
    root = "//" if text.startswith("//") and not text.startswith("///") else "/"
    return root + "/".join(parts)


def parent_of(path: str) -> str:
    """Return the folder of an absolute path, for the root itself."""
    head = path.rpartition("/")[0]
    return head if head.strip("/") else path[: len(path) - len(path.lstrip("/"))]


def read_bytes(path: StrPath) -> bytes:
    """Return what a file holds; `OSError` for a pipe or device, which may never end."""
    with open(path, "rb", buffering=0, opener=_open_file) as stream:
        return stream.readall()


def _open_file(path: str, flags: int) -> int:
    opened = os.open(path, flags | os.O_NONBLOCK)
    mode = os.fstat(opened).st_mode
    # Of a folder `open` has the better word.
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        os.close(opened)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return opened


def data_folder(environ: Mapping[str, str]) -> str:
    """Return the platform's folder for what mvenv keeps: where the store is.

    What `platformdirs` says, without its import where that is plain.
    """
    home = environ.get("HOME", "")
    if sys.platform == "linux" and home.startswith("/"):
        if not environ.get("XDG_DATA_HOME"):
            return f"{home.rstrip('/')}/.local/share/mvenv"
    import platformdirs

    return platformdirs.user_data_dir("mvenv", appauthor=False)
