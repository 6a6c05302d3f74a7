"""``mvenv create``: from a lockfile to an environment, read from top to bottom."""

from __future__ import annotations

import os
import sys
import time

from mvenv import __version__
from mvenv.apply import Application, Applied, Origin
from mvenv.creation.decision import Decision, Needed, Terms
from mvenv.creation.memory import Question, recall, remember
from mvenv.creation.request import Created, CreateRequest
from mvenv.env.bare import (
    BareEnvironment,
    VenvOptions,
    check_path,
    read_program,
    render,
)
from mvenv.env.clearing import check_apart, check_disposable
from mvenv.env.place import check_free
from mvenv.env.receipt import Asked
from mvenv.env.seeds import venv_seeds
from mvenv.env.skeleton import Skeleton, load_skeleton
from mvenv.env.state import EnvironmentState, observe
from mvenv.errors import LockfileError
from mvenv.interpreters import find_interpreter, inspect_interpreter
from mvenv.link.modes import LinkMode
from mvenv.paths import absolute, parent_of
from mvenv.progress import Reporter
from mvenv.store.attempts import until_sound
from mvenv.store.entries import WheelStore
from mvenv.store.layout import StoreLayout, open_layout
from mvenv.store.locking import using
from mvenv.store.runs import RunFolder, sweep_runs
from mvenv.target import Target
from mvenv.values import asdict, dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:  # what was decided before takes none of what deciding takes
    from collections.abc import Iterator

    from mvenv.creation.deciding import Decider
    from mvenv.lockfiles.model import Lockfile
    from mvenv.paths import StrPath

__all__ = ["CreateRequest", "Created", "create"]


def create(request: CreateRequest, reporter: Reporter) -> Created:
    """Create an environment; `MvenvError` where it cannot be, with nothing half-made.

    Reads the lockfile, inspects the interpreter, selects, ensures the wheels and plans,
    or recalls what all this led to before; then applies the plan, and makes the
    environment known.
    """
    started = time.monotonic()
    state = observe(request.folder, keep=request.keep)
    check_free(state, clear=request.clear)
    check_path(state.path_text)
    check_apart(state, request.store)
    place = _lockfile(request, reporter) if request.locked else None
    # Before a store is made for it: what is wrong with a lockfile leaves nothing.
    lockfile = None if place is None or _is_store(request.store) else _read(place)
    layout = open_layout(request.store)
    sweep_runs(layout)
    target = _inspect(request, layout)
    skeleton = load_skeleton(target, memory=layout.interpreters_text)
    seeds = request.seeds if request.seeds is not None else venv_seeds(target)
    bare = _bare(request, state, skeleton, target)
    terms = Terms(
        layout=layout,
        lockfile=place,
        target=target,
        bare=bare,
        groups=request.groups,
        seeds=seeds,
        bundled_seeds=request.bundled_seeds,
        upgrade_seeds=request.upgrade_seeds,
        bytecode=request.bytecode,
        places=request.fetch.identity(),
    )
    making = _Making(
        request=request,
        reporter=reporter,
        state=state,
        terms=terms,
        skeleton=skeleton,
        lockfile=lockfile,
    )
    application, decision, applied = making.make()
    if applied.leftover is not None:
        reporter.warn(
            "the old environment could not be deleted whole; what is left of it is in"
            f" `{applied.leftover}`: delete that when nothing uses it"
        )
    return _created(application, decision, applied, time.monotonic() - started)


def _lockfile(request: CreateRequest, reporter: Reporter) -> str:
    path = request.lockfile
    if path is None:
        from pathlib import Path

        from mvenv.lockfiles import find_lockfile

        path = find_lockfile(Path(request.start))
        if path is None:
            raise LockfileError(
                f"there is no poetry.lock or pylock.toml in `{request.start}` or above",
                hint="name one with `--from`",
            )
        reporter.note(f"using {os.path.relpath(path, request.start)}")
    return absolute(path)


def _is_store(root: StrPath) -> bool:
    return os.path.exists(os.path.join(root, "FORMAT"))


def _read(path: str) -> Lockfile:
    from pathlib import Path

    from mvenv.lockfiles import read_lockfile

    return read_lockfile(Path(path))


def _inspect(request: CreateRequest, layout: StoreLayout) -> Target:
    executable = find_interpreter(
        request.python, cache_folder=layout.interpreters_text, environ=request.environ
    )
    return inspect_interpreter(executable, memory=layout.interpreters_text)


def _prompt(request: CreateRequest) -> str | None:
    """Return the prompt; ``.`` is the folder one stands in, as for ``venv``."""
    return os.path.basename(request.start) if request.prompt == "." else request.prompt


def _bare(
    request: CreateRequest, state: EnvironmentState, skeleton: Skeleton, target: Target
) -> BareEnvironment:
    return render(
        skeleton,
        env_dir=state.path_text,
        prompt=_prompt(request),
        options=VenvOptions(
            with_pip=request.seeds != (),
            clear=request.clear,
            upgrade_deps=request.upgrade_seeds,
            prompt=request.prompt,
        ),
        system_site_packages=request.system_site_packages,
        scm_ignore=request.scm_ignore,
        made_by=__version__,
        program=read_program(target) if request.copies else None,
    )


@dataclass(slots=True, kw_only=True)
class _Making:
    """All that is known before the first wheel is looked for."""

    request: CreateRequest
    reporter: Reporter
    state: EnvironmentState
    terms: Terms
    skeleton: Skeleton
    lockfile: Lockfile | None
    """As far as it was read already."""
    said: list[str] = field(default_factory=list)
    """Warnings that the user has read."""

    def make(self) -> tuple[Application, Decision, Applied]:
        """Decide, and apply; anew where stored wheels turn out to be changed."""
        layout = self.terms.layout
        store = WheelStore(layout, seal=self.request.seal)
        question = self._question()
        with using(layout):
            # Under the lock: what is ready must not be pruned before it is linked.
            known = recall(question) if question else None
            if known is None:
                return self._apply(store, question, None, self._decider())
            self._check_disposable(known.needed)
            self._warn(known.warnings)
            return self._apply(store, question, known, None)

    def _apply(
        self,
        store: WheelStore,
        question: Question | None,
        known: Decision | None,
        decider: Decider | None,
    ) -> tuple[Application, Decision, Applied]:
        """Apply what is known; where it is not, or not true any more, decide."""
        with RunFolder(self.terms.layout) as run:

            def attempt() -> tuple[Application, Decision, Applied]:
                nonlocal known, decider
                decision, known = known, None
                if decision is None:
                    decider = decider or self._decider()
                    decision = decider.decide(store, run)
                application = self._application(decision, store, run)
                applied = application.carry_out()
                if decider and question:
                    lockfile = decider.lockfile
                    remember(question, decision, lockfile.digests if lockfile else ())
                return application, decision, applied

            return until_sound(attempt, store, self.reporter)

    def _question(self) -> Question | None:
        try:
            return Question(self.terms)
        except OSError:
            # Whoever reads it for its own sake says what is wrong with it.
            return None

    def _decider(self) -> Decider:
        from mvenv.creation.deciding import Decider

        lockfile = self.lockfile
        if lockfile is None and self.terms.lockfile is not None:
            lockfile = _read(self.terms.lockfile)
        decider = Decider(
            lockfile,
            self.terms,
            self.skeleton,
            fetch=self.request.fetch,
            environ=self.request.environ,
            reporter=self.reporter,
        )
        self._check_disposable(decider.needed, lockfile.inputs if lockfile else None)
        self._warn(decider.warnings)
        return decider

    def _warn(self, warnings: tuple[str, ...]) -> None:
        """Say each once: what was recalled can turn out to be stale."""
        for warning in warnings:
            if warning not in self.said:
                self.said.append(warning)
                self.reporter.warn(warning)

    def _check_disposable(
        self, needed: tuple[Needed, ...], inputs: tuple[StrPath, ...] | None = None
    ) -> None:
        check_disposable(self.state, self._needed(needed, inputs))

    def _needed(
        self, needed: tuple[Needed, ...], inputs: tuple[StrPath, ...] | None
    ) -> Iterator[tuple[str, StrPath]]:
        """Yield what must not be deleted with an environment that is replaced."""
        lockfile, target = self.terms.lockfile, self.terms.target
        if lockfile is not None:
            project = os.path.join(parent_of(lockfile), "pyproject.toml")
            for path in inputs or (lockfile, project):
                yield "what is locked", path
        yield "the interpreter", target.executable
        yield "the interpreter", target.real_executable
        yield "mvenv itself", sys.prefix
        yield "mvenv itself", os.path.dirname(os.path.dirname(__file__))
        yield from needed

    def _application(
        self, decision: Decision, store: WheelStore, run: RunFolder
    ) -> Application:
        request = self.request
        return Application(
            recipe=decision.recipe,
            record=decision.record,
            sha256=decision.sha256,
            bare=self.terms.bare,
            state=self.state,
            target=self.terms.target,
            origin=Origin(path=self.terms.lockfile, sha256=decision.lockfile_sha256),
            policy=request.policy,
            require_link=request.require_link,
            clear=request.clear,
            store=store,
            run=run,
            new=decision.new,
            asked=Asked(
                policy=request.policy.value,
                prompt=_prompt(request),
                system_site_packages=request.system_site_packages,
                seed=bool(self.terms.seeds),
                bytecode=request.bytecode.value,
                choices=asdict(request.groups),
                copies=request.copies,
                scm_ignore=request.scm_ignore,
            ),
        )


def _created(
    application: Application, decision: Decision, applied: Applied, seconds: float
) -> Created:
    tally = applied.filled.tally
    generated = sum(one.size for one in applied.filled.generated)
    return Created(
        path=application.state.path_text,
        version=application.target.version,
        python=application.target.executable,
        lockfile=application.origin.path,
        store=application.store.layout.root_text,
        distributions=application.recipe.distributions,
        tally=tally,
        private_files=tally.private_files + len(applied.filled.generated),
        shared_bytes=tally.bytes[LinkMode.REFLINK] + tally.bytes[LinkMode.HARDLINK],
        new_bytes=tally.bytes[LinkMode.COPY] + tally.private + generated,
        stored_bytes=sum(
            sum(file.size for file in wheel.manifest.files) - wheel.shared
            for wheel in decision.new
        ),
        link_mode=applied.choice.best,
        passed_over=applied.choice.passed_over,
        conflicts=application.recipe.conflicts,
        fetched=decision.fetched,
        built=decision.built,
        seconds=seconds,
    )
