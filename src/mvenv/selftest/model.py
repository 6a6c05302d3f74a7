"""The values of the self-test: a kind of fault, one damage that was done, a verdict."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mvenv.diagnose.model import HealClass
from mvenv.link.modes import LinkMode

if TYPE_CHECKING:
    from mvenv.selftest.scene import Scene

__all__ = [
    "ALL_MODES",
    "Damage",
    "Kind",
    "Reach",
    "Verdict",
    "damaged",
    "digest_of",
]

ALL_MODES = frozenset(LinkMode)


class Reach(enum.Enum):
    """How many faults of a kind one scene holds."""

    FILE = "one of many: others beside it do not disturb it"
    WORLD = "the only one: it concerns the whole environment or store"


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One fault that was made, and what doctor must make of it."""

    kind: str
    codes: frozenset[str]
    """Of which one must be reported."""
    places: tuple[Path, ...]
    """Names by which a finding may call it; a folder stands for all below. Empty: the
    code alone is enough."""
    heal: HealClass
    done: tuple[Path, ...] = ()
    """Everything that was changed, with what lies below; empty: the places."""
    drift: bool = False
    """The user may have meant it: it must stay as it is."""
    seen_by_stat: bool = True
    """A quick look must find it."""
    source: bool = True
    """Right bytes exist somewhere."""
    kept: tuple[str, ...] = ()
    """sha256 of what the user wrote: still to be found afterwards, whatever is done."""
    may_change: tuple[Path, ...] = ()
    """What a heal may change although it was not damaged, with what lies below."""
    wrong: Callable[[], str | None] | None = None
    """What is still not as it must be after the heal, where files alone cannot tell."""
    users: tuple[Path, ...] = ()
    """Environments of which each must be named."""

    @property
    def heals(self) -> bool:
        """Return whether doctor may, and can, put it right."""
        return self.source and self.heal is not HealClass.REPORT and not self.drift


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of fault, and how to make one."""

    name: str
    """Like ``truncated``."""
    code: str
    """Of the catalogue."""
    inject: Callable[[Scene], Damage]
    """Damages something that nothing else has damaged; `NoRoom` where there is none."""
    reach: Reach = Reach.FILE
    modes: frozenset[LinkMode] = ALL_MODES
    """Where it can be made."""
    needs_root: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one damage."""

    damage: Damage
    detected: bool
    healed: bool | None
    """`None` where nobody may heal it: then it was left as it was."""
    lost: tuple[str, ...] = ()
    """sha256 of what the user wrote and cannot be found any more."""
    reason: str | None = None
    """Why it counts as not detected or not healed."""

    @property
    def perfect(self) -> bool:
        """Return whether everything went as it must."""
        return self.detected and self.healed is not False and not self.lost


def digest_of(content: bytes) -> str:
    """Return the sha256 of what the user wrote."""
    return hashlib.sha256(content).hexdigest()


def damaged(
    kind: str,
    codes: str,
    places: Iterable[Path],
    heal: HealClass,
    *,
    drift: bool = False,
    hidden: bool = False,
    kept: tuple[str, ...] = (),
    users: tuple[Path, ...] = (),
    source: bool = True,
) -> Damage:
    """Return a damage; ``hidden``: stat shows nothing of it."""
    return Damage(
        kind=kind,
        codes=frozenset(codes.split()),
        places=tuple(places),
        heal=heal,
        drift=drift,
        seen_by_stat=not hidden,
        kept=kept,
        users=users,
        source=source,
    )
