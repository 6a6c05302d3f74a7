"""Which environments are meant, and which store is behind each."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from mvenv.doctor.model import DoctorRequest, Unchecked
from mvenv.env.receipt import FOLDER, read_receipt
from mvenv.env.state import Standing, observe
from mvenv.errors import MvenvError, UsageError
from mvenv.store.layout import StoreLayout
from mvenv.store.registry import find_root, roots

__all__ = ["Chosen", "choose", "is_gone"]

_PASSED_OVER = frozenset({".git", ".hg", "node_modules", "__pycache__", FOLDER})
_CONFIGURATION = "pyvenv.cfg"


class Chosen:
    """The environments of each store, in the order they were named."""

    def __init__(self) -> None:
        self.by_store: dict[Path, list[Path]] = {}
        self.unchecked: list[Unchecked] = []

    def add(self, store: Path, folder: Path) -> None:
        """Put an environment with its store, once."""
        folders = self.by_store.setdefault(store, [])
        if folder not in folders:
            folders.append(folder)


def choose(request: DoctorRequest) -> Chosen:
    """Return what to look at.

    `UsageError` where no environment is named, none is active and none is near, and
    the store was not asked for.
    """
    chosen = Chosen()
    for folder in _named(request):
        place = _place(folder, chosen)
        if place is not None:
            chosen.add(_store_of(place, request), place)
    if request.every or request.whole_store:
        chosen.by_store.setdefault(request.store, [])
    if request.every:
        _add_registered(request, chosen)
    return chosen


def _named(request: DoctorRequest) -> Iterator[Path]:
    if request.folders:
        for folder in request.folders:
            below = list(_below(folder)) if request.every else []
            yield from below or [folder]
        return
    if request.active is not None:
        yield request.active
        return
    for folder in (request.start, *request.start.parents):
        for place in (folder / ".venv", folder):
            if _seems_one(place):
                yield place
                return
    if not (request.every or request.whole_store):
        raise UsageError(
            f"there is no environment in `{request.start}` or above",
            hint="name one, or `--all` for those on record, or `--whole-store`",
        )


def _seems_one(folder: Path) -> bool:
    """Return whether a folder is an environment; one that is shut may be one."""
    try:
        return stat.S_ISREG(os.stat(folder / _CONFIGURATION).st_mode)
    except PermissionError:
        # Not so where it is the folder above that cannot be searched.
        return os.path.isdir(folder)
    except OSError:
        return False


def _below(folder: Path) -> Iterator[Path]:
    """Yield the environments of ours in a folder that is none itself."""
    for base, names, files in os.walk(folder):
        if FOLDER in names and (_CONFIGURATION in files or Path(base) == folder):
            yield Path(base)
            names.clear()
        elif _CONFIGURATION in files:
            names.clear()
        names[:] = sorted(set(names) - _PASSED_OVER)


def _place(folder: Path, chosen: Chosen) -> Path | None:
    """Return where an environment really is, or put down that nothing is there."""
    try:
        state = observe(folder)
    except MvenvError as error:
        chosen.unchecked.append(Unchecked(folder, error.message))
        return None
    if state.standing is Standing.ABSENT:
        chosen.unchecked.append(Unchecked(folder, "there is nothing"))
        return None
    return Path(os.path.realpath(state.place))


def _store_of(place: Path, request: DoctorRequest) -> Path:
    """Return the store behind an environment: the one asked for, else its own.

    What a receipt says is believed only of the very folder that it was written for.
    """
    receipt = read_receipt(place)
    if request.store_chosen or receipt is None:
        return request.store
    with contextlib.suppress(OSError):
        seen = place.stat()
        if receipt.identity == (seen.st_dev, seen.st_ino):
            known = find_root(StoreLayout(request.store), receipt.id)
            # Store and environment move together where a home folder is renamed.
            if known is None or os.path.isdir(receipt.store):
                return Path(receipt.store)
    return request.store


def _add_registered(request: DoctorRequest, chosen: Chosen) -> None:
    """Add what is on record and not known to be gone."""
    try:
        registered = roots(StoreLayout(request.store))
    except OSError:
        return
    for root in registered:
        place = Path(os.path.realpath(root.path))
        if not is_gone(place):
            chosen.add(request.store, place)


def is_gone(place: Path) -> bool:
    """Return whether an environment is certainly not there.

    What cannot be read may be there; so may what is on a disk that is not mounted.
    """
    try:
        place.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
