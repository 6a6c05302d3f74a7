"""The commands that are compared, each in the fastest way its tool documents."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tools import PYTHON, Tools
from workloads import IMPORTS, Workload

__all__ = ["Command", "Contestant", "Field", "importing"]

Command = Sequence[str | Path]
_PIP = (
    '"$1" --quiet --no-seed --python "$2" "$5" &&'
    ' exec "$3" --quiet --python "$5/bin/python" install --no-deps --no-compile'
    ' --only-binary=:all: --no-input --requirement "$4"'
)


def _nothing(_target: Path) -> None:
    """Do nothing to prepare a target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A name, and the command that makes one new environment."""

    name: str
    command: Callable[[Path], Command]
    """The command, for a target that is not there yet."""
    variables: Callable[[Path], Mapping[str, str]] = field(default=lambda _target: {})
    prepare: Callable[[Path], object] = _nothing
    """What has to be there before, unmeasured."""
    within: str = ""
    """Where in the target the environment is."""
    copies: bool = False
    """Whether its files are new: it then works on a file system of its own."""
    checked: bool = True
    """Whether what it makes is an environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """All who can run one workload on one file system."""

    tools: Tools
    workload: Workload
    folder: Path
    """On the file system; the store and all caches are in it."""
    reflinks: bool

    def mvenv(self, *, bytecode: bool, online: bool = False) -> Contestant:
        """Return ``mvenv create``."""
        tool = self.tools["mvenv"]
        options = ["--all-groups", "--all-extras", "--python", PYTHON]
        options += [] if online else ["--offline"]
        if self.tools.chooses_bytecode and not bytecode:
            options.append("--no-bytecode")
        lock = self.workload.lockfile
        return Contestant(
            name="mvenv",
            command=lambda target: [tool, "create", target, "--from", lock, *options],
        )

    def uv(self, *, bytecode: bool = False, online: bool = False) -> Contestant:
        """Return ``uv sync --frozen``."""
        mode = "clone" if self.reflinks else "hardlink"
        options = ["--quiet", "--no-config", "--no-progress", "--no-python-downloads"]
        options += ["--link-mode", mode, "--python", PYTHON]
        options += [] if online else ["--offline"]
        options += ["--compile-bytecode"] if bytecode else []
        words = ["sync", "--frozen", *options]
        words += ["--project", str(self.workload.uv_project)]
        tool = self.tools["uv"]
        return Contestant(
            name="uv, compiling" if bytecode else "uv",
            command=lambda _target: [tool, *words],
            variables=lambda target: {"UV_PROJECT_ENVIRONMENT": str(target)},
        )

    def copy(self, finished: Path) -> Contestant:
        """Return ``cp`` of a finished environment: links, or reflinks of all files."""
        how = ["-a", "--reflink=always"] if self.reflinks else ["-al"]
        return Contestant(
            name=shlex.join(["cp", *how]),
            command=lambda target: ["cp", *how, finished, target],
        )

    def limit(self, program: Path, links: Path, workers: int) -> Contestant:
        """Return the C program that makes folders and links alone."""
        return Contestant(
            name="C, links alone",
            command=lambda target: [program, links, target, str(workers)],
            checked=False,
        )

    def pip(self) -> Contestant:
        """Return virtualenv, without seeds, and pip from outside, not compiling."""
        pins = self.workload.requirements
        words = (self.tools["virtualenv"], PYTHON, self.tools["pip"], pins)
        return Contestant(
            name="pip",
            command=lambda target: ["sh", "-c", _PIP, "sh", *words, target],
            copies=True,
        )

    def poetry(self) -> Contestant:
        """Return ``poetry install``, in parallel as it does by itself."""
        project = self.workload.poetry_project
        options = [
            "--all-groups",
            "--all-extras",
            "--no-root",
            "--no-interaction",
            "--quiet",
        ]
        command = (self.tools["poetry"], "install", *options)
        return Contestant(
            name="Poetry",
            command=lambda target: [*command, "--project", target],
            prepare=lambda target: shutil.copytree(project, target),
            within=".venv",
            copies=True,
        )

    def pdm(self) -> Contestant:
        """Return ``pdm sync`` with hard links from its cache of unpacked wheels."""
        project = self.workload.pdm_project
        command = (self.tools["pdm"], "sync", "--no-self", "--quiet")
        return Contestant(
            name="PDM",
            command=lambda target: [*command, "--project", target],
            prepare=lambda target: shutil.copytree(project, target),
            within=".venv",
        )

    def variables(self) -> dict[str, str]:
        """Return what tells the tools where their caches are: all on this disk."""
        folder = self.folder
        settings = folder / "pdm.toml"
        settings.write_text(
            '[install]\ncache = true\ncache_method = "hardlink"\n',
            encoding="utf-8",
        )
        return {
            "MVENV_STORE": str(folder / "store"),
            "UV_CACHE_DIR": str(folder / "uv-cache"),
            "PIP_CACHE_DIR": str(folder / "pip-cache"),
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "POETRY_CACHE_DIR": str(folder / "poetry-cache"),
            "POETRY_CONFIG_DIR": str(folder / "poetry-config"),
            "POETRY_VIRTUALENVS_IN_PROJECT": "true",
            # Faster, and what the others are asked for.
            "POETRY_VIRTUALENVS_OPTIONS_NO_PIP": "true",
            "PDM_CACHE_DIR": str(folder / "pdm-cache"),
            "PDM_CONFIG_FILE": str(settings),
            "PDM_CHECK_UPDATE": "0",
            "MPLCONFIGDIR": str(folder / "matplotlib"),
            "VIRTUALENV_OVERRIDE_APP_DATA": str(folder / "virtualenv"),
        }


def importing(contestant: Contestant, workload: str) -> Contestant:
    """Return the same, followed by a first import in what it made."""
    modules = f"import {IMPORTS[workload]}"

    def command(target: Path) -> Command:
        make = shlex.join(str(word) for word in contestant.command(target))
        python = target / contestant.within / "bin" / "python"
        return [
            "sh",
            "-c",
            f"{make} && exec {shlex.join([str(python), '-c', modules])}",
        ]

    return replace(contestant, command=command)
