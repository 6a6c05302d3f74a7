"""What is not a wheel, made into one: built once, and found again by its source."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mvenv.env.bare import render
from mvenv.env.paths import python_in
from mvenv.env.seeds import seed_wheel
from mvenv.env.skeleton import Skeleton
from mvenv.env.writing import fill_bare
from mvenv.errors import BuildError
from mvenv.fetch.build import build_key, build_wheel, vcs_requirement
from mvenv.fetch.direct_url import (
    archive_direct_url,
    directory_direct_url,
    vcs_direct_url,
)
from mvenv.fetch.editable import EditableInstall, build_editable
from mvenv.fetch.settings import FetchSettings
from mvenv.hashes import sha256_file
from mvenv.plan.model import LiftedFile, PlannedScript, Provided
from mvenv.plan.planning import plan_launchers
from mvenv.progress import Reporter
from mvenv.records import load_json, store_json
from mvenv.selection.model import (
    ArchiveChoice,
    Chosen,
    DirectoryChoice,
    FileChoice,
    IndexChoice,
    VcsChoice,
    WheelChoice,
)
from mvenv.store.layout import StoreLayout
from mvenv.store.runs import RunFolder
from mvenv.target import Target
from mvenv.wheels.launchers import parse_entry_points, split_placeholder

__all__ = ["Builder", "check_identity", "direct_url"]

_KIND = "build"
_FORMAT = 1


@dataclass(frozen=True)
class Builder:
    """Builds for one target, with pip as the back end.

    A wheel built from an sdist or a commit is remembered in the store by (source,
    interpreter tag, platform); folders and editables never are.
    """

    target: Target
    skeleton: Skeleton
    layout: StoreLayout
    run: RunFolder
    settings: FetchSettings
    environ: Mapping[str, str]
    reporter: Reporter
    _broken_off: threading.Event = field(default_factory=threading.Event, init=False)

    @cached_property
    def _pip(self) -> Path:
        return seed_wheel(self.target, "pip")

    def recall(self, one: Chosen) -> str | None:
        """Return the sha256 of the wheel that was built from a source before."""
        key = self._key(one.source)
        return load_json(self.layout.builds / key, _KIND, _FORMAT) if key else None

    def build_file(self, one: Chosen, sdist: Path) -> tuple[Path, str]:
        """Build a wheel from an sdist whose hash was checked."""
        source = one.source
        below = source.subdirectory if isinstance(source, ArchiveChoice) else None
        return self._build(sdist, below)

    def build_source(self, one: Chosen) -> tuple[Path, str]:
        """Build a wheel from a commit or a folder."""
        source = one.source
        if isinstance(source, VcsChoice):
            requirement = vcs_requirement(source.kind, source.url, source.commit)
            return self._build(requirement, source.subdirectory)
        if isinstance(source, DirectoryChoice):
            return self._build(source.path, None)
        if isinstance(source, WheelChoice):
            return source.path, sha256_file(source.path)
        raise AssertionError(f"`{one.name}` is fetched, not built from its source")

    def _build(self, source: Path | str, subdirectory: str | None) -> tuple[Path, str]:
        folder = self.run.new_path()
        folder.mkdir()
        wheel = build_wheel(
            python=self.target.executable,
            pip=self._pip,
            source=source,
            subdirectory=subdirectory,
            folder=folder,
            settings=self.settings,
            environ=self.environ,
            reporter=self.reporter,
            broken_off=self._broken_off,
        )
        return wheel, sha256_file(wheel)

    def break_off(self) -> None:
        """End what is being built in other threads."""
        self._broken_off.set()

    def remember(self, one: Chosen, sha256: str) -> None:
        """Put down which wheel, now in the store, was built from a source."""
        key = self._key(one.source)
        if key:
            store_json(self.layout.builds / key, _KIND, _FORMAT, sha256)

    def _key(self, source: object) -> str | None:
        if isinstance(source, VcsChoice):
            identity, below = f"{source.kind}:{source.commit}", source.subdirectory
        elif isinstance(source, ArchiveChoice):
            identity, below = _identity(source.file), source.subdirectory
        elif isinstance(source, IndexChoice) and source.sdist is not None:
            identity, below = _identity(source.sdist), None
        else:
            return None
        return build_key(
            source=identity,
            subdirectory=below,
            cache_tag=self.target.cache_tag,
            platform=self.target.platform,
        )

    def editable(self, one: Chosen, source: DirectoryChoice) -> Provided:
        """Install a folder editable into a scratch environment and lift the result."""
        scratch = self.run.new_path()
        scratch.mkdir()
        bare = render(self.skeleton, env_dir=str(scratch), further_activators=False)
        fill_bare(bare, scratch)
        folder = self.run.new_path()
        folder.mkdir()
        made = build_editable(
            python=python_in(str(scratch)),
            pip=self._pip,
            project=source.path,
            folder=folder,
            settings=self.settings,
            environ=self.environ,
            reporter=self.reporter,
        )
        return _lifted(one, made, self.target)


def _identity(file: FileChoice) -> str:
    algorithm, digest = (
        ("sha256", file.sha256) if file.sha256 else next(iter(file.hashes))
    )
    return f"{algorithm}:{digest}"


def check_identity(one: Chosen, name: str, version: str) -> None:
    """Raise `BuildError` where a source turned out to be something else.

    Back ends may guess: setuptools builds an empty ``UNKNOWN`` from a project that
    has no ``[build-system]``. Folders and commits may name their version as they like.
    """
    from packaging.utils import canonicalize_name
    from packaging.version import InvalidVersion, Version

    if canonicalize_name(name) != one.name:
        raise BuildError(
            f"`{one.name}` was wanted, and its source makes `{name}` {version}",
            hint="has its pyproject.toml a `[build-system]` that fits its metadata?"
            + (" `--no-root` leaves the project itself out" if _is_root(one) else ""),
        )
    if one.version is None or isinstance(one.source, (DirectoryChoice, VcsChoice)):
        return
    try:
        same = Version(version) == Version(one.version)
    except InvalidVersion:
        same = version == one.version
    if not same:
        raise BuildError(
            f"`{one.name}` {one.version} is locked, and its source makes {version}",
            hint="lock again",
        )


def _is_root(one: Chosen) -> bool:
    return isinstance(one.source, DirectoryChoice) and one.source.editable


def _lifted(one: Chosen, made: EditableInstall, target: Target) -> Provided:
    check_identity(one, made.name, made.version)
    ending = f"{made.dist_info}/entry_points.txt"
    points = itertools.chain.from_iterable(
        itertools.chain.from_iterable(parse_entry_points(content, path))
        for path, content in made.files
        if path.endswith(ending)
    )
    scripts = []
    plain = []
    for name, content in made.scripts:
        split = split_placeholder(content)
        path = f"{target.scheme.scripts}/{name}"
        if split is None:
            plain.append(LiftedFile(path, content, True))
        else:
            scripts.append(PlannedScript(path, split.body, split.arguments))
    files = [LiftedFile(path, content, False) for path, content in made.files]
    return Provided(
        name=one.name,
        version=made.version,
        dist_info=made.dist_info,
        direct_url=direct_url(one.source),
        shared=False,
        lifted=(*files, *plain),
        scripts=(*scripts, *plan_launchers(points, target)),
    )


def direct_url(source: object) -> bytes | None:
    """Return ``direct_url.json`` (PEP 610); `None` for what an index has."""
    if isinstance(source, ArchiveChoice):
        file = source.file
        url = file.url or (file.path.as_uri() if file.path else "")
        return archive_direct_url(url, file.hashes, subdirectory=source.subdirectory)
    if isinstance(source, VcsChoice):
        return vcs_direct_url(
            source.kind,
            source.url,
            source.commit,
            requested_revision=source.requested_revision,
            subdirectory=source.subdirectory,
        )
    if isinstance(source, DirectoryChoice):
        return directory_direct_url(source.path, editable=source.editable)
    if isinstance(source, WheelChoice):
        hashes = (("sha256", sha256_file(source.path)),)
        return archive_direct_url(source.path.as_uri(), hashes)
    return None
