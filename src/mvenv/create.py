"""``mvenv create``: from a lockfile to an environment, read from top to bottom."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from mvenv import __version__
from mvenv.apply import Applied, StaleWheels, apply_plan
from mvenv.building import Builder
from mvenv.ensure import Ensured, ensure
from mvenv.env.bare import BareEnvironment, python_in, render
from mvenv.env.place import Place, check_free, open_place
from mvenv.env.receipt import Installed, Receipt, write_receipt
from mvenv.env.seeds import pip_wheel
from mvenv.env.skeleton import load_skeleton
from mvenv.env.state import EnvironmentState, observe
from mvenv.errors import LinkError, LockfileError, StoreError
from mvenv.fetch.download import Fetcher
from mvenv.hashes import sha256_file
from mvenv.interpreters import find_interpreter, inspect_interpreter
from mvenv.link.modes import LinkChoice, LinkMode, LinkPolicy, PassedOver
from mvenv.link.probe import probe
from mvenv.link.tree import Tally
from mvenv.lockfiles import find_lockfile, read_lockfile
from mvenv.plan import Conflict, Plan, make_plan
from mvenv.progress import Reporter
from mvenv.selection import (
    Chosen,
    FileChoice,
    GroupOptions,
    IndexChoice,
    Selection,
    select,
)
from mvenv.store.durability import boot_id, flush_file_system
from mvenv.store.entries import WheelStore
from mvenv.store.layout import StoreLayout, open_layout, store_key
from mvenv.store.registry import Root, new_id, register, unregister
from mvenv.store.runs import RunFolder
from mvenv.target import Target

if TYPE_CHECKING:
    from mvenv.fetch.settings import FetchSettings
    from mvenv.lockfiles.model import Lockfile

__all__ = ["CreateRequest", "Created", "create"]

_ATTEMPTS = 3
"""Damaged wheels are fetched anew; who damages them again and again must stop."""


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
    lockfile = _read(request, reporter)
    layout = open_layout(request.store)
    target = _inspect(request, layout)
    selection = select(lockfile, target, request.groups)
    for warning in (*lockfile.warnings, *selection.warnings):
        reporter.warn(warning)
    if request.seed:
        selection = _with_pip(selection, target)
    skeleton = load_skeleton(target, memory=layout.interpreters)
    bare = render(
        skeleton,
        env_dir=str(state.path),
        prompt=request.prompt,
        system_site_packages=request.system_site_packages,
        made_by=__version__,
    )
    store = WheelStore(layout, seal=request.seal)
    with RunFolder(layout) as run, Fetcher(request.fetch, reporter) as fetcher:
        builder = Builder(
            target=target,
            skeleton=skeleton,
            layout=layout,
            run=run,
            settings=request.fetch,
            environ=request.environ,
            reporter=reporter,
        )
        for _ in range(_ATTEMPTS):
            ensured = ensure(
                selection,
                store=store,
                run=run,
                fetcher=fetcher,
                builder=builder,
                reporter=reporter,
            )
            plan = make_plan(
                ensured.distributions, target.scheme, reserved=bare.paths()
            )
            making = _Making(request, state, lockfile, target, bare, plan, store, run)
            try:
                made = making.make(ensured)
            except StaleWheels as stale:
                _mend(stale, store, reporter)
            else:
                return _created(making, ensured, made, time.monotonic() - started)
    raise StoreError(
        f"wheels in the store `{layout.root}` are changed again and again",
        hint="find out who writes to it, or choose another with `--store`",
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


def _with_pip(selection: Selection, target: Target) -> Selection:
    """Add the pip that is on this machine, unless the lockfile has one."""
    name = canonicalize_name("pip")
    if any(one.name == name for one in selection.distributions):
        return selection
    path = pip_wheel(target)
    digest = sha256_file(path)
    file = FileChoice(
        filename=path.name,
        sha256=digest,
        hashes=(("sha256", digest),),
        url=None,
        path=path,
        size=path.stat().st_size,
    )
    source = IndexChoice(
        wheels=(file,), sdist=None, index=None, index_name=None, rejections=()
    )
    pip = Chosen(name=name, version=None, source=source)
    return replace(selection, distributions=(pip, *selection.distributions))


def _mend(stale: StaleWheels, store: WheelStore, reporter: Reporter) -> None:
    """Make damaged wheels right, or take them out so that they are fetched anew."""
    for key in sorted(stale.keys):
        mending = store.mend(store_key(key))
        if mending.usable:
            continue
        changed = ", ".join(mending.changed[:3]) or "its manifest"
        where = (
            f"; what was changed is kept in `{mending.kept}`" if mending.kept else ""
        )
        reporter.warn(
            f"a stored wheel had been changed ({changed}) and was not used{where}."
            " Other environments that share these files have the change too"
        )


@dataclass(frozen=True, slots=True)
class _Making:
    """All that is decided; what is left is to do it."""

    request: CreateRequest
    state: EnvironmentState
    lockfile: Lockfile
    target: Target
    bare: BareEnvironment
    plan: Plan
    store: WheelStore
    run: RunFolder

    def make(self, ensured: Ensured) -> _Made:
        """Fill a place and make it the environment."""
        root = Root(
            id=new_id(),
            path=str(self.state.path),
            wheels=tuple(wheel.key for wheel in self.plan.wheels),
        )
        with open_place(
            self.state, clear=self.request.clear, fingerprint=self._fingerprint()
        ) as place:
            choice = self._probe(place)
            register(self.store.layout, root)
            try:
                applied = self._fill(place, choice)
                flushed = self._flush(place, ensured)
                self._leave_receipt(place, root, applied, choice, flushed=flushed)
                place.commit(self.bare.paths() | self.plan.paths())
            except BaseException:
                unregister(self.store.layout, root.id)
                raise
        if self.state.receipt is not None:
            unregister(self.store.layout, self.state.receipt.id)
        return _Made(applied, choice)

    def _fingerprint(self) -> str:
        parts = [
            self.target.real_executable,
            self.target.version,
            str(self.state.path),
            *(f"{one.name} {one.version}" for one in self.plan.distributions),
            *(wheel.key for wheel in self.plan.wheels),
        ]
        return hashlib.sha256(
            "\n".join(parts).encode("utf-8", "surrogateescape")
        ).hexdigest()

    def _probe(self, place: Place) -> LinkChoice:
        choice = probe(
            self.run.path,
            place.folder,
            self.request.policy,
            same_owner=place.folder.stat().st_uid == os.geteuid(),
        )
        if self.request.require_link and choice.best is LinkMode.COPY:
            reasons = "; ".join(
                f"{one.mode.value}: {one.reason}" for one in choice.passed_over
            )
            raise LinkError(
                "files could only be copied, and links are required"
                + (f" ({reasons})" if reasons else ""),
                hint="choose a store on the environment's file system with `--store`,"
                " or leave out `--require-link`",
            )
        return choice

    def _fill(self, place: Place, choice: LinkChoice) -> Applied:
        return apply_plan(
            self.plan,
            self.bare,
            place.folder,
            python=python_in(str(self.state.path)),
            modes=choice.modes,
            replaces=place.replaces,
            require_link=self.request.require_link,
            store=self.store,
            run=self.run,
        )

    def _flush(self, place: Place, ensured: Ensured) -> bool:
        """Flush what was taken into the store now, and what was filled with it.

        With nothing new in the store nothing is flushed: the receipt says so, and
        doctor looks at the environment after a power cut.
        """
        if not ensured.new:
            return False
        root = self.store.layout.root
        flush_file_system(root)
        if place.folder.stat().st_dev != root.stat().st_dev:
            flush_file_system(place.folder)
        for wheel in ensured.new:
            self.store.mark_synced(wheel)
        return True

    def _leave_receipt(
        self,
        place: Place,
        root: Root,
        applied: Applied,
        choice: LinkChoice,
        *,
        flushed: bool,
    ) -> None:
        write_receipt(
            place.folder,
            Receipt(
                id=root.id,
                path=root.path,
                mvenv=__version__,
                store=str(self.store.layout.root),
                boot_id=boot_id(),
                flushed=flushed,
                link_mode=choice.best.value,
                lockfile=str(self.lockfile.path),
                lockfile_sha256=sha256_file(self.lockfile.path),
                interpreter=self.target.executable,
                interpreter_version=self.target.version,
                distributions=self.plan.distributions,
                generated=tuple(applied.generated),
            ),
        )


@dataclass(frozen=True, slots=True)
class _Made:
    applied: Applied
    choice: LinkChoice


def _created(making: _Making, ensured: Ensured, made: _Made, seconds: float) -> Created:
    tally = made.applied.tally
    generated = sum(size for _, _, size in made.applied.generated)
    shared = tally.bytes[LinkMode.REFLINK] + tally.bytes[LinkMode.HARDLINK]
    return Created(
        path=making.state.path,
        version=making.target.version,
        python=making.target.executable,
        lockfile=making.lockfile.path,
        store=making.store.layout.root,
        distributions=making.plan.distributions,
        tally=tally,
        private_files=tally.private_files + len(made.applied.generated),
        shared_bytes=shared,
        new_bytes=tally.bytes[LinkMode.COPY] + tally.private + generated,
        stored_bytes=sum(
            file.size for wheel in ensured.new for file in wheel.manifest.files
        ),
        link_mode=made.choice.best,
        passed_over=made.choice.passed_over,
        conflicts=making.plan.conflicts,
        fetched=ensured.fetched,
        built=ensured.built,
        seconds=seconds,
    )
