"""One file from one open folder to another, in each of the modes.

All functions make a new name and raise `FileExistsError` where it is taken; none
ever opens an existing file for writing, so nothing is written through a link.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from functools import partial

from mvenv.errors import SystemFault
from mvenv.link.modes import NEXT_MODE, LinkMode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mvenv.paths import StrPath

__all__ = [
    "copy_file",
    "hard_link",
    "reflink_file",
    "replace_name",
    "share_file",
    "write_new",
]

_FICLONE = 0x40049409
"""``ioctl_ficlone(2)``: ``_IOW(0x94, 9, int)``."""
_CLONE_NOFOLLOW = 0x0001
"""``clonefile(2)`` of macOS: never clone what a symbolic link points to."""
_CHUNK = 1 << 20


def hard_link(name: str, new: str, source: int, target: int) -> None:
    """Give the file ``name`` in ``source`` the further name ``new`` in ``target``."""
    os.link(name, new, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)


def write_new(
    content: bytes, new: str, target: int, *, mode: int, mtime_ns: int | None = None
) -> None:
    """Make the file ``new`` in the folder ``target``; on failure nothing is left."""
    descriptor = _make(new, target)
    try:
        _write_all(descriptor, content)
        _finish(descriptor, mode, mtime_ns)
    except BaseException:
        _discard(descriptor, new, target)
        raise
    os.close(descriptor)


def copy_file(
    name: str, new: str, source: int, target: int, *, mode: int, mtime_ns: int
) -> None:
    """Copy a file, with ``mode`` and ``mtime_ns`` (`shutil` would lose either)."""
    _derive(
        name,
        new,
        source,
        target,
        mode=mode,
        mtime_ns=mtime_ns,
        transfer=_transfer_bytes,
    )


def reflink_file(
    name: str, new: str, source: int, target: int, *, mode: int, mtime_ns: int
) -> None:
    """Make a private copy that shares its blocks; `OSError` where there is no way.

    A reflink keeps neither mode nor mtime on Linux, so both are set.
    """
    if sys.platform == "darwin":
        _clone_darwin(name, new, source, target, mode=mode, mtime_ns=mtime_ns)
    elif sys.platform == "linux":
        _derive(
            name,
            new,
            source,
            target,
            mode=mode,
            mtime_ns=mtime_ns,
            transfer=_transfer_blocks,
        )
    else:
        _clone_extra(name, new, source, target, mode=mode, mtime_ns=mtime_ns)


def share_file(
    kept: StrPath, new: StrPath, modes: Sequence[LinkMode], content: bytes | None = None
) -> None:
    """Give one file of our own the further name ``new``, in the best way that works.

    ``content`` is what it holds, for where only writing is left; it is read where it is
    not given. What has the name already is replaced by a rename.
    """
    kept_in, kept_name = os.path.split(kept)
    new_in, new_name = os.path.split(new)
    source = os.open(kept_in, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        target = os.open(new_in, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            temporary = f".{new_name}.{os.getpid()}.0"
            _share(kept_name, temporary, source, target, modes=modes, content=content)
            replace_name(temporary, new_name, target)
        finally:
            os.close(target)
    finally:
        os.close(source)


_ELSEWHERE = frozenset({errno.EMLINK, errno.ENOENT})
"""Of a file of our own: it takes no more names; or another process gave the name to a
file of the same content, in that very moment (`link` finds one without names)."""


def _share(
    name: str,
    new: str,
    source: int,
    target: int,
    *,
    modes: Sequence[LinkMode],
    content: bytes | None,
) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new, dir_fd=target)
    for mode in modes:
        try:
            if mode is LinkMode.HARDLINK:
                hard_link(name, new, source, target)
            elif mode is LinkMode.REFLINK:
                stamp = os.stat(name, dir_fd=source).st_mtime_ns
                reflink_file(name, new, source, target, mode=0o644, mtime_ns=stamp)
            else:
                break
        except OSError as error:
            if error.errno not in NEXT_MODE and error.errno not in _ELSEWHERE:
                raise
        else:
            return
    if content is None:
        with open(name, "rb", opener=partial(os.open, dir_fd=source)) as stream:
            content = stream.read()
    write_new(content, new, target, mode=0o644)


def replace_name(new: str, old: str, folder: int) -> None:
    """Rename ``new`` over ``old`` in one folder.

    A rename between two names of one inode does nothing and leaves both
    (``rename(2)``), so the first is removed after it.
    """
    try:
        os.rename(new, old, src_dir_fd=folder, dst_dir_fd=folder)
    except IsADirectoryError as error:
        raise SystemFault(f"a folder stands where the file `{old}` belongs") from error
    try:
        os.unlink(new, dir_fd=folder)
    except FileNotFoundError:
        pass


def _derive(
    name: str,
    new: str,
    source: int,
    target: int,
    *,
    mode: int,
    mtime_ns: int,
    transfer: Callable[[int, int], None],
) -> None:
    """Make ``new`` from ``name`` by ``transfer``; on failure nothing is left."""
    origin = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
    try:
        descriptor = _make(new, target)
        try:
            transfer(origin, descriptor)
            _finish(descriptor, mode, mtime_ns)
        except BaseException:
            _discard(descriptor, new, target)
            raise
        os.close(descriptor)
    finally:
        os.close(origin)


def _transfer_bytes(origin: int, descriptor: int) -> None:
    while chunk := os.read(origin, _CHUNK):
        _write_all(descriptor, chunk)


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _transfer_blocks(origin: int, descriptor: int) -> None:
    import fcntl

    fcntl.ioctl(descriptor, _FICLONE, origin)


def _clone_darwin(
    name: str, new: str, source: int, target: int, *, mode: int, mtime_ns: int
) -> None:
    import ctypes

    clone = ctypes.CDLL(None, use_errno=True).clonefileat
    if clone(source, os.fsencode(name), target, os.fsencode(new), _CLONE_NOFOLLOW):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), new)
    # A clone keeps the seal; a private copy is an ordinary file.
    os.chmod(new, mode, dir_fd=target)
    os.utime(new, ns=(mtime_ns, mtime_ns), dir_fd=target)


def _clone_extra(
    name: str, new: str, source: int, target: int, *, mode: int, mtime_ns: int
) -> None:
    try:
        import reflink
    except ImportError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), new) from None
    # That library deletes an existing destination when a clone fails: it is only
    # ever given a name that we have just seen to be free.
    if os.access(new, os.F_OK, dir_fd=target, follow_symlinks=False):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
    try:
        reflink.reflink(f"/dev/fd/{source}/{name}", f"/dev/fd/{target}/{new}")
    except (reflink.ReflinkImpossibleError, NotImplementedError) as error:
        raise OSError(errno.EOPNOTSUPP, str(error), new) from error
    os.chmod(new, mode, dir_fd=target)
    os.utime(new, ns=(mtime_ns, mtime_ns), dir_fd=target)


def _make(new: str, target: int) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(new, flags, 0o600, dir_fd=target)


def _finish(descriptor: int, mode: int, mtime_ns: int | None) -> None:
    os.fchmod(descriptor, mode)
    if mtime_ns is not None:
        os.utime(descriptor, ns=(mtime_ns, mtime_ns))


def _discard(descriptor: int, new: str, target: int) -> None:
    os.close(descriptor)
    os.unlink(new, dir_fd=target)
