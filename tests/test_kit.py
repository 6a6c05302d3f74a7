"""The kit keeps its promises: else every other test stands on sand."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from pathlib import Path

import pytest
from packaging.pylock import Pylock
from packaging.utils import parse_wheel_filename

from kit.indexes import IndexKind, IndexMaker
from kit.interpreters import Interpreters
from kit.lockfiles import PoetryLockWriter, PylockWriter
from kit.sdists import ProjectMaker, SdistMaker
from kit.snapshots import tree_snapshot
from kit.wheels import WheelMaker, sha256_of


def run_pip(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "pip", "--isolated", *map(str, arguments)]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PIP_")
    } | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_wheels_are_true_and_reproducible(
    make_wheel: WheelMaker, tmp_path: Path
) -> None:
    scripts = "[console_scripts]\nfoo = foo_bar:main\n"
    wheel = make_wheel(
        "Foo.Bar",
        "1.2",
        metadata="Requires-Dist: other",
        build="3",
        entry_points=scripts,
    )
    again = make_wheel(
        "Foo.Bar",
        "1.2",
        metadata="Requires-Dist: other",
        build="3",
        folder=tmp_path / "again",
        entry_points=scripts,
    )

    assert wheel.read_bytes() == again.read_bytes()
    assert parse_wheel_filename(wheel.name)[0] == "foo-bar"
    run_pip("install", "--no-deps", "--no-index", "--target", tmp_path / "site", wheel)
    assert (tmp_path / "site/foo_bar/__init__.py").is_file()
    assert (tmp_path / "site/bin/foo").is_file()


def test_executables_keep_their_bit(make_wheel: WheelMaker) -> None:
    wheel = make_wheel("a", files={"a/x": "", "a/y": ""}, executables={"a/x"})

    with zipfile.ZipFile(wheel) as archive:
        modes = {one.filename: one.external_attr >> 16 for one in archive.filelist}

    assert (modes["a/x"] & 0o777, modes["a/y"] & 0o777) == (0o755, 0o644)


@pytest.mark.parametrize("kind", ["html", "json", "file"])
def test_pip_reads_the_index(
    kind: IndexKind, make_wheel: WheelMaker, simple_index: IndexMaker, tmp_path: Path
) -> None:
    url = simple_index([make_wheel("foo.bar", "1.0")], kind)

    run_pip("download", "--index-url", url, "--dest", tmp_path / "got", "foo-bar")

    assert [file.name for file in (tmp_path / "got").iterdir()] == [
        "foo_bar-1.0-py3-none-any.whl"
    ]
    asked = "GET /simple/foo-bar/" in simple_index.requests
    assert asked is (kind != "file")


def test_sdists_build_without_network(
    make_sdist: SdistMaker, simple_index: IndexMaker, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    sdist = make_sdist("foo", "2.0", {"foo.py": "x = 1\n"}, log=log)

    run_pip("wheel", "--no-index", "--wheel-dir", tmp_path / "built", sdist)

    with zipfile.ZipFile(tmp_path / "built/foo-2.0-py3-none-any.whl") as archive:
        assert archive.read("foo.py") == b"x = 1\n"
    assert log.read_text().split() == ["build_wheel"]
    assert simple_index.requests == []


def test_sdists_are_reproducible(make_sdist: SdistMaker, tmp_path: Path) -> None:
    assert sha256_of(make_sdist("foo")) == sha256_of(
        make_sdist("foo", folder=tmp_path / "again")
    )


def test_a_project_that_fails_says_so(
    make_project: ProjectMaker, tmp_path: Path
) -> None:
    folder = make_project("foo", fails="the compiler is out of tea")

    with pytest.raises(AssertionError, match="out of tea"):
        run_pip("wheel", "--no-index", "--wheel-dir", tmp_path / "built", folder)


def test_pylocks_are_valid(
    make_wheel: WheelMaker,
    make_sdist: SdistMaker,
    simple_index: IndexMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    files = [make_wheel("a"), make_wheel("b"), make_sdist("b")]
    index = simple_index(files)
    path = write_pylock(
        *files,
        index=index,
        markers={"a": "'x' in extras"},
        extras=["x"],
        requires_python=">=3.8",
    )

    lock = Pylock.from_dict(tomllib.loads(path.read_text()))

    assert [package.name for package in lock.packages] == ["a", "b"]
    assert lock.packages[1].sdist is not None
    assert lock.packages[0].wheels is not None
    url = lock.packages[0].wheels[0].url
    assert url is not None
    with urllib.request.urlopen(url) as answer:  # noqa: S310  our own server's URL
        assert answer.read() == files[0].read_bytes()
    here = write_pylock(*files, path=tmp_path / "pylock.here.toml")
    Pylock.from_dict(tomllib.loads(here.read_text()))


def test_poetry_locks_are_toml(
    make_wheel: WheelMaker, write_poetry_lock: PoetryLockWriter
) -> None:
    path = write_poetry_lock(
        make_wheel("a"),
        make_wheel("b"),
        groups={"b": ["dev"]},
        markers={"a": {"main": 'sys_platform == "win32"'}},
        extras={"x": ["a"]},
        optional=["a"],
    )

    lock = tomllib.loads(path.read_text())

    assert lock["metadata"]["lock-version"] == "2.1"
    assert [one["groups"] for one in lock["package"]] == [["main"], ["dev"]]
    assert lock["extras"] == {"x": ["a"]}


def test_interpreters_are_what_they_say(interpreters: Interpreters) -> None:
    assert interpreters.found
    one = interpreters.found[-1]
    code = "import sys; print(sys.version_info[:3] == tuple(map(int, sys.argv[1:])))"
    arguments = [str(part) for part in one.version]
    done = subprocess.run(
        [one.executable, "-I", "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "True"


def test_a_snapshot_sees_every_change(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "file").write_text("a")
    (root / "link").symlink_to("file")
    before = tree_snapshot(root)

    assert list(before) == ["file", "folder", "link"]
    assert before["link"].target == "file"
    (root / "file").write_text("b")
    assert tree_snapshot(root) != before
    (root / "file").write_text("a")
    assert tree_snapshot(root) == before
    (root / "file").chmod(0o444)
    assert tree_snapshot(root) != before
