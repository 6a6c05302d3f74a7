"""What the seeder must not touch: others' choices, and others' programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kit.virtualenvs import Virtualenv

ROOT = Path(__file__).parents[2]
CHOSEN = """
import json, sys
from virtualenv import session_via_cli
from virtualenv.run.plugin.base import PluginLoader
session = session_via_cli([sys.argv[1]])
ours = [one.name for one in PluginLoader.entry_points().select(group="virtualenv.seed")]
print(json.dumps({
    "seeder": type(session.seeder).__module__,
    "creator": type(session.creator).__module__,
    "activators": [type(one).__module__ for one in session.activators],
    "ours": ours,
    "imported": [name for name in sys.modules if name.split(".")[0] == "mvenv"],
}))
"""


def _choices(python: Path | str, environ: dict[str, str], place: Path) -> None:
    done = subprocess.run(
        [str(python), "-c", CHOSEN, str(place)],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert "mvenv" in told["ours"]
    modules = {told["seeder"], told["creator"], *told["activators"]}
    assert {name.split(".")[0] for name in modules} == {"virtualenv"}
    # All entry points of the group are imported, whichever is chosen.
    assert set(told["imported"]) == {
        "mvenv",
        "mvenv.integrations",
        "mvenv.integrations.virtualenv_seeder",
    }


def test_installed_it_changes_no_choice(warm: Virtualenv, tmp_path: Path) -> None:
    _choices(sys.executable, warm.environ(None), tmp_path / "env")


@pytest.mark.index
def test_really_installed_it_changes_no_choice(
    warm: Virtualenv, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    warm.make(home, seeder="app-data")
    python = home / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", ROOT], check=True)
    environ = {
        name: value
        for name, value in warm.environ(None).items()
        if name != "PYTHONPATH"
    }

    _choices(python, environ, tmp_path / "env")
    subprocess.run(
        [python, "-m", "virtualenv", "--seeder", "mvenv", tmp_path / "seeded"],
        check=True,
        env=environ,
    )

    (module,) = (tmp_path / "seeded").glob("lib/*/site-packages/pip/__main__.py")
    assert module.stat().st_nlink > 1 or not warm.store.exists()


def test_no_process_is_forked_in_the_tools_own(
    virtualenv: Virtualenv, tmp_path: Path
) -> None:
    """The first time least of all, when there is most to do."""
    script = """
import os, sys
def fork():
    raise SystemExit("forked")
os.fork = fork
from virtualenv import cli_run
cli_run([sys.argv[1]])
"""
    done = virtualenv.python("-c", script, tmp_path / "env")

    assert done.returncode == 0, done.stderr
    assert "without mvenv" not in done.stderr
