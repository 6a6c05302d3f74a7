"""Unpack a wheel: every file hashed and checked while it is written.

What is wrong or hostile is refused, and nothing of it is left. The tree has the
archive's own layout, so one tree serves environments of every scheme.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from mvenv.errors import InvalidWheel, SystemFault
from mvenv.hashes import Digest, DigestingReader, digest_bytes
from mvenv.wheels.archive import Member, WheelArchive
from mvenv.wheels.manifest import LARGE, Manifest, ManifestFile
from mvenv.wheels.metadata import (
    check_data_folders,
    check_wheel,
    find_dist_info,
    parse_wheel_name,
)
from mvenv.wheels.record import RecordEntry, read_record

__all__ = ["Known", "stamp_ns", "unpack"]

_AT_ONCE = 1 << 20
"""Bytes of a file that is unpacked in one piece: nearly all are."""
_PIECE = 1 << 18
_MAX_METADATA = 1 << 26
"""Bytes of RECORD, METADATA or WHEEL, which are read into memory; the largest RECORD
in use has some 10 MiB."""
_FOLDER_MODE = 0o755
_NANOSECONDS = 10**9
_SYNC_FILE_RANGE_WRITE = 2


class Known(Protocol):
    """Files that are there already, and may be given further names."""

    def link(
        self, sha256: str, size: int, mode: int, name: str, folder: int
    ) -> int | None:
        """Give a file with these bytes and this mode the new name ``name``.

        In the open ``folder``. Return its mtime in nanoseconds; `None` where there is
        no such file, or it takes no more names: then the name is free.
        """


def unpack(
    archive: Path,
    *,
    filename: str,
    sha256: str,
    destination: Path,
    seal: bool = True,
    boot_id: str,
    moment: int,
    known: Known | None = None,
) -> Manifest:
    """Unpack a wheel into the new folder ``destination`` and return its manifest.

    ``sha256`` is that of ``archive``, verified by the caller; ``filename`` is the
    wheel's name, which ``archive``'s own may not be. ``moment`` is the time of
    ingest, in seconds. A large member whose hash in RECORD is that of a ``known`` file
    is given that file, with its stamp, and is read and checked all the same. Sealed
    files are 0444 or 0555, others 0644 or 0755, folders 0755, whatever the umask.
    `InvalidWheel` where the wheel is refused, and `SystemFault` where the disk refuses:
    then ``destination`` is not there.
    """
    try:
        with WheelArchive(archive) as opened:
            entries = _read_entries(opened, filename)
            os.mkdir(destination, _FOLDER_MODE)
            try:
                writer = _Writer(destination, known, seal=seal, moment=moment)
                files = writer.write_all(opened, entries)
            except BaseException:
                shutil.rmtree(destination)
                raise
    except InvalidWheel as error:
        raise InvalidWheel(
            f"`{filename}` is refused: {error.message}",
            member=error.member,
            hint=error.hint,
        ) from error
    except OSError as error:
        doing = f"cannot unpack `{filename}`"
        raise SystemFault.from_os_error(error, doing) from error
    return Manifest(sha256=sha256, filename=filename, boot_id=boot_id, files=files)


def stamp_ns(sha256: str, moment: int) -> int:
    """Return the mtime of a file with this content, in nanoseconds.

    Seconds are ``moment`` less 10 bits of the sha256, nanoseconds 30 bits of it: two
    contents do not share a stamp by accident, and a later ingest looks newer.
    """
    # 40 bits are ten hexadecimal digits.
    bits = int(sha256[:10], 16)
    seconds = moment - (bits >> 30)
    return seconds * _NANOSECONDS + (bits & 0x3FFFFFFF) % _NANOSECONDS


def _read_entries(archive: WheelArchive, filename: str) -> Mapping[str, RecordEntry]:
    """Check all that can be known before a file is written; return RECORD."""
    said = parse_wheel_name(filename)
    members = {member.name: member for member in archive.members}
    check_data_folders(members)
    dist_info = find_dist_info(members)
    contents = {}
    for name in ("METADATA", "WHEEL", "RECORD"):
        member = members.get(f"{dist_info}/{name}")
        if member is None:
            raise InvalidWheel(f"it has no `{dist_info}/{name}`")
        if member.size > _MAX_METADATA:
            raise InvalidWheel(
                f"`{member.name}` is larger than {_MAX_METADATA} bytes",
                member=member.name,
            )
        contents[name] = archive.content(member)
    check_wheel(said, dist_info, contents["METADATA"], contents["WHEEL"])
    entries = read_record(contents["RECORD"], f"{dist_info}/RECORD")
    missing = sorted(entries.keys() - members.keys())
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InvalidWheel(
            f"RECORD lists `{missing[0]}`{more}, and the archive does not have it",
            member=missing[0],
        )
    return entries


class _Writer:
    """Writes members below a new folder that nobody else knows of."""

    def __init__(
        self, root: Path, known: Known | None, *, seal: bool, moment: int
    ) -> None:
        # Text, since paths by `pathlib` cost as much as making the folders.
        self._root = os.fspath(root)
        self._known = known
        self._moment = moment
        self._modes = (0o444, 0o555) if seal else (0o644, 0o755)
        self._made = {""}
        # The umask takes bits from every mkdir; looked at once, not at each folder.
        self._exact = os.stat(root).st_mode & 0o7777 == _FOLDER_MODE
        if not self._exact:
            os.chmod(root, _FOLDER_MODE)

    def write_all(
        self, archive: WheelArchive, entries: Mapping[str, RecordEntry]
    ) -> tuple[ManifestFile, ...]:
        """Write all members and return them, sorted by path."""
        files = []
        folder_name = ""
        folder = self._open_folder(folder_name)
        try:
            for member in archive.members:
                parent, _, name = member.name.rpartition("/")
                if parent != folder_name:
                    os.close(folder)
                    folder = -1
                    folder = self._open_folder(parent)
                    folder_name = parent
                entry = entries.get(member.name)
                files.append(self._write(archive, member, name, folder, entry))
        finally:
            if folder >= 0:
                os.close(folder)
        return tuple(sorted(files))

    def _open_folder(self, path: str) -> int:
        self._make_folder(path)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(f"{self._root}/{path}", flags)

    def _make_folder(self, path: str) -> None:
        if path in self._made:
            return
        self._make_folder(path.rpartition("/")[0])
        os.mkdir(f"{self._root}/{path}", _FOLDER_MODE)
        if not self._exact:
            os.chmod(f"{self._root}/{path}", _FOLDER_MODE)
        self._made.add(path)

    def _write(
        self,
        archive: WheelArchive,
        member: Member,
        name: str,
        folder: int,
        entry: RecordEntry | None,
    ) -> ManifestFile:
        mode = self._modes[member.executable]
        if member.size >= LARGE:
            same = self._link_known(archive, member, name, folder, entry)
            if same is not None:
                return same
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(name, flags, mode, dir_fd=folder)
        except FileExistsError:
            raise InvalidWheel(
                f"its member `{member.name}` falls together with another one on this"
                " file system",
                member=member.name,
            ) from None
        try:
            digest = _fill(descriptor, archive, member, entry)
            stamp = stamp_ns(digest.sha256, self._moment)
            os.utime(descriptor, ns=(stamp, stamp))
            seen = os.fstat(descriptor)
            if seen.st_mode & 0o7777 != mode:
                os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
        # The stamp as kept: not every file system has nanoseconds.
        return ManifestFile(
            member.name, digest.sha256, digest.xxh3, digest.size, mode, seen.st_mtime_ns
        )

    def _link_known(
        self,
        archive: WheelArchive,
        member: Member,
        name: str,
        folder: int,
        entry: RecordEntry | None,
    ) -> ManifestFile | None:
        """Take a known file for a large member, which is read and checked all the same.

        What RECORD says decides which one; `None` where it says nothing, or of a file
        that nobody knows.
        """
        sha256 = entry.sha256() if entry is not None else None
        if self._known is None or sha256 is None:
            return None
        mode = self._modes[member.executable]
        stamp = self._known.link(sha256, member.size, mode, name, folder)
        if stamp is None:
            return None
        digest = _fill(None, archive, member, entry)
        return ManifestFile(
            member.name, digest.sha256, digest.xxh3, digest.size, mode, stamp
        )


def _fill(
    descriptor: int | None,
    archive: WheelArchive,
    member: Member,
    entry: RecordEntry | None,
) -> Digest:
    """Write a member's content, and return its digest once RECORD agrees.

    Without a ``descriptor`` it is only read.
    """
    other = None
    if entry is not None and entry.algorithm not in {None, "sha256"}:
        other = hashlib.new(entry.algorithm or "")
    if member.size <= _AT_ONCE:
        content = archive.content(member)
        digest = digest_bytes(content)
        if other is not None:
            other.update(content)
        if descriptor is not None:
            _write_out(descriptor, content)
    else:
        reader = DigestingReader(archive.open(member))
        while piece := reader.read(_PIECE):
            if descriptor is not None:
                _write_out(descriptor, piece)
            if other is not None:
                other.update(piece)
        digest = reader.digest()
        if descriptor is not None:
            _begin_writing_out(descriptor)
    if entry is not None and (
        entry.differs(digest.sha256, digest.size)
        or (other is not None and not entry.is_digest(other.digest()))
    ):
        raise InvalidWheel(
            f"its member `{member.name}` is not what RECORD says (size or hash)",
            member=member.name,
        )
    return digest


def _begin_writing_out(descriptor: int) -> None:
    """Let the disk begin with a large file now, so that the flush has less to do.

    `sync_file_range(2)`, which neither waits nor promises anything.
    """
    if sys.platform == "linux":
        start = _sync_file_range()
        if start is not None:
            start(descriptor, 0, 0, _SYNC_FILE_RANGE_WRITE)


@functools.cache
def _sync_file_range() -> Callable[[int, int, int, int], int] | None:
    import ctypes

    call: Callable[[int, int, int, int], int] | None
    call = found = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if found is not None:
        offset = ctypes.c_int64
        found.argtypes = (ctypes.c_int, offset, offset, ctypes.c_uint)
    return call


def _write_out(descriptor: int, content: bytes) -> None:
    written = os.write(descriptor, content) if content else 0
    while written < len(content):
        written += os.write(descriptor, content[written:])
