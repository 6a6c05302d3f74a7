"""From what a user says (a version, a name, a path) to the path of an interpreter.

What was found by name or version is remembered, for as long as all the places to look
in stay as they were: the search costs more than an environment.
"""

from __future__ import annotations

import contextlib
import os
import sys

from mvenv.errors import InterpreterError
from mvenv.interpreters.memory import bear_witness, recall, remember

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from mvenv.paths import StrPath

__all__ = ["find_interpreter", "is_another"]

_KIND = "found"
_OTHERS = ("pypy", "graalpy", "graalvm", "jython", "ironpython", "micropython")
_VARIABLES = (
    "PATH",
    "HOME",
    "PYENV_ROOT",
    "PYENV_VERSION",
    "MISE_DATA_DIR",
    "ASDF_DATA_DIR",
    "UV_PYTHON_INSTALL_DIR",
    "XDG_DATA_HOME",
)
"""What decides where interpreters are looked for."""


def is_another(spec: str) -> bool:
    """Return whether ``spec`` names an interpreter that is not CPython."""
    return spec.strip().lower().startswith(_OTHERS)


def find_interpreter(
    spec: str | None,
    *,
    cache_folder: StrPath | None,
    environ: Mapping[str, str],
    suggest: bool = True,
) -> str:
    """Return the path of the interpreter that ``spec`` means.

    ``spec`` is a version (``3.12``), a name (``python3.12``, ``cpython3.12``), a path,
    or a virtual environment's folder; `None` is the interpreter that runs mvenv, the
    one outside where that is in a virtual environment. ``environ`` says where to look,
    ``cache_folder`` is where answers are kept. `InterpreterError` where there is none,
    with those that are there unless ``suggest`` is false: to ask each takes time.
    """
    if spec is None:
        return _own_base()
    spec = spec.strip()
    path = _as_path(spec)
    if path is not None:
        return path
    if not spec or is_another(spec):
        raise InterpreterError(
            f"mvenv makes environments for CPython only, not for `{spec}`"
            if spec
            else "the name of the interpreter is empty",
            hint="choose a version like `3.12`, a name like `python3.12` or a path",
        )
    question = (spec, _own_base(), _here(), *(environ.get(v, "") for v in _VARIABLES))
    known = recall(cache_folder, _KIND, question)
    if isinstance(known, str):
        return known
    from mvenv.interpreters.search import discover, places

    # Looked at before the search: what changes during it is searched again.
    seen = [bear_witness(place) for place in places(_here(), environ)]
    found = discover(spec, cache_folder, environ, suggest=suggest)
    seen += [bear_witness(found), bear_witness(sys.executable)]
    remember(cache_folder, _KIND, question, found, seen)
    return found


def _own_base() -> str:
    base: str = getattr(sys, "_base_executable", "") or sys.executable
    if not base:
        raise InterpreterError(
            "the interpreter that runs mvenv does not know its own path",
            hint="name an interpreter with `--python`",
        )
    return base


def _here() -> str:
    # Version managers read `.python-version` from here upward.
    with contextlib.suppress(OSError):
        return os.getcwd()
    return ""


def _as_path(spec: str) -> str | None:
    """Return the interpreter at a path, or `None` for a name or a version."""
    looks_so = os.sep in spec or spec in {".", ".."}
    if os.path.isdir(spec):
        for name in ("python", "python3"):
            inside = os.path.join(spec, "bin", name)
            if os.path.lexists(inside) and (
                looks_so or os.path.isfile(os.path.join(spec, "pyvenv.cfg"))
            ):
                return os.path.abspath(inside)
    if not looks_so:
        return None
    if not os.path.lexists(spec):
        raise InterpreterError(
            f"there is no interpreter at `{spec}`",
            hint="choose another interpreter with `--python`",
        )
    return os.path.abspath(spec)
