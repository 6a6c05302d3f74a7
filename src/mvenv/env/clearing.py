"""What would be lost with an environment that is replaced, or mixed up with it."""

from __future__ import annotations

import contextlib
import errno
import os

from mvenv.env.state import EnvironmentState, Standing, mount_points
from mvenv.errors import (
    EnvironmentExists,
    EnvironmentFault,
    MvenvError,
    SystemFault,
)
from mvenv.paths import parent_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mvenv.paths import StrPath

__all__ = ["check_apart", "check_disposable", "emptied"]

_SOURCES = (
    ".git",
    ".hg",
    ".svn",
    ".jj",
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "poetry.lock",
    "pylock.toml",
)
"""What somebody's own work has at its top, and no environment: ``python -m venv .``
makes a project's folder one."""
_CHECKOUTS = "src"
"""Where ``pip install -e git+…`` puts repositories, in which people work."""
_SHOWN = 3
_CLEARED = ".mvenv-cleared-"
"""How a folder begins, beside another one, that has what was in that."""
_NO_ROOM = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def check_apart(state: EnvironmentState, store: StrPath) -> None:
    """Raise `EnvironmentFault` where environment and store would be one in the other.

    Whoever deletes the outer one would delete the inner one too.
    """
    place, root = os.path.realpath(state.place_text), os.path.realpath(store)
    if _is_within(root, place) or _is_within(place, root):
        raise EnvironmentFault(
            f"the environment `{state.path_text}` and the store `{store}` would be one"
            " inside the other",
            hint="choose another folder for the environment, or another store with"
            " `--store`",
        )


def check_disposable(
    state: EnvironmentState, needed: Iterable[tuple[str, StrPath]]
) -> None:
    """Raise `EnvironmentExists` where an environment that is there has more in it.

    ``needed`` is what the run itself uses: what it is, and where. A folder with
    somebody's own work in it, or with something mounted inside, is not replaced either.
    """
    if state.standing in {Standing.ENVIRONMENT, Standing.HALF_BUILT}:
        _check_disposable(state, needed)


@contextlib.contextmanager
def emptied(
    state: EnvironmentState, needed: Iterable[tuple[str, StrPath]]
) -> Iterator[None]:
    """Empty a folder that is no environment, as ``venv --clear`` does.

    What was in it is deleted in the end, and put back where what is done meanwhile
    fails; a run that is killed leaves it beside, and nobody sweeps that. Where there is
    no room beside (a mount point, a parent that cannot be written to) it is deleted
    first. `EnvironmentExists` where that is somebody's work, or ``needed``, as above;
    `SystemFault` where it cannot be moved or deleted.
    """
    _check_disposable(state, needed)
    place = state.place_text
    aside = _put_aside(place)
    try:
        yield
    except BaseException as error:
        if aside is not None:
            _put_back(aside, place, error)
        raise
    if aside is not None:
        import shutil

        shutil.rmtree(aside, ignore_errors=True)


def _put_aside(place: str) -> str | None:
    """Move all that is in a folder beside it, or delete it where that cannot be."""
    import tempfile

    try:
        aside = tempfile.mkdtemp(prefix=_CLEARED, dir=parent_of(place))
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise _unmoved(error) from error
        _delete_all(place)
        return None
    try:
        _move_all(place, aside)
    except BaseException as error:
        _move_all(aside, place)
        os.rmdir(aside)
        if not isinstance(error, OSError):
            raise
        if error.errno != errno.EXDEV:
            raise _unmoved(error) from error
        _delete_all(place)
        return None
    return aside


def _put_back(aside: str, place: str, error: BaseException) -> None:
    """Bring back what was moved, but into no environment that was made meanwhile."""
    with contextlib.suppress(OSError):
        os.makedirs(place, exist_ok=True)
        if not os.listdir(place):
            _move_all(aside, place)
            os.rmdir(aside)
            return
    told = f"what was in `{place}` is in `{aside}`"
    if isinstance(error, MvenvError):
        error.kept = told
    else:
        error.add_note(told)


def _move_all(folder: str, other: str) -> None:
    for name in os.listdir(folder):
        os.rename(os.path.join(folder, name), os.path.join(other, name))


def _delete_all(folder: str) -> None:
    import shutil

    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    os.unlink(entry.path)
    except OSError as error:
        raise _unmoved(error) from error


def _unmoved(error: OSError) -> SystemFault:
    return SystemFault.from_os_error(error, "the folder cannot be emptied")


def _check_disposable(
    state: EnvironmentState, needed: Iterable[tuple[str, StrPath]]
) -> None:
    place = os.path.realpath(state.place_text)
    found: dict[str, str] = {}
    for what, path in needed:
        real = os.path.realpath(path)
        if _is_within(real, place) or _is_within(os.fspath(path), place):
            found.setdefault(real, f"{what} (`{path}`)")
    for name in _own_work(place):
        found.setdefault(os.path.join(place, name), f"`{name}`")
    inside = os.path.join(os.fsencode(place), b"")
    for point in sorted(mount_points()):
        if point.startswith(inside):
            name = os.fsdecode(point)
            found.setdefault(name, f"what is mounted on `{name}`")
    if found:
        named = list(found.values())
        more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
        what = "a folder with more in it than an environment"
        if state.standing is not Standing.FOREIGN:
            what = "a virtual environment with more in it than that"
        raise EnvironmentExists(
            f"`{state.path_text}` is {what}: {', '.join(named[:_SHOWN])}{more}."
            " Replacing it would delete this",
            hint="choose another folder for the environment, or move this out of it",
        )


def _own_work(place: str) -> Iterator[str]:
    for name in _SOURCES:
        if os.path.lexists(os.path.join(place, name)):
            yield name
    checkouts = os.path.join(place, _CHECKOUTS)
    for name in sorted(os.listdir(checkouts)) if os.path.isdir(checkouts) else ():
        if os.path.lexists(os.path.join(checkouts, name, ".git")):
            yield f"{_CHECKOUTS}/{name}"


def _is_within(path: str, folder: str) -> bool:
    return os.path.join(path, "").startswith(os.path.join(folder, ""))
