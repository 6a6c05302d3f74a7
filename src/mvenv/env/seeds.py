"""Where the pip for a new environment comes from: a wheel that is on this machine."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from mvenv.errors import InterpreterError
from mvenv.target import Target

__all__ = ["pip_wheel", "seed_identity"]

_WHEEL = re.compile(r"pip-\d[\d.]*-(?:py2\.)?py3-none-any\.whl$")
_DISTRIBUTION = ("/usr/lib/", "/usr/share/python-wheels")
"""Where the distribution's own Python is, and the wheels taken out of its
``ensurepip`` (Debian, Fedora)."""


def pip_wheel(target: Target) -> Path:
    """Return a wheel of pip that runs on ``target``.

    The one that virtualenv carries for that version; else that of the interpreter's
    own ``ensurepip``. `InterpreterError` where there is neither.
    """
    found = _embedded(target) or _bundled(target)
    if found is not None:
        return found
    raise InterpreterError(
        f"there is no pip for `{target.executable}` ({target.version}) on this machine",
        hint=f"`apt install python{target.short_version}-venv` on Debian and Ubuntu,"
        " or make the environment without pip",
    )


def seed_identity(target: Target) -> tuple[str, ...]:
    """Return what decides which wheel of pip that is, without importing virtualenv."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        carried = version("virtualenv")
    except PackageNotFoundError:
        carried = ""
    return (carried, *sorted(str(wheel) for wheel in _wheels_of(target)))


def _embedded(target: Target) -> Path | None:
    from virtualenv.seed.wheels.embed import get_embed_wheel

    try:
        wheel = get_embed_wheel("pip", target.short_version)
    except RuntimeError as error:
        raise InterpreterError(
            f"the pip that virtualenv carries is damaged: {error}",
            hint="install virtualenv again in the environment of mvenv",
        ) from error
    return None if wheel is None else Path(wheel.path)


def _bundled(target: Target) -> Path | None:
    return max(_wheels_of(target), key=_version, default=None)


def _wheels_of(target: Target) -> list[Path]:
    """Return the wheels of pip that came with an interpreter."""
    folders = [os.path.join(target.stdlib, "ensurepip", "_bundled")]
    system, shared = _DISTRIBUTION
    if target.stdlib.startswith(system):
        folders.append(shared)
    found: list[Path] = []
    for folder in folders:
        with contextlib.suppress(OSError):
            found += (one for one in Path(folder).iterdir() if _WHEEL.match(one.name))
    return found


def _version(wheel: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", wheel.name.split("-")[1]))
