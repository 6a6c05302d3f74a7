"""What stands where an environment is to be, before anything is touched."""

from __future__ import annotations

import enum
import os
import stat

from mvenv.env.receipt import BUILDING, FOLDER, Receipt, read_receipt
from mvenv.errors import EnvironmentExists, EnvironmentFault, SystemFault
from mvenv.paths import read_bytes
from mvenv.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from mvenv.paths import StrPath

__all__ = ["EnvironmentState", "Standing", "is_mount_point", "mount_points", "observe"]

_MARK = BUILDING.rpartition("/")[2]
_REDIRECTING = ".venv"
"""The only name of a file that leads to an environment (PEP 832)."""
_REDIRECT_LIMIT = 4096
"""Bytes of a redirect file: one path."""


class Standing(enum.Enum):
    """What is there."""

    ABSENT = "nothing"
    EMPTY = "an empty folder"
    HALF_BUILT = "an environment that was never finished"
    ENVIRONMENT = "a virtual environment"
    FOREIGN = "a folder that is not a virtual environment"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentState:
    """The folder of an environment, observed."""

    path_text: str
    """Absolute, as given: what is written into the environment's files."""
    place_text: str
    """Where the folder really is: ``path``, or what it links to."""
    standing: Standing
    mount_point: bool
    """It cannot be renamed or replaced, only filled."""
    receipt: Receipt | None
    redirected: bool
    """``path`` was a file that names this folder (PEP 832)."""
    identity: tuple[int, int] | None
    """Device and inode of what was seen: a name can mean another folder later."""
    kept: tuple[str, ...] = ()
    """Names at the top of the folder that are somebody else's, and stay."""

    def is_anothers(self) -> bool:
        """Return whether another tool made the environment that is there."""
        return self.standing is Standing.ENVIRONMENT and self.receipt is None

    @property
    def path(self) -> Path:
        """Return ``path_text`` for those who need more than text."""
        from pathlib import Path

        return Path(self.path_text)

    @property
    def place(self) -> Path:
        """Return ``place_text`` for those who need more than text."""
        from pathlib import Path

        return Path(self.place_text)


def observe(folder: StrPath, *, keep: tuple[str, ...] = ()) -> EnvironmentState:
    """Look at ``folder`` and return what is there; touches nothing.

    ``keep`` are names that another program has in it, as tox has: they count for
    nothing. `EnvironmentExists` where a file is in the way, `SystemFault` where the
    folder cannot be read.
    """
    path = os.path.abspath(folder)
    try:
        named = os.path.basename(path) == _REDIRECTING
        redirected = named and os.path.isfile(path)
        if redirected:
            path = _follow_redirect(path)
        return _observe(path, redirected=redirected, keep=keep)
    except OSError as error:
        raise SystemFault.from_os_error(error, "cannot look at the folder") from error


def _observe(path: str, *, redirected: bool, keep: tuple[str, ...]) -> EnvironmentState:
    place = os.path.realpath(path) if os.path.islink(path) else path
    identity = None
    kept: tuple[str, ...] = ()
    try:
        seen = os.lstat(place)
    except FileNotFoundError:
        standing = Standing.ABSENT
    except NotADirectoryError:
        raise EnvironmentFault(
            f"`{path}` cannot be made: a file stands where one of its parents belongs",
            hint="choose another folder",
        ) from None
    else:
        if not stat.S_ISDIR(seen.st_mode):
            raise EnvironmentExists(
                f"`{path}` is not a folder", hint="move it away, or choose another name"
            )
        identity = (seen.st_dev, seen.st_ino)
        names = os.listdir(place)
        kept = tuple(name for name in keep if name in names)
        standing = _standing(place, names, kept)
    return EnvironmentState(
        path_text=path,
        place_text=place,
        standing=standing,
        mount_point=standing is not Standing.ABSENT and is_mount_point(place),
        receipt=read_receipt(place) if standing is Standing.ENVIRONMENT else None,
        redirected=redirected,
        identity=identity,
        kept=kept,
    )


def _standing(place: str, present: list[str], kept: tuple[str, ...]) -> Standing:
    # A new ext4 file system comes with lost+found.
    names = set(present) - {"lost+found", *kept}
    if not names:
        return Standing.EMPTY
    if names == {FOLDER} and set(os.listdir(os.path.join(place, FOLDER))) <= {_MARK}:
        # Killed between the folder, the mark in it, and what the mark says.
        return Standing.HALF_BUILT
    if _is_begun(place):
        return Standing.HALF_BUILT
    if "pyvenv.cfg" in names:
        return Standing.ENVIRONMENT
    return Standing.FOREIGN


def _is_begun(place: str) -> bool:
    """Return whether a mark says what is being made; nothing is before it does."""
    try:
        return os.lstat(os.path.join(place, BUILDING)).st_size > 0
    except (FileNotFoundError, NotADirectoryError):
        return False


def _follow_redirect(path: str) -> str:
    """Return the folder that a redirect file names (PEP 832)."""
    content = read_bytes(path)[: _REDIRECT_LIMIT + 1]
    line = content.rstrip(b"\r\n")
    if not line or len(content) > _REDIRECT_LIMIT or b"\n" in line or b"\0" in line:
        raise EnvironmentExists(
            f"`{path}` is a file, and not one that names a folder (PEP 832)",
            hint="move it away, or choose another name",
        )
    return os.path.abspath(os.path.join(os.path.dirname(path), os.fsdecode(line)))


def is_mount_point(folder: StrPath) -> bool:
    """Return whether something is mounted on ``folder``, bind mounts included.

    `os.path.ismount` compares device numbers, which are equal across a bind mount.
    """
    points = mount_points()
    if not points:
        return os.path.ismount(folder)
    return os.fsencode(os.path.realpath(folder)) in points


def mount_points() -> frozenset[bytes]:
    """Return where file systems are mounted; none where the system does not say."""
    try:
        with open("/proc/self/mountinfo", "rb") as stream:
            return frozenset(_mounted_on(line) for line in stream.read().splitlines())
    except OSError:
        return frozenset()


def _mounted_on(line: bytes) -> bytes:
    # proc(5): space, tab, newline and backslash stand as octal escapes.
    return line.split(b" ", 5)[4].decode("unicode_escape").encode("latin-1")
