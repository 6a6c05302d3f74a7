"""Environments that share a store, to be damaged and healed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kit.commands import Outcome, Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker

FILES: dict[str, str | bytes] = {
    "victim.py": "answer = 42\n" * 100,
    "victim_more/__init__.py": "more = 1\n" * 20,
    "victim_more/data.bin": bytes(range(256)) * 40,
    "victim_more/empty.py": "",
}


@dataclass(frozen=True, slots=True)
class World:
    """Environments ``a``, ``b``, … of one lock; everything is below ``folder``."""

    folder: Path
    mvenv: Runner
    wheel: Path
    lock: Path

    def make(self, *names: str, mode: str = "hardlink") -> tuple[Path, ...]:
        """Create environments."""
        folders = tuple(self.folder / name for name in names)
        for folder in folders:
            self.mvenv.create(folder, self.lock, "--link-mode", mode)
        return folders

    def site(self, environment: Path) -> Path:
        """Return its site-packages."""
        return next(environment.glob("lib/*/site-packages"))

    def stored(self, member: str = "victim.py") -> Path:
        """Return a file in the store's tree."""
        return next((self.mvenv.store / "wheels").glob(f"*/*/tree/{member}"))

    def doctor(self, *words: str | Path) -> Outcome:
        """Run doctor, offline unless told otherwise."""
        return self.mvenv("doctor", *words)

    def codes(self, *words: str | Path) -> dict[str, Any]:
        """Return fates by code, of a run that prints JSON."""
        value = self.doctor(*words, "--json").value
        return {one["code"]: one["fate"] for one in value["findings"]}

    def healthy(self, *environments: Path) -> bool:
        """Return whether a full check finds nothing, not even drift."""
        outcome = self.doctor(*environments, "--check", "--full", "--json")
        return outcome.code == 0 and outcome.value["findings"] == []


@pytest.fixture
def world(
    tmp_path: Path,
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
) -> World:
    """Return a world with one wheel and no environment yet."""
    wheel = make_wheel(
        "victim",
        "1.0",
        FILES,
        entry_points="[console_scripts]\nvictim = victim:answer\n",
    )
    return World(tmp_path, mvenv, wheel, write_pylock(wheel))


@pytest.fixture
def edit() -> Callable[..., None]:
    """Return what writes through a link, as an editor that forces it does."""

    def write(path: Path, content: bytes, *, stamp: bool = False) -> None:
        before = path.stat()
        path.chmod(0o644)
        path.write_bytes(content)
        path.chmod(before.st_mode & 0o777)
        if stamp:
            os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))

    return write
