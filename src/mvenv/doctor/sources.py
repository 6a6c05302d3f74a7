"""Where good bytes come from: the store, other environments, the wheel again.

And other wheels, where they have a large file too.

In this order, and each hashed in this run before it is believed. What is known to be
bad is never asked, under whatever name it goes.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvenv.diagnose.model import Expected
from mvenv.diagnose.users import Users
from mvenv.errors import MvenvError, SeveralErrors
from mvenv.hashes import sha256_file
from mvenv.names import project_of
from mvenv.progress import Reporter
from mvenv.store.entries import StoredWheel, WheelStore
from mvenv.store.inodes import names_of
from mvenv.store.layout import StoreKey, is_adopted
from mvenv.store.names import MANIFEST, TREE
from mvenv.store.runs import RunFolder
from mvenv.wheels.manifest import Manifest

if TYPE_CHECKING:
    from mvenv.fetch.download import FileRequest
    from mvenv.fetch.settings import FetchSettings
    from mvenv.lockfiles.model import Lockfile

__all__ = ["Sources"]

_Stat = tuple[int, int, int, int, int]


class Sources:
    """The sources of one run.

    Without a ``run`` folder nothing is fetched, since there is nowhere to put it.
    """

    def __init__(
        self,
        store: WheelStore,
        users: Users,
        *,
        run: RunFolder | None,
        settings: FetchSettings,
        reporter: Reporter,
    ) -> None:
        self._store = store
        self.users = users
        self._run = run
        self._settings = settings
        self._reporter = reporter
        self._bad: set[tuple[int, int]] = set()
        self._hashed: dict[tuple[str, _Stat], str] = {}
        self._staged: dict[StoreKey, StoredWheel | None] = {}
        self._lockfiles: dict[Path, Lockfile | None] = {}
        self.reasons: dict[StoreKey, str] = {}
        """Why a wheel could not be fetched."""

    def distrust(self, path: Path, expected: Expected) -> None:
        """Take nothing from this file any more, nor from another name of it.

        Unless it is right by now: another process may have healed it.
        """
        with contextlib.suppress(OSError):
            seen = path.lstat()
            if stat.S_ISREG(seen.st_mode) and not self._is_good(path, expected):
                self._bad.add((seen.st_dev, seen.st_ino))

    def find(self, expected: Expected, *, spare: Path | None = None) -> Path | None:
        """Return a file with the right bytes, hashed now, or `None`.

        ``spare`` is the one in need. Wheels that `fetch` brought count.
        """
        return next(self._all(expected, spare), None)

    def stored(self, expected: Expected) -> Path | None:
        """Return the store's own file, if its bytes are right."""
        place = self._store_file(expected)
        return place if place is not None and self._is_good(place, expected) else None

    def _all(self, expected: Expected, spare: Path | None) -> Iterator[Path]:
        for path in self._candidates(expected):
            if path != spare and self._is_good(path, expected):
                yield path

    def _candidates(self, expected: Expected) -> Iterator[Path]:
        if expected.wheel is None:
            return
        stored = self._store_file(expected)
        if stored is not None:
            yield stored
        for place in self.users.places(expected.wheel, expected.member):
            yield place.file
        staged = self._staged.get(expected.wheel)
        if staged is not None:
            yield staged.tree / expected.member
        # A large file may be in other wheels too.
        layout = self._store.layout
        for name in names_of(layout, expected.sha256, expected.size):
            yield name.place
        for place in self.users.alike(expected):
            yield place.file

    def _store_file(self, expected: Expected) -> Path | None:
        if expected.wheel is None:
            return None
        return self._store.layout.entry(expected.wheel) / TREE / expected.member

    def _is_good(self, path: Path, expected: Expected) -> bool:
        """Hash a file, unless this very state of it was hashed in this run."""
        try:
            seen = path.lstat()
            if not stat.S_ISREG(seen.st_mode) or seen.st_size != expected.size:
                return False
            if (seen.st_dev, seen.st_ino) in self._bad:
                return False
            state = (str(path), _state(seen))
            if state not in self._hashed:
                self._hashed[state] = sha256_file(path)
        except OSError:
            return False
        return self._hashed[state] == expected.sha256

    def can_fetch(self, key: StoreKey) -> bool:
        """Return whether a wheel might come from somewhere, as far as is known."""
        if self._settings.offline and not self._settings.find_links:
            return any(
                request.path is not None or (request.url or "").startswith("file:")
                for request in self._requests(key)
            )
        return bool(self._requests(key))

    def fetch(self, keys: Iterable[StoreKey]) -> None:
        """Fetch wheels and unpack them where nobody shares them; failures are kept.

        Each by its sha256, from where its lockfile says, else from the index.
        """
        wanted = {
            request: key
            for key in dict.fromkeys(keys)
            if key not in self._staged
            for request in self._requests(key)[:1]
        }
        if self._run is None:
            return
        for key in dict.fromkeys(keys):
            self._staged.setdefault(key, None)
        if not wanted:
            return
        from mvenv.fetch.download import Fetcher

        folder = self._run.new_path()
        folder.mkdir()
        # One after the other: the failure of one must not hide the other's reason.
        with Fetcher(self._settings, self._reporter) as fetcher:
            for request, key in wanted.items():
                self._reporter.note(f"fetching {request.filename} again")
                try:
                    for came in fetcher.fetch([request], folder):
                        self._staged[key] = self._store.stage(
                            came.path, key, request.filename, self._run.new_path()
                        )
                        came.path.unlink(missing_ok=True)
                except MvenvError as error:
                    self.reasons[key] = _told(error)

    def staged(self, key: StoreKey) -> StoredWheel | None:
        """Return a wheel that `fetch` brought."""
        return self._staged.get(key)

    def _requests(self, key: StoreKey) -> list[FileRequest]:
        """Return how to ask for a wheel; the most exact way first."""
        from mvenv.fetch.download import FileRequest

        if is_adopted(key):
            self.reasons[key] = "it was learned from an environment, and has no wheel"
            return []
        filename = self._filename(key)
        if filename is None:
            self.reasons[key] = "nobody knows its file name any more"
            return []
        name: Any = project_of(filename)  # the type has no name outside of `packaging`
        plain = FileRequest(name=name, filename=filename, hashes=(("sha256", key),))
        found = [
            request
            for lockfile in self._lockfiles_of(key)
            for request in _in_lockfile(lockfile, plain, key)
        ]
        return [*found, plain]

    def _filename(self, key: StoreKey) -> str | None:
        with contextlib.suppress(OSError):
            content = (self._store.layout.entry(key) / MANIFEST).read_bytes()
            manifest = Manifest.from_bytes(content)
            if manifest is not None:
                return manifest.filename
        return next((one.filename for one in self.users.manifests(key)), None)

    def _lockfiles_of(self, key: StoreKey) -> Iterator[Lockfile]:
        from mvenv.lockfiles import read_lockfile

        paths = (Path(root.lockfile) for root in self.users.of(key) if root.lockfile)
        for path in dict.fromkeys(paths):
            if path not in self._lockfiles:
                self._lockfiles[path] = None
                with contextlib.suppress(MvenvError):
                    self._lockfiles[path] = read_lockfile(path)
            lockfile = self._lockfiles[path]
            if lockfile is not None:
                yield lockfile


def _in_lockfile(
    lockfile: Lockfile, plain: FileRequest, key: StoreKey
) -> Iterator[FileRequest]:
    """Yield where a lockfile says that the file with this sha256 is."""
    from dataclasses import replace

    names = dict(lockfile.index_names)
    for package in lockfile.pylock.packages:
        files = [
            *(package.wheels or ()),
            *([package.archive] if package.archive else ()),
        ]
        for one in files:
            hashes = {name.lower(): text.lower() for name, text in one.hashes.items()}
            if hashes.get("sha256") == key:
                yield replace(
                    plain,
                    url=one.url,
                    path=Path(one.path) if one.path else None,
                    index=package.index,
                    index_name=names.get(package.index) if package.index else None,
                    size=one.size,
                )


def _state(seen: os.stat_result) -> _Stat:
    return (
        seen.st_dev,
        seen.st_ino,
        seen.st_size,
        seen.st_mtime_ns,
        seen.st_ctime_ns,
    )


def _told(error: MvenvError) -> str:
    if isinstance(error, SeveralErrors):
        return "; ".join(one.message for one in error.errors)
    return error.message
