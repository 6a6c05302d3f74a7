"""What environments can give back to a store: files of wheels, proven by their hash.

A plan says what a wheel was, and where each of its files went. It comes from the
environment itself, so it is believed only of one that was made here and with this
store: see `find_donor`.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mvenv.apply.proving import ProvenCopies, open_folder
from mvenv.env.receipt import PLAN, read_receipt
from mvenv.hashes import Digest, digest_bytes
from mvenv.link.files import write_new
from mvenv.plan.model import Plan, PlannedScript
from mvenv.plan.record import load_plan
from mvenv.store.layout import StoreKey, StoreLayout
from mvenv.store.registry import roots
from mvenv.wheels.manifest import ManifestFile

__all__ = ["Donor", "Donors", "KnownWheel", "find_donor"]

_HEADS = (b"#!python", b"#!pythonw", b"#!python3", b"#!python2")
_ENDS = (b"\n", b"\r\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Donor:
    """An environment, and what it says that its files are."""

    folder: Path
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWheel:
    """What plans say of one wheel."""

    filename: str
    files: tuple[ManifestFile, ...]
    """All of them, sorted by path."""
    disputed: frozenset[str]
    """Files of which two plans say different things."""


class _Place(NamedTuple):
    donor: int
    path: str


def find_donor(folder: Path, layout: StoreLayout) -> Donor | None:
    """Return the environment in ``folder`` as one that may give files to the store.

    `None` where it is not what was made there: whoever can put a folder under a name
    (with a clone, an archive, a copy) must not say what a wheel of a given sha256 is.
    So it is of this user, is in the place that its receipt names, was made with this
    store, and has the plan that it was made with: the store's own registry says so,
    or, where that is lost, it is the very folder of its receipt.
    """
    try:
        seen = folder.stat()
        content = (folder / PLAN).read_bytes()
    except OSError:
        return None
    receipt = read_receipt(folder)
    if (
        receipt is None
        or seen.st_uid != os.geteuid()
        or os.path.realpath(receipt.path) != os.path.realpath(folder)
        or os.path.realpath(receipt.store) != os.path.realpath(layout.root)
        or receipt.plan != digest_bytes(content).sha256
    ):
        return None
    if receipt.identity != (seen.st_dev, seen.st_ino):
        # Brought back from a backup, or to another disk.
        known = ((one.id, one.path, one.plan) for one in roots(layout))
        if (receipt.id, receipt.path, receipt.plan) not in known:
            return None
    plan = load_plan(content, layout)
    return Donor(folder=folder, plan=plan) if plan is not None else None


@dataclass(slots=True)
class Donors:
    """Environments, and where in them the bytes of a given hash should be.

    For one thread.
    """

    donors: tuple[Donor, ...]
    _places: dict[str, list[_Place]] = field(default_factory=dict, init=False)
    _wheels: dict[StoreKey, list[tuple[str, tuple[ManifestFile, ...]]]] = field(
        default_factory=dict, init=False
    )
    _scripts: list[PlannedScript] = field(default_factory=list, init=False)
    _copies: ProvenCopies = field(default_factory=ProvenCopies, init=False)

    def __post_init__(self) -> None:
        for number, donor in enumerate(self.donors):
            self._read(number, donor.plan)

    def _read(self, number: int, plan: Plan) -> None:
        trees = {wheel.tree: wheel for wheel in plan.wheels}
        files: dict[StoreKey, list[ManifestFile]] = {
            wheel.key: list(wheel.rest) for wheel in plan.wheels if wheel.shared
        }
        for folder in itertools.chain(plan.links, plan.late_links):
            tree = folder.source
            while tree not in trees:
                tree = tree.rpartition("/")[0]
            inside = folder.source[len(tree) + 1 :]
            before = f"{inside}/" if inside else ""
            target = f"{folder.target}/" if folder.target else ""
            brought = files.get(trees[tree].key) if trees[tree].shared else None
            for file in folder.files:
                places = self._places.setdefault(file.sha256, [])
                places.append(_Place(number, target + file.target))
                if brought is not None:
                    brought.append(
                        ManifestFile(
                            before + file.source,
                            file.sha256,
                            file.xxh3,
                            file.size,
                            file.mode,
                            file.mtime_ns,
                        )
                    )
        for wheel in plan.wheels:
            if wheel.shared:
                known = (wheel.filename, tuple(sorted(files[wheel.key])))
                self._wheels.setdefault(wheel.key, []).append(known)
        self._scripts += plan.scripts

    def keys(self) -> frozenset[StoreKey]:
        """Return every wheel of the store that an environment has files of."""
        return frozenset(self._wheels)

    def wheel(self, key: StoreKey) -> KnownWheel | None:
        """Return what the plans say of a wheel, or `None` where none has it.

        It can have been taken in several times, with other stamps: what most
        environments have stands.
        """
        told = self._wheels.get(key)
        if not told:
            return None
        counted = Counter(rows for _, rows in told)
        best = max(counted, key=lambda rows: (counted[rows], len(rows)))
        files = {file.path: file for file in best}
        disputed = set()
        # A plan made from a wheel that was itself rebuilt knows less of it.
        for file in itertools.chain.from_iterable(counted):
            stands = files.setdefault(file.path, file)
            if (stands.sha256, stands.size) != (file.sha256, file.size):
                disputed.add(file.path)
        return KnownWheel(
            filename=told[0][0],
            files=tuple(files[path] for path in sorted(files)),
            disputed=frozenset(disputed),
        )

    def bring(self, file: ManifestFile, new: Path) -> Path | None:
        """Make ``new`` with the bytes of ``file``, its mode and its stamp.

        Return the environment that gave them, ``new`` itself where none had to, `None`
        where nobody has them: then nothing is made. They are hashed once they are in
        the new file, which no other process knows. `OSError` where it cannot be made.
        """
        if not file.size or self._compose(file) is not None:
            _write(self._compose(file) or b"", new, file)
            return new
        for place in self._places.get(file.sha256, ()):
            folder = self.donors[place.donor].folder
            proof = self._copies.copy(
                folder / place.path,
                new,
                sha256=file.sha256,
                size=file.size,
                mode=file.mode,
                stamp=file.mtime_ns,
            )
            if proof is not None:
                return folder
        return None

    def _compose(self, file: ManifestFile) -> bytes | None:
        """Return a ``#!python`` script as the wheel had it."""
        if ".data/scripts/" not in file.path:
            return None
        for script in self._scripts:
            behind = b" " + script.arguments if script.arguments else b""
            for head, end in itertools.product(_HEADS, _ENDS):
                content = head + behind + end + script.body
                if len(content) == file.size and _is(digest_bytes(content), file):
                    return content
        return None


def _is(digest: Digest, file: ManifestFile) -> bool:
    return (digest.sha256, digest.size) == (file.sha256, file.size)


def _write(content: bytes, new: Path, file: ManifestFile) -> None:
    with open_folder(new.parent) as target:
        write_new(content, new.name, target, mode=file.mode, mtime_ns=file.mtime_ns)
