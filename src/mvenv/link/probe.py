"""Which modes work between two folders: found out by really doing it.

Equal device numbers prove nothing (bind mounts, overlay layers, project quotas) and
different ones may still reflink (btrfs subvolumes).
"""

from __future__ import annotations

import contextlib
import errno
import os

from mvenv.link.files import copy_file, hard_link, reflink_file, write_new
from mvenv.link.modes import NEXT_MODE, LinkChoice, LinkMode, LinkPolicy, PassedOver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mvenv.paths import StrPath

__all__ = ["PROBE", "probe", "sweep_probes"]

PROBE = ".mvenv-probe-"
"""How the names begin that a probe makes; only one that was killed leaves them."""

_SIZE = 8192
"""Bytes: above what file systems keep inside an inode, where a clone says nothing."""


def probe(
    source: StrPath,
    target: StrPath,
    policy: LinkPolicy = LinkPolicy.AUTO,
    *,
    same_owner: bool = True,
) -> LinkChoice:
    """Return the modes of ``policy`` that work from ``source`` to ``target``.

    Both folders must be writable; nothing is left in them. ``same_owner`` says that
    the files belong to who makes the environment: hard links across owners are
    refused, since the owner could rewrite the other's code. `OSError` where the disk
    itself refuses, and where not even copying works: private files need that always.
    """
    name = f"{PROBE}{os.urandom(6).hex()}"
    origin = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        destination = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            write_new(os.urandom(_SIZE), name, origin, mode=0o444, mtime_ns=0)
            try:
                return _try_modes(
                    name, origin, destination, policy, same_owner=same_owner
                )
            finally:
                os.unlink(name, dir_fd=origin)
        finally:
            os.close(destination)
    finally:
        os.close(origin)


def sweep_probes(folder: StrPath) -> None:
    """Delete what killed probes left in ``folder``, which nobody else may probe now."""
    for name in os.listdir(folder):
        if name.startswith(PROBE):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name))


def _try_modes(
    name: str, origin: int, destination: int, policy: LinkPolicy, *, same_owner: bool
) -> LinkChoice:
    works: list[LinkMode] = []
    passed_over: list[PassedOver] = []
    for mode in policy.modes:
        if mode is LinkMode.HARDLINK and not same_owner:
            reason = "the store belongs to another user"
        elif works and mode is not LinkMode.COPY:
            # A better mode is there already; this one serves single files for which
            # that fails, and is judged by what happens then.
            works.append(mode)
            continue
        else:
            reason = _try_mode(mode, name, origin, destination)
        if reason:
            passed_over.append(PassedOver(mode=mode, reason=reason))
        else:
            works.append(mode)
    return LinkChoice(modes=tuple(works), passed_over=tuple(passed_over))


def _try_mode(mode: LinkMode, name: str, origin: int, destination: int) -> str:
    """Return why the mode does not work; empty when it does."""
    new = name + "-new"
    try:
        if mode is LinkMode.REFLINK:
            reflink_file(name, new, origin, destination, mode=0o644, mtime_ns=0)
        elif mode is LinkMode.HARDLINK:
            hard_link(name, new, origin, destination)
        else:
            copy_file(name, new, origin, destination, mode=0o644, mtime_ns=0)
    except OSError as error:
        if mode is LinkMode.COPY or error.errno not in NEXT_MODE:
            raise
        return _words(mode, error)
    try:
        # Some network file systems answer link() with a symbolic link.
        made = os.stat(new, dir_fd=destination, follow_symlinks=False)
        asked = os.stat(name, dir_fd=origin, follow_symlinks=False)
        if mode is LinkMode.HARDLINK and made.st_ino != asked.st_ino:
            return "the file system answers with something else than a hard link"
    finally:
        os.unlink(new, dir_fd=destination)
    return ""


def _words(mode: LinkMode, error: OSError) -> str:
    if error.errno == errno.EXDEV:
        return "the store is on another file system or mount"
    if mode is LinkMode.REFLINK and error.errno in {
        errno.EOPNOTSUPP,
        errno.ENOTTY,
        errno.ENOSYS,
    }:
        return "the file system has no reflinks"
    if mode is LinkMode.HARDLINK and error.errno in {errno.EPERM, errno.EOPNOTSUPP}:
        return "the file system refuses hard links"
    return (error.strerror or str(error)).lower()
