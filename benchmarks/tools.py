"""The programs that are compared: installed anew, each in an environment of its own."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from measuring import run_quietly

__all__ = ["PYTHON", "Tools", "calm", "install", "read_version"]

PYTHON = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
"""The interpreter that all build for."""

_PROJECT = Path(__file__).parents[1]
_PEERS: dict[str, tuple[str, ...]] = {
    "pip": ("pip",),
    "uv": ("uv",),
    "virtualenv": ("virtualenv",),
    "poetry": ("poetry",),
    # PDM 2.29 breaks with newer ones of these, and does not say so to installers.
    "pdm": ("pdm", "hishel<2", "unearth<0.19"),
}
_DISTORTING = (
    "CONDA",
    "MPL",
    "MVENV_",
    "PDM_",
    "PIP_",
    "POETRY_",
    "PYTHON",
    "UV_",
    "VIRTUALENV",
    "VIRTUAL_ENV",
    "XDG_",
)
_KEPT = {"PIP_CERT", "PIP_INDEX_URL"}
"""How to reach the index."""


def calm(environ: Mapping[str, str]) -> dict[str, str]:
    """Return variables without those that change what a contestant does.

    uv and PDM are told of the index that ``PIP_INDEX_URL`` names.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if name in _KEPT or not name.startswith(_DISTORTING)
    }
    if "PIP_INDEX_URL" in kept:
        kept["UV_DEFAULT_INDEX"] = kept["PDM_PYPI_URL"] = kept["PIP_INDEX_URL"]
    return kept


@dataclass(frozen=True)
class Tools:
    """Where the programs are."""

    folder: Path
    missing: Mapping[str, str]
    """Why a peer could not be installed."""

    def __getitem__(self, name: str) -> str:
        """Return the path of a program."""
        return str(self.folder / name / "bin" / name)

    def python(self, name: str) -> str:
        """Return the path of the Python that a program runs in."""
        return str(self.folder / name / "bin" / "python")

    @cached_property
    def chooses_bytecode(self) -> bool:
        """Return whether this mvenv has bytecode to leave out."""
        said = run_quietly([self["mvenv"], "create", "--help"], environ=os.environ)
        return "--no-bytecode" in said

    def versions(self) -> dict[str, str]:
        """Return what each says of itself."""
        environ = calm(os.environ)
        names = [name for name in ("mvenv", *_PEERS) if name not in self.missing]
        said = {
            name: run_quietly([self[name], "--version"], environ=environ)
            for name in names
        }
        return {name: read_version(words) for name, words in said.items()}


def read_version(said: str) -> str:
    """Return the version out of what a program says of itself."""
    found = re.search(r"\d+(\.\w+)+", said)
    return found[0] if found else "unknown"


def install(folder: Path) -> Tools:
    """Install what is not in ``folder`` yet, and this project again.

    With the user's own settings for pip, since nothing of it is measured.
    """
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    missing = {}
    for name, wanted in {**_PEERS, "mvenv": (f"{_PROJECT}[fast]",)}.items():
        home = folder / name
        if name != "mvenv" and (home / "bin" / name).exists():
            continue
        # The first one brings the newest pip, which installs the others.
        seed = [] if name == "pip" else ["--without-pip"]
        make = [PYTHON, "-m", "venv", "--clear", *seed]
        run_quietly([*make, str(home)], environ=environ)
        pip = [str(folder / "pip" / "bin" / "python"), "-m", "pip"]
        command = [*pip, "--python", str(home / "bin" / "python"), "install", "--quiet"]
        try:
            run_quietly([*command, "--upgrade", *wanted], environ=environ)
        except SystemExit as error:
            if name in {"mvenv", "pip", "uv"}:
                raise
            missing[name] = str(error)
    return Tools(folder, missing)
