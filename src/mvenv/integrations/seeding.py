"""Seed packages for an environment that another tool made: linked from the store."""

from __future__ import annotations

import contextlib
import os

from mvenv.apply.filling import fill
from mvenv.env.bare import BareEnvironment
from mvenv.errors import SystemFault, UsageError
from mvenv.integrations.moving import move_in, remove_installed
from mvenv.integrations.seeds import SeedPlans, read_seeds
from mvenv.interpreters import inspect_interpreter
from mvenv.link.probe import probe
from mvenv.progress import Silent
from mvenv.scratch import ScratchFolder, sweep_scratch
from mvenv.store.attempts import until_sound
from mvenv.store.entries import WheelStore
from mvenv.store.layout import open_layout
from mvenv.store.locking import using
from mvenv.store.runs import RunFolder
from mvenv.surroundings import Surroundings
from mvenv.target import Scheme, Target
from mvenv.values import dataclass, replace
from mvenv.workers import one_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from mvenv.apply.filling import Filled
    from mvenv.apply.recipe import Recipe

__all__ = ["SCRATCH", "Seeding", "seed"]

SCRATCH = ".mvenv-seed-"
"""How the folders begin, in environments, in which seeds are put together."""
_PATIENCE = 10.0
"""Seconds to wait for who takes wheels out of the store: virtualenv takes less."""
_NOTHING = BareEnvironment(folders=(), symlinks=(), files=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeding:
    """What to seed; all paths absolute."""

    environment: str
    purelib: str
    platlib: str
    scripts: str
    python: str
    """The environment's interpreter, as its scripts are to name it."""
    interpreter: str
    """The one that the environment is made from."""
    wheels: tuple[str, ...]

    def scheme(self, target: Target) -> Scheme:
        """Return where a wheel's parts go in this environment."""
        return replace(
            target.scheme,
            purelib=self._below(self.purelib),
            platlib=self._below(self.platlib),
            scripts=self._below(self.scripts),
        )

    def _below(self, path: str) -> str:
        below = os.path.relpath(path, self.environment)
        if below.startswith(os.pardir):
            raise UsageError(f"`{path}` is not in `{self.environment}`")
        return below


def seed(seeding: Seeding, environ: Mapping[str, str]) -> str:
    """Put seed packages into an environment; return in words how.

    Any error leaves the environment for another seeder to go on with: what is there is
    whole files, and no file that another installer would write through.
    """
    settings = Surroundings.of(environ)
    layout = open_layout(settings.store)
    target = inspect_interpreter(seeding.interpreter, memory=layout.interpreters_text)
    target = replace(target, scheme=seeding.scheme(target))
    store = WheelStore(layout, seal=settings.seal)
    with (
        one_process(),
        using(layout, patience=_PATIENCE),
        RunFolder(layout) as run,
    ):
        seeds = read_seeds(seeding.wheels)
        plans = SeedPlans(
            store=store,
            run=run,
            target=target,
            seeds=seeds,
            bytecode=settings.bytecode,
            python=os.path.basename(seeding.python),
        )
        known = plans.recall()

        def attempt() -> str:
            nonlocal known
            recipe, known = known, None
            return _place(recipe or plans.make(), seeding, settings, store, run)

        said = until_sound(attempt, store, Silent())
        for one in seeds:
            with contextlib.suppress(OSError):
                os.utime(layout.entry_text(one.key))
    return said


def _place(
    recipe: Recipe,
    seeding: Seeding,
    settings: Surroundings,
    store: WheelStore,
    run: RunFolder,
) -> str:
    """Put the files together beside, and rename them to where they belong."""
    environment = seeding.environment
    try:
        sweep_scratch(environment, SCRATCH)
        with ScratchFolder(environment, SCRATCH) as scratch:
            folder = scratch.new_path()
            folder.mkdir()
            choice = probe(
                run.path_text,
                folder,
                settings.policy,
                same_owner=os.stat(environment).st_uid == os.geteuid(),
            )
            filled = fill(
                recipe,
                _NOTHING,
                folder,
                python=seeding.python,
                modes=choice.modes,
                replaces=False,
                require_link=False,
                store=store,
                run=run,
            )
            names = frozenset(one.name for one in recipe.distributions)
            for site in dict.fromkeys((seeding.purelib, seeding.platlib)):
                remove_installed(environment, site, names)
            move_in(os.fspath(folder), environment)
    except OSError as error:
        raise SystemFault.from_os_error(error, "cannot seed") from error
    return _words(filled)


def _words(filled: Filled) -> str:
    counts = {mode.value: count for mode, count in filled.tally.files.items() if count}
    shared = ", ".join(f"{count} by {mode}" for mode, count in counts.items())
    own = filled.tally.private_files + len(filled.generated)
    return f"{shared or 'no files shared'}, {own} of its own"
