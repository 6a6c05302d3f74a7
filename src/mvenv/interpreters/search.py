"""Interpreters by version or name, looked for where they can be.

Through `python-discovery`, which virtualenv uses too: PATH, shims of version managers,
uv's Pythons. pyenv's versions that are not on PATH are a further place.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mvenv.errors import InterpreterError
from mvenv.interpreters.inspection import OLDEST
from mvenv.paths import parent_of

if TYPE_CHECKING:
    from python_discovery import DiskCache, PythonInfo, PythonSpec

    from mvenv.paths import StrPath

__all__ = ["discover", "look", "places"]

_LISTED = 12
"""Interpreters named when the wanted one is not among them."""


def _pyenv_root(environ: Mapping[str, str]) -> str | None:
    root, home = environ.get("PYENV_ROOT"), environ.get("HOME")
    return root or (os.path.join(home, ".pyenv") if home else None)


def places(here: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the folders and files whose change can change the answer."""
    yield from filter(os.path.isabs, environ.get("PATH", "").split(os.pathsep))
    pyenv, home = _pyenv_root(environ), environ.get("HOME") or ""
    if pyenv:
        yield os.path.join(pyenv, "versions")
        yield os.path.join(pyenv, "version")
    for variable in ("MISE_DATA_DIR", "ASDF_DATA_DIR"):
        if environ.get(variable):
            yield os.path.join(environ[variable], "installs", "python")
    data = environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    yield environ.get("UV_PYTHON_INSTALL_DIR") or os.path.join(data, "uv", "python")
    here = here or os.sep
    while True:
        yield os.path.join(here, ".python-version")
        if here == (here := parent_of(here)):
            return


def discover(
    spec: str,
    cache_folder: StrPath | None,
    environ: Mapping[str, str],
    *,
    suggest: bool,
) -> str:
    """Return the path of the interpreter that ``spec`` means; `InterpreterError`.

    The error names those that are there where ``suggest`` is true.
    """
    from python_discovery import DiskCache, PythonSpec, get_interpreter

    try:
        wanted = PythonSpec.from_string_spec(spec)
    except ValueError as error:
        raise InterpreterError(
            f"`{spec}` does not say which interpreter: {error}",
            hint="choose a version like `3.12`, a name like `python3.12` or a path",
        ) from error
    # It warns of every odd thing on PATH; without a handler that goes to stderr.
    logging.getLogger("python_discovery").addHandler(logging.NullHandler())
    cache = DiskCache(Path(cache_folder, "discovery")) if cache_folder else None
    caches: tuple[DiskCache | None, ...] = (cache, None) if cache else (None,)
    for one in caches:
        # A cache that cannot be written to (a full disk) is done without.
        with contextlib.suppress(OSError, RuntimeError):
            found = get_interpreter(spec, None, one, environ, _is_cpython)
            found = found or _from_pyenv(wanted, one, environ)
            if found is not None:
                return found.system_executable or found.executable
            break
    there = _those_there(cache, environ) if suggest else ""
    raise InterpreterError(
        f"no interpreter `{spec}` was found{there}",
        hint="install it (for example with pyenv, uv or your system's packages),"
        " or choose one that is there with `--python`",
    )


def look(
    executable: str, cache_folder: StrPath, environ: Mapping[str, str]
) -> PythonInfo | None:
    """Return what an interpreter says of itself; `None` where it does not."""
    from python_discovery import DiskCache

    return _look(executable, DiskCache(Path(cache_folder, "discovery")), environ)


def _is_cpython(info: PythonInfo) -> bool:
    return info.implementation == "CPython"


def _is_usable(info: PythonInfo) -> bool:
    return _is_cpython(info) and tuple(info.version_info[:2]) >= OLDEST


def _from_pyenv(
    wanted: PythonSpec, cache: DiskCache | None, environ: Mapping[str, str]
) -> PythonInfo | None:
    """Return the newest of pyenv's versions that fits, on PATH or not."""
    if wanted.path or wanted.implementation not in {None, "cpython"}:
        return None
    for version, executable in _pyenv_versions(environ):
        if wanted.minor is None and version < OLDEST:
            # Only who names one that is too old is to be told of it.
            continue
        if wanted.major not in {None, version[0]}:
            continue
        if wanted.minor not in {None, version[1]}:
            continue
        info = _look(executable, cache, environ)
        if info and _is_cpython(info) and info.satisfies(wanted, impl_must_match=True):
            return info
    return None


def _look(
    executable: str, cache: DiskCache | None, environ: Mapping[str, str]
) -> PythonInfo | None:
    from python_discovery import PythonInfo

    return PythonInfo.from_exe(executable, cache, raise_on_error=False, env=environ)


def _pyenv_versions(
    environ: Mapping[str, str],
) -> list[tuple[tuple[int, int, int], str]]:
    """Return (version, executable) of what pyenv has installed, newest first."""
    root = _pyenv_root(environ)
    found = []
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = os.listdir(os.path.join(root, "versions")) if root else []
    for name in names:
        match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)(?:(?:a|b|rc)\d+|-dev)?(t?)", name)
        executable = os.path.join(str(root), "versions", name, "bin", "python")
        if match and os.access(executable, os.X_OK):
            major, minor, micro = (int(part) for part in match.groups()[:3])
            found.append(((major, minor, micro), match[4] == "", executable))
    found.sort(reverse=True)
    return [(version, executable) for version, _, executable in found]


def _those_there(cache: DiskCache | None, environ: Mapping[str, str]) -> str:
    known: dict[str, str] = {}
    # Only for the message: whatever is wrong with one of them is not the point here.
    with contextlib.suppress(Exception):
        for info in _all_interpreters(cache, environ):
            path = info.system_executable or info.executable
            known.setdefault(os.path.realpath(path), f"{_version(info)} at `{path}`")
    there = sorted(known.values(), key=_numbers, reverse=True)
    more = f", and {len(there) - _LISTED} more" if len(there) > _LISTED else ""
    return f"; there are {', '.join(there[:_LISTED])}{more}" if there else ""


def _all_interpreters(
    cache: DiskCache | None, environ: Mapping[str, str]
) -> Iterator[PythonInfo]:
    from python_discovery import iter_interpreters

    yield from iter_interpreters(None, (), cache, environ, _is_usable)
    for version, executable in _pyenv_versions(environ):
        info = _look(executable, cache, environ) if version >= OLDEST else None
        if info is not None and _is_usable(info):
            yield info


def _version(info: PythonInfo) -> str:
    numbers = ".".join(str(part) for part in info.version_info[:3])
    return f"{numbers}t" if info.free_threaded else numbers


def _numbers(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", text.partition(" ")[0])]
