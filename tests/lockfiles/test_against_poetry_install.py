"""Our selection against what `poetry install --dry-run` would do; needs Poetry."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.markers import default_environment

from kit.targets import make_target
from mvenv.lockfiles import read_lockfile
from mvenv.lockfiles.model import Lockfile
from mvenv.selection import GroupOptions, select

pytestmark = pytest.mark.slow

LOCKS = Path(__file__).parents[1] / "locks"
NAMES = sorted(path.parent.name for path in LOCKS.glob("*/expected.json"))
INSTALLING = re.compile(r"- Installing (\S+) \(([^ )]+)\)$", re.MULTILINE)
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


def arguments(options: GroupOptions) -> list[str]:
    found = [f"--with={name}" for name in options.with_groups]
    found += [f"--without={name}" for name in options.without]
    found += [f"--only={name}" for name in options.only]
    found += [f"--extras={name}" for name in options.extras]
    found += ["--all-extras"] if options.all_extras else []
    found += ["--all-groups"] if options.all_groups else []
    return found + (["--no-root"] if options.no_root else [])


def some_options(lockfile: Lockfile) -> list[GroupOptions]:
    groups, extras = sorted(lockfile.groups), tuple(sorted(lockfile.extras))
    return [
        GroupOptions(),
        GroupOptions(all_groups=True, all_extras=True),
        GroupOptions(only=(groups[0],)),
        GroupOptions(without=("main",), extras=extras[:1]),
        GroupOptions(with_groups=(groups[-1],), extras=extras[-2:], no_root=True),
    ]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return variables under which Poetry installs into an empty environment."""
    if shutil.which("poetry") is None:
        pytest.skip("Poetry is not installed")
    folder = tmp_path_factory.mktemp("poetry") / "venv"
    command = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(command, check=True)
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "VIRTUAL_ENV": str(folder), "PATH": path}


@pytest.mark.parametrize("name", NAMES)
def test_poetry_would_install_the_same(
    name: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = Path(shutil.copytree(LOCKS / name, tmp_path / name))
    lockfile = read_lockfile(folder / "poetry.lock")
    markers = {str(key): str(value) for key, value in default_environment().items()}
    target = replace(make_target(HERE), markers=markers)
    command = ["poetry", "install", "--dry-run", "--no-ansi", "--no-interaction"]

    compared = 0
    for options in some_options(lockfile):
        done = subprocess.run(
            [*command, "-C", str(folder), *arguments(options)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        theirs = set(INSTALLING.findall(done.stdout))
        root = "Installing the current project" in done.stdout
        selection = select(lockfile, target, options).distributions

        assert {(one.name, one.version) for one in selection if one.version} == theirs
        assert any(one.version is None for one in selection) == root
        compared += len(theirs)

    assert compared > 0
