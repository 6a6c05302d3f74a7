"""`virtualenv --seeder mvenv` makes what virtualenv's own seeder makes, of links."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from kit.interpreters import Interpreters
from kit.virtualenvs import Made, Virtualenv
from kit.wheels import WheelMaker
from oracles.comparing import untrue_rows

PRESENT = f"{sys.version_info[0]}.{sys.version_info[1]}"
EACH = [
    pytest.param(one, marks=[] if one == PRESENT else [pytest.mark.slow])
    for one in ("3.9", "3.10", "3.11", "3.12", "3.13")
]
OWN_WORDS = re.compile(r"bin/(pip|wheel|easy_install)[-.\d]*|.*\.dist-info/RECORD")
"""Launchers, which mvenv writes as pip does and virtualenv as distlib does; and RECORD,
which here has hashes and sizes, and lists what is there."""


def _tree(environment: Path) -> dict[str, str | bytes]:
    """Return what is there, but for bytecode, of which virtualenv makes none."""
    found: dict[str, str | bytes] = {}
    for base, folders, files in os.walk(environment):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in (*folders, *files):
            path = Path(base, name)
            below = path.relative_to(environment).as_posix()
            if path.is_symlink():
                found[below] = f"to {path.readlink()}"
            elif path.is_dir():
                found[below] = "folder"
            else:
                found[below] = (
                    "written" if OWN_WORDS.fullmatch(below) else path.read_bytes()
                )
    return found


def _without_mvenv(said: str) -> list[str]:
    return [line for line in said.splitlines() if "without mvenv" in line]


@pytest.mark.parametrize("version", EACH)
def test_the_tree_is_that_of_virtualenvs_own(
    warm: Virtualenv, interpreters: Interpreters, tmp_path: Path, version: str
) -> None:
    python = interpreters.get(version).executable
    # One path for both: some files name it.
    place, words = tmp_path / "env", ["--setuptools", "bundle"]
    theirs = _tree(warm.make(place, *words, python=python, seeder="app-data").path)
    shutil.rmtree(place)

    made = warm.make(place, *words, python=python)

    assert not _without_mvenv(made.said)
    ours = _tree(made.path)
    assert ours.keys() == theirs.keys()
    assert [path for path in theirs if ours[path] != theirs[path]] == []
    assert untrue_rows(made.path) == []
    assert made.run("pip", "--version").split()[-1] == f"{version})"
    made.run(f"pip-{version}", "list")
    made.run(f"pip{version}", "check")
    made.run("python", "-c", "import setuptools")


def test_files_are_the_stores_and_those_that_are_written_to_are_not(
    warm: Virtualenv, tmp_path: Path
) -> None:
    made = warm.make(tmp_path / "env", MVENV_LINK_MODE="hardlink")

    assert (made.site / "pip" / "__main__.py").stat().st_nlink > 1
    compiled = made.site / "pip" / "__pycache__" / "__main__.cpython-*.pyc"
    (bytecode,) = compiled.parent.glob(compiled.name)
    assert bytecode.stat().st_nlink > 1
    (metadata,) = made.site.glob("pip-*.dist-info")
    for private in (
        made.site / "pip" / "_vendor" / "certifi" / "cacert.pem",
        made.path / "bin" / "pip",
        metadata / "RECORD",
        metadata / "INSTALLER",
    ):
        assert private.stat().st_nlink == 1
    assert (metadata / "INSTALLER").read_text() == "pip\n"
    assert not (metadata / "REQUESTED").exists()
    assert not list(made.path.glob(".mvenv*"))


def test_settings_are_those_of_create(warm: Virtualenv, tmp_path: Path) -> None:
    made = warm.make(tmp_path / "env", MVENV_LINK_MODE="copy", MVENV_NO_BYTECODE="1")

    assert (made.site / "pip" / "__main__.py").stat().st_nlink == 1
    assert not list(made.site.rglob("*.pyc"))


def test_the_second_time_nothing_is_unpacked_compiled_or_planned(
    warm: Virtualenv, tmp_path: Path
) -> None:
    warm.make(tmp_path / "first")
    plans = sorted((warm.store / "plans").iterdir())

    script = """
import sys
from virtualenv import cli_run
cli_run([sys.argv[1]])
print(sorted(name for name in sys.modules if name in (
    "mvenv.wheels.unpack", "mvenv.ensure.bytecode", "mvenv.plan.planning")))
"""
    done = warm.python("-c", script, tmp_path / "second")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert sorted((warm.store / "plans").iterdir()) == plans


@pytest.mark.parametrize(
    "words",
    [
        ["--no-seed"],
        ["--no-pip", "--no-setuptools"],
        [
            "--no-pip",
            "--no-setuptools",
            "--no-wheel",
            "--no-download",
            "--no-periodic-update",
        ],
        ["--pip", "none", "--setuptools", "none"],
    ],
    ids=" ".join,
)
def test_nothing_is_seeded_where_nothing_is_asked_for(
    virtualenv: Virtualenv, tmp_path: Path, words: list[str]
) -> None:
    made = virtualenv.make(tmp_path / "env", *words)

    assert [path.name for path in made.site.iterdir()] == []
    assert not virtualenv.store.exists()


def test_the_options_are_those_of_virtualenvs_own(warm: Virtualenv) -> None:
    ours, theirs = (
        warm.python("-m", "virtualenv", "--help", variables=warm.environ(seeder))
        for seeder in ("mvenv", "app-data")
    )

    assert ours.returncode == theirs.returncode == 0
    # How it is broken into lines depends on the name.
    told = [" ".join(one.stdout.split()) for one in (ours, theirs)]
    assert told[0].count("seeder mvenv") == 1
    assert (
        told[0]
        .replace("seeder mvenv", "seeder app-data")
        .replace("default: mvenv ->", "default: app-data ->")
        == told[1]
    )


def test_a_wheel_of_a_folder_is_seeded(
    virtualenv: Virtualenv, make_wheel: WheelMaker, tmp_path: Path
) -> None:
    """By its version, as virtualenv finds it; the name alone says nothing here."""
    wheel = make_wheel(
        "setuptools",
        "999.1",
        {"setuptools/__init__.py": "here = 1\n"},
        entry_points="[console_scripts]\nset-up = setuptools:here\n",
    )
    words = ["--extra-search-dir", str(wheel.parent), "--setuptools", "999.1"]

    made = virtualenv.make(tmp_path / "env", *words)

    assert not _without_mvenv(made.said)
    made.run("python", "-c", "import setuptools; assert setuptools.here")
    assert sorted(path.name for path in (made.path / "bin").glob("set-up*")) == sorted(
        ["set-up", "set-up3", f"set-up-{PRESENT}", f"set-up{PRESENT}"]
    )


def test_a_path_with_spaces(warm: Virtualenv, tmp_path: Path) -> None:
    made = warm.make(tmp_path / "an env of 'mine'")

    assert not _without_mvenv(made.said)
    assert "pip" in made.run("pip", "--version")


def test_symbolic_links_are_made_for_who_asks(warm: Virtualenv, tmp_path: Path) -> None:
    made = warm.make(tmp_path / "env", "--symlink-app-data")

    assert (made.site / "pip").is_symlink()


def test_pip_takes_itself_out_and_the_store_stays(
    virtualenv: Virtualenv, tmp_path: Path
) -> None:
    made = virtualenv.make(tmp_path / "env", "--setuptools", "none")
    before = _contents(virtualenv.store)

    made.run("python", "-m", "pip", "uninstall", "-y", "pip")

    # As with virtualenv's own seeder it takes its folder with it, if nobody else is in.
    assert [path for path in (made.path / "lib").rglob("*") if path.is_file()] == []
    assert not list((made.path / "bin").glob("pip*"))
    assert _contents(virtualenv.store) == before
    other = virtualenv.make(tmp_path / "other")
    assert "pip" in other.run("pip", "--version")


def _contents(store: Path) -> dict[str, bytes]:
    found = sorted((store / "wheels").rglob("tree/**/*"))
    return {str(path): path.read_bytes() for path in found if path.is_file()}


@pytest.mark.parametrize("first", ["app-data", "mvenv"])
@pytest.mark.parametrize("second", ["app-data", "mvenv"])
def test_an_environment_is_seeded_again(
    warm: Virtualenv, tmp_path: Path, first: str, second: str
) -> None:
    """With another version there, nothing of which stays; nobody writes to a link."""
    whole = _tree(warm.make(tmp_path / "env", seeder=second).path)
    store = _contents(warm.store)
    shutil.rmtree(tmp_path / "env")
    made = warm.make(tmp_path / "env", seeder=first)
    old = _as_another_version(made)

    made = warm.make(tmp_path / "env", seeder=second)

    assert not old.exists()
    assert _tree(made.path) == whole
    assert _contents(warm.store) == store


def _as_another_version(made: Made) -> Path:
    """Make the seeded pip one of version 1.0, with a module that others lack."""
    (metadata,) = made.site.glob("pip-*.dist-info")
    renamed = metadata.with_name("pip-1.0.dist-info")
    metadata.rename(renamed)
    (made.site / f"{metadata.stem}.virtualenv").unlink()
    old = made.site / "pip" / "old.py"
    old.write_text("")
    record = renamed / "RECORD"
    rows = record.read_text().replace(metadata.name, renamed.name)
    record.write_text(f"{rows}pip/old.py,,\n")
    return old


def test_what_was_changed_in_the_store_is_not_seeded(
    virtualenv: Virtualenv, tmp_path: Path
) -> None:
    virtualenv.make(tmp_path / "first")
    (stored,) = virtualenv.store.glob("wheels/*/*/tree/pip/__main__.py")
    stored.chmod(0o644)
    stored.write_text("raise SystemExit('evil')\n")

    made = virtualenv.make(tmp_path / "second")

    assert not _without_mvenv(made.said)
    assert "pip" in made.run("python", "-m", "pip", "--version")


def test_adopt_knows_what_was_seeded(virtualenv: Virtualenv, tmp_path: Path) -> None:
    made = virtualenv.make(tmp_path / "env")
    words = ["-m", "mvenv", "adopt", "--json", str(made.path)]

    done = virtualenv.python(*words, variables=virtualenv.environ(None))

    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)["environments"]
    assert {one["learned"] for one in told["distributions"]} == {False}
    assert told["freed_bytes"] == told["stored_bytes"] == 0
