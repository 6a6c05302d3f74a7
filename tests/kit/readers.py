"""A reader of the documentation: a home, a project, an index, and mvenv installed.

What is installed is what the tests run, by links; what it needs is theirs too. The
index has tiny wheels under the names that the pages use, and mvenv itself.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import mvenv
from kit.indexes import IndexMaker
from kit.interpreters import Interpreters, find_interpreters
from kit.lockfiles import PoetryLockWriter
from kit.sdists import ProjectMaker
from kit.wheels import WheelMaker
from mvenv.lockfiles.project import content_hash

__all__ = ["Index", "Reader", "make_index", "pythons_here"]

_ROOT = Path(__file__).parents[2]
_SOURCES = Path(mvenv.__file__).parent
_PROGRAMS = ("pip", "tox", "nox", "virtualenv")
_VERSION = mvenv.__version__
_DROPPED = ("PIP_", "TOX_", "NOX_", "VIRTUALENV", "MVENV_", "PYTHON", "UV_", "XDG_")

# Name, version, and what it requires: those that the pages name.
_PACKAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "certifi": ("2026.10.18", ()),
    "charset-normalizer": ("3.5.2", ()),
    "idna": ("3.20", ()),
    "urllib3": ("2.8.0", ()),
    "requests": ("2.34.2", ("charset-normalizer", "idna", "urllib3", "certifi")),
    "psycopg": ("3.2.10", ()),
    "pytest": ("9.2.0", ("iniconfig", "packaging", "pluggy", "pygments")),
    "iniconfig": ("2.3.1", ()),
    "packaging": ("26.3", ()),
    "pluggy": ("1.7.0", ()),
    "pygments": ("2.21.0", ()),
    "furo": ("2025.9.25", ()),
}
_SCRIPTS = {"pytest": "[console_scripts]\npytest = pytest:main\n"}
_OF_TEST = ("pytest", *_PACKAGES["pytest"][1])
_GROUPS = {**{name: ["test"] for name in _OF_TEST}, "furo": ["docs"]}
_OPTIONAL = ("psycopg",)

PYPROJECT = """
dependencies = ["requests>=2.32"]
requires-python = ">=3.9"

[project.optional-dependencies]
postgres = ["psycopg>=3.2"]

[dependency-groups]
test = ["pytest>=9"]
docs = ["furo>=2025"]

[tool.poetry]
package-mode = false

[tool.poetry.group.docs]
optional = true
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Wheels, and the URL of an index of them and of mvenv."""

    wheels: dict[str, Path]
    url: str
    own: Path
    """A folder with mvenv's wheel alone."""


def make_index(folder: Path) -> Index:
    """Return the index of a reader; it is never written to again."""
    maker = WheelMaker(folder=folder / "wheels")
    wheels = {}
    for name, (version, needs) in _PACKAGES.items():
        module = name.replace("-", "_")
        files = {
            f"{module}/__init__.py": f"__version__ = {version!r}\n\n\ndef main():\n"
            f"    print({name!r}, __version__)\n",
            f"{module}/core.py": "answer = 42\n" * 20,
        }
        wheels[name] = maker(
            name,
            version,
            files,
            entry_points=_SCRIPTS.get(name),
            metadata="".join(f"Requires-Dist: {one}\n" for one in needs),
        )
    own = {
        f"mvenv/{path.relative_to(_SOURCES)}": path.read_bytes()
        for path in sorted(_SOURCES.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    place = folder / "own"
    mine = maker("mvenv", _VERSION, own, entry_points=_entry_points(), folder=place)
    url = IndexMaker(folder)([*wheels.values(), mine], "file")
    return Index(wheels=wheels, url=url, own=place)


@cache
def pythons_here() -> Interpreters:
    """Return the interpreters that readers have."""
    return find_interpreters()


def _pyenv() -> Path:
    """Return where pyenv is: tests may run with another HOME, but by one of its own."""
    siblings = Path(sys.base_prefix).parent
    if siblings.name == "versions":
        return siblings.parent
    return Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")


def _entry_points() -> str:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    return "".join(
        f"[{group}]\n" + "".join(f"{name} = {it}\n" for name, it in points.items())
        for group, points in groups.items()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Somebody who types what the pages say.

    What a shell leaves (variables, functions, the current folder) is there for the next
    example, too.
    """

    home: Path
    index: Index
    installed: bool = True
    """Whether mvenv is; else a page says how."""
    programs: Mapping[str, Path] = field(default_factory=dict)
    """Further programs on PATH."""
    public: bool = False
    """Whether pip and mvenv ask the index that the tests themselves would."""

    def __post_init__(self) -> None:
        """Make the home, the programs and the first project."""
        self.home.mkdir(parents=True)
        self._make_tools()
        self._make_pythons()
        self.start_afresh()

    @property
    def tools(self) -> Path:
        """Return the environment that the reader's mvenv is in."""
        return self.home / ".tools"

    @property
    def project(self) -> Path:
        """Return the project's folder."""
        return self.home / "shop"

    def start_afresh(self) -> None:
        """Put a new project in the place of the old one."""
        shutil.rmtree(self.project, ignore_errors=True)
        made = ProjectMaker(folder=self.home / ".made")
        root = made("shop", "1.0", pyproject=PYPROJECT)
        root.rename(self.project)
        project = tomllib.loads((self.project / "pyproject.toml").read_text())
        PoetryLockWriter(folder=self.project)(
            *self.index.wheels.values(),
            groups=_GROUPS,
            optional=_OPTIONAL,
            markers={"psycopg": 'extra == "postgres"'},
            extras={"postgres": ["psycopg"]},
            python_versions=">=3.9",
            content_hash=content_hash(project) or "",
        )
        self._left.unlink(missing_ok=True)

    def forget(self) -> None:
        """Take out what was stored: the home is another machine's."""
        shutil.rmtree(self.home / ".local", ignore_errors=True)
        shutil.rmtree(self.home / "Library", ignore_errors=True)

    def _make_tools(self) -> None:
        words = [sys.executable, "-m", "venv", "--without-pip", str(self.tools)]
        subprocess.run(words, check=True)
        (site,) = self.tools.glob("lib/python3*/site-packages")
        # All that the tests have but for mvenv, which pip must not find installed.
        needed = self.tools / "needed"
        needed.mkdir()
        for folder in map(Path, sys.path):
            if folder.name == "site-packages":
                for path in folder.iterdir():
                    if "mvenv" not in path.name.lower() and path.suffix != ".pth":
                        place = needed / path.name
                        if not place.is_symlink():
                            place.symlink_to(path)
        (site / "needed.pth").write_text(f"{needed}\n")
        for name in _PROGRAMS:
            self._script(name, f'exec python -m {name} "$@"')
        for name, program in self.programs.items():
            self._script(name, f'exec {program} "$@"')
        if self.installed:
            (site / "mvenv").symlink_to(_SOURCES)
            info = site / f"mvenv-{_VERSION}.dist-info"
            info.mkdir()
            metadata = f"Metadata-Version: 2.1\nName: mvenv\nVersion: {_VERSION}\n"
            (info / "METADATA").write_text(metadata)
            (info / "entry_points.txt").write_text(_entry_points())
            main = self.tools / "main" / "mvenv"
            main.parent.mkdir()
            main.write_text("from mvenv.cli import main\n\nmain()\n")
            self._script("mvenv", f'exec python {main} "$@"')

    def _make_pythons(self) -> None:
        # Not in the environment's own folder, where they would take it for theirs.
        self._pythons.mkdir()
        for one in pythons_here():
            place = self._pythons / f"python{one.short_version}"
            if not place.exists():
                place.symlink_to(one.executable)

    @property
    def _pythons(self) -> Path:
        """Return a folder with the interpreters that the reader has."""
        return self.home / ".pythons"

    def _script(self, name: str, line: str) -> None:
        path = self.tools / "bin" / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    @property
    def _left(self) -> Path:
        """Return the file with what the last shell left."""
        return self.home / ".left"

    def environ(self) -> dict[str, str]:
        """Return the variables of the reader's first shell."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_DROPPED)}
        kept.pop("CI", None)  # nox would miss Pythons that a page names
        places = (self.tools / "bin", self._pythons, os.environ["PATH"])
        return {
            **kept,
            "HOME": str(self.home),
            "PATH": os.pathsep.join(map(str, places)),
            "PYENV_ROOT": str(_pyenv()),
            "LANG": "C.UTF-8",
            "COLUMNS": "120",
            "TMPDIR": str(self.home / ".tmp"),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_COMPILE": "1",
            "TOX_DISABLED_EXTERNAL_PLUGINS": "tox-uv",
            # What pages show is what links give.
            "MVENV_LINK_MODE": "hardlink",
            **(self._settings_of_tests() if self.public else self._own_settings()),
        }

    def _own_settings(self) -> dict[str, str]:
        return {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": self.index.url}

    def _settings_of_tests(self) -> dict[str, str]:
        """Return what says to pip where files come from, here; HOME is another one.

        mvenv, whatever that index has of it, is the one that is tested.
        """
        settings = {k: v for k, v in os.environ.items() if k.startswith("PIP_")}
        places = f"{settings.get('PIP_FIND_LINKS', '')} {self.index.own}"
        own = Path.home() / ".config" / "pip" / "pip.conf"
        if own.exists():
            settings.setdefault("PIP_CONFIG_FILE", str(own))
        return {**settings, "PIP_FIND_LINKS": places.strip()}

    def shell(
        self, script: str, *, program: str = "bash", apart: bool = False
    ) -> tuple[int, str]:
        """Run a script where the last one ended; return its code and what it printed.

        Both streams, in one, or ``apart``, the errors last, as one file each would
        have them. A script that ends early leaves nothing to the next.
        """
        if program == "bash":
            left = f"[ ! -e {self._left} ] || . {self._left}"
            leave = f"{{ declare -px; declare -f; echo cd $PWD; }} > {self._left}"
            ended = "code_of_example=$?"
            script = f"{left} 2>/dev/null\n{script}\n{ended}\n{leave}\n"
            script += "exit $code_of_example\n"
        return self.run(program, "-c", script, apart=apart)

    def run(
        self,
        *words: str | Path,
        folder: Path | None = None,
        variables: Mapping[str, str] | None = None,
        apart: bool = False,
    ) -> tuple[int, str]:
        """Run a command as a first shell would; return its code and what it printed."""
        (self.home / ".tmp").mkdir(exist_ok=True)
        done = subprocess.run(
            [*map(str, words)],
            cwd=folder or self.project,
            env=self.environ() | dict(variables or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if apart else subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + (done.stderr or "")

    def shown(self, text: str) -> str:
        """Return what was printed with the reader's paths as pages have them."""
        return re.sub(rf"(/private)?{re.escape(str(self.home))}", "/home/me", text)
