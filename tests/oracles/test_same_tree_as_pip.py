"""The same files with the same bytes as pip, on real locks and real wheels."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.index

LOCKS = Path(__file__).parents[2] / "benchmarks" / "locks"
EXAMPLE = Path(__file__).parents[2] / "examples" / "web" / "poetry.lock"
_SHEBANG = re.compile(rb"\A#!/bin/sh\n'''exec' [^\n]*\n' '''\n|\A#![^\n]*\n")
_FOLDED = {0o444: 0o644, 0o555: 0o755}
"""The seal, which pip's files do not have."""


class _File(NamedTuple):
    mode: int
    sha256: str


def _tree(environment: Path) -> dict[str, _File]:
    """Return what installers put there, without what is known to differ.

    RECORD (it lists bytecode and other scripts' hashes), INSTALLER (the name of the
    tool), bytecode (pip compiles), shebang lines (they name the environment).
    """
    found: dict[str, _File] = {}
    for folder, names, files in os.walk(environment):
        names[:] = [name for name in names if name not in {"__pycache__", ".mvenv"}]
        for name in files:
            path = Path(folder, name)
            below = path.relative_to(environment).as_posix()
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or _of_the_tool(below):
                continue
            content = path.read_bytes()
            if below.startswith("bin/"):
                content = _SHEBANG.sub(b"#!\n", content)
            mode = stat.S_IMODE(status.st_mode)
            digest = hashlib.sha256(content).hexdigest()
            found[below] = _File(_FOLDED.get(mode, mode), digest)
    return found


def _of_the_tool(path: str) -> bool:
    name = path.rpartition("/")[2]
    return (
        name in {"pyvenv.cfg", ".gitignore", "CACHEDIR.TAG"}
        or (".dist-info/" in path and name in {"RECORD", "INSTALLER"})
        or re.fullmatch(
            r"bin/(activate(\.\w+)?|Activate\.ps1|activate_this\.py|deactivate.*)", path
        )
        is not None
    )


def _run(*command: str | Path, **variables: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _mvenv(*arguments: str | Path) -> dict[str, object]:
    out = _run(sys.executable, "-m", "mvenv", *arguments, "--json")
    value: dict[str, object] = json.loads(out)
    return value


def _pip_install(environment: Path, requirements: Path) -> None:
    _run(sys.executable, "-m", "venv", "--without-pip", environment)
    _run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        environment / "bin" / "python",
        "install",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
        "--no-compile",
        "-r",
        requirements,
    )


def _requirements(environment: Path, target: Path) -> Path:
    """Write what mvenv installed as requirements with hashes."""
    receipt = (environment / ".mvenv" / "receipt").read_text().partition("\n")[2]
    lines = [
        f"{one['name']}=={one['version']} --hash=sha256:{one['wheel']}"
        for one in json.loads(receipt)["distributions"]
    ]
    target.write_text("\n".join(lines) + "\n")
    return target


def _differences(ours: dict[str, _File], theirs: dict[str, _File]) -> list[str]:
    return [
        f"{path}: mvenv {ours.get(path)}, pip {theirs.get(path)}"
        for path in sorted(ours.keys() | theirs.keys())
        if ours.get(path) != theirs.get(path)
    ]


def _compare(lock: Path, folder: Path, *options: str) -> tuple[int, list[str]]:
    mine, pips = folder / "mvenv", folder / "pip"
    _mvenv("create", mine, "--from", lock, "--no-root", *options)
    _pip_install(pips, _requirements(mine, folder / "requirements.txt"))
    ours, theirs = _tree(mine), _tree(pips)
    return len(theirs), _differences(ours, theirs)


def test_the_example_is_what_pip_makes(tmp_path: Path):
    files, differences = _compare(EXAMPLE, tmp_path)

    assert differences == []
    assert files > 1000


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("small", 50), ("web", 5000), ("science", 20000)])
@pytest.mark.parametrize("mode", ["hardlink", "copy"])
def test_a_real_stack_is_what_pip_makes(
    name: str, least: int, mode: str, tmp_path: Path
):
    files, differences = _compare(
        LOCKS / name / "poetry.lock", tmp_path, "--all-groups", "--link-mode", mode
    )

    assert differences == []
    assert files > least
