"""Commands of mvenv as another user, where the tests run as root.

The other user is ``nobody``: a number that owns nothing. What it needs to read (the
interpreter, the packages, the sources, a scratch folder) can be below folders that are
closed to others, like ``/root``: in a mount namespace of its own there is an open
folder in place of such a one, with only that in it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import mvenv

__all__ = ["NOBODY", "OtherUser", "Said", "give"]

NOBODY = 65534
_TOOLS = ("unshare", "setpriv", "mount")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        """Return what ``--json`` printed."""
        return json.loads(self.out)


class OtherUser:
    """Runs commands as ``nobody``, whose home is below ``base``."""

    def __init__(self, base: Path) -> None:
        if os.geteuid():
            pytest.skip("only root can be another user")
        if not all(map(shutil.which, _TOOLS)):
            pytest.skip(f"there is no {', '.join(_TOOLS)}")
        base.chmod(0o755)
        self.home = base / "home"
        self.home.mkdir()
        os.chown(self.home, NOBODY, NOBODY)
        sources = Path(mvenv.__file__).parents[1]
        self._opening = _opening(
            {Path(sys.base_prefix), Path(sys.prefix), sources, base}
        )
        self._environ = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(sources),
            "LANG": "C.UTF-8",
        }
        self.store = self.home / "store"
        tried = self.run(sys.executable, "-c", "import mvenv.cli")
        if tried.code:
            pytest.skip(f"no command can be run as another user: {tried.err}")

    def run(self, *command: str | Path) -> Said:
        """Run a command, whatever comes of it."""
        words = " ".join(shlex.quote(str(word)) for word in command)
        other = f"--reuid {NOBODY} --regid {NOBODY} --clear-groups"
        script = f"set -e; {self._opening} umask 022; exec setpriv {other} -- {words}"
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.home,
            env=self._environ,
        )
        return Said(code=done.returncode, out=done.stdout, err=done.stderr)

    def __call__(self, *words: str | Path, store: Path | None = None) -> Said:
        """Run a command of mvenv, which must not break down."""
        place = ("--store", store or self.store)
        said = self.run(sys.executable, "-m", "mvenv", *words, *place)
        assert "Traceback" not in said.err + said.out, said.err
        return said


def give(path: Path, uid: int = NOBODY) -> Path:
    """Make a file or folder, with all below it, another user's."""
    for folder, folders, names in os.walk(path):
        for name in (*folders, *names):
            os.lchown(os.path.join(folder, name), uid, uid)
    os.lchown(path, uid, uid)
    return path


def _opening(needed: Iterable[Path]) -> str:
    """Return shell commands that open the way to what is needed, for this process."""
    closed: dict[Path, set[Path]] = {}
    for path in needed:
        gate = _closed_above(path)
        if gate is not None:
            closed.setdefault(gate, set()).add(path)
    commands = []
    for gate, paths in closed.items():
        outer = [path for path in paths if not paths.intersection(path.parents)]
        for number, path in enumerate(sorted(outer)):
            commands += [f"exec {number + 3}< {shlex.quote(str(path))}"]
        commands += [f"mount -t tmpfs -o mode=755 none {shlex.quote(str(gate))}"]
        for number, path in enumerate(sorted(outer)):
            place = shlex.quote(str(path))
            commands += [
                f"mkdir -p {place}",
                f"mount -c --bind /proc/self/fd/{number + 3} {place}",
                f"exec {number + 3}<&-",
            ]
    return "".join(f"{one}; " for one in commands)


def _closed_above(path: Path) -> Path | None:
    """Return the first folder on the way to a path that others may not go through."""
    for folder in reversed(path.parents):
        if not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None
