"""What would be lost with an environment that is replaced, or mixed up with it."""

from __future__ import annotations

import os

from mvenv.env.state import EnvironmentState, Standing, mount_points
from mvenv.errors import EnvironmentExists, EnvironmentFault, SystemFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mvenv.paths import StrPath

__all__ = ["check_apart", "check_disposable", "empty_folder"]

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


def empty_folder(
    state: EnvironmentState, needed: Iterable[tuple[str, StrPath]]
) -> None:
    """Delete what is in a folder that is no environment, as ``venv --clear`` does.

    `EnvironmentExists` where that is somebody's work, or ``needed``, as above;
    `SystemFault` where something cannot be deleted.
    """
    import shutil

    _check_disposable(state, needed)
    try:
        for name in os.listdir(state.place_text):
            path = os.path.join(state.place_text, name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
    except OSError as error:
        raise SystemFault.from_os_error(
            error, "the folder cannot be emptied"
        ) from error


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
