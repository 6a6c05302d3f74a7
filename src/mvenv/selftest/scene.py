"""The scene: a store, two environments of one lock, and what is still undamaged."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mvenv.creation import CreateRequest, create
from mvenv.env.compiled import Bytecode
from mvenv.env.receipt import PLAN, Receipt, read_receipt
from mvenv.errors import EnvironmentFault
from mvenv.fetch.settings import FetchSettings
from mvenv.link.modes import LinkMode, LinkPolicy
from mvenv.plan.model import Plan
from mvenv.plan.record import load_plan
from mvenv.progress import Silent
from mvenv.selection import GroupOptions
from mvenv.selftest.samples import make_samples
from mvenv.store.layout import StoreKey, StoreLayout

__all__ = ["NoRoom", "Scene", "SceneFile", "sha256_of"]

_MODULES = 10


class NoRoom(Exception):
    """The scene has nothing (left) that this kind of fault can be made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneFile:
    """A file that came from the store into the environments."""

    environment: Path
    sibling: Path
    """The same in the other environment."""
    stored: Path
    path: str
    """Below the environment."""
    member: str
    """Below the wheel's tree."""
    wheel: StoreKey
    distribution: str
    private: bool
    """Copied by rule, in every link mode."""
    size: int
    sha256: str

    @property
    def name(self) -> Path:
        """Return where it is in the environment."""
        return self.environment / self.path


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(slots=True, kw_only=True)
class Scene:
    """A world to be damaged; `set_up` makes it, and makes it anew."""

    folder: Path
    """Must be empty or absent, and is the scene's alone."""
    policy: LinkPolicy
    random: random.Random
    environ: Mapping[str, str]
    """For what create starts."""
    python: str | None = None
    modules: int = _MODULES
    """In each of twelve distributions."""
    prepare: Callable[[Path], None] | None = None
    """What else is made before the environments."""
    used: set[str] = field(default_factory=set)
    """What was damaged: paths below an environment, names of distributions."""
    files: tuple[SceneFile, ...] = ()
    with_wheels: bool = True
    """The wheels' own files stay where they are, as a last source."""
    _lock: bytes = b""
    """As it was made."""

    @property
    def environment(self) -> Path:
        """Return the environment that is damaged."""
        return self.folder / "project" / ".venv"

    @property
    def sibling(self) -> Path:
        """Return another environment of the same lock."""
        return self.folder / "sibling" / ".venv"

    @property
    def environments(self) -> tuple[Path, Path]:
        """Return both."""
        return (self.environment, self.sibling)

    @property
    def layout(self) -> StoreLayout:
        """Return the store."""
        return StoreLayout(self.folder / "store")

    @property
    def bystander(self) -> Path:
        """Return a folder that is nobody's business."""
        return self.folder / "bystander"

    @property
    def outside(self) -> Path:
        """Return a folder for what a fault needs beside the environments."""
        return self.folder / "outside"

    @property
    def wheels(self) -> Path:
        """Return the folder of the wheel files: the last source of right bytes."""
        return self.folder / "wheels"

    @property
    def has_wheels(self) -> bool:
        """Return whether the wheels' own files are there."""
        return next(self.wheels.glob("*.whl"), None) is not None

    @property
    def lockfile(self) -> Path:
        """Return the lock of both environments."""
        return self.wheels / "pylock.toml"

    @property
    def site(self) -> Path:
        """Return the environment's site-packages."""
        return next(self.environment.glob("lib/python*/site-packages"))

    def receipt(self, environment: Path | None = None) -> Receipt:
        """Return an environment's receipt."""
        receipt = read_receipt(environment or self.environment)
        if receipt is None:
            raise EnvironmentFault("the self-test's environment has no receipt")
        return receipt

    def plan(self) -> Plan:
        """Return the environment's plan."""
        plan = load_plan((self.environment / PLAN).read_bytes(), self.layout)
        if plan is None:
            raise EnvironmentFault("the self-test's environment has no plan")
        return plan

    @property
    def mode(self) -> LinkMode:
        """Return how files really came from the store."""
        return LinkMode(self.receipt().link_mode)

    def set_up(self) -> None:
        """Make everything, or make it anew."""
        for place in ("project", "sibling", "store", "outside", "bystander", "other"):
            _delete(self.folder / place)
        if not self._lock:
            self._lock = make_samples(
                self.wheels, self.random, self.modules
            ).read_bytes()
        self.lockfile.write_bytes(self._lock)
        for wheel in self.wheels.glob("away/*"):
            wheel.rename(self.wheels / wheel.name)
        self.bystander.mkdir(parents=True)
        (self.bystander / "notes.txt").write_text("nobody touches this\n")
        self.outside.mkdir()
        if self.prepare is not None:
            self.prepare(self.folder)
        for environment in self.environments:
            environment.parent.mkdir()
            self.create(environment)
        if not self.with_wheels:
            (self.wheels / "away").mkdir(exist_ok=True)
            for wheel in self.wheels.glob("*.whl"):
                wheel.rename(self.wheels / "away" / wheel.name)
        self.used = set()
        self.files = tuple(self._files())

    def create(self, environment: Path, *, clear: bool = False) -> None:
        """Make one environment."""
        request = CreateRequest(
            folder=environment,
            lockfile=self.lockfile,
            start=self.folder,
            python=self.python,
            groups=GroupOptions(),
            policy=self.policy,
            require_link=False,
            seeds=(),
            bytecode=Bytecode.NONE,
            prompt=None,
            system_site_packages=False,
            clear=clear,
            store=self.layout.root,
            seal=True,
            fetch=FetchSettings(offline=True),
            environ=self.environ,
        )
        create(request, Silent())

    def _files(self) -> Iterator[SceneFile]:
        plan = self.plan()
        names = {one.wheel: one.name for one in plan.distributions}
        for folder in (*plan.links, *plan.late_links):
            wheel = next(
                one
                for one in plan.wheels
                if folder.source == one.tree or folder.source.startswith(f"{one.tree}/")
            )
            for file in folder.files:
                path = f"{folder.target}/{file.target}".lstrip("/")
                stored = Path(folder.source, file.source)
                yield SceneFile(
                    environment=self.environment,
                    sibling=self.sibling / path,
                    stored=stored,
                    path=path,
                    member=str(stored.relative_to(wheel.tree)),
                    wheel=wheel.key,
                    distribution=names[wheel.key],
                    private=file.private,
                    size=file.size,
                    sha256=file.sha256,
                )

    def is_linked(self, file: SceneFile) -> bool:
        """Return whether environment and store have one inode for it."""
        return os.path.samefile(file.name, file.stored)

    def names_of(self, file: SceneFile) -> tuple[Path, ...]:
        """Return all names of the file's inode."""
        if self.is_linked(file):
            return (file.name, file.sibling, file.stored)
        return (file.name,)

    def take_file(
        self,
        *,
        private: bool | None = False,
        smallest: int = 2,
        suffix: str = "",
        where: Callable[[SceneFile], bool] = lambda _: True,
    ) -> SceneFile:
        """Return a random file that is undamaged, and put down that it is not now."""
        found = [
            file
            for file in self.files
            if file.size >= smallest
            and private in {None, file.private}
            and file.path.endswith(suffix)
            and not self.used & {file.path, file.distribution}
            and where(file)
        ]
        if not found:
            raise NoRoom
        file = self.random.choice(found)
        # Its distribution is no longer there for what damages all of one.
        self.used |= {file.path, f"some of {file.distribution}"}
        return file

    def take_distribution(self, *, but: Collection[str] = ()) -> str:
        """Return the name of an undamaged distribution, and put it down."""
        names = sorted({file.distribution for file in self.files} - {*but})
        free = [name for name in names if not self.used & {name, f"some of {name}"}]
        if not free:
            raise NoRoom
        name = self.random.choice(free)
        self.used |= {name, f"some of {name}"}
        return name

    def take_generated(self, *, prefix: str, suffix: str = "") -> Path:
        """Return an undamaged file that create wrote, and put it down."""
        found = [
            one.path
            for one in self.receipt().generated
            if one.path.startswith(prefix)
            and one.path.endswith(suffix)
            and one.size
            and not self.used & {one.path, self.distribution_of(one.path) or one.path}
        ]
        if not found:
            raise NoRoom
        path = self.random.choice(found)
        self.used.add(path)
        name = self.distribution_of(path)
        if name is not None:
            self.used.add(f"some of {name}")
        return self.environment / path

    def distribution_of(self, path: str) -> str | None:
        """Return whose a generated path is, as far as its name tells."""
        for one in self.receipt().distributions:
            if path.startswith(f"{one.dist_info}/") or Path(path).name.startswith(
                f"{one.name}-"
            ):
                return one.name
        return None

    def files_of(self, distribution: str) -> tuple[SceneFile, ...]:
        """Return the files of a distribution that came from the store."""
        return tuple(file for file in self.files if file.distribution == distribution)

    def dist_info(self, distribution: str) -> Path:
        """Return the folder of a distribution's metadata."""
        for one in self.receipt().distributions:
            if one.name == distribution:
                return self.environment / one.dist_info
        raise NoRoom


def _delete(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
