"""Resolutions that pip made before, believed for a while.

The same question (requirements, constraints, what is there, interpreter, indexes) has
the same answer until an index gets something new. So each is kept in the store with the
time it was made, and whoever asks says how old an answer may be.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mvenv.hashes import sha256_bytes
from mvenv.installing.arguments import Arguments, place_words, read_arguments
from mvenv.records import load_json, store_json
from mvenv.store.layout import StoreLayout
from mvenv.target import Target

if TYPE_CHECKING:
    from mvenv.installing.notes import PackageTable
    from mvenv.installing.request import InstallRequest

__all__ = ["Remembered", "resolution_key"]

_RECORD = ("resolution", 1)
_KEPT_SECONDS = 30 * 24 * 3600.0
_NAMING = {"PIP_CONSTRAINT": "-c", "PIP_REQUIREMENT": "-r", "PIP_FIND_LINKS": "-f"}
_CONFIGURATIONS = (
    "/etc/pip.conf",
    "/etc/xdg/pip/pip.conf",
    "~/.pip/pip.conf",
    "~/.config/pip/pip.conf",
    "~/Library/Application Support/pip/pip.conf",
)


class Remembered:
    """The resolutions in a store that are not older than ``seconds``."""

    def __init__(self, layout: StoreLayout, seconds: float) -> None:
        self._folder = layout.resolutions
        self._seconds = seconds

    def recall(self, key: str) -> tuple[PackageTable, ...] | None:
        """Return the packages to install; `None`: not known, or too long ago."""
        value = load_json(self._folder / key, *_RECORD)
        try:
            age = time.time() - value["made"]
            packages = tuple(dict(one) for one in value["packages"])
        except (KeyError, TypeError, ValueError):
            return None
        # A clock that was put back proves nothing.
        return packages if 0 <= age < self._seconds else None

    def keep(self, key: str, packages: Iterable[PackageTable]) -> None:
        """Put down what pip has chosen now."""
        if self._seconds > 0:
            value = {"made": int(time.time()), "packages": list(packages)}
            with contextlib.suppress(OSError):
                # An address can be signed: it is nobody else's business.
                store_json(self._folder / key, *_RECORD, value, mode=0o600)
                self._sweep()

    def _sweep(self) -> None:
        """Delete what nobody will believe any more: beside pip it takes no time."""
        oldest = time.time() - _KEPT_SECONDS
        for path in self._folder.iterdir():
            if path.lstat().st_mtime < oldest:
                path.unlink(missing_ok=True)


def resolution_key(
    arguments: Arguments,
    present: Iterable[str],
    target: Target,
    request: InstallRequest,
) -> str | None:
    """Return the name of a question; `None` where its answer can change at any time.

    A digest, so that what is secret in an address stays so.
    """
    settings = request.surroundings.fetch
    configurations = _configurations(request.environ)
    naming = [*_named(request.environ), *_named_in(configurations)]
    named = read_arguments(tuple(naming), request.start)
    if arguments.words is None or named.words is None:
        return None
    places = [place_words(one, request.start) for one in settings.find_links]
    words = (
        "mvenv resolution 2",
        *arguments.words,
        *named.words,
        "present",
        *present,
        # Not its path: the same interpreter has several, `python3` and `python3.12`.
        repr(sorted(target.markers.items())),
        *target.tags,
        settings.index_url,
        *settings.extra_index_urls,
        repr(settings.offline),
        *(word for words in places for word in words),
        *(f"{k}={v}" for k, v in sorted(_options(request.environ).items())),
        *configurations,
    )
    told = "\n".join(f"{len(word)} {word}" for word in words)
    return sha256_bytes(told.encode("utf-8", "surrogateescape"))


def _named(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield what pip's variables name, whose contents decide, as arguments."""
    for name, option in _NAMING.items():
        for word in environ.get(name, "").split():
            yield from (option, word)


def _named_in(configurations: Iterable[str]) -> Iterator[str]:
    """Yield what pip's configuration files name likewise, as arguments."""
    for text in configurations:
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read_string(text)
        except configparser.Error:
            continue  # pip will say so
        for section in parser.sections():
            for name, value in parser.items(section):
                # pip takes either spelling.
                option = _NAMING.get(f"PIP_{name.replace('-', '_').upper()}")
                for word in value.split() if option else ():
                    yield from (str(option), word)


def _options(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith("PIP_")}


def _configurations(environ: Mapping[str, str]) -> list[str]:
    """Return what pip's own configuration files say."""
    home = environ.get("HOME", "")
    folders = environ.get("XDG_CONFIG_DIRS", "").split(":")
    folders.append(environ.get("XDG_CONFIG_HOME", ""))
    named = [environ.get("PIP_CONFIG_FILE", ""), *_CONFIGURATIONS]
    named += [f"{one}/pip/pip.conf" for one in folders if one]
    said = []
    for name in named:
        path = Path(home + name[1:] if name.startswith("~") else name)
        with contextlib.suppress(OSError):
            if name and not os.path.isdir(path):
                said.append(path.read_text(encoding="utf-8", errors="replace"))
    return said
