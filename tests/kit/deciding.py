"""Whether `mvenv create` decides on a plan, or recalls one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kit.commands import Outcome, Runner
from mvenv.creation.deciding import Decider

__all__ = ["Deciding"]


class Deciding:
    """Tells whether plans are decided on, or recalled."""

    def __init__(self, mvenv: Runner, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self._mvenv, self._folder = mvenv, folder
        self._made = self._decided = 0
        really = Decider.decide

        def decide(decider: Decider, *arguments: Any) -> Any:
            self._decided += 1
            return really(decider, *arguments)

        patch.setattr(Decider, "decide", decide)

    def __call__(self, lock: Path, *options: str | Path) -> bool:
        """Create a new environment, and return whether its plan was decided on."""
        before = self._decided
        self.last = self.create(lock, *options)
        assert self.last.code == 0, self.last.err
        return self._decided > before

    def create(self, lock: Path, *options: str | Path) -> Outcome:
        """Create a new environment, or fail."""
        self._made += 1
        self.env = self._folder / f"made{self._made}" / ".venv"
        return self._mvenv("create", self.env, "--from", lock, *options)
