"""Which lockfile is meant, and of which format it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mvenv.errors import LockfileError, UnsupportedLockfile
from mvenv.lockfiles import find_lockfile, read_lockfile
from mvenv.lockfiles.model import LockfileFormat

POETRY = """
package = []
[metadata]
lock-version = "2.1"
python-versions = "*"
content-hash = ""
"""
PYLOCK = 'lock-version = "1.0"\ncreated-by = "test"\npackages = []\n'


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("poetry.lock", POETRY, LockfileFormat.POETRY),
        ("pylock.toml", PYLOCK, LockfileFormat.PYLOCK),
        ("pylock.ci.toml", PYLOCK, LockfileFormat.PYLOCK),
        ("ci.lock", POETRY, LockfileFormat.POETRY),
        ("ci.lock", PYLOCK, LockfileFormat.PYLOCK),
    ],
)
def test_name_or_content_tells_the_format(
    tmp_path: Path, name: str, text: str, kind: LockfileFormat
) -> None:
    lockfile = read_lockfile(write(tmp_path / name, text))

    assert lockfile.format is kind
    assert lockfile.path == tmp_path / name


@pytest.mark.parametrize(
    ("name", "text", "command"),
    [
        ("uv.lock", "", "uv export --format pylock.toml"),
        ("pdm.lock", "", "pdm export -f pylock"),
        ("Pipfile.lock", "", "pipenv pylock"),
        ("requirements.txt", "", "pip lock -r requirements.txt"),
        ("requirements-dev.txt", "", "pip lock -r requirements-dev.txt"),
        ("dev-requirements.in", "", "pip lock -r dev-requirements.in"),
        ("conda-lock.yml", "", "pip lock"),
        ("environment.yaml", "", "pip lock"),
        ("other", "version = 1\n[[package]]\nname = 'x'", "uv export"),
        ("other", "[metadata]\nlock_version = '4.5.0'", "pdm export"),
        ("other", '{"_meta": {}, "default": {}}', "pipenv pylock"),
    ],
)
def test_formats_of_other_tools_are_told_what_to_do(
    tmp_path: Path, name: str, text: str, command: str
) -> None:
    path = write(tmp_path / name, text)
    with pytest.raises(UnsupportedLockfile) as caught:
        read_lockfile(path)

    assert command in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", "[project]"),
        ("x", "a = 1"),
        ("x", "a: 1"),
        ("x", "[" * 99999),
    ],
)
def test_what_is_no_lockfile(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(LockfileError, match="not a lockfile") as caught:
        read_lockfile(write(tmp_path / name, text))

    assert not isinstance(caught.value, UnsupportedLockfile)


@pytest.mark.parametrize("name", ["uv.lock", "poetry.lock", "pylock.toml", "any"])
def test_a_lockfile_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(LockfileError, match="there is no"):
        read_lockfile(tmp_path / name)
    with pytest.raises(LockfileError, match="is a folder"):
        read_lockfile(tmp_path)


def test_the_nearest_upward_is_found(tmp_path: Path) -> None:
    far = write(tmp_path / "pylock.toml")
    near = write(tmp_path / "a" / "poetry.lock")
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)

    assert find_lockfile(tmp_path / "a" / "b" / "c") == near
    assert find_lockfile(tmp_path / "a") == near
    assert find_lockfile(tmp_path) == far
    near.unlink()
    (tmp_path / "a" / "poetry.lock").mkdir()  # not a file, so not a lockfile
    assert find_lockfile(tmp_path / "a" / "b") == far


def test_a_nearer_lockfile_of_another_tool_is_not_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "poetry.lock")
    uv = write(tmp_path / "a" / "uv.lock")

    assert find_lockfile(tmp_path / "a") == uv
    pylock = write(tmp_path / "a" / "pylock.toml")
    assert find_lockfile(tmp_path / "a") == pylock


@pytest.mark.parametrize(
    ("pyproject", "name"),
    [
        ("[tool.poetry]\nname = 'x'", "poetry.lock"),
        ("[build-system]\nbuild-backend = 'poetry.core.masonry.api'", "poetry.lock"),
        ("[build-system]\nbuild-backend = 'hatchling.build'", "pylock.toml"),
        ("[project", "pylock.toml"),
        (None, "pylock.toml"),
    ],
)
def test_of_both_the_project_tells_which(
    tmp_path: Path, pyproject: str | None, name: str
) -> None:
    write(tmp_path / "poetry.lock")
    write(tmp_path / "pylock.toml")
    if pyproject is not None:
        write(tmp_path / "pyproject.toml", pyproject)

    assert find_lockfile(tmp_path) == tmp_path / name


def test_none_is_found(tmp_path: Path) -> None:
    if find_lockfile(tmp_path.parent) is not None:
        pytest.skip("there is a lockfile above the tests' folder")

    assert find_lockfile(tmp_path) is None


def test_the_import_is_cheap() -> None:
    script = (
        "import sys, mvenv.lockfiles, mvenv.selection; "
        "print({'packaging', 'tomllib'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"
