"""One lock for all tools: the same distributions, said in each tool's own words."""

from __future__ import annotations

import json
import shutil
import sys
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from measuring import run_quietly
from tools import PYTHON, Tools

__all__ = ["IMPORTS", "LOCKS", "Workload", "make_pyproject"]

LOCKS = Path(__file__).parent / "locks"
IMPORTS = {
    "small": "httpx",
    "web": "django, fastapi, sqlalchemy, celery, flask",
    "science": "pandas, scipy, sklearn, matplotlib",
}
"""What is first imported, by workload."""
_REHASH = """
import re, pathlib, sys
from poetry.factory import Factory
folder = pathlib.Path(sys.argv[1])
new = Factory().create_poetry(folder).locker._get_content_hash()
lock = folder / "poetry.lock"
text = lock.read_text()
lock.write_text(re.sub('content-hash = ".*"', f'content-hash = "{new}"', text))
"""
"""Poetry's lock says for which pyproject.toml it is."""


@dataclass(frozen=True)
class Workload:
    """A lock, and the folder with what other tools need in its place."""

    name: str
    folder: Path
    tools: Tools
    environ: Mapping[str, str]

    @property
    def lockfile(self) -> Path:
        """Return the lock that is shipped."""
        return LOCKS / self.name / "poetry.lock"

    @property
    def requirements(self) -> Path:
        """Return the file for pip: each version pinned."""
        return self.folder / "requirements.txt"

    def pin(self, versions: Sequence[tuple[str, str]]) -> None:
        """Write down what the lock comes to for this interpreter, once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.requirements.write_text(
            "".join(f"{name}=={version}\n" for name, version in versions),
            encoding="utf-8",
        )

    @cached_property
    def uv_project(self) -> Path:
        """Return a project of the same versions, locked by uv."""
        project = self._project("uv", _UV)
        if not (project / "uv.lock").exists():
            command = [self.tools["uv"], "lock", "--no-config", "--quiet"]
            self._run([*command, "--project", project, "--python", PYTHON])
        return project

    @cached_property
    def pdm_project(self) -> Path:
        """Return a project of the same versions, locked by PDM."""
        project = self._project("pdm", "[tool.pdm]\ndistribution = false\n")
        if not (project / "pdm.lock").exists():
            command = (self.tools["pdm"], "lock", "--quiet", "--project", project)
            self._run(command)
            shutil.rmtree(project / ".venv", ignore_errors=True)
        return project

    @cached_property
    def poetry_project(self) -> Path:
        """Return the lock as shipped, with the index as its source.

        Poetry takes PyPI for an index that answers in JSON, which not all do that
        stand in for it.
        """
        project = self.folder / "poetry"
        shutil.rmtree(project, ignore_errors=True)
        shutil.copytree(LOCKS / self.name, project)
        index = self.environ.get("PIP_INDEX_URL", "https://pypi.org/simple/")
        # Poetry knows no other way to name a user in an URL.
        if urllib.parse.urlsplit(index).username:
            raise SystemExit("Poetry takes no index with a password in its address")
        with (project / "pyproject.toml").open("a", encoding="utf-8") as file:
            file.write(
                '\n[[tool.poetry.source]]\nname = "index"\n'
                f'url = {json.dumps(index)}\npriority = "primary"\n'
            )
        self._run([self.tools.python("poetry"), "-c", _REHASH, project])
        return project

    def _project(self, tool: str, settings: str) -> Path:
        project = self.folder / tool
        project.mkdir(exist_ok=True)
        pins = self.requirements.read_text(encoding="utf-8").split()
        text = make_pyproject(self.name, pins, settings)
        (project / "pyproject.toml").write_text(text, encoding="utf-8")
        return project

    def _run(self, command: Sequence[str | Path]) -> None:
        run_quietly(command, environ=self.environ)


_UV = f"""\
[tool.uv]
package = false
environments = ["sys_platform == '{sys.platform}'"]
"""


def make_pyproject(name: str, pins: Sequence[str], settings: str) -> str:
    """Return a pyproject.toml that has nothing left to choose."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return (
        f'[project]\nname = "same-{name}"\nversion = "0"\n'
        f'requires-python = "=={version}.*"\n'
        f"dependencies = {json.dumps(list(pins))}\n{settings}"
    )
