"""Where the pip for a new environment comes from: a wheel that is on this machine."""

from __future__ import annotations

import contextlib
import os

from mvenv.errors import InterpreterError
from mvenv.target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["seed_identity", "seed_wheel", "venv_seeds"]

_DISTRIBUTION = ("/usr/lib/", "/usr/share/python-wheels")
"""Where the distribution's own Python is, and the wheels taken out of its
``ensurepip`` (Debian, Fedora)."""
_NO_SETUPTOOLS = (3, 12)
"""From here on `venv` puts no setuptools beside pip (gh-95299)."""
_EMBEDDED = ("seed", "wheels", "embed")
"""Where virtualenv carries wheels."""


def venv_seeds(target: Target) -> tuple[str, ...]:
    """Return what the interpreter's own ``venv`` installs.

    That is pip, and before 3.12 setuptools too.
    """
    old = target.version_info[:2] < _NO_SETUPTOOLS
    return ("pip", "setuptools") if old else ("pip",)


def seed_wheel(target: Target, name: str, *, bundled: bool = False) -> Path:
    """Return a wheel of ``name``, pip or setuptools, that runs on ``target``.

    The one that virtualenv carries for that version; else, or first where ``bundled``,
    that of the interpreter's own ``ensurepip``. `InterpreterError` where there is
    neither.
    """
    found = _bundled(target, name) if bundled else None
    found = found or _embedded(target, name) or _bundled(target, name)
    if found is not None:
        return found
    raise InterpreterError(
        f"there is no {name} for `{target.executable}` ({target.version}) on this"
        " machine",
        hint=f"`apt install python{target.short_version}-venv` on Debian and Ubuntu,"
        " or make the environment without pip",
    )


def seed_identity(target: Target, names: Sequence[str]) -> tuple[str, ...]:
    """Return what decides which wheels those are, without importing virtualenv."""
    from importlib.machinery import PathFinder

    carried: list[str] = []
    spec = PathFinder.find_spec("virtualenv")
    for base in (spec.submodule_search_locations or ()) if spec else ():
        with contextlib.suppress(OSError):
            carried += os.listdir(os.path.join(base, *_EMBEDDED))
    bundled = [wheel for name in names for wheel in _wheels_of(target, name)]
    return (*names, *sorted(carried), *sorted(bundled))


def _embedded(target: Target, name: str) -> Path | None:
    from pathlib import Path

    from virtualenv.seed.wheels.embed import get_embed_wheel

    try:
        wheel = get_embed_wheel(name, target.short_version)
    except RuntimeError as error:
        raise InterpreterError(
            f"the {name} that virtualenv carries is damaged: {error}",
            hint="install virtualenv again in the environment of mvenv",
        ) from error
    return None if wheel is None else Path(wheel.path)


def _bundled(target: Target, name: str) -> Path | None:
    from pathlib import Path

    wheels = _wheels_of(target, name)
    return Path(max(wheels, key=_version)) if wheels else None


def _wheels_of(target: Target, name: str) -> list[str]:
    """Return the wheels of a distribution that came with an interpreter."""
    folders = [os.path.join(target.stdlib, "ensurepip", "_bundled")]
    system, shared = _DISTRIBUTION
    if target.stdlib.startswith(system):
        folders.append(shared)
    return [
        os.path.join(folder, file)
        for folder in folders
        for file in _listed(folder)
        if file.startswith(f"{name}-") and _is_for_all(file)
    ]


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _is_for_all(file: str) -> bool:
    """Return whether a file is a released wheel for any Python 3 and platform."""
    parts = file.split("-")
    return (
        parts[2:] in (["py3", "none", "any.whl"], ["py2.py3", "none", "any.whl"])
        and parts[1].replace(".", "").isdigit()
    )


def _version(wheel: str) -> tuple[int, ...]:
    return tuple(map(int, os.path.basename(wheel).split("-")[1].split(".")))
