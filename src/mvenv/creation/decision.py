"""What decides a plan, and what was decided."""

from __future__ import annotations

from mvenv.apply.recipe import Recipe
from mvenv.env.bare import BareEnvironment
from mvenv.env.compiled import Bytecode
from mvenv.selection.groups import GroupOptions
from mvenv.store.layout import StoreLayout
from mvenv.target import Target
from mvenv.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mvenv.plan.model import Plan
    from mvenv.store.entries import StoredWheel

__all__ = ["Decision", "Needed", "Terms"]

Needed = tuple[str, str]
"""What a run uses, in words, and its path: it is not deleted with an environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """All that decides a plan, but for the files that are read."""

    layout: StoreLayout
    lockfile: str | None
    """Its path, absolute; `None`: nothing but the seeds."""
    target: Target
    bare: BareEnvironment
    """What the plan must leave alone; the same for each environment of a target."""
    groups: GroupOptions
    seeds: tuple[str, ...]
    """Names of what is installed beside, like pip."""
    bundled_seeds: bool
    """Those that came with the interpreter, before those of virtualenv."""
    upgrade_seeds: bool
    """In the newest release that the index has, not in the one that is at hand."""
    bytecode: Bytecode
    places: tuple[str, ...]
    """Where files are looked for, without secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A plan, and what is to be said about how it came about."""

    recipe: Recipe
    record: bytes | None
    """The plan as the store keeps it; `None` where it has it."""
    sha256: str
    """Of the record."""
    plan: Plan | None = None
    """Where it was made now."""
    lockfile_sha256: str | None
    needed: tuple[Needed, ...] = ()
    """What else the lockfile wants, and an environment must not be made over."""
    warnings: tuple[str, ...] = ()
    """What the user is to know of the lockfile, and of what was selected."""
    new: Sequence[StoredWheel] = ()
    """Wheels that were taken into the store now; they are to be flushed."""
    fetched: int = 0
    built: int = 0
    lasting: bool = True
    """The same terms will lead to the same."""
