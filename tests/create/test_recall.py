"""A plan is recalled for the same question, and only then."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kit.commands import Runner
from kit.deciding import Deciding
from kit.indexes import IndexMaker
from kit.interpreters import Interpreters
from kit.lockfiles import PoetryLockWriter, PylockWriter
from kit.sdists import ProjectMaker, SdistMaker
from kit.snapshots import tree_snapshot
from kit.wheels import WheelMaker
from mvenv.creation import memory
from mvenv.env import seeds
from mvenv.env.receipt import PLAN, read_receipt
from mvenv.hashes import digest_bytes
from mvenv.interpreters import inspect_interpreter
from mvenv.target import Target

TELLING_MODULES = """
import json, sys
from mvenv.cli import run
code = run(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]))
"""
NEEDLESS = ("packaging", "httpx", "virtualenv", "tomllib", "filelock", "platformdirs")
"""Packages that a plan that is recalled has no need of, and modules below."""


def test_a_second_create_decides_nothing(decides: Deciding, lock: Path) -> None:
    assert decides(lock)
    assert not decides(lock)
    assert not decides(lock)


def test_it_makes_the_same(decides: Deciding, lock: Path) -> None:
    found = []
    for _ in range(2):
        decides(lock)
        found.append(
            {
                path: entry
                for path, entry in tree_snapshot(decides.env).items()
                if not path.startswith("bin/") and not path.endswith("/RECORD")
            }
        )
        receipt = read_receipt(decides.env)
        assert receipt is not None
        assert receipt.plan == digest_bytes((decides.env / PLAN).read_bytes()).sha256
    found[0].pop(".mvenv/receipt")
    found[1].pop(".mvenv/receipt")
    found[0].pop("pyvenv.cfg")
    found[1].pop("pyvenv.cfg")

    assert found[0] == found[1]
    ran = subprocess.run(
        [decides.env / "bin/run-tools"], capture_output=True, check=True
    )
    assert ran.stdout == b"tools\n"


def test_the_summary_is_the_same(decides: Deciding, lock: Path) -> None:
    decides(lock)
    decides(lock, "--json")
    second = decides.last.value
    decides(lock, "--json")
    third = decides.last.value

    for one in (second, third):
        del one["path"], one["seconds"]
    assert second == third
    assert (second["fetched"], second["built"], second["stored_bytes"]) == (0, 0, 0)
    assert [one["name"] for one in second["distributions"]] == ["plain", "tools"]


def test_it_loads_nothing_that_decides(
    decides: Deciding, lock: Path, mvenv: Runner, tmp_path: Path
) -> None:
    decides(lock)
    words = ["create", tmp_path / "env", "--from", lock, "--store", mvenv.store, "-q"]
    command = map(str, words)
    done = subprocess.run(
        [sys.executable, "-c", TELLING_MODULES, *command],
        capture_output=True,
        text=True,
        check=True,
    )
    code, loaded = json.loads(done.stdout)

    assert code == 0, done.stderr
    assert [name for name in loaded if name.split(".")[0] in NEEDLESS] == []
    assert "mvenv.creation.deciding" not in loaded
    assert [name for name in loaded if name.startswith("mvenv.lockfiles.")] == []


# ---- what is another question


def test_a_byte_of_the_lock(decides: Deciding, lock: Path) -> None:
    decides(lock)
    lock.write_text(lock.read_text() + "\n")

    assert decides(lock)


def test_a_lock_of_another_name_is_read_by_other_rules(
    decides: Deciding, lock: Path
) -> None:
    decides(lock)
    other = lock.with_name("pylock.other.toml")
    other.write_bytes(lock.read_bytes())

    assert decides(other)


def test_a_project_that_comes_changes_and_goes(
    decides: Deciding, poetry: Path, tmp_path: Path
) -> None:
    options = ("--find-links", tmp_path / "wheels", "--offline")
    project = poetry.with_name("pyproject.toml")
    text = "[tool.poetry]\npackage-mode = false\n"
    project.write_text(text)
    assert decides(poetry, *options)
    assert not decides(poetry, *options)

    project.write_text(text + "[tool.poetry.group.docs]\noptional = true\n")
    assert decides(poetry, *options)

    project.unlink()
    assert not decides(poetry, *options)


@pytest.mark.parametrize(
    "options",
    [("--all-extras",), ("--all-groups",), ("--no-root",), ("--only", "main")],
)
def test_groups_and_extras(
    decides: Deciding, poetry: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    places = ("--find-links", tmp_path / "wheels", "--offline")

    assert decides(poetry, *places, *options)
    assert not decides(poetry, *places, *options)


def test_places_to_look_in(
    decides: Deciding, poetry: Path, wheels: list[Path], simple_index: IndexMaker
) -> None:
    url = simple_index(wheels, "html")

    assert decides(poetry, "--index-url", url)
    assert decides(poetry, "--extra-index-url", url)
    assert decides(poetry, "--find-links", url)


def test_a_plan_is_recalled_offline_too(
    decides: Deciding, poetry: Path, tmp_path: Path
) -> None:
    """What is recalled asks nobody, so it does not matter whether it could."""
    assert not decides(poetry, "--find-links", tmp_path / "wheels")


def test_seed(decides: Deciding, lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decides(lock)
    assert decides(lock, "--seed")
    assert not decides(lock, "--seed")

    # Another virtualenv carries another pip.
    monkeypatch.setattr(seeds, "seed_identity", lambda *_: ("99.0",))
    assert decides(lock, "--seed")
    assert not decides(lock)


def test_what_decides_the_pip_of_a_seed(interpreters: Interpreters) -> None:
    python = interpreters.get("3.11").executable
    target = inspect_interpreter(str(python), memory=None)
    name, *wheels = seeds.seed_identity(target, ("pip",))

    assert name == "pip"
    assert str(seeds.seed_wheel(target, "pip")).endswith(
        tuple(one for one in wheels if one.startswith("pip-"))
    )
    assert any("ensurepip" in one for one in wheels)


def test_another_interpreter(
    decides: Deciding, lock: Path, interpreters: Interpreters
) -> None:
    decides(lock, "--python", interpreters.get("3.11").executable)

    assert decides(lock, "--python", interpreters.get("3.12").executable)


def test_an_interpreter_that_was_upgraded_in_place(
    decides: Deciding, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a patch release, whose files have the same names."""

    def upgraded(executable: str, *, memory: Path | None) -> Target:
        target = inspect_interpreter(executable, memory=memory)
        markers = {**target.markers, "python_full_version": "3.99.1"}
        return replace(target, markers=markers)

    decides(lock)
    monkeypatch.setattr("mvenv.creation.inspect_interpreter", upgraded)

    assert decides(lock)
    assert not decides(lock)


def test_another_interpreter_under_the_same_name(
    decides: Deciding, lock: Path, tmp_path: Path, interpreters: Interpreters
) -> None:
    python = tmp_path / "tool" / "python"
    python.parent.mkdir()
    for version in ("3.11", "3.12"):
        python.unlink(missing_ok=True)
        python.symlink_to(interpreters.get(version).executable)
        assert decides(lock, "--python", python)
        assert not decides(lock, "--python", python)
        assert list(decides.env.glob(f"lib/python{version}/site-packages/plain"))


def test_another_version_of_mvenv(
    decides: Deciding, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decides(lock)
    monkeypatch.setattr(memory, "__version__", "99.0")

    assert decides(lock)


@pytest.mark.parametrize(
    "options",
    [("--prompt", "x"), ("--link-mode", "copy"), ("--system-site-packages",)],
    ids=str,
)
def test_what_no_plan_depends_on(
    decides: Deciding, lock: Path, options: tuple[str, ...]
) -> None:
    decides(lock)

    assert not decides(lock, *options)


# ---- what is decided anew each time


def test_a_project_to_install_is_built_anew(
    decides: Deciding,
    wheels: list[Path],
    write_poetry_lock: PoetryLockWriter,
    make_project: ProjectMaker,
    tmp_path: Path,
) -> None:
    """Its back end may read any file: here none that mvenv knows of."""
    lock = write_poetry_lock(*wheels)
    project = make_project("mine")
    lock = lock.rename(project / "poetry.lock")
    options = ("--find-links", tmp_path / "wheels", "--offline")
    assert decides(lock, *options)
    assert decides(lock, *options)

    assert decides(lock, *options, "--no-root")
    assert not decides(lock, *options, "--no-root")


def test_a_folder_is_built_anew(
    decides: Deciding, write_pylock: PylockWriter, make_project: ProjectMaker
) -> None:
    project = make_project("local")
    lock = write_pylock(
        packages=[{"name": "local", "directory": {"path": str(project)}}]
    )
    assert decides(lock)
    module = next(project.rglob("__init__.py"))
    module.write_text("changed = True\n")

    assert decides(lock)
    assert "changed" in next(decides.env.rglob("local/__init__.py")).read_text()


def test_what_was_built_from_an_sdist_is_remembered_with_its_wheel(
    decides: Deciding, write_pylock: PylockWriter, make_sdist: SdistMaker
) -> None:
    lock = write_pylock(make_sdist("built"))

    assert decides(lock, "--offline")
    assert not decides(lock, "--offline")
    assert list(decides.env.rglob("built/__init__.py"))


# ---- what is said, and what must not be replaced


def test_warnings_are_said_each_time(
    decides: Deciding, poetry: Path, tmp_path: Path
) -> None:
    options = ("--find-links", tmp_path / "wheels", "--offline")
    project = "[tool.poetry]\npackage-mode = false\n[tool.poetry.dependencies]\nx='*'\n"
    poetry.with_name("pyproject.toml").write_text(project)
    assert decides(poetry, *options)
    first = decides.last.err
    assert not decides(poetry, *options)

    assert "may be stale" in first
    assert decides.last.err.count("may be stale") == 1


def test_a_warning_is_said_once_where_what_was_recalled_is_stale(
    decides: Deciding, poetry: Path, mvenv: Runner, tmp_path: Path
) -> None:
    options = ("--find-links", tmp_path / "wheels", "--offline")
    project = "[tool.poetry]\npackage-mode = false\n[tool.poetry.dependencies]\nx='*'\n"
    poetry.with_name("pyproject.toml").write_text(project)
    decides(poetry, *options)
    [stored] = (mvenv.store / "wheels").glob("*/*/tree/plain/__init__.py")
    stored.chmod(0o644)
    stored.write_text("edited = True\n")

    assert decides(poetry, *options)
    assert decides.last.err.count("may be stale") == 1
    assert decides.last.err.count("had been changed") == 1


def test_a_file_of_another_project_is_not_named(
    decides: Deciding, make_wheel: WheelMaker, write_pylock: PylockWriter
) -> None:
    """Two projects with the same lock have their files beside them, each its own."""
    places = []
    for name in ("one", "two"):
        folder = write_pylock.folder / name
        wheel = make_wheel("beside", folder=folder)
        lock = folder / "pylock.toml"
        digest = digest_bytes(wheel.read_bytes()).sha256
        archive = {"path": wheel.name, "hashes": {"sha256": digest}}
        package = {"name": "beside", "version": "1.0", "archive": archive}
        write_pylock(packages=[package], path=lock)
        assert decides(lock)
        text = next(decides.env.rglob("direct_url.json")).read_text()
        places.append(json.loads(text)["url"])

    assert [place.split("/")[-2] for place in places] == ["one", "two"]


def test_what_the_lock_needs_is_not_replaced(
    decides: Deciding, lock: Path, wheels: list[Path], mvenv: Runner
) -> None:
    decides(lock)
    decides(lock)
    moved = decides.env / wheels[0].name
    shutil.copy(wheels[0], moved)
    inside = lock.with_name("pylock.inside.toml")
    inside.write_text(lock.read_text().replace(str(wheels[0]), str(moved)))
    assert decides.env == moved.parent
    there = decides.env
    assert decides(inside)
    assert not decides(inside)

    refused = mvenv("create", there, "--from", inside, "--clear")

    assert refused.code == 17
    assert moved.name in refused.err


# ---- replaced while it is read


def replace_after_first(
    monkeypatch: pytest.MonkeyPatch, path: Path, content: bytes
) -> None:
    """Replace a file when the question is put, before it is read."""
    really = memory.Question.__init__

    def put(question: memory.Question, *arguments: Any) -> None:
        really(question, *arguments)
        path.write_bytes(content)

    monkeypatch.setattr(memory.Question, "__init__", put)


def test_a_lock_that_is_replaced_while_it_is_read(
    decides: Deciding,
    lock: Path,
    wheels: list[Path],
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    decides(lock)
    both = lock.read_bytes() + b"\n"
    write_pylock(wheels[1], path=tmp_path / "fewer.toml")
    fewer = (tmp_path / "fewer.toml").read_bytes()
    lock.write_bytes(both)
    with pytest.MonkeyPatch.context() as patch:
        replace_after_first(patch, lock, fewer)
        assert decides(lock)
    assert not list(decides.env.rglob("tools"))

    lock.write_bytes(both)
    assert decides(lock)
    assert list(decides.env.rglob("tools/__init__.py"))


@pytest.mark.parametrize("before", ["", "[tool.poetry]\npackage-mode = false\n"])
def test_a_project_that_is_replaced_while_it_is_read(
    decides: Deciding, poetry: Path, mvenv: Runner, tmp_path: Path, before: str
) -> None:
    options = ("--find-links", tmp_path / "wheels", "--offline")
    project = poetry.with_name("pyproject.toml")
    if before:
        project.write_text(before)
    else:
        shutil.rmtree(mvenv.store / "ready")
    known = set((mvenv.store / "ready").glob("*"))
    with pytest.MonkeyPatch.context() as patch:
        text = b"[tool.poetry]\npackage-mode = false\n# other\n"
        replace_after_first(patch, project, text)
        assert decides(poetry, *options)

    assert set((mvenv.store / "ready").glob("*")) == known
