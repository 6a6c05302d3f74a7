"""What is in an environment: to be sure that all contestants made the same."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["distributions", "installed_files"]

_OWN = {
    "RECORD",
    "INSTALLER",
    "REQUESTED",
    "direct_url.json",
    "refer_to",
    "uv_cache.json",
}
"""Files that every installer writes in its own way."""


def distributions(environment: Path) -> set[str]:
    """Return name and version of each distribution, as its dist-info says them."""
    found = environment.glob("lib/python3*/site-packages/*.dist-info")
    return {re.sub(r"[-_.]+", "-", one.stem).lower() for one in found}


def installed_files(environment: Path) -> Iterator[tuple[str, int]]:
    """Return path and size of each file that came from a wheel as it is."""
    for folder, names, files in os.walk(environment / "lib"):
        names[:] = [name for name in names if name != "__pycache__"]
        for name in files:
            if name not in _OWN and not name.startswith("_virtualenv"):
                path = os.path.join(folder, name)
                yield os.path.relpath(path, environment), os.lstat(path).st_size
