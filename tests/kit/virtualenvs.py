"""virtualenv with our plugin beside it, run as the tools run it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import mvenv

__all__ = ["Made", "Virtualenv", "declare"]

_ROOT = Path(__file__).parents[2]
_SOURCES = str(Path(mvenv.__file__).parents[1])


def declare(folder: Path) -> Path:
    """Return a folder with our metadata, as an installer would write it.

    Before the sources on the path, it is as good as an install of them.
    """
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    metadata = folder / "mvenv-0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mvenv\n")
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {it}" for name, it in points.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An environment, and what was said as it was made."""

    path: Path
    said: str

    @property
    def site(self) -> Path:
        """Return its site-packages."""
        (found,) = self.path.glob("lib/python3.*/site-packages")
        return found

    def run(self, program: str, *words: str | Path) -> str:
        """Run one of its programs, which has to succeed."""
        done = subprocess.run(
            [str(self.path / "bin" / program), *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": "", "PIP_NO_INDEX": "1"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class Virtualenv:
    """Runs virtualenv, with folders of its own and our plugin on its path."""

    plugin: Path
    app_data: Path
    store: Path

    def environ(self, seeder: str | None, **variables: str) -> dict[str, str]:
        """Return the variables for a seeder; `None` leaves the choice to it."""
        environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("VIRTUALENV_", "PIP_"))
        }
        environ |= {
            "PYTHONPATH": os.pathsep.join([str(self.plugin), _SOURCES]),
            "VIRTUALENV_OVERRIDE_APP_DATA": str(self.app_data),
            "VIRTUALENV_NO_PERIODIC_UPDATE": "1",
            "VIRTUALENV_CONFIG_FILE": str(self.plugin / "no.ini"),
            "MVENV_STORE": str(self.store),
            **variables,
        }
        return environ | ({} if seeder is None else {"VIRTUALENV_SEEDER": seeder})

    def make(
        self,
        path: Path,
        *words: str | Path,
        seeder: str | None = "mvenv",
        python: str | Path = sys.executable,
        **variables: str,
    ) -> Made:
        """Make an environment, which has to succeed."""
        done = self.attempt(path, *words, seeder=seeder, python=python, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return Made(path=path, said=done.stdout + done.stderr)

    def attempt(
        self,
        path: Path,
        *words: str | Path,
        seeder: str | None = "mvenv",
        python: str | Path = sys.executable,
        **variables: str,
    ) -> subprocess.CompletedProcess[str]:
        """Try to."""
        command = [sys.executable, "-m", "virtualenv", path, "-p", python, *words]
        return self.python(*command[1:], variables=self.environ(seeder, **variables))

    def python(
        self, *words: str | Path, variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run Python with the plugin on its path."""
        return subprocess.run(
            [sys.executable, *map(str, words)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            umask=0o022,
            env=dict(variables or self.environ("mvenv")),
        )
