"""Inside an environment pip and importlib.metadata work as in any other.

What pip takes out or replaces there never reaches the store. With wheels of our own
and no network; with real ones in ``tests/oracles``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kit.interpreters import Interpreters
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from oracles.comparing import listed, read_tree, untrue_rows
from oracles.stores import damage

INSIDE = Path(__file__).parent / "oracles" / "inside.py"
PYTHONS = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"]
EACH = [
    pytest.param(one, marks=[] if one in {"3.8", "3.13"} else [pytest.mark.slow])
    for one in PYTHONS
]


def _plain(make_wheel: WheelMaker, version: str) -> Path:
    """Return a wheel with a file for each rule, not all of them in each version."""
    data = f"plain-{version}.data"
    files = {
        "plain/__init__.py": f"version = {version!r}\n\ndef main():\n print(version)\n",
        "plain/empty.py": "",
        f"plain/only_{version[0]}.py": "x = 1\n",
        "plain/templates/new.txt": "template\n",
        "plain.pth": "import sys\n",
        f"{data}/scripts/plain-tool": "#!python\nimport plain\nprint(plain.version)\n",
        f"{data}/scripts/plain-sh": "#!/bin/sh\necho plain\n",
        f"{data}/data/share/plain/note.txt": "edit me\n",
        f"{data}/data/share/plain/big.bin": "b" * 100_000,
        f"{data}/data/etc/plain.conf": "a = 1\n",
        f"{data}/headers/plain.h": "#define PLAIN 1\n",
    }
    return make_wheel(
        "plain",
        version,
        files,
        entry_points="[console_scripts]\nplain = plain:main\n",
        # pip gives scripts no execute bit that the archive does not have.
        executables=[path for path in files if "/scripts/" in path],
    )


@dataclass(frozen=True, slots=True)
class _Environment:
    """One environment, and what pip may install in it."""

    path: Path
    wheels: Path
    store: Path

    def run(self, *words: str | Path) -> str:
        """Run a program of the environment."""
        done = subprocess.run(
            [self.path / "bin" / words[0], *words[1:]],
            capture_output=True,
            text=True,
            check=False,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(self.wheels),
                "PIP_CONFIG_FILE": os.devnull,
                "PIP_NO_INDEX": "1",
            },
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def pip(self, *words: str) -> str:
        """Run the environment's own pip, without a network."""
        return self.run("python", "-m", "pip", *words)

    def install(self, *words: str) -> str:
        """Install with it."""
        return self.pip("install", "--find-links", str(self.wheels), *words)

    def versions(self) -> dict[str, str]:
        """Return what ``pip list`` says."""
        found = json.loads(self.pip("list", "--format=json"))
        return {one["name"]: one["version"] for one in found if one["name"] != "pip"}

    def inside(self) -> dict[str, Any]:
        """Return what `importlib.metadata` says, everything being imported."""
        answer = json.loads(self.run("python", "-I", INSIDE, "--import"))
        assert set(answer["imports"].values()) == {"ok"}
        found: dict[str, Any] = answer["distributions"]
        return found


def _create(folder: Path, lock: Path, python: str, store: Path) -> None:
    subprocess.run(
        [
            *(sys.executable, "-m", "mvenv", "create", folder, "--from", lock),
            *("--python", python, "--store", store, "--seed", "-q"),
            *("--link-mode", "hardlink"),
        ],
        check=True,
        umask=0o022,
    )


def _nothing(folder: Path) -> Path:
    """Return a lockfile with nothing in it."""
    lock = folder / "pylock.nothing.toml"
    lock.write_text('lock-version = "1.0"\ncreated-by = "tests"\npackages = []\n')
    return lock


def _tree(environment: Path) -> dict[str, object]:
    """Return the environment's files, without the launchers of a pip of any version."""
    return {
        path: entry
        for path, entry in read_tree(environment).items()
        if not path.startswith("bin/pip")
    }


@pytest.mark.parametrize("python", EACH)
def test_pip_and_importlib_metadata_work_inside(
    python: str,
    interpreters: Interpreters,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    old = _plain(make_wheel, "1.0")
    needs = make_wheel("needs", metadata="Requires-Dist: plain>=1")
    _plain(make_wheel, "2.0")
    make_wheel("other")
    store, executable = tmp_path / "store", str(interpreters.get(python).executable)
    env = _Environment(tmp_path / "env", make_wheel.folder, store)
    empty = tmp_path / "empty"
    _create(env.path, write_pylock(old, needs), executable, store)
    _create(empty, _nothing(tmp_path), executable, store)

    assert env.versions() == {"needs": "1.0", "plain": "1.0"}
    assert "No broken requirements found." in env.pip("check")
    known = env.inside()
    assert known["plain"]["entry_points"] == ["console_scripts plain = plain:main"]
    assert known["needs"]["requires"] == ["plain>=1"]
    assert [one["missing"] for one in known.values()] == [[], [], []]
    assert untrue_rows(env.path) == []
    assert {env.run("plain"), env.run("plain-tool")} == {"1.0\n"}

    env.install("other")
    env.install("--upgrade", "plain")

    assert env.versions() == {"needs": "1.0", "other": "1.0", "plain": "2.0"}
    assert {env.run("plain"), env.run("plain-tool")} == {"2.0\n"}
    assert env.inside()["plain"]["version"] == "2.0"
    assert not [path for path in listed(env.path) if "only_1" in path]
    assert not list(env.path.rglob("*only_1*"))

    env.pip("uninstall", "--yes", "plain", "needs", "other")

    assert env.versions() == {}
    left = {path for path in _tree(env.path) if not (env.path / path).is_dir()}
    assert left - _tree(empty).keys() == set()
    assert damage(store) == []


def test_the_pip_of_another_environment_works_on_one(
    make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    old = _plain(make_wheel, "1.0")
    _plain(make_wheel, "2.0")
    store = tmp_path / "store"
    host = _Environment(tmp_path / "host", make_wheel.folder, store)
    env = _Environment(tmp_path / "env", make_wheel.folder, store)
    _create(host.path, _nothing(tmp_path), sys.executable, store)
    _create(env.path, write_pylock(old), sys.executable, store)
    on = ("--python", str(env.path))

    host.pip(*on, "install", "--find-links", str(make_wheel.folder), "-U", "plain")
    assert env.run("plain") == "2.0\n"
    host.pip(*on, "uninstall", "--yes", "plain")

    assert not list(env.path.rglob("*plain*"))
    assert damage(store) == []


def test_pip_puts_back_what_it_could_not_replace(
    make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    old = _plain(make_wheel, "1.0")
    broken = make_wheel("plain", "3.0", {"plain/__init__.py": "x", "../out.py": ""})
    store = tmp_path / "store"
    env = _Environment(tmp_path / "env", make_wheel.folder, store)
    _create(env.path, write_pylock(old), sys.executable, store)
    before = _tree(env.path)

    with pytest.raises(AssertionError, match=r"out\.py"):
        env.install("--upgrade", os.fspath(broken))

    assert _tree(env.path) == before
    assert env.run("plain-tool") == "1.0\n"
    assert damage(store) == []
