"""What installing is asked for, and what it answers."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from mvenv.surroundings import Surroundings
from mvenv.values import dataclass

__all__ = ["HowInstalled", "InstallRequest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallRequest:
    """What to install, into what."""

    folder: Path
    """An environment of ours."""
    arguments: tuple[str, ...]
    """Of ``pip install``."""
    start: Path
    """Where relative paths in them begin."""
    notes: Path
    """A folder of the caller's, for the pylock.toml of this environment; it is to last
    as long as the environment."""
    remember: float
    """Seconds for which pip's resolutions are believed; 0: never."""
    surroundings: Surroundings
    environ: Mapping[str, str]
    """For pip: its options, proxies and so on."""
    broken_off: threading.Event | None = None
    """Set by another thread, it ends pip and what pip started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HowInstalled:
    """What came of it."""

    changed: tuple[str, ...] = ()
    """Like ``name 1.0``."""
    recalled: bool = False
    """pip was not asked."""
    by_pip: bool = False
    """pip itself has installed it."""
    output: str = ""
    """Of pip, where it was run."""
