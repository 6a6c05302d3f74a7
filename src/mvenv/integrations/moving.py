"""Take a distribution out of an environment, and move finished files into it."""

from __future__ import annotations

import contextlib
import os
import stat

from mvenv.env.compiled import CACHE
from mvenv.env.receipt import FOLDER
from mvenv.names import project_of
from mvenv.paths import parent_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["move_in", "remove_installed"]

_METADATA = ".dist-info"


def move_in(folder: str, environment: str) -> None:
    """Rename what is in ``folder`` to the same places in ``environment``.

    A whole tree at once where nothing is in its place, else file by file; the metadata
    first, so that whoever finds half of it can take it out. `OSError` where that fails.
    """
    for name in sorted(os.listdir(folder), key=_metadata_first):
        # What `fill` keeps for a receipt, and seeds have none.
        if name != FOLDER:
            _move(f"{folder}/{name}", f"{environment}/{name}")


def _move(new: str, place: str) -> None:
    if stat.S_ISDIR(os.lstat(new).st_mode):
        # A link to a folder, like `lib64`, is as good as one.
        if os.path.isdir(place):
            for name in sorted(os.listdir(new), key=_metadata_first):
                _move(f"{new}/{name}", f"{place}/{name}")
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place)
    os.rename(new, place)


def _metadata_first(name: str) -> tuple[bool, str]:
    return not name.endswith(_METADATA), name


def remove_installed(environment: str, site: str, names: Collection[str]) -> None:
    """Delete distributions from ``site``, as RECORD has them; ``names`` are normalised.

    Nothing outside of the environment, wherever a RECORD points. Where no distribution
    is, nothing is imported and nothing read but the one folder.
    """
    try:
        present = [name for name in os.listdir(site) if name.endswith(_METADATA)]
    except FileNotFoundError:
        return
    for name in present:
        if project_of(name) in names:
            _remove(environment, site, f"{site}/{name}")


def _remove(environment: str, site: str, metadata: str) -> None:
    root = f"{os.path.realpath(environment)}/"
    folders: set[str] = set()
    for path in _recorded(site, f"{metadata}/RECORD"):
        folder = os.path.realpath(parent_of(path))
        if not f"{folder}/".startswith(root):
            continue
        # The list itself is the last to go: until then a second try knows what to do.
        if not path.endswith(f"{_METADATA}/RECORD"):
            _unlink(f"{folder}/{os.path.basename(path)}")
            folders.add(folder)
    for folder in folders:
        _remove_orphans(folder)
    import shutil

    shutil.rmtree(metadata)
    for folder in sorted(folders, key=len, reverse=True):
        _remove_empty(folder, os.path.realpath(site))


def _recorded(site: str, record: str) -> Iterator[str]:
    import csv

    try:
        with open(record, encoding="utf-8", newline="") as stream:
            rows = [row[0] for row in csv.reader(stream) if row and row[0]]
    except FileNotFoundError:
        return
    for path in rows:
        yield os.path.normpath(os.path.join(site, path))


def _unlink(path: str) -> None:
    # RECORDs of virtualenv list folders, too.
    with contextlib.suppress(FileNotFoundError, IsADirectoryError, PermissionError):
        os.unlink(path)


def _remove_orphans(folder: str) -> None:
    """Delete bytecode whose sources are gone; Python wrote it, and no RECORD knows."""
    cache = f"{folder}/{CACHE}"
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir(cache):
            source = f"{folder}/{name.partition('.')[0]}.py"
            if name.endswith(".pyc") and not os.path.lexists(source):
                _unlink(f"{cache}/{name}")
        with contextlib.suppress(OSError):
            os.rmdir(cache)


def _remove_empty(folder: str, site: str) -> None:
    """Delete a folder, and those above it, as long as they are empty."""
    while f"{folder}/".startswith(f"{site}/") and folder != site:
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            pass
        except OSError:
            return
        folder = parent_of(folder)
