"""From a selection to stored wheels: found, fetched, built, taken in."""

from __future__ import annotations

import contextlib
import heapq
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from mvenv.ensure.building import Builder, check_identity, direct_url
from mvenv.ensure.ingesting import Ingester
from mvenv.errors import MvenvError, SeveralErrors
from mvenv.fetch.download import Fetched, Fetcher, FileRequest
from mvenv.plan.model import Provided
from mvenv.plan.planning import plan_launchers
from mvenv.progress import Reporter, Task, Unit
from mvenv.selection.model import (
    ArchiveChoice,
    Chosen,
    DirectoryChoice,
    FileChoice,
    IndexChoice,
    Selection,
    VcsChoice,
    WheelChoice,
)
from mvenv.store.entries import StaleWheels, StoredWheel, WheelStore
from mvenv.store.layout import store_key
from mvenv.store.runs import RunFolder, sweep
from mvenv.wheels.facts import read_facts, versioned_launchers

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

__all__ = ["Builder", "Ensured", "ensure"]

_Job: TypeAlias = "Future[tuple[NormalizedName, Provided]]"


@dataclass(slots=True)
class Ensured:
    """All distributions of a selection, ready to be installed."""

    distributions: tuple[Provided, ...] = ()
    new: list[StoredWheel] = field(default_factory=list)
    """Wheels that were taken into the store now; they are to be flushed."""
    fetched: int = 0
    """Files that came from a network or a folder."""
    built: int = 0


def ensure(
    selection: Selection,
    *,
    store: WheelStore,
    run: RunFolder,
    fetcher: Fetcher,
    builder: Builder,
    reporter: Reporter,
) -> Ensured:
    """Return the selection as stored wheels, in its order.

    What the store has costs no network. `MvenvError`, several together, where
    something cannot be fetched, built or taken in.
    """
    work = _Ensuring(store, run, fetcher, builder, reporter)
    return work.ensure(selection.distributions)


class _Ensuring:
    """One run of `ensure`."""

    def __init__(
        self,
        store: WheelStore,
        run: RunFolder,
        fetcher: Fetcher,
        builder: Builder,
        reporter: Reporter,
    ) -> None:
        self._store = store
        self._run = run
        self._fetcher = fetcher
        self._builder = builder
        self._reporter = reporter
        self._result = Ensured()
        self._lock = threading.Lock()
        self._ingester: Ingester | None = None

    def ensure(self, distributions: Sequence[Chosen]) -> Ensured:
        ready: dict[NormalizedName, Provided] = {}
        wanted: list[FileRequest] = []
        for one in distributions:
            wheel = self._present(one)
            if wheel is not None:
                ready[one.name] = self._provide_present(one, wheel)
            elif isinstance(one.source, (IndexChoice, ArchiveChoice)):
                wanted.append(_request(one, one.source))
        by_name = {one.name: one for one in distributions}
        if wanted:
            sweep(self._store.layout)
            ready |= self._fetch(by_name, wanted)
        for one in distributions:
            if one.name not in ready:
                ready[one.name] = self._build_from_source(one)
        self._result.distributions = tuple(ready[one.name] for one in distributions)
        return self._result

    def _present(self, one: Chosen) -> StoredWheel | None:
        source = one.source
        if isinstance(source, (IndexChoice, ArchiveChoice)):
            file = _first(source)
            if file.filename.endswith(".whl"):
                return self._find(file.sha256)
        return self._find(self._builder.recall(one))

    def _find(self, sha256: str | None) -> StoredWheel | None:
        return self._store.find(store_key(sha256)) if sha256 else None

    def _provide_present(self, one: Chosen, wheel: StoredWheel) -> Provided:
        """Provide what was right when it was taken in.

        `StaleWheels` where it is so no more.
        """
        try:
            return self._provide(one, wheel)
        except MvenvError:
            if self._store.verify(wheel):
                raise StaleWheels(frozenset({wheel.key})) from None
            raise

    def _provide(
        self, one: Chosen, wheel: StoredWheel, *, shared: bool = True
    ) -> Provided:
        facts = read_facts(wheel.tree, wheel.manifest)
        check_identity(one, facts.normalized_name, facts.version)
        target = self._builder.target
        version = target.version_info[:2]
        return Provided(
            name=one.name,
            version=facts.version,
            dist_info=facts.dist_info,
            scripts=plan_launchers(
                (*versioned_launchers(facts.console, version), *facts.gui), target
            ),
            direct_url=direct_url(one.source),
            wheel=wheel,
            facts=facts,
            shared=shared,
        )

    def _fetch(
        self,
        by_name: Mapping[NormalizedName, Chosen],
        requests: Sequence[FileRequest],
    ) -> dict[NormalizedName, Provided]:
        """Fetch, and take in what came while the rest is still coming."""
        folder = self._run.new_path()
        folder.mkdir()
        waiting = _Waiting()
        jobs: list[_Job] = []
        errors: list[MvenvError] = []
        label = f"fetching {len(requests)} file{'' if len(requests) == 1 else 's'}"
        with (
            # First of all: no process is made beside a thread.
            Ingester(self._store, self._run, len(requests)) as ingester,
            self._reporter.task(label, len(requests), Unit.FILES) as task,
            ThreadPoolExecutor(ingester.threads, "unpack") as pool,
            # Ended here, and not when a traceback lets go of it: its threads write.
            contextlib.closing(self._fetcher.fetch(requests, folder)) as coming,
            contextlib.ExitStack() as breaking_off,
        ):
            self._ingester = ingester
            # For what ends this from without: signals only reach our own thread.
            breaking_off.callback(self._break_off, jobs)
            try:
                for came in coming:
                    self._result.fetched += 1
                    waiting.put(came)
                    jobs.append(pool.submit(self._take_in, by_name, waiting, task))
            except MvenvError as error:
                errors.append(error)
            wait(jobs)
            breaking_off.pop_all()
        done: dict[NormalizedName, Provided] = {}
        for job in jobs:
            try:
                name, provided = job.result()
                done[name] = provided
            except MvenvError as error:
                errors.append(error)
        if errors:
            raise SeveralErrors.unless_one(_flat(errors))
        return done

    def _break_off(self, jobs: Iterable[_Job]) -> None:
        """Let the pool end soon: a build in it may have minutes to go."""
        for job in jobs:
            job.cancel()
        self._builder.break_off()
        if self._ingester is not None:
            self._ingester.break_off()

    def _take_in(
        self, by_name: Mapping[NormalizedName, Chosen], waiting: _Waiting, task: Task
    ) -> tuple[NormalizedName, Provided]:
        """Take in the largest of what came: the last one keeps one processor alone."""
        came = waiting.take()
        one = by_name[came.request.name]
        if came.path.name.endswith(".whl"):
            stored = self._ingest(came.path, came.sha256)
        else:
            stored = self._build_from_sdist(one, came.path)
        task.advance(1)
        return one.name, self._provide(one, stored)

    def _build_from_sdist(self, one: Chosen, sdist: Path) -> StoredWheel:
        wheel, sha256 = self._builder.build_file(one, sdist)
        with self._lock:
            self._result.built += 1
        stored = self._ingest(wheel, sha256)
        self._builder.remember(one, sha256)
        return stored

    def _ingest(self, path: Path, sha256: str) -> StoredWheel:
        ingester = self._ingester or Ingester(self._store, self._run, 1)
        wheel = ingester.ingest(path, sha256)
        with self._lock:
            self._result.new.append(wheel)
        self._reporter.detail(f"stored {path.name}")
        return wheel

    def _build_from_source(self, one: Chosen) -> Provided:
        source = one.source
        if isinstance(source, DirectoryChoice) and source.editable:
            self._result.built += 1
            return self._builder.editable(one, source)
        path, sha256 = self._builder.build_source(one)
        self._result.built += not isinstance(source, WheelChoice)
        if isinstance(source, VcsChoice):
            stored = self._ingest(path, sha256)
            self._builder.remember(one, sha256)
            return self._provide(one, stored)
        # A folder's wheel changes with the folder, so it is nobody else's.
        key = store_key(sha256)
        wheel = self._store.stage(path, key, path.name, self._run.new_path())
        return self._provide(one, wheel, shared=False)


def _first(source: IndexChoice | ArchiveChoice) -> FileChoice:
    """Return the best file: a wheel, else the sdist."""
    if isinstance(source, ArchiveChoice):
        return source.file
    best = source.wheels[0] if source.wheels else source.sdist
    if best is None:
        raise AssertionError("a selection has a file for each distribution")
    return best


def _request(one: Chosen, source: IndexChoice | ArchiveChoice) -> FileRequest:
    best = _file_request(one, _first(source))
    if not isinstance(source, IndexChoice) or best.url or best.path:
        return best
    # The index may no longer have the best one.
    files = (*source.wheels, *([source.sdist] if source.sdist else []))
    others = tuple(_file_request(one, file) for file in files[1:])
    return replace(best, alternatives=others)


def _file_request(one: Chosen, file: FileChoice) -> FileRequest:
    index = one.source if isinstance(one.source, IndexChoice) else None
    return FileRequest(
        name=one.name,
        filename=file.filename,
        hashes=file.hashes,
        url=file.url,
        path=file.path,
        index=index.index if index else None,
        index_name=index.index_name if index else None,
        size=file.size,
    )


class _Waiting:
    """Files that came and are not yet taken in. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heap: list[tuple[int, int, Fetched]] = []
        self._count = 0

    def put(self, came: Fetched) -> None:
        size = came.path.stat().st_size
        with self._lock:
            self._count += 1
            heapq.heappush(self._heap, (-size, self._count, came))

    def take(self) -> Fetched:
        """Return the largest."""
        with self._lock:
            return heapq.heappop(self._heap)[2]


def _flat(errors: Iterable[MvenvError]) -> list[MvenvError]:
    flat: list[MvenvError] = []
    for error in errors:
        flat += error.errors if isinstance(error, SeveralErrors) else [error]
    return flat
