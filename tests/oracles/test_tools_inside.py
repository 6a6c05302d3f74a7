"""What pip, uv, Poetry and programs do inside, with real locks and real wheels."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from oracles.comparing import differences, read_tree, untrue_rows
from oracles.making import Pip, attempt, mvenv_create, requirements_of, run
from oracles.stores import damage

pytestmark = pytest.mark.index

ROOT = Path(__file__).parents[2]
INSIDE = Path(__file__).with_name("inside.py")
EXAMPLE = ROOT / "examples" / "web"
STACKS = ["small", "web", "science"]
_QUIET = {"PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "agg"}


def _tool(folder: Path, name: str) -> Path:
    run(sys.executable, "-m", "venv", folder)
    Pip(folder / "bin" / "python")("install", "--quiet", name)
    return folder / "bin" / name


@pytest.fixture(scope="session")
def uv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the newest uv of the index."""
    return _tool(tmp_path_factory.mktemp("uv") / "uv", "uv")


@pytest.fixture(scope="session")
def poetry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the newest Poetry of the index."""
    return _tool(tmp_path_factory.mktemp("poetry") / "poetry", "poetry")


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """Return the example's environment, with a pip inside, in its project."""
    project = tmp_path / "project"
    # The example may have been built where it is.
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns(".venv"))
    lock = project / "poetry.lock"
    options = ("--all-groups", "--store", tmp_path / "store", "--seed")
    mvenv_create(project / ".venv", "--from", lock, *options)
    return project / ".venv"


def _locked(lock: Path) -> dict[str, str]:
    packages = tomllib.loads(lock.read_text())["package"]
    return {one["name"]: one["version"] for one in packages}


def _listed(text: str) -> dict[str, str]:
    found = {one["name"].lower(): one["version"] for one in json.loads(text)}
    found = {name.replace("_", "-"): version for name, version in found.items()}
    found.pop("pip", None)
    return found


def test_pip_works_on_and_in_it(example: Path, pip: Pip, tmp_path: Path) -> None:
    inner = Pip(example / "bin" / "python")
    lock = _locked(EXAMPLE / "poetry.lock")
    installed = _listed(pip.inside(example, "list", "--format=json"))

    assert installed.items() <= lock.items()
    assert _listed(inner("list", "--format=json")) == installed
    for check in (pip.inside(example, "check"), inner("check")):
        assert "No broken requirements found." in check

    before = read_tree(example)
    inner("install", "--quiet", "humanize==4.9.0")
    inner("install", "--quiet", "--upgrade", "humanize")
    pip.inside(example, "install", "--quiet", "--force-reinstall", "--no-deps", "click")
    pip.inside(example, "uninstall", "--yes", "humanize")
    assert read_tree(example).keys() == before.keys()

    inner("install", "--quiet", "click<8.2", "sqlalchemy<2.0.40", "orjson<3.10.14")
    code = "import click, sqlalchemy, orjson; print(orjson.__version__)"
    assert run(example / "bin" / "python", "-c", code) < "3.10.14"

    inner("uninstall", "--yes", *_listed(inner("list", "--format=json")))
    site = next(example.glob("lib/python*/site-packages"))
    left = {path.name for path in site.iterdir()} - {"__pycache__"}
    assert {name for name in left if not name.startswith("pip")} == set()
    assert damage(tmp_path / "store") == []


def test_uv_works_on_it(example: Path, uv: Path, tmp_path: Path) -> None:
    on = {"VIRTUAL_ENV": str(example), "UV_CACHE_DIR": str(tmp_path / "cache")}

    def call(*words: str | Path) -> str:
        done = attempt(uv, "--no-config", "pip", *words, variables=on)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    requirements = tmp_path / "requirements.txt"
    requirements.write_text(requirements_of(example))
    count = len(requirements.read_text().splitlines())
    assert f"Checked {count} packages" in call("check")
    assert "compatible" in call("check")
    listing = attempt(uv, "pip", "list", "--format=json", variables=on).stdout
    assert _listed(listing).items() <= _locked(EXAMPLE / "poetry.lock").items()
    before = read_tree(example)

    kept = call("sync", "--require-hashes", requirements)
    assert f"Checked {count} package" in kept or f"Audited {count} package" in kept
    (example / ".lock").unlink()  # uv's own
    assert read_tree(example) == before

    call("install", "humanize==4.9.0")
    call("install", "--upgrade", "humanize", "click<8.2")
    call("uninstall", "humanize")
    back = call("sync", "--require-hashes", requirements)
    assert "- click==" in back
    assert "+ click==" in back
    (example / ".lock").unlink()
    assert differences(read_tree(example), before) == []

    requirements.write_text("")
    call("sync", "--allow-empty-requirements", requirements)
    assert (
        _listed(attempt(uv, "pip", "list", "--format=json", variables=on).stdout) == {}
    )
    assert damage(tmp_path / "store") == []


def test_poetry_has_nothing_to_do(example: Path, poetry: Path, tmp_path: Path) -> None:
    here = {
        "POETRY_VIRTUALENVS_IN_PROJECT": "1",
        "POETRY_CACHE_DIR": str(tmp_path / "cache"),
        "VIRTUAL_ENV": "",
    }
    Pip(example / "bin" / "python")("uninstall", "--yes", "pip")
    before = read_tree(example)

    def call(*words: str) -> str:
        return run(poetry, "--no-ansi", *words, cwd=example.parent, variables=here)

    assert call("env", "info", "--path").strip() == str(example)
    planned = call("install", "--dry-run", "--all-groups")
    assert "No dependencies to install or update" in planned or (
        "Package operations: 0 installs, 0 updates, 0 removals" in planned
    )
    for command in ("install", "sync"):
        assert "No dependencies to install or update" in call(command, "--all-groups")
    assert read_tree(example) == before

    removed = call("sync", "--only", "main")
    assert "Package operations: 0 installs, 0 updates, 6 removals" in removed
    left = [path for path in read_tree(example) if re.search(_OF_DEV, path)]
    assert left == []
    assert damage(tmp_path / "store") == []


_OF_DEV = r"/(coverage|iniconfig|packaging|pluggy|_?pytest|ruff)\b"


def _pair(stack: str, pip: Pip, folder: Path) -> tuple[Path, Path]:
    """Return the environment that mvenv made of a lock, and the one that pip made."""
    mine, pips = folder / "mvenv", folder / "pipmv"  # names of one length
    lock = ROOT / "benchmarks" / "locks" / stack / "poetry.lock"
    options = ("--all-groups", "--store", folder / "store")
    created = mvenv_create(mine, "--from", lock, *options)
    requirements = folder / "requirements.txt"
    requirements.write_text(requirements_of(mine))
    pip.make(pips, created["python"], "-r", requirements)
    return mine, pips


def _inside(environment: Path, home: Path) -> dict[str, Any]:
    """Return what `importlib.metadata` says, and how each import ends."""
    home.mkdir(exist_ok=True)
    words = (environment / "bin" / "python", INSIDE, "--import")
    variables = {**_QUIET, "HOME": str(home)}
    answer: dict[str, Any] = json.loads(run(*words, cwd=home, variables=variables))
    return answer


def _programs(environment: Path, home: Path) -> dict[str, tuple[int, str]]:
    """Return how each console script ends when it is asked for help."""
    python = environment / "bin" / "python"
    variables = {
        **_QUIET,
        "HOME": str(home),
        "COLUMNS": "200",
        "PATH": f"{environment / 'bin'}:/usr/bin:/bin",
    }
    found = {}
    for name in json.loads(run(python, "-c", _SCRIPTS)):
        command = (shutil.which("timeout") or "timeout", "60")
        script = environment / "bin" / name
        done = attempt(*command, script, "--help", cwd=home, variables=variables)
        text = (done.stdout or done.stderr).replace(str(environment), "<environment>")
        found[name] = (done.returncode, text)
    return found


_SCRIPTS = """\
import json
from importlib.metadata import entry_points
print(json.dumps(sorted({p.name for p in entry_points(group="console_scripts")})))
"""


@pytest.mark.slow
@pytest.mark.parametrize("stack", STACKS)
def test_metadata_imports_and_programs_are_as_in_pips(
    stack: str, pip: Pip, tmp_path: Path
) -> None:
    mine, pips = _pair(stack, pip, tmp_path)
    home = tmp_path / "home"

    ours, theirs = _inside(mine, home), _inside(pips, home)

    assert ours["distributions"].keys() == theirs["distributions"].keys()
    for name, facts in ours["distributions"].items():
        assert facts == theirs["distributions"][name]
        assert facts["missing"] == []
    assert ours["imports"] == theirs["imports"]
    assert len(ours["imports"]) >= len(ours["distributions"]) * 0.9
    failed = {name: why for name, why in ours["imports"].items() if why != "ok"}
    assert failed.keys() <= CANNOT_BE_IMPORTED.keys(), failed
    programs, others = _programs(mine, home), _programs(pips, home)
    assert {name: code for name, (code, _) in programs.items()} == {
        name: code for name, (code, _) in others.items()
    }
    ended = {name: code for name, (code, _) in programs.items() if code}
    assert ended.keys() <= WITHOUT_HELP.keys(), ended
    assert untrue_rows(mine) == []
    assert damage(tmp_path / "store") == []


CANNOT_BE_IMPORTED = {
    "adbc_driver_duckdb": "part of duckdb; it needs adbc_driver_manager, not locked",
    "matplotlib_inline": "it needs matplotlib, which the web lock does not have",
    "psycopg_binary": "its own rule: `psycopg` has to be imported first",
}
"""Top-level modules that do not import alone, in pip's environment neither."""
WITHOUT_HELP = {
    "fastapi": "it asks for the extra `standard`",
    "httpx": "it asks for the extra `cli`",
    "jupyter-labhub": "it needs jupyterhub",
    "mypyc": "it has no `--help`, and needs setuptools",
    "plotly_get_chrome": "it prints its help and ends with 1",
    "pyftmerge": "it does not know `--help`",
    "ttx": "it does not know `--help`, prints its help and ends with 2",
    "zarr": "it asks for the extra `cli`",
}
"""Programs that do not end well when asked for help, in pip's environment neither."""
