"""pylock.toml: what is read of it, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv.errors import LockfileError, MvenvError, SeveralErrors, UnsupportedLockfile
from mvenv.lockfiles import read_lockfile
from mvenv.lockfiles.model import Lockfile, LockfileFormat

HEAD = 'lock-version = "1.0"\ncreated-by = "test"\n'
HASHES = f'hashes = {{sha256 = "{"a" * 64}"}}'
WHEEL = f'{{name = "demo-1.0-py3-none-any.whl", path = "w/demo.whl", {HASHES}}}'
PACKAGE = f"""
[[packages]]
name = "demo"
version = "1.0"
wheels = [{WHEEL}]
"""

Reader = Callable[[str], Lockfile]


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    """Read a lock of the given text."""

    def reader(text: str) -> Lockfile:
        path = tmp_path / "pylock.toml"
        path.write_text(text, encoding="utf-8")
        return read_lockfile(path)

    return reader


def test_a_lock_of_real_wheels(
    make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    wheel = make_wheel("demo", "1.0")
    path = write_pylock(
        wheel,
        extras=["fast"],
        dependency_groups=["Test_It", "docs"],
        default_groups=["docs", "core"],
        requires_python=">=3.9",
        path=tmp_path / "pylock.dev.toml",
    )

    lockfile = read_lockfile(path)

    assert lockfile.format is LockfileFormat.PYLOCK
    assert lockfile.groups == {"test-it", "docs", "core"}
    assert lockfile.default_groups == {"docs", "core"}
    assert lockfile.extras == {"fast"}
    assert lockfile.root is None
    assert lockfile.inputs == (path,)
    assert lockfile.warnings == ()
    assert str(lockfile.pylock.requires_python) == ">=3.9"
    (found,) = lockfile.pylock.packages[0].wheels or ()
    assert found.path == str(wheel)


def test_paths_become_absolute(read: Reader, tmp_path: Path) -> None:
    lockfile = read(
        HEAD
        + PACKAGE
        + f"""
        [[packages]]
        name = "archived"
        archive = {{path = "../a/archived-1.0.tar.gz", {HASHES}}}
        [[packages]]
        name = "folder"
        directory = {{path = "./folder"}}
        [[packages]]
        name = "versioned"
        vcs = {{type = "git", path = "repo", commit-id = "abc"}}
        [[packages]]
        name = "remote"
        vcs = {{type = "git", url = "https://example.com/x.git", commit-id = "abc"}}
        [[packages]]
        name = "source"
        version = "2"
        sdist = {{path = "source-2.tar.gz", {HASHES}}}
        """
    )
    demo, archived, folder, versioned, remote, source = lockfile.pylock.packages

    assert demo.wheels is not None
    assert demo.wheels[0].path == str(tmp_path / "w" / "demo.whl")
    assert demo.wheels[0].filename == "demo-1.0-py3-none-any.whl"
    assert archived.archive is not None
    assert archived.archive.path == str(tmp_path.parent / "a" / "archived-1.0.tar.gz")
    assert folder.directory is not None
    assert folder.directory.path == str(tmp_path / "folder")
    assert versioned.vcs is not None
    assert versioned.vcs.path == str(tmp_path / "repo")
    assert remote.vcs is not None
    assert remote.vcs.path is None
    assert source.sdist is not None
    assert source.sdist.path == str(tmp_path / "source-2.tar.gz")
    assert source.sdist.filename == "source-2.tar.gz"


def test_a_link_to_a_file_keeps_its_name(read: Reader, tmp_path: Path) -> None:
    (tmp_path / "blob").touch()
    (tmp_path / "real").mkdir()
    (tmp_path / "w").symlink_to("real")
    name = "demo-1.0-py3-none-any.whl"
    (tmp_path / "real" / name).symlink_to("../blob")

    lockfile = read(
        HEAD + PACKAGE.replace("demo.whl", name).replace(f'name = "{name}", ', "")
    )

    (wheel,) = lockfile.pylock.packages[0].wheels or ()
    assert wheel.path == str(tmp_path / "real" / name)
    assert wheel.filename == name


@pytest.mark.parametrize(
    ("old", "new", "said", "place"),
    [
        ('lock-version = "1.0"', "", "missing required", "lock-version"),
        ('lock-version = "1.0"', "lock-version = 1", "unexpected type", "lock-version"),
        ('name = "demo"', "", "missing required", "packages[0].name"),
        ('name = "demo"', 'name = "De_mo"', "not normalized", "packages[0].name"),
        ('"1.0"\nwheels', '"x"\nwheels', "invalid version", "packages[0].version"),
        ('"1.0"\nwheels', '"2"\nwheels', "not consistent", "packages[0].wheels[0]"),
        (HASHES, "hashes = {}", "hash must be", "packages[0].wheels[0].hashes"),
        (f", {HASHES}", "", "missing required", "packages[0].wheels[0].hashes"),
        ("-none-any", "", "invalid wheel filename", "packages[0].wheels[0]"),
        ("wheels =", "wheel =", "exactly one of", "packages[0]"),
        ("wheels =", "marker = 'x'\nwheels =", "", "packages[0].marker"),
    ],
)
def test_every_problem_has_its_place(
    read: Reader, old: str, new: str, said: str, place: str
) -> None:
    text = HEAD + PACKAGE
    assert old in text
    with pytest.raises(LockfileError) as caught:
        read(text.replace(old, new, 1))

    assert said in caught.value.message.lower()
    assert caught.value.place == place
    assert caught.value.hint


def test_problems_are_told_together(read: Reader) -> None:
    wrong = PACKAGE.replace('"1.0"', '"x"')
    with pytest.raises(SeveralErrors) as caught:
        read(HEAD + wrong + PACKAGE + wrong)

    places = [getattr(error, "place", None) for error in caught.value.errors]
    assert places == ["packages[0].version", "packages[2].version"]


def test_packages_of_another_type(read: Reader) -> None:
    with pytest.raises(LockfileError) as caught:
        read(HEAD + "packages = 3")

    assert caught.value.place == "packages"


@pytest.mark.parametrize("version", ["0.9", "2.0"])
def test_other_lock_versions(read: Reader, version: str) -> None:
    with pytest.raises(UnsupportedLockfile, match="not supported") as caught:
        read((HEAD + PACKAGE).replace('"1.0"', f'"{version}"', 1))

    assert caught.value.place == "lock-version"


def test_a_later_minor_version_is_a_warning(
    read: Reader, capfd: pytest.CaptureFixture[str]
) -> None:
    lockfile = read((HEAD + PACKAGE).replace('"1.0"', '"1.3"', 1))

    assert ["lock-version 1.3" in one for one in lockfile.warnings] == [True]
    assert capfd.readouterr() == ("", "")


def test_text_that_is_not_toml(read: Reader) -> None:
    with pytest.raises(MvenvError, match="not valid TOML"):
        read("[[packages")
    with pytest.raises(MvenvError, match="conflict markers"):
        read("<<<<<<< HEAD\n" + HEAD)
