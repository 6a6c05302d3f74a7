"""Fill folders with links: every file is checked just before it is linked.

The check is one ``fstatat``: size, mode and mtime must be what the manifest says,
and the mtime is a stamp of the content. A file that differs is never linked; it is
reported, as is one whose inode can take no more links.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from functools import partial

from mvenv.errors import LinkError
from mvenv.link.files import (
    copy_file,
    hard_link,
    reflink_file,
    replace_name,
    write_new,
)
from mvenv.link.modes import NEXT_MODE, LinkMode
from mvenv.values import NamedTuple, dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = [
    "TEMPORARY",
    "FileLink",
    "FolderLinks",
    "Linker",
    "Tally",
    "Unlinked",
]

TEMPORARY = ".mvenv-new~"
"""The name in which a file is made that replaces another; one process per folder."""


class FileLink(NamedTuple):
    """One file to bring from a folder of the store to one of the environment."""

    source: str
    """Name in the source folder."""
    target: str
    """Name in the target folder."""
    size: int
    mode: int
    """As in the store."""
    mtime_ns: int
    private: bool
    """Always copied: never a hard link, whatever the mode."""
    executable: bool
    """Of the file in the environment, where it is not a hard link."""
    sha256: str
    xxh3: str


class FolderLinks(NamedTuple):
    """Files that go from one folder to one folder."""

    source: str
    """Absolute path of the folder in the store."""
    target: str
    """Below the environment, "/" between; empty for the environment itself."""
    files: tuple[FileLink, ...]


class Unlinked(NamedTuple):
    """A file that was not linked."""

    folder: FolderLinks
    file: FileLink


@dataclass(slots=True)
class Tally:
    """What became of the files."""

    files: Counter[LinkMode] = field(default_factory=Counter)
    bytes: Counter[LinkMode] = field(default_factory=Counter)
    private: int = 0
    """Bytes of files that are private by rule, in whatever way they were made."""
    private_files: int = 0
    fallen_back: Counter[int] = field(default_factory=Counter)
    """Files for which a better mode failed, by errno."""
    mismatched: list[Unlinked] = field(default_factory=list)
    """Files in the store that are not what they must be."""
    full: list[Unlinked] = field(default_factory=list)
    """Files in the store whose inode takes no more links."""


class Linker:
    """Brings files from the store into one environment.

    ``modes`` are tried in their order for each file. ``replace`` makes every file
    under a temporary name and renames it over what is there.
    """

    def __init__(
        self,
        root: int,
        modes: Sequence[LinkMode],
        *,
        replace: bool = False,
        require_link: bool = False,
        owner: int | None = None,
    ) -> None:
        self._root = root
        self._modes = tuple(modes)
        self._replace = replace
        self._require_link = require_link
        self._owner = os.geteuid() if owner is None else owner
        self.tally = Tally()

    def link_all(self, folders: Iterable[FolderLinks]) -> None:
        """Link all files; `SystemFault` where the disk refuses."""
        for folder in folders:
            self.link_folder(folder)

    def link_folder(self, folder: FolderLinks) -> None:
        """Link the files of one folder, whose target folder is there."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        try:
            source = os.open(folder.source, flags)
        except (FileNotFoundError, NotADirectoryError):
            self.tally.mismatched += [Unlinked(folder, file) for file in folder.files]
            return
        try:
            target = os.open(folder.target or ".", flags, dir_fd=self._root)
            try:
                self._link_files(folder, source, target)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _link_files(self, folder: FolderLinks, source: int, target: int) -> None:
        tally = self.tally
        hard = self._modes[0] is LinkMode.HARDLINK
        # Looked up once: there are tens of thousands of files.
        look, link, owner, regular = os.stat, os.link, self._owner, stat.S_IFREG
        if self._replace:
            link = partial(self._replace_by_link, link)
        # Put down once a folder: an enum's hash costs as much as the check of a file.
        linked = linked_bytes = 0
        for file in folder.files:
            name, new, size, mode, mtime_ns, private, _, _, _ = file
            try:
                seen = look(name, dir_fd=source, follow_symlinks=False)
            except FileNotFoundError:
                tally.mismatched.append(Unlinked(folder, file))
                continue
            if (
                seen.st_mtime_ns != mtime_ns
                or seen.st_size != size
                or seen.st_mode != regular | mode
            ):
                tally.mismatched.append(Unlinked(folder, file))
            elif private:
                self._make_private(file, source, target)
                tally.private_files += 1
                tally.private += size
            elif hard and seen.st_uid == owner:
                try:
                    link(
                        name,
                        new,
                        src_dir_fd=source,
                        dst_dir_fd=target,
                        follow_symlinks=False,
                    )
                    linked += 1
                    linked_bytes += size
                except OSError as error:
                    self._link_otherwise(error, folder, file, source, target)
            else:
                self._link_somehow(folder, file, source, target, seen.st_uid)
        if linked:
            tally.files[LinkMode.HARDLINK] += linked
            tally.bytes[LinkMode.HARDLINK] += linked_bytes

    def _replace_by_link(
        self,
        link: Callable[..., None],
        name: str,
        new: str,
        *,
        src_dir_fd: int,
        dst_dir_fd: int,
        follow_symlinks: bool,
    ) -> None:
        self._clear_temporary(dst_dir_fd)
        link(
            name,
            TEMPORARY,
            src_dir_fd=src_dir_fd,
            dst_dir_fd=dst_dir_fd,
            follow_symlinks=follow_symlinks,
        )
        replace_name(TEMPORARY, new, dst_dir_fd)

    def _link_otherwise(
        self,
        error: OSError,
        folder: FolderLinks,
        file: FileLink,
        source: int,
        target: int,
    ) -> None:
        """Bring a file that could not be linked, in another mode if that helps."""
        if error.errno == errno.EMLINK:
            self.tally.full.append(Unlinked(folder, file))
            return
        if error.errno not in NEXT_MODE:
            raise error
        self.tally.fallen_back[error.errno or 0] += 1
        self._link_somehow(folder, file, source, target, None)

    def _link_somehow(
        self,
        folder: FolderLinks,
        file: FileLink,
        source: int,
        target: int,
        owner: int | None,
    ) -> None:
        """Try one mode after the other; ``owner`` `None`: hard links were tried."""
        for mode in self._modes:
            if mode is LinkMode.HARDLINK and owner != self._owner:
                continue
            if mode is LinkMode.COPY and self._require_link:
                continue
            try:
                self._make(mode, file, source, target)
            except OSError as error:
                if error.errno == errno.EMLINK:
                    self.tally.full.append(Unlinked(folder, file))
                    return
                if error.errno not in NEXT_MODE or mode is LinkMode.COPY:
                    raise
                self.tally.fallen_back[error.errno or 0] += 1
            else:
                self.tally.files[mode] += 1
                self.tally.bytes[mode] += file.size
                return
        raise LinkError(
            f"`{folder.target}/{file.target}` could only be copied, and links are"
            " required",
            hint="leave out `--require-link`, or choose a store on the same file"
            " system with `--store`",
        )

    def _make_private(self, file: FileLink, source: int, target: int) -> None:
        if file.size:
            self._make(LinkMode.COPY, file, source, target)
            return
        self._clear_temporary(target)
        new = TEMPORARY if self._replace else file.target
        bits = 0o755 if file.executable else 0o644
        write_new(b"", new, target, mode=bits, mtime_ns=file.mtime_ns)
        if self._replace:
            replace_name(new, file.target, target)

    def _make(self, mode: LinkMode, file: FileLink, source: int, target: int) -> None:
        new = TEMPORARY if self._replace else file.target
        self._clear_temporary(target)
        if mode is LinkMode.HARDLINK:
            hard_link(file.source, new, source, target)
        else:
            bits = 0o755 if file.executable else 0o644
            make = reflink_file if mode is LinkMode.REFLINK else copy_file
            make(file.source, new, source, target, mode=bits, mtime_ns=file.mtime_ns)
        if self._replace:
            replace_name(new, file.target, target)

    def _clear_temporary(self, target: int) -> None:
        if self._replace:
            # Only a run that was killed leaves one.
            try:
                os.unlink(TEMPORARY, dir_fd=target)
            except FileNotFoundError:
                pass
