"""Plain tar streams: regular files alone, written the same on every machine.

Read strictly: links, devices, folders and all that is not a regular file are refused
before anything of it is used, and no header makes the reader take up much memory.
The format is ``ustar`` of POSIX.1-2001, with its extended headers (``pax``) for paths
that are long or not ASCII.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Mapping
from typing import IO, Any, NamedTuple

from mvenv.errors import StoreError

__all__ = ["TarMember", "TarReader", "TarWriter"]

_BLOCK = 512
_RECORD = 20 * _BLOCK
"""What ``tar`` pads archives to."""
_AHEAD = 1 << 20
_PIECE = 1 << 18
_MAX_EXTENDED = 1 << 16
"""Bytes of an extended header: one path."""
_KINDS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.DIRTYPE: "a folder",
    tarfile.FIFOTYPE: "a pipe",
}


class TarMember(NamedTuple):
    """A regular file in a stream."""

    name: str
    size: int


class TarWriter:
    """Writes files to a stream, one after the other; digests what it writes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._position = 0

    def begin(self, name: str, size: int, *, mode: int = 0o644, mtime: int = 0) -> None:
        """Begin a file of ``size`` bytes, which have to be written next."""
        header = tarfile.TarInfo(name)
        header.size, header.mode, header.mtime = size, mode, mtime
        self.write(header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))

    def write(self, content: bytes) -> None:
        """Write a piece of the file's content."""
        self._stream.write(content)
        self._digest.update(content)
        self._position += len(content)

    def end(self) -> None:
        """End the file that was begun."""
        self.write(bytes(-self._position % _BLOCK))

    def add(self, name: str, content: bytes) -> None:
        """Write a whole file."""
        self.begin(name, len(content))
        self.write(content)
        self.end()

    def close(self) -> str:
        """End the stream, which stays open, and return the sha256 of all of it."""
        self.write(bytes(2 * _BLOCK))
        self.write(bytes(-self._position % _RECORD))
        self._stream.flush()
        return self._digest.hexdigest()


class _Digested(io.RawIOBase):
    """A raw reader that digests what is read from ``stream``."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        piece = self._stream.read(len(buffer))
        self.digest.update(piece)
        buffer[: len(piece)] = piece
        return len(piece)


class TarReader:
    """Reads a stream from its beginning to its end; `StoreError` says what is wrong."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._raw = _Digested(stream)
        self._stream = io.BufferedReader(self._raw, _AHEAD)
        self._left = 0
        self._padding = 0

    def next(self) -> TarMember | None:
        """Return the next file, or `None` at the end; skips what is left of one."""
        while self.read():
            pass
        block = self._exactly(_BLOCK)
        if not any(block):
            return None
        header = _parse(block)
        said: Mapping[str, str] = {}
        if header.type == tarfile.XHDTYPE:
            if header.size > _MAX_EXTENDED:
                raise _refusal("it has an extended header that is too long")
            said = _parse_extended(self._padded(header.size))
            header = _parse(self._exactly(_BLOCK))
        name = said.get("path", header.name)
        if header.type != tarfile.REGTYPE:
            kind = _KINDS.get(header.type, "of a kind that is not known")
            raise _refusal(
                f"its member `{_shown(name)}` is {kind}, and no regular file"
            )
        size = int(said.get("size", header.size))
        self._left, self._padding = size, -size % _BLOCK
        return TarMember(name, size)

    def read(self, size: int = _PIECE, /) -> bytes:
        """Return at most ``size`` bytes of the file, none at its end."""
        piece = self._exactly(min(size, self._left))
        self._left -= len(piece)
        if not self._left and self._padding:
            padding, self._padding = self._padding, 0
            self._exactly(padding)
        return piece

    def close(self) -> str:
        """Read what is after the last file, and return the sha256 of all of it."""
        while piece := self._stream.read(_PIECE):
            if any(piece):
                raise _refusal("something follows its end")
        return self._raw.digest.hexdigest()

    def _padded(self, size: int) -> bytes:
        content = self._exactly(size)
        self._exactly(-size % _BLOCK)
        return content

    def _exactly(self, size: int) -> bytes:
        content = self._stream.read(size) if size else b""
        if len(content) != size:
            raise StoreError(
                "the archive is refused: it is cut off",
                hint="export or download it again",
            )
        return content


def _parse(block: bytes) -> tarfile.TarInfo:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise _refusal(f"it is no tar archive, or damaged ({error})") from error
    if header.size < 0:
        raise _refusal(f"its member `{_shown(header.name)}` has a negative size")
    return header


_EXTENDED = re.compile(rb"(\d{1,6}) ([^=\n]+)=")


def _parse_extended(content: bytes) -> Mapping[str, str]:
    """Return what an extended header says: lines ``<length> <key>=<value>``."""
    found: dict[str, str] = {}
    position = 0
    while position < len(content):
        match = _EXTENDED.match(content, position)
        end = position + int(match[1]) if match is not None else 0
        if match is None or end <= match.end() or content[end - 1 : end] != b"\n":
            raise _refusal("it has an extended header that is damaged")
        key = match[2].decode("utf-8", "replace")
        found[key] = content[match.end() : end - 1].decode("utf-8", "surrogateescape")
        position = end
    unknown = found.keys() - {"path", "size"}
    if unknown:
        raise _refusal(f"it has an extended header for `{_shown(min(unknown))}`")
    if not re.fullmatch("[0-9]{1,18}", found.get("size", "0"), re.ASCII):
        raise _refusal("it has a size that is no number")
    return found


def _shown(name: str) -> str:
    return repr(name)[1:-1][:200]


def _refusal(reason: str) -> StoreError:
    return StoreError(f"the archive is refused: {reason}")
