"""The command line, run in this process, with a store of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mvenv.cli import run

__all__ = ["Outcome", "Runner"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        """Return what ``--json`` printed."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs commands; ``store`` is the store they use."""

    store: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str | Path, store: Path | None = None) -> Outcome:
        """Run a command and return its outcome, whatever it is."""
        self.capsys.readouterr()
        words = [str(argument) for argument in arguments]
        code = run([*words, "--store", str(store or self.store)])
        captured = self.capsys.readouterr()
        return Outcome(code=code, out=captured.out, err=captured.err)

    def create(
        self, folder: Path, lockfile: Path, *options: str | Path, **places: Path
    ) -> Outcome:
        """Create an environment, which has to work."""
        outcome = self("create", folder, "--from", lockfile, *options, **places)
        assert outcome.code == 0, outcome.err
        return outcome
