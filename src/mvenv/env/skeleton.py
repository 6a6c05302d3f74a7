"""What the target interpreter's own ``venv`` makes, learned once by letting it.

It makes one environment in a temporary folder; the folders, links, configuration and
activation templates found there are the skeleton of all others. Kept as a record,
for as long as the interpreter, its ``venv`` module and the templates are unchanged.
"""

from __future__ import annotations

import os

from mvenv.env.activation import Quoting, Script, own_rendering
from mvenv.errors import InterpreterError, SystemFault
from mvenv.interpreters.inspection import witnesses_of
from mvenv.interpreters.memory import bear_witness, recall, remember
from mvenv.paths import read_bytes
from mvenv.scratch import ScratchFolder, sweep_scratch
from mvenv.target import Target
from mvenv.values import asdict, dataclass, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from mvenv.paths import StrPath

__all__ = ["PlainFile", "Skeleton", "load_skeleton"]

_KIND = "skeleton"
_NAME = "a sample"
_SCRATCH = "mvenv-skeleton-"
"""Name of the environment that is learned from: the space shows how values are
quoted."""
_CONFIGURATION = "pyvenv.cfg"
_FURTHER = (
    ("nushell", "activate.nu"),
    ("xonsh", "activate.xsh"),
    ("python", "activate_this.py"),
)
"""virtualenv's activators that ``venv`` has not: folder, template."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainFile:
    """A file that is the same in every environment."""

    path: str
    text: str
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Skeleton:
    """An interpreter's bare environment, free of any path of its own."""

    folders: tuple[str, ...]
    """Parents first."""
    symlinks: tuple[tuple[str, str], ...]
    """(path, what it points to), what is pointed to first."""
    files: tuple[PlainFile, ...]
    """Like 3.13's ``.gitignore``."""
    configuration: tuple[tuple[str, str], ...]
    """Keys and values of ``pyvenv.cfg`` in their order, without a prompt; ``command``
    up to its options."""
    quoting: Quoting
    scripts: tuple[Script, ...]
    """The interpreter's own templates."""
    further_scripts: tuple[Script, ...]
    """virtualenv's."""
    python_name: str
    """Of the interpreter itself below ``bin``, like ``python3``."""
    site_packages: str
    """Like ``lib/python3.12/site-packages``."""


def load_skeleton(
    target: Target, memory: StrPath | None, *, timeout: float | None = None
) -> Skeleton:
    """Return the skeleton of ``target``'s environments, learned where it is not known.

    Remembered in the folder ``memory``. ``timeout`` is in seconds. `InterpreterError`
    where the interpreter has no ``venv``, or one that fails; `SystemFault` where there
    is no place for the sample.
    """
    question = (target.executable, target.real_executable, target.version)
    known = recall(memory, _KIND, question)
    if known is not None:
        return _from_json(known)
    import tempfile

    folder = os.path.join(target.stdlib, "venv")
    templates = dict(_templates(folder))
    further = tuple(_further_templates())
    seen = {*witnesses_of(target), os.path.join(folder, "__init__.py")}
    seen |= {*templates.values(), *(path for path, _ in further)}
    witnesses = [bear_witness(path) for path in sorted(seen)]
    try:
        place = os.path.realpath(tempfile.gettempdir())
        sweep_scratch(place, _SCRATCH)
        with ScratchFolder(place, _SCRATCH) as parent:
            sample = os.path.join(parent.path, _NAME)
            _make_sample(target, sample, timeout)
            skeleton = _learn(target, sample, templates)
    except OSError as error:
        fault = SystemFault.from_os_error(error, "cannot make a sample environment")
        raise fault from error
    skeleton = replace(skeleton, further_scripts=tuple(script for _, script in further))
    remember(memory, _KIND, question, asdict(skeleton), witnesses)
    return skeleton


def _make_sample(target: Target, sample: str, timeout: float | None) -> None:
    from mvenv.interpreters.running import run_python

    command = ["-I", "-m", "venv", "--without-pip", sample]
    answer = run_python(target.executable, command, timeout=timeout)
    if answer.status == 0 and os.path.isfile(os.path.join(sample, _CONFIGURATION)):
        return
    missing = b"No module named venv" in answer.errors
    package = f"python{target.short_version}-venv"
    raise InterpreterError(
        f"`{target.executable}` has no module `venv`"
        if missing
        else f"the module `venv` of `{target.executable}` failed: {answer.reason()}",
        hint=f"`apt install {package}` on Debian and Ubuntu; elsewhere install the rest"
        " of its standard library, or choose another interpreter with `--python`",
    )


def _templates(folder: str) -> Iterator[tuple[str, str]]:
    """Yield (name, path) of the interpreter's own activation templates."""
    for part in ("common", "posix"):
        place = os.path.join(folder, "scripts", part)
        for name in sorted(os.listdir(place)) if os.path.isdir(place) else ():
            yield name, os.path.join(place, name)


def _further_templates() -> Iterator[tuple[str, Script]]:
    """Yield (path, template) of virtualenv's, without the 200 ms of importing it."""
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec("virtualenv")
    for base in (spec.submodule_search_locations or ()) if spec else ():
        for shell, name in _FURTHER:
            path = os.path.join(base, "activation", shell, name)
            if os.path.isfile(path):
                text = read_bytes(path).decode()
                yield path, Script(name=name, text=text, mode=0o644)


def _learn(target: Target, sample: str, templates: dict[str, str]) -> Skeleton:
    folders: list[str] = []
    links: dict[str, str] = {}
    others: list[str] = []
    # An error must not make a smaller skeleton, which would be remembered.
    for folder, names, files in os.walk(sample, onerror=_fail):
        for name in sorted([*names, *files]):
            full = os.path.join(folder, name)
            path = os.path.relpath(full, sample)
            if os.path.islink(full):
                links[path] = os.readlink(full)
            elif os.path.isdir(full):
                folders.append(path)
            else:
                others.append(path)
    scripts, written = [], {}
    for path in others:
        name = path.removeprefix("bin/")
        if path != name and name in templates:
            scripts.append(_read_template(name, templates[name]))
            written[name] = read_bytes(os.path.join(sample, path)).decode()
    scripted = {f"bin/{name}" for name in written}
    plain = [path for path in others if path not in {*scripted, _CONFIGURATION}]
    return Skeleton(
        folders=tuple(sorted(folders)),
        symlinks=tuple(sorted(links.items(), key=lambda link: _rank(link, links))),
        files=tuple(_read_plain(target, sample, path) for path in plain),
        configuration=tuple(_read_configuration(target, sample)),
        quoting=_find_quoting(target, sample, scripts, written),
        scripts=tuple(scripts),
        further_scripts=(),
        python_name=os.path.basename(target.executable),
        site_packages=target.scheme.purelib,
    )


def _fail(error: OSError) -> None:
    raise error


def _rank(link: tuple[str, str], links: dict[str, str]) -> tuple[int, str]:
    """Sort a link behind the one that it points to."""
    path, depth = link[0], 0
    while path in links and depth < len(links):
        path, depth = os.path.join(os.path.dirname(path), links[path]), depth + 1
    return depth, link[0]


def _read_template(name: str, path: str) -> Script:
    mode = os.stat(path).st_mode & 0o755 | 0o644
    text = read_bytes(path).decode()
    return Script(name=name, text=text, mode=mode)


def _read_plain(target: Target, sample: str, path: str) -> PlainFile:
    text = read_bytes(os.path.join(sample, path)).decode("utf-8", "surrogateescape")
    if sample in text:
        raise _unknown(target, path)
    return PlainFile(path=path, text=text, mode=0o644)


def _read_configuration(target: Target, sample: str) -> Iterator[tuple[str, str]]:
    text = read_bytes(os.path.join(sample, _CONFIGURATION)).decode(
        "utf-8", "surrogateescape"
    )
    for line in text.removesuffix("\n").split("\n"):
        key, _, value = line.partition(" = ")
        if key == "command":
            value = value.partition(" -m venv ")[0] + " -m venv"
        if sample in value:
            raise _unknown(target, _CONFIGURATION)
        yield key, value


def _find_quoting(
    target: Target, sample: str, scripts: list[Script], written: dict[str, str]
) -> Quoting:
    from itertools import product

    for quoted, decorated in product((True, False), repeat=2):
        quoting = Quoting(quoted=quoted, decorated_prompt=decorated)
        values = {
            "__VENV_DIR__": sample,
            "__VENV_NAME__": _NAME,
            "__VENV_PROMPT__": f"({_NAME}) " if decorated else _NAME,
            "__VENV_BIN_NAME__": "bin",
            "__VENV_PYTHON__": os.path.join(
                sample, "bin", os.path.basename(target.executable)
            ),
        }
        if all(
            own_rendering(script, values, quoting) == written[script.name]
            for script in scripts
        ):
            return quoting
    raise _unknown(target, "activation scripts")


def _unknown(target: Target, what: str) -> InterpreterError:
    return InterpreterError(
        f"the `venv` of `{target.executable}` ({target.version}) writes its"
        f" {what} in a way that this mvenv does not know",
        hint="upgrade mvenv, or choose another interpreter with `--python`",
    )


def _from_json(value: Any) -> Skeleton:
    return Skeleton(
        folders=tuple(value["folders"]),
        symlinks=tuple((path, to) for path, to in value["symlinks"]),
        files=tuple(PlainFile(**one) for one in value["files"]),
        configuration=tuple((key, text) for key, text in value["configuration"]),
        quoting=Quoting(**value["quoting"]),
        scripts=tuple(Script(**one) for one in value["scripts"]),
        further_scripts=tuple(Script(**one) for one in value["further_scripts"]),
        python_name=value["python_name"],
        site_packages=value["site_packages"],
    )
