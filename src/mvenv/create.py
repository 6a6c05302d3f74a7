"""``mvenv create``: from a lockfile to an environment, read from top to bottom."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvenv import __version__
from mvenv.apply import Application, Applied, Origin
from mvenv.ensure import Builder, Ensured, ensure
from mvenv.ensure.attempts import until_sound
from mvenv.env.bare import VenvOptions, check_path, render
from mvenv.env.clearing import check_apart, check_disposable
from mvenv.env.place import check_free
from mvenv.env.receipt import Asked, Installed
from mvenv.env.seeds import pip_wheel
from mvenv.env.skeleton import Skeleton, load_skeleton
from mvenv.env.state import EnvironmentState, observe
from mvenv.errors import LockfileError
from mvenv.fetch.download import Fetcher
from mvenv.interpreters import find_interpreter, inspect_interpreter
from mvenv.link.modes import LinkMode, LinkPolicy, PassedOver
from mvenv.link.tree import Tally
from mvenv.lockfiles import find_lockfile, read_lockfile
from mvenv.plan.model import Conflict
from mvenv.plan.planning import make_plan
from mvenv.progress import Reporter
from mvenv.selection import GroupOptions, Selection, select
from mvenv.selection.addition import with_wheel
from mvenv.selection.model import ArchiveChoice, DirectoryChoice, IndexChoice
from mvenv.store.entries import WheelStore
from mvenv.store.layout import StoreLayout, open_layout
from mvenv.store.locking import using
from mvenv.store.runs import RunFolder
from mvenv.target import Target

if TYPE_CHECKING:
    from mvenv.fetch.settings import FetchSettings
    from mvenv.lockfiles.model import Lockfile

__all__ = ["CreateRequest", "Created", "create"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRequest:
    """What to create, from what, and how."""

    folder: Path
    lockfile: Path | None
    """`None`: the nearest one, upward from ``start``."""
    start: Path
    python: str | None
    groups: GroupOptions
    policy: LinkPolicy
    require_link: bool
    seed: bool
    prompt: str | None
    system_site_packages: bool
    clear: bool
    store: Path
    seal: bool
    fetch: FetchSettings
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """What was created."""

    path: Path
    version: str
    """Of the interpreter."""
    python: str
    lockfile: Path
    store: Path
    distributions: tuple[Installed, ...]
    tally: Tally
    private_files: int
    """Files of this environment alone: private by rule, or generated."""
    shared_bytes: int
    new_bytes: int
    """Bytes of files that share nothing; folders are not counted."""
    stored_bytes: int
    """Bytes that the store took in now."""
    link_mode: LinkMode
    passed_over: tuple[PassedOver, ...]
    conflicts: tuple[Conflict, ...]
    fetched: int
    built: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "path": str(self.path),
            "python": self.python,
            "version": self.version,
            "lockfile": str(self.lockfile),
            "store": str(self.store),
            "link_mode": self.link_mode.value,
            "passed_over": [
                {"mode": one.mode.value, "reason": one.reason}
                for one in self.passed_over
            ],
            "distributions": [
                {"name": one.name, "version": one.version, "shared": one.shared}
                for one in self.distributions
            ],
            "files": {mode.value: self.tally.files[mode] for mode in LinkMode},
            "private_files": self.private_files,
            "shared_bytes": self.shared_bytes,
            "new_bytes": self.new_bytes,
            "stored_bytes": self.stored_bytes,
            "conflicts": [
                {"path": one.path, "winner": one.winner, "losers": list(one.losers)}
                for one in self.conflicts
            ],
            "fetched": self.fetched,
            "built": self.built,
            "seconds": round(self.seconds, 3),
        }


def create(request: CreateRequest, reporter: Reporter) -> Created:
    """Create an environment; `MvenvError` where it cannot be, with nothing half-made.

    Reads the lockfile, inspects the interpreter, selects, ensures the wheels, plans,
    applies, and makes the environment known, in this order.
    """
    started = time.monotonic()
    state = observe(request.folder)
    check_free(state, clear=request.clear)
    check_path(str(state.path))
    check_apart(state, request.store)
    lockfile = _read(request, reporter)
    layout = open_layout(request.store)
    target = _inspect(request, layout)
    selection = select(lockfile, target, request.groups)
    check_disposable(state, _needed(lockfile, target, selection))
    for warning in (*lockfile.warnings, *selection.warnings):
        reporter.warn(warning)
    if request.seed:
        selection = with_wheel(selection, "pip", pip_wheel(target))
    making = _Making(
        request=request,
        reporter=reporter,
        state=state,
        origin=Origin(path=lockfile.path, sha256=lockfile.sha256),
        layout=layout,
        target=target,
        skeleton=load_skeleton(target, memory=layout.interpreters),
    )
    application, ensured, applied = making.make(selection)
    if applied.leftover is not None:
        reporter.warn(
            "the old environment could not be deleted whole; what is left of it is in"
            f" `{applied.leftover}`: delete that when nothing uses it"
        )
    return _created(application, ensured, applied, time.monotonic() - started)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Making:
    """All that is known before the first wheel is looked for."""

    request: CreateRequest
    reporter: Reporter
    state: EnvironmentState
    origin: Origin
    layout: StoreLayout
    target: Target
    skeleton: Skeleton

    def make(self, selection: Selection) -> tuple[Application, Ensured, Applied]:
        """Ensure, plan and apply; again where stored wheels turn out to be changed."""
        request = self.request
        store = WheelStore(self.layout, seal=request.seal)
        with (
            using(self.layout),
            RunFolder(self.layout) as run,
            Fetcher(request.fetch, self.reporter) as fetcher,
        ):
            builder = self._builder(run)

            def attempt() -> tuple[Application, Ensured, Applied]:
                ensured = ensure(
                    selection,
                    store=store,
                    run=run,
                    fetcher=fetcher,
                    builder=builder,
                    reporter=self.reporter,
                )
                application = self._application(ensured, store, run)
                return application, ensured, application.carry_out()

            return until_sound(attempt, store, self.reporter)

    def _builder(self, run: RunFolder) -> Builder:
        return Builder(
            target=self.target,
            skeleton=self.skeleton,
            layout=self.layout,
            run=run,
            settings=self.request.fetch,
            environ=self.request.environ,
            reporter=self.reporter,
        )

    def _prompt(self) -> str | None:
        """Return the prompt; ``.`` is the folder one stands in, as for ``venv``."""
        typed = self.request.prompt
        return self.request.start.name if typed == "." else typed

    def _application(
        self, ensured: Ensured, store: WheelStore, run: RunFolder
    ) -> Application:
        request = self.request
        bare = render(
            self.skeleton,
            env_dir=str(self.state.path),
            prompt=self._prompt(),
            options=VenvOptions(
                with_pip=request.seed, clear=request.clear, prompt=request.prompt
            ),
            system_site_packages=request.system_site_packages,
            made_by=__version__,
        )
        return Application(
            plan=make_plan(
                ensured.distributions,
                self.target.scheme,
                reserved=bare.paths(),
                aliases=bare.folder_links(),
            ),
            bare=bare,
            state=self.state,
            target=self.target,
            origin=self.origin,
            policy=request.policy,
            require_link=request.require_link,
            clear=request.clear,
            store=store,
            run=run,
            new=ensured.new,
            asked=Asked(
                policy=request.policy.value,
                prompt=self._prompt(),
                system_site_packages=request.system_site_packages,
                seed=request.seed,
                choices=asdict(request.groups),
            ),
        )


def _read(request: CreateRequest, reporter: Reporter) -> Lockfile:
    path = request.lockfile
    if path is None:
        path = find_lockfile(request.start)
        if path is None:
            raise LockfileError(
                f"there is no poetry.lock or pylock.toml in `{request.start}` or above",
                hint="name one with `--from`",
            )
        reporter.note(f"using {os.path.relpath(path, request.start)}")
    return read_lockfile(path.absolute())


def _inspect(request: CreateRequest, layout: StoreLayout) -> Target:
    executable = find_interpreter(
        request.python, cache_folder=layout.interpreters, environ=request.environ
    )
    return inspect_interpreter(executable, memory=layout.interpreters)


def _needed(
    lockfile: Lockfile, target: Target, selection: Selection
) -> Iterator[tuple[str, Path]]:
    """Yield what must not be deleted with an environment that is replaced."""
    for path in lockfile.inputs:
        yield "what is locked", path
    yield "the interpreter", Path(target.executable)
    yield "the interpreter", Path(target.real_executable)
    yield "mvenv itself", Path(sys.prefix)
    yield "mvenv itself", Path(__file__).parent
    for one in selection.distributions:
        if isinstance(one.source, DirectoryChoice):
            yield "a project to install", one.source.path
        elif isinstance(one.source, (ArchiveChoice, IndexChoice)):
            for file in one.source.files:
                if file.path is not None:
                    yield "a file to install", file.path


def _created(
    application: Application, ensured: Ensured, applied: Applied, seconds: float
) -> Created:
    tally = applied.filled.tally
    generated = sum(one.size for one in applied.filled.generated)
    return Created(
        path=application.state.path,
        version=application.target.version,
        python=application.target.executable,
        lockfile=application.origin.path,
        store=application.store.layout.root,
        distributions=application.plan.distributions,
        tally=tally,
        private_files=tally.private_files + len(applied.filled.generated),
        shared_bytes=tally.bytes[LinkMode.REFLINK] + tally.bytes[LinkMode.HARDLINK],
        new_bytes=tally.bytes[LinkMode.COPY] + tally.private + generated,
        stored_bytes=sum(
            file.size for wheel in ensured.new for file in wheel.manifest.files
        ),
        link_mode=applied.choice.best,
        passed_over=applied.choice.passed_over,
        conflicts=application.plan.conflicts,
        fetched=ensured.fetched,
        built=ensured.built,
        seconds=seconds,
    )
