"""Which entry of the store a distribution is made from, if any: by RECORD's hashes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mvenv.adopt.installed import Environment, Installation
from mvenv.errors import MvenvError
from mvenv.hashes import sha256_file
from mvenv.names import project_of
from mvenv.store.entries import StoredWheel, WheelStore
from mvenv.store.layout import ADOPTED, StoreKey, StoreLayout, entry_key, is_adopted
from mvenv.store.names import MANIFEST
from mvenv.wheels.facts import WheelFacts, read_facts
from mvenv.wheels.layout import PlacedFile, Placing, layout_wheel

__all__ = ["BROUGHT", "Entries", "Match", "lay_out"]

BROUGHT = frozenset({Placing.LINK, Placing.PRIVATE, Placing.EMPTY})
"""Files that stand in the environment as they are in the wheel."""


class Match(NamedTuple):
    """A distribution, and the entry that it is made from."""

    installation: Installation
    wheel: StoredWheel
    facts: WheelFacts
    files: dict[str, PlacedFile]
    """What the entry brings, by path below the environment."""
    learned: bool
    """The entry was made from this environment, just now."""


def lay_out(
    wheel: StoredWheel, environment: Environment
) -> tuple[WheelFacts, dict[str, PlacedFile]]:
    """Return what an entry is, and the files it brings by path.

    `MvenvError` where it is not right, or not for this environment.
    """
    facts = read_facts(wheel.tree, wheel.manifest)
    laid_out = layout_wheel(wheel.manifest, facts, environment.scheme)
    files = {}
    for row in laid_out.rows:
        path = environment.own(row.target) if row.how in BROUGHT else None
        if path is not None:
            files[path] = row
    return facts, files


@dataclass(slots=True)
class Entries:
    """The entries of a store, by the name of their distribution."""

    store: WheelStore
    environment: Environment
    _keys: dict[str, list[StoreKey]] = field(default_factory=dict, init=False)
    _laid_out: dict[
        StoreKey, tuple[StoredWheel, WheelFacts, dict[str, PlacedFile]] | None
    ] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for key, filename in _all_entries(self.store.layout):
            name = project_of(filename)
            self._keys.setdefault(name, []).append(key)

    def match(self, one: Installation) -> Match | None:
        """Return the entry whose files are what RECORD says; the best of several."""
        found = [
            match
            for key in self._keys.get(one.normalized, ())
            if (match := self.match_key(one, key)) is not None
        ]
        return max(found, key=_worth, default=None)

    def match_key(
        self, one: Installation, key: StoreKey, *, known_as: bool = False
    ) -> Match | None:
        """Return the match of one entry, or `None` where it is another wheel's.

        ``known_as``: mvenv installed it from this entry, so it is not doubted; its
        RECORD tells what stands there, which may be another distribution's file.
        """
        known = self._look(key)
        if known is None or known[1].dist_info != os.path.basename(one.dist_info):
            return None
        wheel, facts, files = known
        if not known_as and not self._fits(one, files, partly=is_adopted(key)):
            return None
        return Match(one, wheel, facts, files, learned=False)

    def forget(self, key: StoreKey) -> None:
        """Look again at an entry that was made in the meantime."""
        self._laid_out.pop(key, None)

    def _look(
        self, key: StoreKey
    ) -> tuple[StoredWheel, WheelFacts, dict[str, PlacedFile]] | None:
        if key not in self._laid_out:
            self._laid_out[key] = None
            wheel = self.store.find(key)
            if wheel is not None:
                try:
                    facts, files = lay_out(wheel, self.environment)
                except MvenvError:
                    return None
                self._laid_out[key] = (wheel, facts, files)
        return self._laid_out[key]

    def _fits(
        self, one: Installation, files: dict[str, PlacedFile], *, partly: bool
    ) -> bool:
        """Return whether an entry's files are those that RECORD has.

        ``partly``: it may lack what the environment does not have as RECORD says,
        since it was learned where that was already so.
        """
        for path, placed in files.items():
            row = one.rows.get(path)
            if row is None:
                if one.is_written(path):
                    continue
                return False
            if row.sha256 is not None and row.sha256 != placed.file.sha256:
                return False
        scripts = f"{self.environment.scheme.scripts}/"
        for path, row in one.rows.items():
            known = path in files or one.is_written(path) or path.startswith(scripts)
            if known or path.startswith(f"{one.dist_info}/"):
                continue
            if not partly or row.sha256 is None or self._is(path, row.sha256):
                return False
        return one.proves or self._is_it(one, files)

    def _is_it(self, one: Installation, files: dict[str, PlacedFile]) -> bool:
        """Return whether a distribution without hashes has this wheel's METADATA."""
        path = f"{one.dist_info}/METADATA"
        return path in files and self._is(path, files[path].file.sha256)

    def _is(self, path: str, sha256: str) -> bool:
        try:
            return sha256_file(self.environment.place / path) == sha256
        except OSError:
            return False


def _worth(match: Match) -> tuple[bool, int]:
    """Order matches: what was seen as a wheel is trusted more than what was learned."""
    return (not is_adopted(match.wheel.key), len(match.files))


def _all_entries(layout: StoreLayout) -> Iterator[tuple[StoreKey, str]]:
    """Yield keys and file names of all entries, from the heads of their manifests."""
    for folder, before in (("wheels", ""), ("adopted", ADOPTED)):
        for place in sorted(Path(layout.root, folder).glob("??/*")):
            try:
                key = entry_key(before + place.name)
                with (place / MANIFEST).open("rb") as stream:
                    stream.readline()
                    facts = stream.readline().decode().split("\t")
            except (OSError, ValueError, MvenvError):
                continue
            if facts[0] == key and len(facts) > 1:
                yield key, facts[1]
