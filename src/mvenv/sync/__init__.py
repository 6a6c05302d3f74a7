"""``mvenv sync``: bring an environment to a lockfile, touching only what differs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mvenv.apply.present import Before, next_plan, receipt_of, still_edited, stored_put
from mvenv.ensure import Builder, Ensured, ensure
from mvenv.ensure.bytecode import Compiled, ensure_bytecode, shared_wheels
from mvenv.env.clearing import check_apart
from mvenv.env.compiled import Bytecode
from mvenv.env.generations import is_tidy, read_journal
from mvenv.env.receipt import Receipt
from mvenv.env.seeds import seed_wheel
from mvenv.env.skeleton import load_skeleton
from mvenv.env.state import EnvironmentState, observe
from mvenv.errors import InterpreterError, LockfileError, SystemFault
from mvenv.fetch.download import Fetcher
from mvenv.hashes import digest_bytes
from mvenv.interpreters import find_interpreter, inspect_interpreter
from mvenv.lockfiles import read_lockfile
from mvenv.locking import lock_folder
from mvenv.plan.compiled import AvailableBytecode
from mvenv.plan.local import with_known_wheels
from mvenv.plan.model import Plan
from mvenv.plan.own import with_own_files
from mvenv.plan.planning import make_plan
from mvenv.plan.record import seal_plan
from mvenv.plan.wanted import WantedFile
from mvenv.progress import Reporter
from mvenv.selection import GroupOptions, Selection, select
from mvenv.selection.addition import with_own_wheel, with_wheel
from mvenv.store.attempts import until_sound
from mvenv.store.durability import flush_file_system
from mvenv.store.entries import WheelStore
from mvenv.store.layout import StoreLayout, open_layout
from mvenv.store.locking import using
from mvenv.store.runs import RunFolder
from mvenv.sync.bringing import Destination
from mvenv.sync.drift import ForeignDistribution, find_foreign, ours_of
from mvenv.sync.outcome import Synced, summed_up
from mvenv.sync.work import Work, bare_of, is_registered
from mvenv.target import Target

if TYPE_CHECKING:
    from mvenv.fetch.settings import FetchSettings
    from mvenv.lockfiles.model import Lockfile

__all__ = ["SyncRequest", "Synced", "sync"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRequest:
    """What to bring to what, and how."""

    folder: Path
    lockfile: Path | None
    """`None`: the one it was made from."""
    python: str | None
    """Only the environment's own will do."""
    groups: GroupOptions | None
    """`None`: as when it was made."""
    seed: bool | None
    """Likewise."""
    exact: bool
    """Take out what was installed by hand."""
    dry_run: bool
    store: Path | None
    """`None`: the one it was made from."""
    seal: bool
    fetch: FetchSettings
    environ: Mapping[str, str]
    wheels: tuple[Path, ...] = ()
    """Of projects that are being worked on: installed beside what is locked, and
    shared with nobody."""


def sync(request: SyncRequest, reporter: Reporter) -> Synced:
    """Bring an environment to a lockfile; `MvenvError` where it cannot be.

    Reads, selects and ensures as create does; then, under the environment's lock,
    changes what differs, keeping what was there as the one previous generation.
    """
    started = time.monotonic()
    state = observe(request.folder)
    receipt = _asked_anew(receipt_of(state), request)
    lockfile = _read(receipt)
    folder = request.store or Path(receipt.store)
    layout = StoreLayout(folder) if request.dry_run else open_layout(folder)
    check_apart(state, layout.root)
    target = _own_interpreter(receipt, request, layout)
    selection = select(lockfile, target, GroupOptions(**receipt.asked.choices))
    for warning in (*lockfile.warnings, *selection.warnings):
        reporter.warn(warning)
    if receipt.asked.seed:
        selection = with_wheel(selection, "pip", seed_wheel(target, "pip"))
    for wheel in request.wheels:
        selection = with_own_wheel(selection, wheel)
    syncing = _Syncing(
        request=request,
        reporter=reporter,
        state=state,
        receipt=replace(
            receipt, lockfile=str(lockfile.path), lockfile_sha256=lockfile.sha256
        ),
        layout=layout,
        target=target,
    )
    told = syncing.foresee(receipt_of(state), selection, started)
    return told or syncing.sync(selection, started)


def _asked_anew(receipt: Receipt, request: SyncRequest) -> Receipt:
    """Return the receipt with what is asked for now."""
    asked = receipt.asked
    if request.groups is not None:
        asked = replace(asked, choices=asdict(request.groups))
    if request.seed is not None:
        asked = replace(asked, seed=request.seed)
    lockfile = receipt.lockfile
    if request.lockfile is not None:
        lockfile = str(request.lockfile.absolute())
    # As JSON gives them back: lists.
    choices = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asked.choices.items()
    }
    return replace(receipt, asked=replace(asked, choices=choices), lockfile=lockfile)


def _read(receipt: Receipt) -> Lockfile:
    if receipt.lockfile is None:
        raise LockfileError(
            f"`{receipt.path}` was made from no lockfile", hint="name one with `--from`"
        )
    return read_lockfile(Path(receipt.lockfile))


def _own_interpreter(
    receipt: Receipt, request: SyncRequest, layout: StoreLayout
) -> Target:
    """Return the environment's interpreter; `InterpreterError` where it is not it."""
    target = inspect_interpreter(receipt.interpreter, memory=layout.interpreters)
    hint = "`mvenv create --clear` makes the environment anew"
    made_for = receipt.interpreter_version.split(".")[:2]
    if target.version.split(".")[:2] != made_for:
        raise InterpreterError(
            f"`{receipt.interpreter}` is Python {target.version} now, and the"
            f" environment was made for {receipt.interpreter_version}",
            hint=hint,
        )
    if request.python is not None:
        asked = find_interpreter(
            request.python, cache_folder=layout.interpreters, environ=request.environ
        )
        other = inspect_interpreter(asked, memory=layout.interpreters)
        if other.real_executable != target.real_executable:
            raise InterpreterError(
                f"the environment is one of `{target.executable}` ({target.version}),"
                f" and `{other.executable}` is another interpreter",
                hint=f"{hint} with another one",
            )
    return target


@dataclass(frozen=True, slots=True, kw_only=True)
class _Syncing:
    """All that is known before the first wheel is looked for."""

    request: SyncRequest
    reporter: Reporter
    state: EnvironmentState
    receipt: Receipt
    """With what is asked for now."""
    layout: StoreLayout
    target: Target

    def foresee(
        self, now: Receipt, selection: Selection, started: float
    ) -> Synced | None:
        """Return what would change where only that is asked, or nothing would."""
        from mvenv.sync.foresight import foresee, is_installed

        dry_run = self.request.dry_run
        if not (dry_run or is_installed(selection, now, self.receipt)):
            return None
        with lock_folder(self.state.place, exclusive=False):
            same = receipt_of(observe(self.request.folder)) == now
            known = is_tidy(self.state.place) and is_registered(self.layout, now)
            if not dry_run and not (same and known):
                return None
            told = foresee(
                self.receipt,
                self.state,
                selection,
                self.target,
                self.layout,
                exact=self.request.exact,
                started=started,
            )
        if dry_run:
            return told
        return replace(told, dry_run=False) if told.untouched else None

    def sync(self, selection: Selection, started: float) -> Synced:
        """Ensure, then change; again where stored wheels turn out to be changed."""
        store = WheelStore(self.layout, seal=self.request.seal)
        with (
            using(self.layout),
            RunFolder(self.layout) as run,
            Fetcher(self.request.fetch, self.reporter) as fetcher,
        ):
            builder = Builder(
                target=self.target,
                skeleton=load_skeleton(self.target, memory=self.layout.interpreters),
                layout=self.layout,
                run=run,
                settings=self.request.fetch,
                environ=self.request.environ,
                reporter=self.reporter,
            )

            def attempt() -> Synced:
                ensured = ensure(
                    selection,
                    store=store,
                    run=run,
                    fetcher=fetcher,
                    builder=builder,
                    reporter=self.reporter,
                )
                compiled = ensure_bytecode(
                    shared_wheels(ensured.distributions),
                    self.target,
                    how=Bytecode(self.receipt.asked.bytecode),
                    store=store,
                    run=run,
                    reporter=self.reporter,
                )
                ensured.new += compiled.new
                _flush(ensured, store)
                return self._change(ensured, compiled, store, run, started)

            return until_sound(attempt, store, self.reporter)

    def _change(
        self,
        ensured: Ensured,
        compiled: Compiled,
        store: WheelStore,
        run: RunFolder,
        started: float,
    ) -> Synced:
        with lock_folder(self.state.place, exclusive=True):
            # Another may have changed it since we looked.
            now = receipt_of(observe(self.request.folder))
            work = Work(
                place=self.state.place,
                now=now,
                store=store,
                run=run,
                bare=bare_of(now, self.target, self.layout),
                reporter=self.reporter,
            )
            fresh = make_plan(
                ensured.distributions,
                self.target.scheme,
                reserved=work.bare.paths(),
                aliases=work.bare.folder_links(),
                bytecode=AvailableBytecode(self.target.cache_tag, compiled.by_wheel),
            )
            plan = self._settled(fresh, work)
            record = seal_plan(plan)
            sha256 = digest_bytes(record).sha256
            journal = work.unfinished(sha256, None)
            before = work.before(journal)
            foreign = self._foreign(work, before, plan)
            taken = [one for one in foreign if self._is_taken_out(one, plan)]
            private = still_edited(before.receipt, plan)
            outcome = work.bring_to(
                _with_sources(work.wanted(plan, work.now), work, plan, fresh),
                Destination(
                    receipt=self._new(work.now, plan, sha256, private),
                    record=record,
                    bytecode=plan.bytecode,
                ),
                before=before,
                journal=journal,
                resolve=stored_put,
                gone={path: sha for one in taken for path, sha in one.files},
                private=private,
            )
        return summed_up(
            work.now,
            before=before,
            plan=plan,
            outcome=outcome,
            foreign=foreign,
            taken=taken,
            fetched=ensured.fetched,
            built=ensured.built,
            started=started,
        )

    def _settled(self, fresh: Plan, work: Work) -> Plan:
        """Return the plan with what stays as it is.

        The environment's own files, and local wheels where nothing has changed.
        """
        journal = read_journal(work.place)
        half = next_plan(work.place, journal, work.layout) if journal else None
        known = half or work.before(journal).plan
        plan = with_own_files(fresh, known)
        if all(wheel.shared for wheel in fresh.wheels):
            return plan
        return with_known_wheels(plan, known)

    def _foreign(
        self, work: Work, before: Before, plan: Plan
    ) -> tuple[ForeignDistribution, ...]:
        plans = (before.plan, plan)
        known = [one for each in plans for one in each.distributions]
        return find_foreign(
            work.place,
            (self.target.scheme.purelib, self.target.scheme.platlib),
            ours_of([*known, *work.now.distributions], plans),
            aliases=work.bare.folder_links(),
            reserved=work.bare.paths(),
        )

    def _is_taken_out(self, one: ForeignDistribution, plan: Plan) -> bool:
        locked = any(one.name == other.name for other in plan.distributions)
        if not (locked or self.request.exact):
            return False
        if not one.files:
            self.reporter.warn(
                f"`{one.metadata}` has no RECORD, so {one.name} {one.version} cannot be"
                " taken out"
            )
        return bool(one.files)

    def _new(
        self, now: Receipt, plan: Plan, sha256: str, private: frozenset[str]
    ) -> Receipt:
        """Return the receipt of what is being made."""
        return replace(
            now,
            asked=self.receipt.asked,
            lockfile=self.receipt.lockfile,
            lockfile_sha256=self.receipt.lockfile_sha256,
            plan=sha256,
            edits=tuple(sorted(private)),
            distributions=plan.distributions,
        )


def _flush(ensured: Ensured, store: WheelStore) -> None:
    """Write what was taken into the store to the disk, before any of it is used."""
    if not ensured.new:
        return
    try:
        flush_file_system(store.layout.root)
    except SystemFault:
        for wheel in ensured.new:
            store.throw_away(wheel)
        raise
    for wheel in ensured.new:
        store.mark_synced(wheel)
    ensured.new.clear()


def _with_sources(
    wanted: dict[str, WantedFile], work: Work, plan: Plan, fresh: Plan
) -> dict[str, WantedFile]:
    """Return what is wanted, with the stamps that sources of local wheels have now."""
    if plan is fresh:
        return wanted
    return wanted | {
        path: one._replace(sealed=now.sealed)
        for path, now in work.wanted(fresh, work.now).items()
        if (one := wanted[path])
    }
