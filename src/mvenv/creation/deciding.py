"""From the bytes of a lockfile to a plan: read, selected, ensured, planned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mvenv.apply.recipe import Recipe
from mvenv.creation.decision import Decision, Needed, Terms
from mvenv.ensure import Builder, ensure
from mvenv.ensure.bytecode import ensure_bytecode, shared_wheels
from mvenv.env.seeds import seed_wheel
from mvenv.env.skeleton import Skeleton
from mvenv.fetch.download import Fetcher
from mvenv.fetch.newest import download_newest
from mvenv.hashes import digest_bytes
from mvenv.plan.compiled import AvailableBytecode
from mvenv.plan.planning import make_plan
from mvenv.plan.record import seal_plan
from mvenv.progress import Reporter
from mvenv.selection import Selection, select
from mvenv.selection.addition import with_wheel
from mvenv.selection.model import ArchiveChoice, DirectoryChoice, IndexChoice
from mvenv.store.entries import WheelStore
from mvenv.store.runs import RunFolder
from mvenv.workers import processors

if TYPE_CHECKING:
    from mvenv.fetch.settings import FetchSettings
    from mvenv.lockfiles.model import Lockfile

__all__ = ["Decider"]


class Decider:
    """Decides what is to be made from a lockfile that was read, or from none."""

    def __init__(
        self,
        lockfile: Lockfile | None,
        terms: Terms,
        skeleton: Skeleton,
        *,
        fetch: FetchSettings,
        environ: Mapping[str, str],
        reporter: Reporter,
    ) -> None:
        self.lockfile = lockfile
        self._terms = terms
        self._skeleton = skeleton
        self._fetch = fetch
        self._environ = environ
        self._reporter = reporter
        self._selection = Selection(distributions=())
        if lockfile is not None:
            self._selection = select(lockfile, terms.target, terms.groups)
        self.needed = tuple(_needed(self._selection))
        self.warnings = self._selection.warnings
        if lockfile is not None:
            self.warnings = (*lockfile.warnings, *self.warnings)

    def decide(self, store: WheelStore, run: RunFolder) -> Decision:
        """Ensure the wheels, and plan; `StaleWheels` where stored ones are changed."""
        terms = self._terms
        selection = self._selection
        for name, wheel in self._seeds(run):
            selection = with_wheel(selection, name, wheel)
        with Fetcher(self._fetch, self._reporter) as fetcher:
            ensured = ensure(
                selection,
                store=store,
                run=run,
                fetcher=fetcher,
                builder=self._builder(run),
                reporter=self._reporter,
            )
        compiled = ensure_bytecode(
            shared_wheels(ensured.distributions),
            terms.target,
            how=terms.bytecode,
            store=store,
            run=run,
            reporter=self._reporter,
        )
        plan = make_plan(
            ensured.distributions,
            terms.target.scheme,
            reserved=terms.bare.paths(),
            aliases=terms.bare.folder_links(),
            bytecode=AvailableBytecode(terms.target.cache_tag, compiled.by_wheel),
        )
        record = seal_plan(plan)
        return Decision(
            recipe=Recipe.of(plan, processors()),
            plan=plan,
            record=record,
            sha256=digest_bytes(record).sha256,
            lockfile_sha256=self.lockfile.sha256 if self.lockfile else None,
            needed=self.needed,
            warnings=self.warnings,
            new=(*ensured.new, *compiled.new),
            lasting=compiled.whole and not terms.upgrade_seeds,
            fetched=ensured.fetched,
            built=ensured.built,
        )

    def _seeds(self, run: RunFolder) -> Iterator[tuple[str, Path]]:
        """Yield each of the seeds and its wheel; pip last, so that it comes first."""
        terms = self._terms
        at_hand = {
            name: seed_wheel(terms.target, name, bundled=terms.bundled_seeds)
            for name in terms.seeds
        }
        newest: Mapping[str, Path] = {}
        if terms.upgrade_seeds:
            newest = download_newest(
                terms.seeds,
                python=terms.target.executable,
                pip=at_hand["pip"],
                folder=run.new_path(),
                settings=self._fetch,
                environ=self._environ,
            )
        for name in reversed(terms.seeds):
            yield name, newest.get(name) or at_hand[name]

    def _builder(self, run: RunFolder) -> Builder:
        return Builder(
            target=self._terms.target,
            skeleton=self._skeleton,
            layout=self._terms.layout,
            run=run,
            settings=self._fetch,
            environ=self._environ,
            reporter=self._reporter,
        )


def _needed(selection: Selection) -> Iterator[Needed]:
    for one in selection.distributions:
        if isinstance(one.source, DirectoryChoice):
            yield "a project to install", str(one.source.path)
        elif isinstance(one.source, (ArchiveChoice, IndexChoice)):
            for file in one.source.files:
                if file.path is not None:
                    yield "a file to install", str(file.path)
