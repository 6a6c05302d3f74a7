"""The rules of the code's shape, checked: layers, doors, who may print, sizes.

Each is a reading of the sources, but for the last: what the warm path imports is
seen by importing it.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "src"

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"__main__", "nox"}),
    frozenset({"cli", "integrations"}),
    frozenset({"dropin", "installing", "selftest"}),
    frozenset({"surroundings"}),
    frozenset(
        {
            "adopt",
            "creation",
            "doctor",
            "edit",
            "overview",
            "prune",
            "sync",
            "transfer",
        }
    ),
    frozenset({"ensure", "apply", "diagnose"}),
    frozenset({"plan"}),
    frozenset({"selection", "store", "env"}),
    frozenset({"lockfiles", "interpreters", "fetch", "wheels", "link"}),
    frozenset({"crew"}),
    frozenset({"target", "records", "scratch", "locking", "workers"}),
    frozenset({"errors", "hashes", "progress"}),
    frozenset({"collector", "names", "paths", "values"}),
    frozenset({"__init__"}),
)
"""Rooms (first names below `mvenv`), top to bottom: a module imports only from lower
layers, and from its own room."""

DOORS: dict[str, frozenset[str]] = {
    "click": frozenset({"cli"}),
    "filelock": frozenset({"store"}),
    "httpx2": frozenset({"fetch"}),
    "installer": frozenset({"wheels"}),
    "isal": frozenset({"wheels"}),
    "nox": frozenset({"integrations"}),
    # The field's own vocabulary: versions, markers, tags, PEP 751.
    "packaging": frozenset(
        {"lockfiles", "selection", "interpreters", "fetch", "wheels", "ensure"}
    ),
    "platformdirs": frozenset({"paths"}),
    "python_discovery": frozenset({"interpreters"}),
    "reflink": frozenset({"link"}),
    "rich": frozenset({"cli"}),
    "tox": frozenset({"integrations"}),
    "unearth": frozenset({"fetch"}),
    "virtualenv": frozenset({"env", "interpreters", "integrations"}),
    "xxhash": frozenset({"hashes"}),
}
"""Third-party packages, and the rooms that may import them."""

OPTIONAL = frozenset({"isal", "nox", "reflink", "tox"})
"""Those that are imported only where the user has them."""

SPEAKERS = frozenset({"cli", "integrations", "__main__"})
"""The rooms that may print, read the environment and exit."""

VISITORS = frozenset({"mvenv.ensure.compiler"})
"""Modules that run inside another interpreter, as scripts: they answer by printing,
and support older Pythons."""

PROCESS_STATE = frozenset(
    {
        "os.chdir",
        "os.environ",
        "os.environb",
        "os.fchdir",
        "os.getenv",
        "os.getenvb",
        "os.putenv",
        "os.umask",
        "os.unsetenv",
        "sys.argv",
        "sys.exit",
        "sys.stderr",
        "sys.stdin",
        "sys.stdout",
    }
)
"""Not `os._exit`: a forked child must use it."""
SPEECH = frozenset({"breakpoint", "exit", "input", "print", "quit", "SystemExit"})

VAGUE_NAMES = frozenset({"common", "helper", "helpers", "misc", "util", "utils"})
STANDARD = sys.stdlib_module_names | {"_sha2"}
"""The standard library's modules, of newer Pythons too."""
MODULE_LINES = 400
FUNCTION_LINES = 60

WARM_MODULES = (
    "mvenv.apply",
    "mvenv.env.bare",
    "mvenv.hashes",
    "mvenv.interpreters",
    "mvenv.link.tree",
    "mvenv.plan.planning",
    "mvenv.records",
    "mvenv.store.entries",
    "mvenv.wheels.manifest",
)
"""What the second environment of a lock runs through."""

PENDING = frozenset({"mvenv.env.bare"})
"""Warm modules that are still being written."""

HEAVY = frozenset(
    {
        "click",
        "filelock",
        "httpx2",
        "installer",
        "packaging",
        "platformdirs",
        "python_discovery",
        "rich",
        "tomllib",
        "unearth",
        "urllib.request",
        "virtualenv",
        "zipfile",
    }
)
"""What the warm path has no use for, most expensive things in it first of all."""


@dataclass(frozen=True)
class Module:
    """One source file."""

    name: str
    path: Path

    @property
    def room(self) -> str:
        """Return the first name below `mvenv`, or ``__init__``."""
        return (*self.name.split("."), "__init__")[1]

    @cached_property
    def tree(self) -> ast.Module:
        """Return its syntax tree."""
        return ast.parse(self.path.read_text(encoding="utf-8"))

    @cached_property
    def imports(self) -> frozenset[str]:
        """Return all names it imports, inside functions too, `a.b` for each part."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                found |= {f"{base}.{alias.name}" for alias in node.names}
        return frozenset(found)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        is_package = self.path.name == "__init__.py"
        parts = self.name.split(".")
        parts = parts[: len(parts) - node.level + is_package]
        return ".".join([*parts, node.module] if node.module else parts)


def _read_modules() -> dict[str, Module]:
    found = {}
    for path in sorted(SOURCES.glob("mvenv/**/*.py")):
        parts = path.relative_to(SOURCES).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(name, path)
    return found


MODULES = _read_modules()
each_module = pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)


def own_imports(module: Module) -> frozenset[str]:
    """Return the modules of ours that ``module`` imports."""
    found = set()
    for name in module.imports:
        if name.split(".")[0] == "mvenv":
            # `from mvenv.a import b` names a module, or something in one
            found.add(name if name in MODULES else name.rpartition(".")[0])
    return frozenset(found)


def layer_of(room: str) -> int:
    """Return the number of a room's layer, 0 at the top."""
    for number, rooms in enumerate(LAYERS):
        if room in rooms:
            return number
    pytest.fail(f"`{room}` is in no layer: give it a place in LAYERS")


def named_attributes(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Return each `a.b` and `from a import b` as ``a.b``, with its line."""
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {one.asname: one.name for one in node.names if one.asname}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield (
                f"{aliases.get(node.value.id, node.value.id)}.{node.attr}",
                node.lineno,
            )
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def called_or_raised(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Return each plain name that is called or raised, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, node.lineno
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Name):
            yield node.exc.id, node.lineno


@each_module
def test_imports_exist(module: Module) -> None:
    assert own_imports(module) <= MODULES.keys()


@each_module
def test_imports_point_down(module: Module) -> None:
    wrong = [
        name
        for name in own_imports(module) & MODULES.keys()
        if MODULES[name].room != module.room
        and layer_of(MODULES[name].room) <= layer_of(module.room)
    ]

    assert not wrong, f"{module.name} imports from its own layer or from above"


def test_there_are_no_cycles() -> None:
    graph = {name: own_imports(module) - {name} for name, module in MODULES.items()}

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


@each_module
def test_third_party_packages_have_one_door(module: Module) -> None:
    wrong = []
    for name in module.imports:
        top = name.split(".")[0]
        if top in STANDARD or top == "mvenv":
            continue
        if module.room not in DOORS.get(top, ()):
            wrong.append(name)

    assert not wrong, f"{module.name} imports what another room is the door to"


def test_dependencies_are_what_is_imported() -> None:
    """One that is not declared breaks an install; one that is not used slows it."""
    project = tomllib.loads((SOURCES.parent / "pyproject.toml").read_text())["project"]
    declared = {
        re.split(r"[^\w-]", line)[0].replace("-", "_")
        for line in project["dependencies"]
    }
    imported = {name.split(".")[0] for one in MODULES.values() for name in one.imports}
    third_party = imported - STANDARD - {"mvenv"} - OPTIONAL

    assert third_party == declared


@each_module
def test_only_the_command_line_speaks(module: Module) -> None:
    if module.room in SPEAKERS or module.name in VISITORS:
        return
    spoken = [
        f"{name} in line {line}"
        for name, line in called_or_raised(module.tree)
        if name in SPEECH
    ]
    touched = [
        f"{name} in line {line}"
        for name, line in named_attributes(module.tree)
        if name in PROCESS_STATE
    ]

    assert not spoken + touched, f"{module.name}: values come in as arguments"


@each_module
def test_names_say_what_is_inside(module: Module) -> None:
    assert not VAGUE_NAMES & set(module.name.split("."))


@each_module
def test_modules_and_functions_stay_small(module: Module) -> None:
    lines = len(module.path.read_text(encoding="utf-8").splitlines())
    functions = {
        f"{node.name} in line {node.lineno}": node.end_lineno - node.lineno + 1
        for node in ast.walk(module.tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.end_lineno is not None
    }

    assert lines <= MODULE_LINES
    assert {k: v for k, v in functions.items() if v > FUNCTION_LINES} == {}


def public_definitions(
    module: Module,
) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Return the functions and classes whose names have no underscore."""
    return {
        node.name: node
        for node in module.tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        and not node.name.startswith("_")
    }


def exported(module: Module) -> list[str] | None:
    """Return what ``__all__`` has, or `None` without."""
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__"
            for target in node.targets
        ):
            names = ast.literal_eval(node.value)
            assert isinstance(names, list)
            return names
    return None


def test_public_names_are_listed() -> None:
    wrong = []
    for module in MODULES.values():
        if module.name.rpartition(".")[2].startswith("_"):
            continue
        defined, listed = set(public_definitions(module)), exported(module)
        if listed is None:
            wrong += [f"{module.name}: no __all__"] if defined else []
        elif defined - set(listed):
            wrong.append(f"{module.name}: {sorted(defined - set(listed))} not listed")

    assert wrong == []


@each_module
def test_public_objects_promise_something(module: Module) -> None:
    silent = [] if ast.get_docstring(module.tree) else [module.name]
    for name, node in public_definitions(module).items():
        silent += [] if ast.get_docstring(node) else [name]
        if isinstance(node, ast.ClassDef):
            silent += [
                f"{name}.{method.name}"
                for method in node.body
                if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef))
                and not method.name.startswith("_")
                and not ast.get_docstring(method)
            ]

    assert not silent


def test_suppressions_have_reasons() -> None:
    bare = [
        f"{module.name}:{number}"
        for module in MODULES.values()
        for number, line in enumerate(module.path.read_text().splitlines(), 1)
        for mark in ("# noqa: ", "# type: ignore[")
        if mark in line and len(line.split(mark)[1].split()) < 2
    ]

    assert bare == []


def test_warm_modules_exist() -> None:
    assert set(WARM_MODULES) - set(MODULES) <= PENDING


def test_the_warm_path_imports_nothing_heavy() -> None:
    script = f"""
import importlib, json, sys
sys.path.insert(0, {str(SOURCES)!r})
before = set(sys.modules)
blame = {{}}
for name in sys.argv[1:]:
    importlib.import_module(name)
    for module in sorted(({set(HEAVY)!r} & set(sys.modules)) - before):
        blame.setdefault(module, name)
print(json.dumps(blame))
"""
    present = [name for name in WARM_MODULES if name in MODULES]
    done = subprocess.run(
        [sys.executable, "-c", script, *present],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {}


def test_test_modules_have_names_of_their_own() -> None:
    """Else pytest, for which the folders of tests are no packages, takes one alone."""
    seen = Counter(path.name for path in Path(__file__).parent.rglob("test_*.py"))

    assert [name for name, times in seen.items() if times > 1] == []


def test_benchmarks_are_not_named_like_folders_of_tests() -> None:
    """Both lie on the path: a script would hide the folder, which is no package."""
    tests = Path(__file__).parent
    folders = {path.parent.name for path in tests.rglob("*.py")}
    scripts = {path.stem for path in (tests.parent / "benchmarks").glob("*.py")}

    assert scripts & folders == set()
