"""Names of files that wheels may have: none that leads elsewhere, or falls together.

For archives of wheels, and for manifests that come from another machine.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from mvenv.errors import InvalidWheel

__all__ = ["bad_name", "check_names", "shown"]

MAX_COMPONENT = 255
"""Bytes of one name (``NAME_MAX`` of every common file system)."""
MAX_PATH = 1024
"""Bytes of a whole path: with the folder of an environment before it, it has to stay
below ``PATH_MAX`` (4096)."""
OWN_PREFIX = ".mvenv"
"""Names that mvenv keeps for its marks and temporary files."""

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
_SHOWN = 200


def shown(name: str) -> str:
    """Return a member's name as messages may show it: no control characters."""
    text = repr(name)[1:-1]
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def bad_name(name: str, reason: str) -> InvalidWheel:
    """Return the refusal of a wheel for its member ``name``."""
    return InvalidWheel(f"its member `{shown(name)}` {reason}", member=name)


def check_names(names: Iterable[str], files: Iterable[str]) -> None:
    """Refuse names that lead elsewhere or fall together on some file system.

    ``names`` are all that are listed, those of folders with a final slash; ``files``
    those of files. `InvalidWheel` names the one.
    """
    folders: dict[str, str] = {"": ""}
    for name in names:
        is_folder = name.endswith("/")
        folder, _, base = name.removesuffix("/").rpartition("/")
        if not folder and name.startswith("/"):
            raise bad_name(name, "is absolute")
        _fold_folder(folder, folders, name)
        _check_component(base, name)
        if is_folder:
            _fold_folder(name.removesuffix("/"), folders, name)
        if len(name) * 4 > MAX_PATH and len(_encoded(name)) > MAX_PATH:
            raise bad_name(name, f"is longer than {MAX_PATH} bytes")
        if name[1:2] == ":" and name[0].isalpha():
            raise bad_name(name, "begins with a drive letter")
    _check_collisions(files, folders)


def _fold_folder(folder: str, folders: dict[str, str], name: str) -> str:
    """Check a folder's path once, and return it as the laxest file system sees it."""
    known = folders.get(folder)
    if known is None:
        parent, _, base = folder.rpartition("/")
        if not parent and folder.startswith("/"):
            raise bad_name(name, "is absolute")
        prefix = _fold_folder(parent, folders, name)
        _check_component(base, name)
        known = folders[folder] = f"{prefix}{_fold(base)}/"
    return known


def _check_component(component: str, name: str) -> None:
    if not component or component == ".":
        raise bad_name(name, "has an empty part")
    if component == "..":
        raise bad_name(name, "leads out of its folder")
    if _UNSAFE.search(component):
        kind = "a backslash" if "\\" in component else "a control character"
        raise bad_name(name, f"has {kind} in its name")
    if len(component) * 4 > MAX_COMPONENT and len(_encoded(component)) > MAX_COMPONENT:
        raise bad_name(name, f"has a part longer than {MAX_COMPONENT} bytes")
    if component.startswith(OWN_PREFIX):
        raise bad_name(name, "has a name that mvenv keeps for itself")


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def _fold(component: str) -> str:
    """Return a key that is equal for names that some file system takes as one.

    Those that ignore case (NTFS, APFS, ext4's casefold) and those that normalise
    (HFS+, APFS).
    """
    if component.isascii():
        return component.lower()
    return unicodedata.normalize("NFD", component).casefold()


def _check_collisions(files: Iterable[str], folders: dict[str, str]) -> None:
    taken = {key.removesuffix("/"): folder for folder, key in folders.items()}
    seen: dict[str, str] = {}
    for name in files:
        folder, _, base = name.rpartition("/")
        key = folders[folder] + _fold(base)
        other = seen.get(key)
        if other == name:
            raise bad_name(name, "is there twice")
        if other is not None:
            raise bad_name(
                name,
                f"falls together with `{shown(other)}` where file names ignore case"
                " or are normalised",
            )
        seen[key] = name
        if key in taken:
            raise bad_name(name, f"is also a folder, `{shown(taken[key])}`")
