"""What came of adopting an environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvenv.link.modes import LinkMode, PassedOver

__all__ = ["Adopted", "AdoptedDistribution"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptedDistribution:
    """One distribution, and what became of its files."""

    name: str
    version: str
    source: str | None
    """File name of the wheel that it shares, or of what was learned."""
    learned: bool
    """The store had none, and learned it now."""
    linked: int
    already: int
    private: int
    edited: tuple[str, ...]
    missing: tuple[str, ...]
    apart: tuple[str, ...]
    damaged: tuple[str, ...]
    alone: str | None
    """Why it was left alone, where it was."""

    @property
    def shared(self) -> bool:
        """Return whether it shares anything with the store."""
        return bool(self.linked or self.already)

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints of it."""
        return {
            "name": self.name,
            "version": self.version,
            "source": self.source,
            "shared": self.shared,
            "learned": self.learned,
            "linked_files": self.linked,
            "already_linked_files": self.already,
            "private_files": self.private,
            "edited": list(self.edited),
            "missing": list(self.missing),
            "apart": list(self.apart),
            "damaged": list(self.damaged),
            "left_alone": self.alone,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """What was shared, learned and left."""

    path: Path
    store: Path
    distributions: tuple[AdoptedDistribution, ...]
    link_mode: LinkMode
    passed_over: tuple[PassedOver, ...]
    freed: int
    """Bytes on the disk that its files had for themselves and have no more."""
    stored: int
    """Bytes on the disk that the store took for what it learned."""
    dry: bool
    seconds: float

    @property
    def given_back(self) -> int:
        """Return how many bytes more are free now; 0 where the store grew."""
        return max(0, self.freed - self.stored)

    def count(self, *, learned: bool | None = None) -> int:
        """Return how many distributions share, all or those that were learned."""
        return sum(
            one.shared and (learned is None or one.learned is learned)
            for one in self.distributions
        )

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints of it."""
        return {
            "path": str(self.path),
            "store": str(self.store),
            "link_mode": self.link_mode.value,
            "passed_over": [
                {"mode": one.mode.value, "reason": one.reason}
                for one in self.passed_over
            ],
            "distributions": [one.as_json() for one in self.distributions],
            "shared": self.count(),
            "learned": self.count(learned=True),
            "freed_bytes": self.freed,
            "stored_bytes": self.stored,
            "given_back_bytes": self.given_back,
            "dry_run": self.dry,
            "seconds": round(self.seconds, 3),
        }
