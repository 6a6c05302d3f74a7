"""Editable installs: what pip writes for one, lifted out of a scratch environment."""

from __future__ import annotations

import configparser
import csv
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from pathlib import Path

from mvenv.errors import BuildError, SystemFault
from mvenv.fetch.pip import pip_environment, run_pip, scratch
from mvenv.fetch.settings import FetchSettings
from mvenv.progress import Reporter

__all__ = ["EditableInstall", "build_editable"]

_PROBE = """
import json, sys, sysconfig
paths = sysconfig.get_paths()
print(json.dumps({"prefix": sys.prefix, "executable": sys.executable,
    "libraries": [paths["purelib"], paths["platlib"]], "scripts": paths["scripts"]}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditableInstall:
    """What makes a project importable from where it is."""

    name: str
    """As its metadata spells it."""
    version: str
    dist_info: str
    """The folder's name, like ``demo-1.0.dist-info``."""
    files: tuple[tuple[str, bytes], ...]
    """(path below the environment with "/", content): all that RECORD lists but RECORD
    itself, bytecode and scripts. INSTALLER says ``pip``."""
    scripts: tuple[tuple[str, bytes], ...]
    """(file name, content): scripts that the project ships, their first line
    ``#!python`` as in a wheel. Those of entry points are not here: they are generated
    for each environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scratch:
    """Where things are in the scratch environment."""

    prefix: Path
    executable: str
    libraries: tuple[Path, ...]
    scripts: Path

    def dist_infos(self) -> set[Path]:
        return {
            path for folder in self.libraries for path in folder.glob("*.dist-info")
        }


def build_editable(
    *,
    python: str,
    pip: Path,
    project: Path,
    folder: Path,
    settings: FetchSettings,
    environ: Mapping[str, str],
    reporter: Reporter,
) -> EditableInstall:
    """Install ``project`` editable into a scratch environment; return what came there.

    ``python`` is that environment's, which needs no pip inside and is changed; ``pip``
    is pip's wheel file; ``folder`` takes temporary files. The project's own folder gets
    what its back end writes there (an ``.egg-info``), as with pip. `BuildError` where
    it fails, with all output.
    """
    where = _inspect(python, environ)
    before = where.dist_infos()
    project = project.absolute()
    what = f"`{project}`"
    with scratch(folder) as made:
        arguments = [
            "install",
            "--no-deps",
            "--no-compile",
            "--no-warn-script-location",
            # A setup.py alone is built by setuptools' hooks, not by `develop`.
            "--use-pep517",
            "-e",
            project.as_uri(),
        ]
        with reporter.task(f"building {what}", None):
            output = run_pip(
                python,
                pip,
                arguments,
                what=what,
                environment=pip_environment(settings, environ, made),
            )
    reporter.detail(output)
    new = sorted(where.dist_infos() - before)
    if len(new) != 1:
        raise BuildError(
            f"installing {what} made {len(new)} distributions, not one", output=output
        )
    try:
        return _lift(new[0], where)
    except OSError as error:
        raise SystemFault.from_os_error(error, f"reading {what}") from error


def _inspect(python: str, environ: Mapping[str, str]) -> _Scratch:
    command = [python, "-I", "-c", _PROBE]
    try:
        done = subprocess.run(
            command, env=dict(environ), capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise BuildError(f"`{python}` does not answer: {error}") from error
    return _Scratch(
        prefix=Path(found["prefix"]),
        executable=found["executable"],
        libraries=tuple(Path(path) for path in dict.fromkeys(found["libraries"])),
        scripts=Path(found["scripts"]),
    )


def _lift(dist_info: Path, where: _Scratch) -> EditableInstall:
    generated = _generated_scripts(dist_info)
    files: list[tuple[str, bytes]] = []
    scripts: list[tuple[str, bytes]] = []
    for path in _recorded(dist_info):
        if path == dist_info / "RECORD" or path.suffix == ".pyc":
            continue
        if path.parent == where.scripts:
            if path.name not in generated:
                scripts.append((path.name, _relocatable(path.read_bytes(), where)))
            continue
        if not path.is_relative_to(where.prefix):
            raise BuildError(f"`{dist_info.name}` installs outside: `{path}`")
        files.append((path.relative_to(where.prefix).as_posix(), path.read_bytes()))
    metadata = BytesHeaderParser().parsebytes((dist_info / "METADATA").read_bytes())
    return EditableInstall(
        name=str(metadata["Name"]),
        version=str(metadata["Version"]),
        dist_info=dist_info.name,
        files=tuple(sorted(files)),
        scripts=tuple(sorted(scripts)),
    )


def _recorded(dist_info: Path) -> list[Path]:
    """Return the paths that RECORD lists, absolute."""
    with (dist_info / "RECORD").open(encoding="utf-8", newline="") as stream:
        return [
            Path(os.path.normpath(dist_info.parent / row[0]))
            for row in csv.reader(stream)
            if row
        ]


class _ExactParser(configparser.ConfigParser):
    def optionxform(self, optionstr: str) -> str:
        return optionstr  # names keep their case


def _generated_scripts(dist_info: Path) -> frozenset[str]:
    """Return the file names of the scripts that come from entry points."""
    parser = _ExactParser(delimiters=("=",), strict=False, interpolation=None)
    try:
        parser.read(dist_info / "entry_points.txt", encoding="utf-8")
    except configparser.Error as error:
        raise BuildError(f"`{dist_info.name}` has bad entry points: {error}") from error
    names = {
        name
        for group in ("console_scripts", "gui_scripts")
        if parser.has_section(group)
        for name in parser.options(group)
    }
    endings = ("", ".exe", "-script.py", "-script.pyw")
    return frozenset(name + ending for name in names for ending in endings)


def _relocatable(content: bytes, where: _Scratch) -> bytes:
    """Return a script with the first line that it has in a wheel."""
    first, newline, rest = content.partition(b"\n")
    executable = os.fsencode(where.executable)
    if first.startswith(b"#!" + executable):
        tail = first.removeprefix(b"#!" + executable).rstrip(b"\r")
        return b"#!python" + tail + newline + rest
    return content
