"""The programs that are compared, each run as a user would run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "CALM",
    "Pip",
    "attempt",
    "mvenv_create",
    "newest_pip",
    "requirements_of",
    "run",
]


def attempt(
    *command: str | Path,
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command, without any terminal and with an ordinary umask."""
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        umask=0o022,
        cwd=cwd,
        env={**environ, **(variables or {})},
    )


def run(
    *command: str | Path,
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> str:
    """Run a command that has to succeed, and return what it prints."""
    done = attempt(*command, cwd=cwd, variables=variables)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def mvenv_create(*arguments: str | Path) -> dict[str, Any]:
    """Run ``mvenv create`` and return what it says."""
    sources = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    words = (sys.executable, "-m", "mvenv", "create", *arguments, "--json")
    value: dict[str, Any] = json.loads(run(*words, variables=sources))
    return value


@dataclass(frozen=True, slots=True)
class Pip:
    """A pip, which installs into other environments."""

    python: Path

    def __call__(self, *words: str | Path) -> str:
        """Run it."""
        return run(self.python, "-m", "pip", *words, variables=CALM)

    def inside(self, environment: Path, *words: str | Path) -> str:
        """Run it on an environment."""
        return self("--python", environment / "bin" / "python", *words)

    def make(self, environment: Path, python: str, *words: str | Path) -> None:
        """Make an environment with `venv`, and install in it as is compared."""
        run(python, "-m", "venv", "--without-pip", environment)
        how = "--quiet --no-deps --require-hashes --only-binary=:all: --no-compile"
        self.inside(environment, "install", *how.split(), *words)


CALM = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_CONFIG_FILE": os.devnull}
"""For pip: no settings but those of the variables, and no talk of newer versions."""


def newest_pip(folder: Path) -> Pip:
    """Return the newest pip of the index, in an environment of its own."""
    run(sys.executable, "-m", "venv", folder)
    pip = Pip(folder / "bin" / "python")
    pip("install", "--quiet", "--upgrade", "pip")
    return pip


def requirements_of(environment: Path) -> str:
    """Return what mvenv installed from wheels as requirements with hashes."""
    receipt = (environment / ".mvenv" / "receipt").read_text().partition("\n")[2]
    return "".join(
        f"{one['name']}=={one['version']} --hash=sha256:{one['wheel']}\n"
        for one in json.loads(receipt)["distributions"]
        if one["wheel"]
    )
