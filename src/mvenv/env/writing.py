"""Private files, folders and links, written below one open folder."""

from __future__ import annotations

import os
import stat

from mvenv.env.bare import BareEnvironment
from mvenv.env.receipt import Generated
from mvenv.errors import SystemFault
from mvenv.hashes import digest_bytes
from mvenv.link.files import replace_name, write_new
from mvenv.values import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mvenv.paths import StrPath

__all__ = ["Writer", "fill_bare"]

_NEW = ".mvenv-file~"
"""The name in which a file is made that replaces another."""


def fill_bare(bare: BareEnvironment, folder: StrPath) -> None:
    """Make a bare environment in an empty folder; `SystemFault` where that fails."""
    try:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            writer = Writer(root=root, replaces=False)
            writer.make_folders(bare.folders)
            writer.write_bare(bare)
        finally:
            os.close(root)
    except OSError as error:
        raise SystemFault.from_os_error(error, "cannot make an environment") from error


@dataclass(slots=True)
class Writer:
    """An open folder that is being filled."""

    root: int
    """Descriptor of the folder."""
    replaces: bool
    """Make each file beside its name and rename it over what is there."""
    written: list[Generated] = field(default_factory=list)
    """What was written, as it was left."""

    def make_folders(self, folders: Iterable[str]) -> None:
        """Make folders, parents first; those that are there stay."""
        for folder in dict.fromkeys(folders):
            try:
                os.mkdir(folder, 0o755, dir_fd=self.root)
            except FileExistsError:
                self._give_way(folder)

    def _give_way(self, folder: str) -> None:
        """Replace what stands where a folder belongs; only ever when clearing."""
        seen = os.stat(folder, dir_fd=self.root, follow_symlinks=False)
        if not stat.S_ISDIR(seen.st_mode):
            os.unlink(folder, dir_fd=self.root)
            os.mkdir(folder, 0o755, dir_fd=self.root)

    def write_bare(self, bare: BareEnvironment) -> None:
        """Write the links and files of a bare environment."""
        for link, points_to in bare.symlinks:
            self._symlink(link, points_to)
        for path, content, mode in bare.files:
            self.write(path, content, executable=bool(mode & 0o100))

    def _symlink(self, link: str, points_to: str) -> None:
        new = _NEW if self.replaces else link
        if self.replaces:
            self._forget(new)
        os.symlink(points_to, new, dir_fd=self.root)
        if self.replaces:
            replace_name(new, link, self.root)

    def write(self, path: str, content: bytes, *, executable: bool) -> str:
        """Write a private file and return its sha256."""
        mode = 0o755 if executable else 0o644
        new = _NEW if self.replaces else path
        if self.replaces:
            self._forget(new)
        write_new(content, new, self.root, mode=mode)
        if self.replaces:
            replace_name(new, path, self.root)
        digest = digest_bytes(content).sha256
        left = os.stat(path, dir_fd=self.root, follow_symlinks=False)
        self.written.append(
            Generated(path, digest, len(content), mode, left.st_mtime_ns)
        )
        return digest

    def _forget(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self.root)
        except FileNotFoundError:
            pass
