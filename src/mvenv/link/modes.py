"""The ways one file can come to stand in two places."""

from __future__ import annotations

import enum
import errno

from mvenv.values import dataclass

__all__ = ["NEXT_MODE", "LinkChoice", "LinkMode", "LinkPolicy", "PassedOver"]

NEXT_MODE = frozenset(
    {
        errno.EXDEV,
        errno.EOPNOTSUPP,
        errno.ENOTSUP,
        errno.ENOTTY,
        errno.EINVAL,
        errno.ENOSYS,
        errno.EPERM,
        errno.EACCES,
        errno.ETXTBSY,
    }
)
"""What says "not in this way, for this file": the next mode may do.

Anything else (a full disk, an I/O error) stops the work. `errno.EMLINK` is neither:
the store gives that file a fresh inode.
"""


class LinkMode(enum.StrEnum):
    """How a file was brought from the store."""

    REFLINK = "reflink"
    """A private copy that shares its blocks until it is written to."""
    HARDLINK = "hardlink"
    """The store's own file under a second name."""
    COPY = "copy"


class LinkPolicy(enum.StrEnum):
    """What the user asks for."""

    AUTO = "auto"
    """Reflink where the file system has it, else hard link, else copy."""
    REFLINK = "reflink"
    HARDLINK = "hardlink"
    COPY = "copy"

    @property
    def modes(self) -> tuple[LinkMode, ...]:
        """Return the modes to try, best first; copying is what is always left."""
        if self is LinkPolicy.AUTO:
            return (LinkMode.REFLINK, LinkMode.HARDLINK, LinkMode.COPY)
        if self is LinkPolicy.COPY:
            return (LinkMode.COPY,)
        return (LinkMode(self.value), LinkMode.COPY)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    """A mode that could not be used, and why."""

    mode: LinkMode
    reason: str
    """In words, like ``the file system has no reflinks``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChoice:
    """The modes that work between two folders, best first."""

    modes: tuple[LinkMode, ...]
    passed_over: tuple[PassedOver, ...]
    """Better modes that were tried and refused."""

    @property
    def best(self) -> LinkMode:
        """Return the mode to begin with."""
        return self.modes[0]
