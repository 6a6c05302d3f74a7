"""The interpreter an environment is built for: what it is and what it accepts."""

from __future__ import annotations

from mvenv.values import dataclass

__all__ = ["Scheme", "Target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """Where a wheel's parts go, relative to the environment, "/" between the parts.

    As the interpreter's own ``venv`` scheme says (`sysconfig`).
    """

    purelib: str
    """Like ``lib/python3.12/site-packages``."""
    platlib: str
    scripts: str
    """``bin``."""
    headers: str
    """Like ``include/site/python3.12``; the project's name is added (as pip does)."""
    data: str
    """The environment itself: ``""``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An interpreter, inspected."""

    executable: str
    """The base interpreter (never one inside a virtual environment), absolute, as
    ``sys._base_executable`` names it: what ``bin/python`` points to."""
    real_executable: str
    """The same, links resolved."""
    implementation: str
    """``cpython``."""
    version: str
    """Full, like ``3.12.1``."""
    version_info: tuple[int, int, int]
    cache_tag: str
    """Of its bytecode, like ``cpython-312``."""
    platform: str
    """`sysconfig.get_platform`, like ``linux-x86_64``."""
    free_threaded: bool
    markers: dict[str, str]
    """The marker environment (`packaging.markers.default_environment` there)."""
    tags: tuple[str, ...]
    """Compatible tags, best first, like ``cp312-cp312-manylinux_2_17_x86_64``."""
    scheme: Scheme
    stdlib: str
    """Its standard library's folder: ``venv``'s templates are below."""

    @property
    def short_version(self) -> str:
        """Return ``3.12``."""
        return f"{self.version_info[0]}.{self.version_info[1]}"
