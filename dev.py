#!/usr/bin/env python3
"""Everything a developer types, from a fresh clone on.

    python3 dev.py example             build the example's environment, and use it
    python3 dev.py test [ARGS ...]     the fast tests (ARGS go to pytest)
    python3 dev.py test-all [ARGS ...] all tests: slow ones, file systems (root), index
    python3 dev.py lint                ruff, its formatter, mypy
    python3 dev.py docs                the documentation, warnings are errors

Each first makes what it needs in `.dev/`, which may be deleted at any time. Needs
Python 3.11 or newer, and nothing else; older ones must be able to parse this file,
to be told so.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  the point is who starts this file
    sys.exit(
        "dev.py needs Python 3.11 or newer, and this is "
        + sys.version.split()[0]
        + " ("
        + sys.executable
        + ").\nhint: start it with another one: python3.12 dev.py ..."
    )

import hashlib
import os
import shlex
import shutil
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
HOME = ROOT / ".dev"
SCRIPTS = HOME / ("Scripts" if os.name == "nt" else "bin")
PYTHON = SCRIPTS / "python"
EXAMPLE = Path("examples/web")
FAST = "not slow and not index and not filesystems"

SHOW = """\
import sys, fastapi, pydantic, sqlalchemy
app = fastapi.FastAPI()
engine = sqlalchemy.create_engine("sqlite://")
with engine.connect() as connection:
    answer = connection.execute(sqlalchemy.text("select 6 * 7")).scalar_one()
print(f"Python {sys.version.split()[0]} in {sys.prefix}")
for package in (fastapi, pydantic, sqlalchemy):
    print(f"  {package.__name__} {package.__version__}")
print(f"  six times seven, says the database: {answer}")
"""


def surroundings() -> dict[str, str]:
    """Return the environment variables for what is run: no other Python's settings."""
    unwanted = {"PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"}
    return {key: value for key, value in os.environ.items() if key not in unwanted}


def run(*command: str | Path) -> int:
    """Run a command in the project's folder; return its exit code."""
    arguments = [str(part) for part in command]
    return subprocess.run(
        arguments, cwd=ROOT, env=surroundings(), check=False
    ).returncode


def say(*command: str | Path) -> None:
    """Show a command, as one would type it here."""
    shown = [str(part).removeprefix(f"{ROOT}{os.sep}") for part in command]
    print("$ " + shlex.join(shown), flush=True)


def requirements(groups: dict[str, list[Any]], name: str) -> Iterator[str]:
    """Return what a dependency group has (PEP 735): pip before 25.1 cannot."""
    for item in groups[name]:
        if isinstance(item, str):
            yield item
        else:
            yield from requirements(groups, item["include-group"])


def set_up(group: str | None = None) -> None:
    """Bring `.dev/` up to date: this project, editable, and a dependency group.

    Nothing is done where pyproject.toml and the interpreter are those of last time.
    """
    project = (ROOT / "pyproject.toml").read_bytes()
    base = os.path.realpath(sys.executable)
    interpreter = f"{base} {sys.version}"
    ready = hashlib.sha256(interpreter.encode() + project).hexdigest()
    made_by, stamp = HOME / "made-by", HOME / f"ready-{group}"
    if stamp.exists() and stamp.read_text() == ready and PYTHON.exists():
        return
    print(f"setting up {HOME.name}/ for `{group or 'mvenv'}` ...", flush=True)
    started = time.monotonic()
    if not made_by.exists() or made_by.read_text() != interpreter:
        shutil.rmtree(HOME, ignore_errors=True)
        if run(base, "-m", "venv", HOME):
            sys.exit(
                "no virtual environment could be made\n"
                "hint: on Debian and Ubuntu, `apt install python3-venv`"
            )
        (HOME / ".gitignore").write_text("*\n")
        made_by.write_text(interpreter)
    groups = tomllib.loads(project.decode())["dependency-groups"]
    wanted = list(requirements(groups, group)) if group else []
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
    if run(PYTHON, "-m", "pip", "install", *quiet, "--editable", ".", *wanted):
        sys.exit("pip could not install what is needed; what it says is above")
    stamp.write_text(ready)
    print(f"... done in {time.monotonic() - started:.0f} s", flush=True)


def example(*arguments: str) -> int:
    """Build the example's environment from its lockfile, and use it."""
    set_up()
    target = EXAMPLE / ".venv"
    again = ["--clear"] if (ROOT / target).exists() else []
    lock = EXAMPLE / "poetry.lock"
    command = ["create", str(target), "--from", str(lock), *again, *arguments]
    say("mvenv", *command)
    code = run(SCRIPTS / "mvenv", *command)
    if code:
        return code
    python = target / SCRIPTS.name / "python"
    say(python, "-c", "import fastapi, sqlalchemy, ...")
    return run(ROOT / python, "-c", SHOW)


def test(*arguments: str) -> int:
    """Run the fast tests."""
    set_up("test")
    return run(PYTHON, "-m", "pytest", "-n", "auto", "-m", FAST, *arguments)


def test_all(*arguments: str) -> int:
    """Run all tests."""
    set_up("test")
    return run(PYTHON, "-m", "pytest", "-n", "auto", *arguments)


def lint() -> int:
    """Run every check that reads the sources, and fail when one did."""
    set_up("lint")
    checks = (("ruff", "check"), ("ruff", "format", "--check"), ("mypy",))
    failed = False
    for check in checks:
        say(*check)
        failed |= bool(run(PYTHON, "-m", *check))
    return int(failed)


def docs() -> int:
    """Build the documentation."""
    set_up("docs")
    strict = ("--nitpicky", "--fail-on-warning", "--keep-going", "--fresh-env")
    return run(PYTHON, "-m", "sphinx", *strict, "-q", "docs", "docs/_build/html")


COMMANDS: dict[str, Callable[..., int]] = {
    "example": example,
    "test": test,
    "test-all": test_all,
    "lint": lint,
    "docs": docs,
}


def main(arguments: list[str]) -> int:
    """Run one command; return its exit code."""
    name, *rest = arguments or ["--help"]
    if name in {"-h", "--help"}:
        print(__doc__)
        return 0
    if name not in COMMANDS or (rest and name in {"lint", "docs"}):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        return COMMANDS[name](*rest)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
