"""What one run has to heal with, and how it goes about it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from mvenv.apply.donors import Donors, find_donor
from mvenv.apply.rebuild import Rebuilt
from mvenv.diagnose.model import Expected, Finding
from mvenv.diagnose.users import Users
from mvenv.doctor.sources import Sources
from mvenv.doctor.steps import Root, put_of
from mvenv.env.receipt import FOLDER
from mvenv.link.modes import LinkMode
from mvenv.plan.changes import Change, Seal
from mvenv.store.entries import WheelStore
from mvenv.store.inodes import is_contested
from mvenv.store.layout import StoreKey, StoreLayout
from mvenv.store.names import TREE
from mvenv.store.runs import RunFolder

__all__ = ["Means", "Unhealable"]

_ALL_MODES = (LinkMode.HARDLINK, LinkMode.REFLINK, LinkMode.COPY)


class Unhealable(Exception):
    """A finding that nothing can be done about in this run; says why.

    ``lacks_bytes``: good bytes would help.
    """

    def __init__(self, why: str, *, lacks_bytes: bool = False) -> None:
        super().__init__(why)
        self.lacks_bytes = lacks_bytes


@dataclass(slots=True, kw_only=True)
class Means:
    """Sources, places, and where things are kept that are taken out."""

    store: WheelStore
    users: Users
    sources: Sources
    run: RunFolder | None
    """Scratch; `None` where nothing may be written."""
    rescue: Path
    """Of the store."""
    rebuilt: list[Rebuilt] = field(default_factory=list)
    """Entries made in this run, to be flushed together."""
    _donors: Donors | None = None

    @property
    def donors(self) -> Donors:
        """Return the environments that may give files to the store."""
        if self._donors is None:
            folders = (Path(root.path) for root in self.users.roots)
            found = (find_donor(folder, self.layout) for folder in folders)
            self._donors = Donors(tuple(one for one in found if one is not None))
        return self._donors

    @property
    def layout(self) -> StoreLayout:
        """Return the store's folders."""
        return self.store.layout

    def whole_store(self) -> Root:
        """Return the store's folder, as one that changes are made below."""
        return Root(self.layout.root, self.rescue, (LinkMode.COPY,))

    def tree(self, key: StoreKey) -> Root:
        """Return a wheel's tree, as one that changes are made below."""
        keep = self.rescue / key[:16]
        return Root(self.layout.entry(key) / TREE, keep, _ALL_MODES)

    def scratch(self) -> Root:
        """Return the scratch folder, as one that changes are made below."""
        folder = self.layout.tmp if self.run is None else self.run.path
        return Root(folder, self.rescue, _ALL_MODES)

    def environment(self, place: Path) -> Root:
        """Return an environment, as one that changes are made below."""
        folder = Path(os.path.realpath(place))
        rescued = folder / FOLDER / "rescued"
        for own in (folder / FOLDER, rescued):
            if os.path.lexists(own) and not _is_folder(own):
                raise Unhealable(f"`{own}` is not a folder of its own")
        rescue = rescued / self.rescue.name
        return Root(folder, rescue, _ALL_MODES)

    def sealing(self, place: Path, expected: Expected) -> Change:
        """Return what gives a stored file with the right bytes its mode and stamp.

        A file of its own where another wheel has this one under others.
        """
        seal = (expected.mode, expected.mtime_ns)
        if is_contested(self.layout, place, expected.sha256, expected.size, seal):
            return put_of(expected, place)
        return Seal(expected.path, *seal)

    def source_for(self, expected: Expected, finding: Finding) -> Path:
        """Return a file with the right bytes; `Unhealable` where there is none."""
        place = finding.where / (finding.path or "")
        found = self.sources.find(expected, spare=place)
        if found is not None:
            return found
        raise Unhealable(self.why_none(expected.wheel), lacks_bytes=True)

    def why_none(self, key: StoreKey | None) -> str:
        """Return why no good bytes were found."""
        told = self.sources.reasons.get(key) if key is not None else None
        return f"no good copy was found: {told}" if told else "no good copy was found"


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
