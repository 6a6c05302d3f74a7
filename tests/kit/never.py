"""What must never happen, as checks around any command.

::

    with Watch(environments=(env,), stores=(store,), bystanders=(folder,)) as watch:
        code = mvenv("doctor", env, "--fix").code
        watch.ended(code=code)

`Watch` looks at everything before; at the end of the context it looks again and fails
with all rules that were broken, by their numbers in the catalogue of faults:

1. a byte the user wrote can be found, under its name or among the rescued;
2. nothing outside of environments and stores was written;
3. no healthy file has other content, mode or mtime (`read_only`: nothing has at all);
4. nobody said "healthy" of a file whose bytes are wrong (`claims_health`);
5. no new link or file has bytes that its plan does not give it;
6. no environment lost a file (`prunes`);
7. no name is gone that was there (`killed`);
8. no success was reported after an error (`failed`).
"""

from __future__ import annotations

import base64
import csv
import itertools
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from mvenv.env.generations import SYNCING
from mvenv.env.receipt import FOLDER, PLAN, read_receipt
from mvenv.hashes import digest_bytes
from mvenv.link.probe import PROBE
from mvenv.link.tree import TEMPORARY
from mvenv.plan.model import Plan
from mvenv.plan.record import load_plan
from mvenv.selftest.looking import Entry, look
from mvenv.store.layout import StoreLayout
from mvenv.store.names import BYTECODE, ENTRY_NAMES, MANIFEST, TREE
from mvenv.wheels.manifest import Manifest

__all__ = ["Expectation", "Watch", "expected_in", "is_true_record"]

_RESCUED = "rescued"
_STORE_OWN = (
    "tmp",
    "trash",
    "locks",
    "envs",
    "large",
    "plans",
    "ready",
    "interpreters",
    "builds",
)
_CACHE = "/__pycache__/"
_METADATA = ".dist-info/"
_ROOMS = ("wheels", "adopted")
"""Of a store."""
_COLUMNS = 3
"""Of a RECORD."""
_DEPTH = 4
"""Of a wheel's records in a store: ``wheels/AB/KEY/RECORD``."""
_FEW = 4
"""Bytes that differ, at most, where bits have turned over."""
_BLOCK = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What one path must be."""

    sha256: str
    modes: frozenset[int]
    mtime_ns: int | None
    """`None` where it is not said."""


def expected_in(environment: Path, store: Path) -> dict[str, Expectation]:
    """Return what each file of an environment must be, by its absolute path.

    Read here anew from its plan and receipt, not by the code that is tested; empty
    where both cannot be read.
    """
    found: dict[str, Expectation] = {}
    receipt = read_receipt(environment)
    # What is written here names the place: of a moved one it is no longer right.
    at_home = receipt and os.path.realpath(receipt.path) == os.path.realpath(
        environment
    )
    for one in receipt.generated if receipt and at_home else ():
        found[str(environment / one.path)] = Expectation(
            sha256=one.sha256, modes=frozenset({one.mode}), mtime_ns=None
        )
    plan = _plan_of(environment, store)
    for folder in (*plan.links, *plan.late_links) if plan else ():
        for file in folder.files:
            path = environment / folder.target / file.target
            found[str(path)] = Expectation(
                sha256=file.sha256,
                modes=frozenset({file.mode, 0o755 if file.executable else 0o644}),
                mtime_ns=file.mtime_ns,
            )
    return found


def _plan_of(environment: Path, store: Path) -> Plan | None:
    if not (environment / PLAN).is_file():
        return None
    return load_plan((environment / PLAN).read_bytes(), StoreLayout(store))


def is_true_record(path: str, expected: Mapping[str, Expectation]) -> bool:
    """Return whether a file is a RECORD that says the truth of all that is planned.

    It may have rows of others, too.
    """
    folder, name = os.path.split(path)
    if name != "RECORD" or not folder.endswith(_METADATA.rstrip("/")):
        return False
    with open(path, encoding="utf-8", newline="") as stream:
        rows = {
            os.path.normpath(os.path.join(folder, "..", row[0])): row[1]
            for row in csv.reader(stream)
            if len(row) == _COLUMNS
        }
    beside = {one for one in expected if one.startswith(f"{folder}/")}
    return beside <= rows.keys() and all(
        said == _as_in_record(expected[one].sha256)
        for one, said in rows.items()
        if one in expected and one != path
    )


def _as_in_record(sha256: str) -> str:
    digest = base64.urlsafe_b64encode(bytes.fromhex(sha256))
    return f"sha256={digest.decode().rstrip('=')}"


def _stored(store: Path) -> dict[str, Expectation]:
    found = {}
    places = (store.glob(f"{room}/*/*/{MANIFEST}") for room in _ROOMS)
    for place in itertools.chain(*places):
        manifest = Manifest.from_bytes(place.read_bytes()) if place.is_file() else None
        for file in manifest.files if manifest else ():
            found[str(place.parent / TREE / file.path)] = Expectation(
                sha256=file.sha256,
                modes=frozenset({file.mode}),
                mtime_ns=file.mtime_ns,
            )
    return found


@dataclass(slots=True, kw_only=True)
class Watch:
    """A look before and a look after, and what must hold between them."""

    environments: tuple[Path, ...] = ()
    stores: tuple[Path, ...] = ()
    bystanders: tuple[Path, ...] = ()
    """Folders in which nothing may change."""
    drift: tuple[Path, ...] = ()
    """What a command was asked to take away or to change, with all below."""
    _before: dict[str, Entry] = field(default_factory=dict)
    _expected: dict[str, Expectation] = field(default_factory=dict)
    _contents: dict[str, bytes] = field(default_factory=dict)
    _needed: set[str] = field(default_factory=set)
    """Folders of stored wheels that plans name."""
    _told: dict[str, bool] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.begin()
        return self

    def begin(self) -> None:
        """Look at everything before; the context does it."""
        self._before = self._look()
        self._expected = self._expectations()
        known = {one.sha256 for one in self._expected.values()}
        for environment in self.environments:
            for store in self.stores:
                plan = _plan_of(environment, store)
                self._needed |= (
                    {f"{one.root}/" for one in plan.wheels} if plan else set()
                )
            receipt = read_receipt(environment)
            known |= {one.sha256 for one in receipt.generated} if receipt else set()
        for path, entry in self._before.items():
            if entry.type == stat.S_IFREG and entry.content not in known:
                self._contents[path] = Path(path).read_bytes()

    def ended(
        self,
        *,
        code: int = 0,
        read_only: bool = False,
        claims_health: bool = False,
        prunes: bool = False,
        killed: bool = False,
        failed: bool = False,
        shares: bool = False,
        installs: bool = False,
    ) -> None:
        """Tell what kind of command it was, and how it ended.

        ``shares``: it was asked to make files the store's own, mode and date too.
        ``installs``: it takes the place of other versions; what installers wrote about
        those, in their metadata folders, is no user's.
        """
        self._told = {
            "read_only": read_only,
            "claims_health": claims_health and code == 0,
            "prunes": prunes,
            "killed": killed,
            "shares": shares,
            "installs": installs,
            "silent": failed and code == 0,
        }

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            broken = list(self.broken())
            assert not broken, "\n".join(broken)

    def broken(self) -> Iterator[str]:
        """Yield the rules that were broken, in words."""
        after = self._look()
        expected = {**self._expected, **self._expectations()}
        yield from self._lost(after)
        yield from self._strayed(after)
        yield from self._healthy(after, expected)
        yield from self._wrong_news(after, expected)
        if self._told.get("claims_health"):
            yield from self._sick(after, expected)
        if self._told.get("prunes") or self._told.get("killed"):
            yield from self._gone(after)
        if self._told.get("silent"):
            yield "8: success was reported after an error"

    def _look(self) -> dict[str, Entry]:
        return look(*self.environments, *self.stores, *self.bystanders)

    def _expectations(self) -> dict[str, Expectation]:
        found: dict[str, Expectation] = {}
        for store in self.stores:
            found |= _stored(store)
            for environment in self.environments:
                found |= expected_in(environment, store)
        return found

    def _lost(self, after: dict[str, Entry]) -> Iterator[str]:
        """Rule 1, for all that is not the known content of some file."""
        kept = _rescued(after)
        good = self._good_contents()
        for path, content in self._contents.items():
            digest = digest_bytes(content).sha256
            now = after.get(path)
            if (now is not None and now.content == digest) or digest in kept:
                continue
            if self._told.get("installs") and _METADATA in path:
                continue
            if not self._is_own(path) and not _is_worthless(content, good.get(path)):
                yield f"1: what the user wrote in `{path}` is gone"

    def _good_contents(self) -> dict[str, bytes]:
        """Return the right bytes of what was wrong, as far as they are here now."""
        return {
            path: Path(path).read_bytes()
            for path in self._contents
            if path in self._expected and Path(path).is_file()
        }

    def _is_own(self, path: str) -> bool:
        """Return whether a path is one of mvenv's own records, or cached bytecode."""
        own = [f"{environment / FOLDER}/" for environment in self.environments]
        own += [f"{store / name}/" for store in self.stores for name in _STORE_OWN]
        own += [f"{path}/" for path in self.drift]
        last = path.rpartition("/")[2]
        return (
            _CACHE in path
            or last == TEMPORARY
            or last.startswith(PROBE)
            or f"{path}/".startswith(tuple(own))
            or any(_is_record(path, store) for store in self.stores)
            or any(_is_compiled(path, store) for store in self.stores)
        )

    def _strayed(self, after: dict[str, Entry]) -> Iterator[str]:
        """Rule 2."""
        places = tuple(f"{place}/" for place in self.bystanders)
        inside = tuple(f"{place}/" for place in (*self.environments, *self.stores))
        for path in self._before.keys() | after.keys():
            if not f"{path}/".startswith(places) or f"{path}/".startswith(inside):
                continue
            if self._before.get(path) != after.get(path):
                yield f"2: `{path}` is outside, and was changed"

    def _healthy(
        self, after: dict[str, Entry], expected: dict[str, Expectation]
    ) -> Iterator[str]:
        """Rule 3; its exceptions, with the same bytes: sealed, shared, made again."""
        if self._told.get("read_only"):
            for path in sorted(self._before.keys() | after.keys()):
                if self._before.get(path) != after.get(path):
                    yield f"3: `{path}` was changed by a command that only looks"
            return
        stores = tuple(f"{store}/" for store in self.stores)
        stored = {
            entry.inode
            for path, entry in self._before.items()
            if path.startswith(stores)
        }
        shared = {one.inode for path, one in after.items() if path.startswith(stores)}
        half_done = tuple(
            f"{one}/"
            for one in self.environments
            if self._told.get("installs") and str(one / SYNCING) in self._before
        )
        for path, right in expected.items():
            entry, now = self._before.get(path), after.get(path)
            if entry is None or self._is_own(path) or not _is_right(entry, right):
                continue
            if now is None:
                if self._is_taken_out(path, after):
                    continue
                yield f"3: `{path}` was healthy, and is gone"
            elif now[:4] != entry[:4]:
                resealed = self._told.get("shares") or entry.inode in stored
                resealed = resealed or now.inode in shared
                # What a killed sync wrote is undone first, and may come again.
                resealed = resealed or path.startswith(half_done)
                if now.content != entry.content or not resealed:
                    yield f"3: `{path}` was healthy, and was changed"

    def _is_taken_out(self, path: str, after: dict[str, Entry]) -> bool:
        """Return whether a stored wheel is gone as a whole that may be.

        One that was damaged: a run takes it out before it has it anew, and may be
        killed between. Where it prunes, one that no environment's plan names.
        """
        entry = next(
            (
                path[: path.index(f"/{TREE}/") + 1]
                for store in self.stores
                if path.startswith(f"{store}/") and f"/{TREE}/" in path
            ),
            None,
        )
        if entry is None or any(one.startswith(entry) for one in after):
            return False
        if self._told.get("prunes"):
            return entry not in self._needed
        return bool(self._told.get("installs")) and any(
            one.startswith(entry)
            and not ((seen := self._before.get(one)) and _is_right(seen, right))
            for one, right in self._expected.items()
        )

    def _wrong_news(
        self, after: dict[str, Entry], expected: dict[str, Expectation]
    ) -> Iterator[str]:
        """Rule 5: what has a new inode has the right bytes.

        Or, where a command shares what is there, the same ones: its plan comes last.
        """
        for path, right in expected.items():
            now, entry = after.get(path), self._before.get(path)
            new = now is not None and (entry is None or entry.inode != now.inode)
            if not new or now is None or now.type != stat.S_IFREG:
                continue
            same = entry is not None and entry.content == now.content
            if now.content == right.sha256 or (same and self._told.get("shares")):
                continue
            if not is_true_record(path, expected):
                yield f"5: `{path}` was made from wrong bytes"

    @staticmethod
    def _sick(
        after: dict[str, Entry], expected: dict[str, Expectation]
    ) -> Iterator[str]:
        """Rule 4."""
        for path, right in expected.items():
            now = after.get(path)
            if now is None or now.content != right.sha256:
                yield f"4: `{path}` is wrong, and passed for healthy"

    def _gone(self, after: dict[str, Entry]) -> Iterator[str]:
        """Rules 6 and 7: names of environments.

        A heal may take away what its plan does not have, once it is among the rescued:
        the metadata of another version, a folder where a file belongs.
        """
        rule = 6 if self._told.get("prunes") else 7
        places = tuple(f"{place}/" for place in self.environments)
        rescued = set() if rule == 6 else _rescued(after)
        for path in self._before.keys() - after.keys():
            if not path.startswith(places) or self._is_own(path):
                continue
            if path in self._expected or not self._is_rescued(path, rescued):
                yield f"{rule}: the name `{path}` is gone"

    def _is_rescued(self, path: str, rescued: set[str]) -> bool:
        """Return whether a file, or each that was in a folder, is among the rescued."""
        entry = self._before[path]
        if entry.type != stat.S_IFDIR:
            return entry.content in rescued
        inside = [one for one in self._before if one.startswith(f"{path}/")]
        return bool(rescued) and all(self._is_rescued(one, rescued) for one in inside)


def _rescued(seen: Mapping[str, Entry]) -> set[str]:
    """Return the hashes of all that was put aside."""
    return {
        entry.content
        for path, entry in seen.items()
        if f"/{_RESCUED}/" in path and entry.type == stat.S_IFREG
    }


def _is_right(entry: Entry, right: Expectation) -> bool:
    return (
        entry.content == right.sha256
        and entry.mode in right.modes
        and right.mtime_ns in {None, entry.mtime_ns}
    )


def _is_record(path: str, store: Path) -> bool:
    """Return whether a path is what a store says of itself, or of one of its wheels."""
    parts = path.removeprefix(f"{store}/").split("/")
    if len(parts) == _DEPTH and parts[0] in _ROOMS:
        return parts[-1] in ENTRY_NAMES - {TREE}
    return parts == ["FORMAT"]


def _is_compiled(path: str, store: Path) -> bool:
    """Return whether a path is bytecode of a stored wheel: made again when needed."""
    parts = path.removeprefix(f"{store}/").split("/")
    return len(parts) >= _DEPTH and parts[0] in _ROOMS and parts[3] == BYTECODE


def _is_worthless(content: bytes, good: bytes | None) -> bool:
    """Return whether provably nobody wrote it: nothing, nulls, a part, turned bits."""
    if not content.strip(b"\0"):
        return True
    if good is None:
        return False
    if good.startswith(content):
        return True
    if len(good) != len(content):
        return False
    places = [at for at, byte in enumerate(content) if byte != good[at]]
    blocks = {at // _BLOCK for at in places}
    return len(places) <= _FEW or (len(blocks) == 1 and len(good) > _BLOCK)
