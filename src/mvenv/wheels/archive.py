"""A wheel's zip archive: its members, checked, and their content.

`zipfile` reads the central directory; the members themselves are read and inflated
here, in one place. Archives that different
programs would read differently, or that could write where they must not, are refused
before anything is written.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import zipfile
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from mvenv.errors import InvalidWheel
from mvenv.wheels.inflate import crc32, inflate_error, inflater
from mvenv.wheels.names import bad_name, check_names

__all__ = ["Member", "MemberReader", "WheelArchive"]

MAX_RATIO = 100
"""Unpacked bytes a byte of archive. Real wheels stay below 10, whole archives of
machine-made text below 50; deflate itself reaches 1032, which only bombs use."""
MIN_BOUND = 1 << 28
"""Unpacked bytes that are allowed whatever the ratio: small wheels of test data may
be all zeros, and this much hurts nobody."""
MAX_MEMBERS = 1_000_000
"""The largest wheels in use have some 60,000."""

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_LOCAL_SIGNATURE = b"PK\x03\x04"
_EXTRA_GUESS = 64
"""Bytes read ahead for the local header's extra field: saves a second read."""
_FLAG_ENCRYPTED = 0x1 | 0x40 | 0x2000
_FLAG_PATCH = 0x20
_FLAG_UTF8 = 0x800
_READ = 1 << 18
_SHOWN = 200


class Member(NamedTuple):
    """One file in the archive."""

    name: str
    size: int
    """Bytes, unpacked, as declared."""
    executable: bool
    compressed: int
    """Bytes in the archive."""
    crc: int
    deflated: bool
    offset: int
    """Of its local header."""
    raw_name: bytes
    """As the local header must repeat it."""
    limit: int
    """Where the next member begins, or the archive ends."""


class WheelArchive:
    """An open archive; ``members`` are its files in the order of their bytes.

    `InvalidWheel` on opening where the archive is damaged or hostile, `OSError`
    where it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._length = os.fstat(self._descriptor).st_size
            infos = _read_directory(self._descriptor)
            files = (info for info in infos if not info.filename.endswith("/"))
            members = [_to_member(info) for info in files]
            check_names(
                (info.orig_filename for info in infos),
                (member.name for member in members),
            )
            self._check_sizes(members)
        except BaseException:
            os.close(self._descriptor)
            raise
        members.sort(key=lambda member: member.offset)
        limits = [*(member.offset for member in members[1:]), self._length]
        self.members = tuple(
            member._replace(limit=limit)
            for member, limit in zip(members, limits, strict=False)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    def _check_sizes(self, members: list[Member]) -> None:
        total = sum(member.size for member in members)
        bound = max(MIN_BOUND, MAX_RATIO * self._length)
        if total > bound:
            raise InvalidWheel(
                f"it claims to unpack to {total} bytes, more than {MAX_RATIO} times"
                f" its own {self._length}: a decompression bomb"
            )

    def content(self, member: Member) -> bytes:
        """Return the whole content, checked; for members that fit into memory."""
        start, data = self._locate(member, ahead=member.compressed)
        missing = member.compressed - len(data)
        if missing > 0:
            data += self._read(start + len(data), missing, member)
        data = data[: member.compressed]
        content = _inflate(data, member) if member.deflated else data
        _check_content(member, len(content), crc32(content))
        return content

    def open(self, member: Member) -> MemberReader:
        """Return a reader that inflates piece by piece."""
        start, _ = self._locate(member, ahead=0)
        return MemberReader(self, member, start)

    def _locate(self, member: Member, *, ahead: int) -> tuple[int, bytes]:
        """Return where the data starts, and what of it was read along."""
        length = _LOCAL_HEADER.size + len(member.raw_name)
        block = os.pread(self._descriptor, length + _EXTRA_GUESS + ahead, member.offset)
        if len(block) < length:
            raise _refusal("ends beyond the archive: it is truncated", member)
        signature, name_length, extra_length = _LOCAL_HEADER.unpack_from(block)
        name = block[_LOCAL_HEADER.size : length]
        if (
            signature != _LOCAL_SIGNATURE
            or name_length != len(name)
            or name != member.raw_name
        ):
            raise _refusal("is named otherwise in its own header", member)
        start = member.offset + length + extra_length
        if start + member.compressed > member.limit:
            # Shared bytes are how a small archive becomes endless.
            raise _refusal("overlaps what follows it in the archive", member)
        return start, block[length + extra_length :]

    def _read(self, offset: int, length: int, member: Member) -> bytes:
        pieces = []
        while length > 0:
            # One read gives 2 GiB at the most (read(2)).
            piece = os.pread(self._descriptor, min(length, 1 << 30), offset)
            if not piece:
                raise _refusal("ends beyond the archive: it is truncated", member)
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return b"".join(pieces)


class MemberReader:
    """Reads one member in pieces of bounded size; the end checks size and CRC."""

    def __init__(self, archive: WheelArchive, member: Member, start: int) -> None:
        self._archive = archive
        self._member = member
        self._position = start
        self._end = start + member.compressed
        self._engine = inflater() if member.deflated else None
        self._pending = b""
        self._size = 0
        self._crc = 0

    def read(self, size: int = _READ, /) -> bytes:
        """Return at most ``size`` bytes, none at the end; `InvalidWheel` if wrong."""
        size = size if size > 0 else _READ
        piece = self._next(size)
        if piece:
            self._size += len(piece)
            self._crc = crc32(piece, self._crc)
            if self._size > self._member.size:
                raise _refusal("is larger than the archive declares", self._member)
        else:
            _check_content(self._member, self._size, self._crc)
        return piece

    def _next(self, size: int) -> bytes:
        if self._engine is None:
            return self._raw(size)
        piece = b""
        while not piece and not self._engine.eof:
            data = self._pending or self._raw(_READ)
            try:
                piece = self._engine.decompress(data, size)
            except inflate_error as error:
                reason = "is damaged: it cannot be inflated"
                raise _refusal(reason, self._member) from error
            self._pending = self._engine.unconsumed_tail
            if not piece and not data and not self._engine.eof:
                raise _refusal("is damaged: it ends too early", self._member)
        return piece

    def _raw(self, size: int) -> bytes:
        length = min(size, self._end - self._position)
        data = self._archive._read(self._position, length, self._member)  # noqa: SLF001  its other half
        self._position += len(data)
        return data


def _read_directory(descriptor: int) -> list[zipfile.ZipInfo]:
    try:
        with (
            open(descriptor, "rb", closefd=False) as stream,
            zipfile.ZipFile(stream) as archive,
        ):
            infos = archive.infolist()
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # Only an offset outside of the archive makes a seek invalid.
        raise InvalidWheel("it is not a whole zip archive") from error
    except (
        zipfile.BadZipFile,
        EOFError,
        IndexError,
        NotImplementedError,
        OverflowError,
        ValueError,
        struct.error,
    ) as error:
        raise InvalidWheel(
            f"it is not a whole zip archive ({str(error)[:_SHOWN]})",
            hint="fetch it again: it may have been cut off",
        ) from error
    if len(infos) > MAX_MEMBERS:
        raise InvalidWheel(f"it has {len(infos)} members, more than {MAX_MEMBERS}")
    return infos


def _to_member(info: zipfile.ZipInfo) -> Member:
    utf8 = info.flag_bits & _FLAG_UTF8
    raw_name = info.orig_filename.encode("utf-8" if utf8 else "cp437")
    mode = info.external_attr >> 16
    member = Member(
        name=info.filename,
        size=info.file_size,
        # As pip: a regular file, by the mode's own word, that anybody may execute.
        executable=stat.S_ISREG(mode) and bool(mode & 0o111),
        compressed=info.compress_size,
        crc=info.CRC,
        deflated=info.compress_type == zipfile.ZIP_DEFLATED,
        offset=info.header_offset,
        raw_name=raw_name,
        limit=0,
    )
    if info.flag_bits & _FLAG_ENCRYPTED:
        raise _refusal("is encrypted", member)
    if (
        info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
        or info.flag_bits & _FLAG_PATCH
    ):
        raise _refusal(
            f"is compressed in a way that wheels must not be (method"
            f" {info.compress_type})",
            member,
        )
    if stat.S_ISLNK(mode):
        raise _refusal("is a symbolic link, which wheels must not have", member)
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
        raise _refusal("is a device or other special file", member)
    if member.offset < 0:
        raise _refusal("begins before the archive", member)
    if not member.deflated and member.size != member.compressed:
        raise _refusal("has sizes that contradict each other", member)
    return member


def _inflate(data: bytes, member: Member) -> bytes:
    engine = inflater()
    try:
        # One byte more than declared is enough to see that it is too much.
        content = engine.decompress(data, member.size + 1)
    except inflate_error as error:
        raise _refusal("is damaged: it cannot be inflated", member) from error
    if not engine.eof and len(content) <= member.size:
        raise _refusal("is damaged: it ends too early", member)
    return content


def _check_content(member: Member, size: int, crc: int) -> None:
    if size != member.size:
        kind = "larger" if size > member.size else "smaller"
        raise _refusal(f"is {kind} than the archive declares", member)
    if crc != member.crc:
        raise _refusal("is damaged: its checksum (CRC) is wrong", member)


def _refusal(reason: str, member: Member) -> InvalidWheel:
    return bad_name(member.name, reason)
