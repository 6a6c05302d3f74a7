"""``mvenv adopt``: take in an environment that any tool made, read from the top.

Its files are proven by the hashes in its RECORDs, the store learns what it lacks, and
what both have becomes one file. Killed at any point, the environment works, and the
same command finishes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from mvenv.adopt.installed import Environment, Installation, read_installed
from mvenv.adopt.learning import Learner
from mvenv.adopt.matching import Entries, Match
from mvenv.adopt.outcome import Adopted, AdoptedDistribution
from mvenv.adopt.planning import Known, NewPlan, plan_environment, sources_of
from mvenv.adopt.records import Records, is_of
from mvenv.adopt.sharing import Shared, Sharer, own_bytes
from mvenv.apply.donors import Donors, find_donor
from mvenv.apply.rebuild import rebuild_wheel
from mvenv.env.clearing import check_apart
from mvenv.env.paths import python_in
from mvenv.env.receipt import FOLDER, PLAN, read_receipt
from mvenv.env.state import EnvironmentState, Standing, observe
from mvenv.errors import EnvironmentFault, LinkError, SystemFault
from mvenv.hashes import digest_bytes
from mvenv.interpreters import inspect_interpreter
from mvenv.link.modes import LinkChoice, LinkMode, LinkPolicy
from mvenv.link.probe import probe, sweep_probes
from mvenv.locking import lock_folder
from mvenv.plan.record import load_plan
from mvenv.progress import Reporter, Unit
from mvenv.store.durability import flush_file_system
from mvenv.store.entries import StoredWheel, WheelStore
from mvenv.store.layout import StoreKey, StoreLayout, is_adopted, open_layout
from mvenv.store.locking import using
from mvenv.store.names import SYNCED
from mvenv.store.registry import roots
from mvenv.store.runs import RunFolder, sweep
from mvenv.target import Target

__all__ = ["AdoptRequest", "Adopted", "adopt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptRequest:
    """What to adopt, and how."""

    folder: Path
    policy: LinkPolicy
    store: Path
    seal: bool
    dry_run: bool


def adopt(request: AdoptRequest, reporter: Reporter) -> Adopted:
    """Share an environment's files with the store; `MvenvError` where that cannot be.

    Reads what is installed, matches it with the store, learns what that lacks, plans,
    shares, and makes the environment known, in this order. A dry run changes nothing
    in the environment, and teaches the store nothing.
    """
    started = time.monotonic()
    state = observe(request.folder)
    _check(state)
    check_apart(state, request.store)
    layout = open_layout(request.store)
    try:
        with (
            lock_folder(state.place, exclusive=True),
            using(layout),
            RunFolder(layout) as run,
        ):
            # Another may have adopted it, synced it, or made it anew until now.
            state = observe(request.folder)
            _check(state)
            # Perhaps made by a run that was killed.
            sweep(layout)
            sweep_probes(state.place)
            adoption = _prepare(request, reporter, state, layout, run)
            return replace(adoption.carry_out(), seconds=time.monotonic() - started)
    except OSError as error:
        doing = "cannot adopt the environment"
        raise SystemFault.from_os_error(error, doing) from error


def _check(state: EnvironmentState) -> None:
    if state.standing is not Standing.ENVIRONMENT:
        raise EnvironmentFault(
            f"`{state.path}` is {state.standing.value}, and no environment to adopt",
            hint="name the folder that has `pyvenv.cfg` in it",
        )
    owner = state.place.stat().st_uid
    if owner != os.geteuid():
        raise EnvironmentFault(
            f"`{state.path}` belongs to another user (uid {owner}), who could change"
            " what all your environments share",
            hint="adopt it as that user, into a store of that user's own",
        )


def _prepare(
    request: AdoptRequest,
    reporter: Reporter,
    state: EnvironmentState,
    layout: StoreLayout,
    run: RunFolder,
) -> _Adoption:
    choice = probe(run.path, state.place, request.policy)
    if choice.best is LinkMode.COPY:
        reasons = "; ".join(one.reason for one in choice.passed_over)
        raise LinkError(
            f"`{state.path}` and the store `{layout.root}` can share nothing"
            + (f" ({reasons})" if reasons else ""),
            hint="choose a store on the environment's file system with `--store`",
        )
    python = python_in(str(state.path))
    target = inspect_interpreter(python, memory=layout.interpreters)
    here = Environment(path=state.path, place=state.place, scheme=target.scheme)
    return _Adoption(
        request=request,
        reporter=reporter,
        state=state,
        layout=layout,
        run=run,
        choice=choice,
        target=target,
        here=here,
        store=WheelStore(layout, seal=request.seal),
        before=_known(state, layout),
    )


def _known(state: EnvironmentState, layout: StoreLayout) -> Known:
    """Return what mvenv knew; nothing of a copy, or of what has another store."""
    receipt = read_receipt(state.place)
    if receipt is None or not is_of(receipt, state, layout):
        return Known()
    try:
        content = (state.place / PLAN).read_bytes()
    except OSError:
        return Known()
    if digest_bytes(content).sha256 != receipt.plan:
        return Known()
    return Known.of(receipt, load_plan(content, layout))


@dataclass(slots=True, kw_only=True)
class _Adoption:
    """One environment, locked, and all that is known of it."""

    request: AdoptRequest
    reporter: Reporter
    state: EnvironmentState
    layout: StoreLayout
    run: RunFolder
    choice: LinkChoice
    target: Target
    here: Environment
    store: WheelStore
    before: Known
    kept: set[str] = field(default_factory=set)
    """Distributions that stay as they were planned, by dist-info."""
    alone: dict[str, str] = field(default_factory=dict)
    """Why distributions are left alone, by dist-info."""
    expected: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """In a dry run: files that would be learned, their bytes, and those of them that
    are nobody else's, by dist-info."""
    stored: int = 0
    """Bytes on the disk that the store took."""
    made: list[StoredWheel] = field(default_factory=list)
    """Entries that were made again, and are to be flushed."""

    def carry_out(self) -> Adopted:
        installed = read_installed(self.here)
        same = self.before.unchanged(self.here, installed)
        self.kept |= {
            one.dist_info for one in self.before.damaged(self.here, installed)
        }
        learner = Learner(self.here, self.store, self.run)
        matches = self._match(installed, learner)
        plan = plan_environment(
            matches,
            self.before,
            self.here,
            kept=frozenset(self.kept),
            same=frozenset(same),
        )
        if not self.request.dry_run:
            self._flush_store(learner, matches)
            # Before its files are shared: then those bytes are not its own any more.
            self.stored = _bytes_of((*learner.new, *self.made))
        records = Records(
            state=self.state,
            layout=self.layout,
            target=self.target,
            choice=self.choice,
            policy=self.request.policy,
            edits=self.before.edits,
            new=plan,
        )
        if not self.request.dry_run:
            records.register()
        shared = self._share(matches, plan, learner)
        if not self.request.dry_run:
            records.leave()
        return self._outcome(installed, matches, shared)

    def _match(
        self, installed: Iterable[Installation], learner: Learner
    ) -> list[Match]:
        entries = Entries(self.store, self.here)
        keys = self.before.unchanged(self.here, installed)
        installed = tuple(installed)
        matches = []
        label = "looking at what is installed"
        with self.reporter.task(label, len(installed), Unit.FILES) as task:
            for one in installed:
                known = keys.get(one.dist_info)
                if known is not None:
                    match = self._match_known(one, known.wheel, entries)
                else:
                    match = self._match_found(one, entries, learner)
                if match is not None:
                    matches.append(match)
                task.advance(1)
        return matches

    def _match_known(
        self, one: Installation, key: StoreKey | str | None, entries: Entries
    ) -> Match | None:
        """Match what mvenv installed with the entry that it came from."""
        reason = one.alone
        wheels = {wheel.key: wheel for wheel in self.before.plan.wheels if wheel.shared}
        if one.normalized in self.before.edits:
            reason = "it was made private by `mvenv edit`"
        elif key is None or key not in wheels:
            reason = reason or "it is a local project"
        else:
            wheel = wheels[StoreKey(key)]
            match = entries.match_key(one, wheel.key, known_as=True)
            if is_adopted(wheel.key):
                # The store may know more by now: its wheel, or files edited here.
                match = entries.match(one) or match
            if match is None and not self.request.dry_run and self._rebuild(wheel.key):
                entries.forget(wheel.key)
                match = entries.match_key(one, wheel.key, known_as=True)
            if match is not None:
                return match
            reason = "its wheel is not in the store"
        self.kept.add(one.dist_info)
        self.alone[one.dist_info] = reason
        return None

    def _rebuild(self, key: StoreKey) -> bool:
        folders = [self.state.place]
        folders += [
            Path(root.path) for root in roots(self.layout) if key in root.wheels
        ]
        found = (find_donor(folder, self.layout) for folder in dict.fromkeys(folders))
        donors = Donors(tuple(donor for donor in found if donor is not None))
        rebuilt = rebuild_wheel(
            key, donors, store=self.store, run=self.run, flush=False
        )
        if rebuilt.missing:
            self.reporter.detail(
                f"nobody has {', '.join(rebuilt.missing[:3])} of {key}"
            )
        if rebuilt.wheel is None:
            return False
        self.made.append(rebuilt.wheel)
        return True

    def _match_found(
        self, one: Installation, entries: Entries, learner: Learner
    ) -> Match | None:
        """Match what another tool installed, or learn it."""
        if one.alone is not None:
            self.alone[one.dist_info] = one.alone
            return None
        match = entries.match(one)
        if match is not None:
            return match
        if not one.proves:
            self.alone[one.dist_info] = "its RECORD has no hashes"
            return None
        if self.request.dry_run:
            self.expected[one.dist_info] = learner.expect(one)
            return None
        match = learner.learn(one)
        if match is None:
            self.alone[one.dist_info] = "its files are not what its RECORD says"
        else:
            self.reporter.detail(f"learned {one.name} {one.version}")
        return match

    def _flush_store(self, learner: Learner, matches: Iterable[Match]) -> None:
        """Have the store's bytes on the disk before the environment's are given up."""
        unflushed = [
            match.wheel for match in matches if not (match.wheel.root / SYNCED).exists()
        ]
        if not unflushed:
            return
        try:
            flush_file_system(self.layout.root)
        except SystemFault:
            for wheel in (*learner.new, *self.made):
                self.store.throw_away(wheel)
            raise
        for wheel in unflushed:
            self.store.mark_synced(wheel)

    def _share(
        self, matches: Iterable[Match], new: NewPlan, learner: Learner
    ) -> dict[str, Shared]:
        winners: dict[StoreKey, list[str]] = {}
        sources = sources_of(new.plan)
        for path, key in sources.items():
            winners.setdefault(key, []).append(path)
        sharer = Sharer(
            environment=self.here,
            store=self.store,
            run=self.run,
            modes=self.choice.modes,
            rescue=self.state.place / FOLDER / "rescued",
            dry=self.request.dry_run,
            proven=learner.proven,
        )
        total = sum(map(len, winners.values()))
        shared = {}
        try:
            with self.reporter.task("sharing files", total, Unit.FILES) as task:
                for match in matches:
                    paths = winners.get(match.wheel.key, [])
                    done = sharer.share(match, paths)
                    rest = (
                        row for row in learner.not_in(match) if row.path not in sources
                    )
                    sharer.look_at_rest(rest, done)
                    shared[match.installation.dist_info] = done
                    task.advance(len(paths))
        finally:
            sharer.close()
        return shared

    def _outcome(
        self,
        installed: Iterable[Installation],
        matches: Iterable[Match],
        shared: dict[str, Shared],
    ) -> Adopted:
        by_name = {match.installation.dist_info: match for match in matches}
        distributions = tuple(
            self._described(one, by_name.get(one.dist_info), shared)
            for one in installed
        )
        return Adopted(
            path=self.state.path,
            store=self.layout.root,
            distributions=distributions,
            link_mode=self.choice.best,
            passed_over=self.choice.passed_over,
            freed=sum(one.freed for one in shared.values())
            + sum(freed for _, _, freed in self.expected.values()),
            stored=self.stored + sum(size for _, size, _ in self.expected.values()),
            dry=self.request.dry_run,
            seconds=0.0,
        )

    def _described(
        self, one: Installation, match: Match | None, shared: dict[str, Shared]
    ) -> AdoptedDistribution:
        done = shared.get(one.dist_info, Shared())
        expected = self.expected.get(one.dist_info, (0, 0, 0))[0]
        return AdoptedDistribution(
            name=one.name,
            version=one.version,
            source=match.wheel.manifest.filename if match else None,
            learned=bool(expected) or (match is not None and match.learned),
            linked=expected or done.linked,
            already=done.already,
            private=done.private,
            edited=tuple(done.edited),
            missing=tuple(done.missing),
            apart=tuple(done.apart),
            damaged=tuple(done.damaged),
            alone=self.alone.get(one.dist_info),
        )


def _bytes_of(wheels: Iterable[StoredWheel]) -> int:
    places = (
        wheel.tree / file.path for wheel in wheels for file in wheel.manifest.files
    )
    return sum(own_bytes(place, place.lstat()) for place in places)
