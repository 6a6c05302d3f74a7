"""Seed wheels in the store, and the plan that installs them: decided once.

The console scripts are those that virtualenv's own seeder makes, whatever the wheel
declares: ``pip``, ``pip3``, ``pip-3.12`` and ``pip3.12``.
"""

from __future__ import annotations

import contextlib
import shutil

from mvenv import __version__
from mvenv.apply.recipe import Recipe, keep_recipe, recall_recipe
from mvenv.env.compiled import Bytecode
from mvenv.errors import InvalidWheel, StoreError, SystemFault
from mvenv.hashes import sha256_bytes, sha256_file
from mvenv.records import load_json, store_json
from mvenv.store.durability import flush_file_system
from mvenv.store.entries import StoredWheel, WheelStore
from mvenv.store.layout import StoreKey, store_key
from mvenv.store.names import SYNCED
from mvenv.store.plans import ANSWER, keep_plan
from mvenv.store.runs import RunFolder, sweep
from mvenv.target import Target
from mvenv.values import NamedTuple, dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mvenv.plan.model import Provided
    from mvenv.wheels.launchers import EntryPoint

__all__ = ["Seed", "SeedPlans", "console_scripts", "read_seeds"]

_INSTALLER = "pip"
"""As virtualenv's own seeder says. pip tells of newer versions of itself only where it
is its own installer, and is asked to by whoever wants that."""
_MARK = ".virtualenv"
"""Ending of an empty file that virtualenv puts beside each distribution, since pip once
could not uninstall one with nothing of its own at the top (pip#7226)."""
_VERSIONED = r"(?P<name>[^\W\d]\w*?)-?\d+(?:\.\d+)*"
"""``pip3``, ``pip-3.12`` or ``pip3.12``, but not ``2to3`` or ``python3-config``."""


class Seed(NamedTuple):
    """A wheel to seed."""

    path: str
    key: StoreKey
    """The sha256 of that very file."""


def read_seeds(paths: Iterable[str]) -> tuple[Seed, ...]:
    """Return wheel files with their keys; `OSError` where one cannot be read."""
    return tuple(Seed(path, store_key(sha256_file(path))) for path in paths)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedPlans:
    """The plan for some seeds and one kind of environment."""

    store: WheelStore
    run: RunFolder
    target: Target
    """With the paths of the environment."""
    seeds: tuple[Seed, ...]
    bytecode: Bytecode
    python: str
    """Name of the interpreter in scripts."""

    def recall(self) -> Recipe | None:
        """Return what was decided before; `None` where it is not known, or not ready.

        Ready is what is in the store and flushed. Each file is checked as it is linked.
        """
        match load_json(self._answer(), *ANSWER):
            case [str(plan), "", [], []]:
                with contextlib.suppress(StoreError):
                    return recall_recipe(self.store.layout, store_key(plan))
        return None

    def make(self) -> Recipe:
        """Take in what the store lacks, and plan; `MvenvError` where that fails."""
        from mvenv.ensure.bytecode import ensure_bytecode
        from mvenv.plan.compiled import AvailableBytecode
        from mvenv.plan.planning import make_plan
        from mvenv.plan.record import seal_plan
        from mvenv.progress import Silent

        new: list[StoredWheel] = []
        wheels = list(self._stored(new))
        compiled = ensure_bytecode(
            wheels,
            self.target,
            how=self.bytecode,
            store=self.store,
            run=self.run,
            reporter=Silent(),
        )
        self._flush([*new, *compiled.new], [*wheels, *compiled.by_wheel.values()])
        plan = make_plan(
            [self._provided(wheel) for wheel in wheels],
            self.target.scheme,
            reserved=frozenset(self._reserved()),
            aliases={},
            bytecode=AvailableBytecode(self.target.cache_tag, compiled.by_wheel),
        )
        record = seal_plan(plan)
        sha256 = sha256_bytes(record)
        layout = self.store.layout
        keep_plan(layout, record, sha256)
        if compiled.whole:
            keep_recipe(layout, plan, sha256, processes=1)
            store_json(self._answer(), *ANSWER, (sha256, "", (), ()))
        return Recipe.of(plan, 1)

    def _answer(self) -> str:
        """Return where the name of the plan is kept: a digest of all that decides it.

        It lies with those of `mvenv.create.memory`, in their form.
        """
        scheme = self.target.scheme
        words = (
            "seeds",
            __version__,
            *(one.key for one in self.seeds),
            *(scheme.purelib, scheme.platlib, scheme.scripts, scheme.headers),
            self.target.version,
            self.target.cache_tag,
            self.target.executable,
            self.bytecode.value,
            self.python,
        )
        told = "\n".join(f"{len(word)} {word}" for word in words)
        digest = sha256_bytes(told.encode("utf-8", "surrogateescape"))
        return f"{self.store.layout.ready_text}/{digest}"

    def _stored(self, new: list[StoredWheel]) -> Iterator[StoredWheel]:
        for one in self.seeds:
            wheel = self.store.find(one.key)
            if wheel is None:
                wheel = self._take_in(one)
                new.append(wheel)
            yield wheel

    def _take_in(self, one: Seed) -> StoredWheel:
        from pathlib import Path

        sweep(self.store.layout)
        # What is unpacked has to be what was hashed: nobody else has the copy.
        copy = self.run.new_path()
        shutil.copyfile(one.path, copy)
        if sha256_file(copy) != one.key:
            raise InvalidWheel(f"`{one.path}` was replaced while it was read")
        name = Path(one.path).name
        return self.store.ingest(copy, one.key, name, self.run.new_path())

    def _flush(self, new: Sequence[StoredWheel], used: Sequence[StoredWheel]) -> None:
        """Have all of it on the disk, whoever took it in: only then it is recalled."""
        unflushed = [one for one in used if not (one.root / SYNCED).exists()]
        if not unflushed:
            return
        try:
            flush_file_system(self.store.layout.root_text)
        except SystemFault:
            for wheel in new:
                self.store.throw_away(wheel)
            raise
        for wheel in unflushed:
            self.store.mark_synced(wheel)

    def _provided(self, wheel: StoredWheel) -> Provided:
        from mvenv.plan.model import LiftedFile, PlannedScript, Provided
        from mvenv.wheels.facts import read_facts

        facts = read_facts(wheel.tree, wheel.manifest)
        scheme, version = self.target.scheme, self.target.version_info[:2]
        site = scheme.purelib if facts.root_is_purelib else scheme.platlib
        mark = f"{site}/{facts.dist_info.removesuffix('.dist-info')}{_MARK}"
        return Provided(
            name=facts.normalized_name,
            version=facts.version,
            dist_info=facts.dist_info,
            direct_url=None,
            scripts=tuple(
                PlannedScript(
                    f"{scheme.scripts}/{point.name}",
                    point.launcher_body(version),
                    b"",
                    self.python,
                )
                for point in console_scripts(facts.console, version)
            ),
            wheel=wheel,
            facts=facts,
            lifted=(LiftedFile(mark, b"", executable=False),),
            installer=_INSTALLER,
            requested=False,
        )

    def _reserved(self) -> Iterator[str]:
        """Yield what no seed may take the place of."""
        major, minor, _ = self.target.version_info
        yield "pyvenv.cfg"
        for name in ("python", f"python{major}", f"python{major}.{minor}"):
            yield f"{self.target.scheme.scripts}/{name}"


def console_scripts(
    declared: Iterable[EntryPoint], python: tuple[int, int]
) -> tuple[EntryPoint, ...]:
    """Return the console scripts that virtualenv makes of those that are declared."""
    import re

    major, minor = python
    made: dict[str, EntryPoint] = {}
    for point in declared:
        versioned = re.fullmatch(_VERSIONED, point.name)
        name = versioned["name"] if versioned else point.name
        endings = ("", f"{major}", f"-{major}.{minor}", f"{major}.{minor}")
        for ending in endings:
            made[f"{name}{ending}"] = point._replace(name=f"{name}{ending}")
    return tuple(made.values())
