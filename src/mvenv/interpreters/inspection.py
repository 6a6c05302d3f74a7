"""From the path of an interpreter to what it is and accepts: a `Target`.

One short run of it says everything; the answer is remembered. Its tags are worked
out here by `packaging.tags` from what it said, so it needs no packages of its own.
"""

from __future__ import annotations

import os
import sys

from mvenv.errors import InterpreterError
from mvenv.interpreters.memory import bear_witness, recall, remember
from mvenv.paths import read_bytes
from mvenv.target import Scheme, Target
from mvenv.values import asdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mvenv.paths import StrPath

__all__ = ["OLDEST", "ask", "ask_tags", "inspect_interpreter", "witnesses_of"]

OLDEST = (3, 8)
"""The oldest Python that environments are made for."""

_MARK = "<<mvenv>>"
_KIND = "interpreter"
_CHOOSE = "choose another interpreter with `--python`"
_CONFIGURATION = "pyvenv.cfg"
_ENVIRONMENTS_DEEP = 8
"""Environments made by environments made by…: more is a circle."""


def inspect_interpreter(
    executable: str, *, memory: StrPath | None, timeout: float | None = None
) -> Target:
    """Return what the interpreter at the path ``executable`` is.

    One inside a virtual environment stands for the one it was made from. The answer is
    remembered in the folder ``memory``. ``timeout`` is in seconds. `InterpreterError`
    where it is missing, does not run, or is not CPython 3.8 or newer.
    """
    return _inspect(os.path.abspath(executable), memory, timeout, _ENVIRONMENTS_DEEP)


def _inspect(
    path: str, memory: StrPath | None, timeout: float | None, depth: int
) -> Target:
    real = os.path.realpath(path)
    question = (path, real, *_machine())
    known = recall(memory, _KIND, question)
    if known is not None:
        return _from_json(known)
    _check_file(path)
    facts = ask(path, timeout=timeout)
    _check_supported(path, facts)
    base = _base_of(path, facts)
    if base == path:
        target = _make_target(path, real, facts, timeout)
    elif depth:
        target = _inspect(base, memory, timeout, depth - 1)
    else:
        raise InterpreterError(f"`{path}` leads to itself", hint=_CHOOSE)
    # What a wrapper (a shim of pyenv) leads to depends on more than files.
    if os.path.realpath(facts["executable"]) == real:
        library = facts["library"]
        seen = {path: None, **dict.fromkeys(witnesses_of(target))}
        if library:
            seen[library] = None
        seen |= dict.fromkeys(_configurations(path))
        remember(memory, _KIND, question, _to_json(target), map(bear_witness, seen))
    return target


def witnesses_of(target: Target) -> tuple[str, ...]:
    """Return the files that change whenever the interpreter is replaced."""
    return (target.real_executable, os.path.join(target.stdlib, "os.py"))


def _machine() -> tuple[str, ...]:
    """Return what else decides about tags: a store may be on a disk of several hosts.

    The system's C library moves with it; on macOS the kernel's release does.
    """
    here = os.uname()
    release = here.release if sys.platform == "darwin" else ""
    return (here.sysname, here.machine, release, _libc())


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (OSError, ValueError):
        return ""


def _check_file(path: str) -> None:
    if not os.path.lexists(path):
        raise InterpreterError(f"there is no interpreter at `{path}`", hint=_CHOOSE)
    if not os.path.exists(path):
        raise InterpreterError(
            f"`{path}` is a link to `{os.path.realpath(path)}`, which is not there",
            hint="its Python was removed or moved; install that again, or"
            " choose another interpreter with `--python`",
        )
    if os.path.isdir(path):
        raise InterpreterError(f"`{path}` is a folder without Python", hint=_CHOOSE)
    if not os.access(path, os.X_OK):
        raise InterpreterError(
            f"`{path}` cannot be run: it is not executable", hint=_CHOOSE
        )


def ask(executable: str, *, timeout: float | None = None) -> Any:
    """Run ``executable`` once and return its facts, see `mvenv.interpreters.facts`.

    `InterpreterError` where it is no Python 3.
    """
    import json

    from mvenv.interpreters.running import run_python

    script = os.path.join(os.path.dirname(__file__), "facts.py")
    # Isolated, and without `site`: nothing of the user's runs before the answer.
    answer = run_python(executable, ["-I", "-S", script], timeout=timeout)
    text = answer.output.decode("utf-8", "replace")
    try:
        return json.loads(text.split(_MARK)[1])
    except (IndexError, ValueError):
        pass
    if b"Unknown option: -I" in answer.errors:
        raise InterpreterError(f"`{executable}` is too old", hint=_supported())
    raise InterpreterError(
        f"`{executable}` did not answer as a Python interpreter: {answer.reason()}",
        hint=_CHOOSE,
    )


def _supported() -> str:
    return f"choose CPython {OLDEST[0]}.{OLDEST[1]} or newer with `--python`"


def _check_supported(path: str, facts: Any) -> None:
    if facts["implementation"] != "cpython":
        name = facts["markers"]["platform_python_implementation"]
        raise InterpreterError(
            f"`{path}` is {name}; mvenv makes environments for CPython only",
            hint=_supported(),
        )
    if tuple(facts["version_info"][:2]) < OLDEST:
        raise InterpreterError(
            f"`{path}` is Python {facts['version']}, which is too old",
            hint=_supported(),
        )


def _configurations(executable: str) -> tuple[str, str]:
    """Return where the mark of a virtual environment would be (PEP 405)."""
    folder = os.path.dirname(executable)
    return (
        os.path.join(folder, _CONFIGURATION),
        os.path.join(os.path.dirname(folder), _CONFIGURATION),
    )


def _base_of(path: str, facts: Any) -> str:
    """Return the interpreter that ``venv`` would link to.

    Since 3.11 ``sys._base_executable`` is it; before, it named the environment's own
    interpreter, so the same rule is followed here.
    """
    executable: str = facts["executable"]
    if not executable:
        raise InterpreterError(f"`{path}` does not know its own path", hint=_CHOOSE)
    base: str = os.path.abspath(facts["base"])
    marks = [place for place in _configurations(executable) if os.path.isfile(place)]
    if not marks or base != executable:
        return base
    real = os.path.realpath(executable)
    if real != executable and not any(map(os.path.isfile, _configurations(real))):
        return real
    return _from_configuration(executable, marks[0], facts)


def _from_configuration(executable: str, mark: str, facts: Any) -> str:
    home = None
    try:
        lines = read_bytes(mark).decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition("=")
        if key.strip().lower() == "home":
            home = value.strip()
    major, minor = facts["version_info"][:2]
    names = (os.path.basename(executable), f"python{major}.{minor}", "python3")
    for name in (*names, "python") if home else ():
        candidate = os.path.join(str(home), name)
        if os.access(candidate, os.X_OK) and not os.path.samefile(
            candidate, executable
        ):
            return candidate
    raise InterpreterError(
        f"`{executable}` is in a virtual environment whose Python is not there"
        + (f": `{home}`" if home else ""),
        hint=_CHOOSE,
    )


def _make_target(path: str, real: str, facts: Any, timeout: float | None) -> Target:
    major, minor, micro = facts["version_info"]
    return Target(
        executable=path,
        real_executable=real,
        implementation=facts["implementation"],
        version=facts["version"],
        version_info=(major, minor, micro),
        cache_tag=facts["cache_tag"],
        platform=facts["platform"],
        free_threaded=facts["free_threaded"],
        markers=facts["markers"],
        tags=_tags(path, facts, timeout),
        # pip gives headers a place of their own in an environment.
        scheme=Scheme(headers=f"include/site/python{major}.{minor}", **facts["scheme"]),
        stdlib=facts["stdlib"],
    )


def _tags(path: str, facts: Any, timeout: float | None) -> tuple[str, ...]:
    """Return what `packaging.tags.sys_tags` would say there."""
    import platform

    here = [sys.platform, platform.machine(), sys.maxsize > 2**32, _libc()]
    if facts["kind"] != here:
        return ask_tags(path, timeout=timeout)
    from packaging import tags

    version = tuple(facts["version_info"][:2])
    plain = f"cp{facts['nodot']}" + ("t" if facts["free_threaded"] else "")
    # A debug build loads modules of the other kind too.
    abis = [f"{plain}d", plain] if facts["debug"] else [plain]
    platforms = tuple(tags.platform_tags())
    interpreter = f"cp{facts['nodot']}"
    found = [
        *tags.cpython_tags(version, abis, platforms),
        *tags.compatible_tags(version, interpreter, platforms),
    ]
    return tuple(map(str, found))


_ASK_TAGS = """
import json, os, sys
sys.path.append(sys.argv[1])
from packaging import tags
text = json.dumps([str(tag) for tag in tags.sys_tags()])
os.write(1, ("<<mvenv>>" + text + "<<mvenv>>").encode("ascii"))
"""


def ask_tags(executable: str, *, timeout: float | None = None) -> tuple[str, ...]:
    """Return the tags that our own `packaging`, run by ``executable``, says.

    For an interpreter of another kind than our own: 32 bits on 64, another C library,
    another architecture by emulation. `InterpreterError` where that fails.
    """
    import json

    import packaging

    from mvenv.interpreters.running import run_python

    folder = os.path.dirname(os.path.dirname(os.path.abspath(packaging.__file__)))
    command = ["-I", "-S", "-c", _ASK_TAGS, folder]
    answer = run_python(executable, command, timeout=timeout)
    text = answer.output.decode("utf-8", "replace")
    try:
        return tuple(json.loads(text.split(_MARK)[1]))
    except (IndexError, ValueError):
        raise InterpreterError(
            f"`{executable}` could not say which wheels it accepts: {answer.reason()}",
            hint=_CHOOSE,
        ) from None


def _to_json(target: Target) -> Any:
    return asdict(target)


def _from_json(value: Any) -> Target:
    here = os.uname()
    fields = {
        **value,
        "version_info": tuple(value["version_info"]),
        "tags": tuple(value["tags"]),
        "scheme": Scheme(**value["scheme"]),
        # The kernel is upgraded under an interpreter that stays the same.
        "markers": {
            **value["markers"],
            "platform_release": here.release,
            "platform_version": here.version,
        },
    }
    return Target(**fields)
