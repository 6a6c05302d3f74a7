"""poetry.lock: what is read of it, and every way it can be wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.pylock import Package

from mvenv.errors import LockfileError, MvenvError, SeveralErrors, UnsupportedLockfile
from mvenv.lockfiles import read_lockfile
from mvenv.lockfiles.model import Lockfile, RootProject

LOCKS = Path(__file__).parents[1] / "locks"

METADATA = """
[metadata]
lock-version = "2.1"
python-versions = ">=3.9"
content-hash = "%s"
""" % ("0" * 64)

DIGEST = "a" * 64

PACKAGE = f"""
[[package]]
name = "demo"
version = "1.0"
description = ""
optional = false
python-versions = "*"
groups = ["main"]
files = [{{file = "demo-1.0-py3-none-any.whl", hash = "sha256:{DIGEST}"}}]
"""

Reader = Callable[..., Lockfile]


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    """Read a lock of the given text."""

    def reader(text: str | bytes, pyproject: str | None = None) -> Lockfile:
        path = tmp_path / "poetry.lock"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        if pyproject is not None:
            (tmp_path / "pyproject.toml").write_text(pyproject, encoding="utf-8")
        return read_lockfile(path)

    return reader


def problems(read: Reader, text: str | bytes) -> list[tuple[str, str | None]]:
    """Return messages and places of what is wrong with a lock."""
    with pytest.raises(MvenvError) as caught:
        read(text)
    error = caught.value
    errors = error.errors if isinstance(error, SeveralErrors) else (error,)
    assert all(isinstance(one, LockfileError) for one in errors)
    return [(one.message, getattr(one, "place", None)) for one in errors]


def markers(lockfile: Lockfile) -> list[str]:
    return [str(package.marker) for package in lockfile.pylock.packages]


# -- groups and conditions


def test_a_condition_is_for_all_groups(read: Reader) -> None:
    text = PACKAGE.replace('["main"]', '["main", "Dev_Tools"]')
    lockfile = read(text + "markers = \"sys_platform == 'win32'\"" + METADATA)

    assert lockfile.groups == {"main", "dev-tools"}
    assert lockfile.pylock.packages[0].marker == Marker(
        '(("main" in dependency_groups or "dev-tools" in dependency_groups) and '
        '(sys_platform == "win32"))'
    )


def test_each_group_has_its_condition(read: Reader) -> None:
    text = PACKAGE.replace('["main"]', '["main", "Dev_Tools", "docs"]')
    table = "markers = {main = \"extra == 'X_y'\", dev_tools = \"os_name == 'nt'\"}"
    lockfile = read(text + table + METADATA)
    marker = lockfile.pylock.packages[0].marker
    assert marker is not None

    def wanted(groups: set[str], extras: set[str], os_name: str) -> bool:
        environment: dict[str, str | frozenset[str]] = {
            "dependency_groups": frozenset(groups),
            "extras": frozenset(extras),
            "os_name": os_name,
        }
        return marker.evaluate(environment, context="lock_file")

    assert wanted({"main"}, {"x-y"}, "posix")
    assert not wanted({"main"}, set(), "nt")
    assert wanted({"dev-tools"}, set(), "nt")
    assert not wanted({"dev-tools"}, {"x-y"}, "posix")
    assert wanted({"docs"}, set(), "posix")
    assert not wanted(set(), {"x-y"}, "nt")


@pytest.mark.parametrize("condition", ["", "*"])
def test_no_condition_always_holds(read: Reader, condition: str) -> None:
    lockfile = read(PACKAGE + f'markers = "{condition}"' + METADATA)

    assert markers(lockfile) == ['"main" in dependency_groups']


def test_what_is_never_wanted_is_left_out(read: Reader) -> None:
    nobody = PACKAGE.replace('["main"]', "[]")
    never = PACKAGE + 'markers = "<empty>"'

    assert read(nobody + never + METADATA).pylock.packages == []


def test_of_equal_entries_the_last_is_meant(read: Reader) -> None:
    """As for Poetry, which keeps entries in a mapping."""
    first = PACKAGE + "markers = \"os_name == 'nt'\"\n"
    second = PACKAGE.replace('["main"]', '["dev"]')

    nobody = PACKAGE.replace('["main"]', "[]")

    assert markers(read(first + second + METADATA)) == ['"dev" in dependency_groups']
    assert markers(read(first + second + nobody + METADATA)) == []


# -- the pyproject.toml beside it


def test_without_a_pyproject_nothing_is_optional(read: Reader) -> None:
    lockfile = read(PACKAGE.replace('["main"]', '["docs"]') + METADATA)

    assert lockfile.default_groups == lockfile.groups == {"main", "docs"}
    assert lockfile.root is None
    assert [path.name for path in lockfile.inputs] == ["poetry.lock"]
    assert lockfile.warnings == ()


def test_optional_groups_are_not_default(read: Reader) -> None:
    pyproject = """
        [dependency-groups]
        Test_Utils = []
        docs = []
        [tool.poetry]
        dev-dependencies = {}
        [tool.poetry.group.Docs]
        optional = true
        [tool.poetry.group.release]
        optional = true
        [tool.poetry.group.lint]
    """
    lockfile = read(PACKAGE + METADATA, pyproject)

    assert lockfile.default_groups == {"main", "test-utils", "dev", "lint"}
    assert lockfile.groups - lockfile.default_groups == {"docs", "release"}
    assert [path.name for path in lockfile.inputs] == ["poetry.lock", "pyproject.toml"]


@pytest.mark.parametrize(
    ("pyproject", "name"),
    [
        ('[project]\nname = "My.Project"', "my-project"),
        ('[tool.poetry]\nname = "Other_One"', "other-one"),
        ('[project]\nname = "x"\n[tool.poetry]\npackage-mode = true', "x"),
        ('[project]\nname = "x"\n[tool.poetry]\npackage-mode = false', None),
        ("[tool.poetry]", None),
        ("", None),
    ],
)
def test_the_root_project(
    read: Reader, tmp_path: Path, pyproject: str, name: str | None
) -> None:
    root = read(PACKAGE + METADATA, pyproject).root

    assert (root and root.name) == name
    assert root is None or root == RootProject(name=root.name, folder=tmp_path)


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        (("httpx>=0.27", "httpx>=0.28"), True),
        (('test = ["pytest>=8"', 'test = ["pytest>=7"'), True),
        (('version = "0.3.0"', 'version = "0.4.0"'), False),
    ],
)
def test_staleness_is_poetrys(
    tmp_path: Path, change: tuple[str, str], *, stale: bool
) -> None:
    source = LOCKS / "optional-groups"
    text = (source / "pyproject.toml").read_text()
    assert change[0] in text
    (tmp_path / "pyproject.toml").write_text(text.replace(*change))
    (tmp_path / "poetry.lock").write_bytes((source / "poetry.lock").read_bytes())

    warnings = read_lockfile(tmp_path / "poetry.lock").warnings

    assert len(warnings) == stale
    assert all("may be stale" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("version", "stale"), [("2.2.1", False), ("2.3.0", True), ("2.5.1", True)]
)
def test_before_2_3_poetry_left_groups_out_of_the_hash(
    read: Reader, version: str, *, stale: bool
) -> None:
    pyproject = '[project]\nrequires-python = ">=3.9"\n[dependency-groups]\na = ["b"]'
    # sha256 of {"project": {"requires-python": ">=3.9"}, "tool": {"poetry": {}}}
    old = "356ea28cc0a224833d10ed4e84359208ee6800e346fb0b9d2f6e4702658123d1"
    text = f"# This file is automatically generated by Poetry {version} and\n"
    lockfile = read(text + PACKAGE + METADATA.replace("0" * 64, old), pyproject)

    assert bool(lockfile.warnings) == stale


def test_a_lock_without_a_content_hash_is_a_warning(read: Reader) -> None:
    metadata = METADATA.replace("content-hash", "other")

    (warning,) = read(PACKAGE + metadata, "[project]").warnings

    assert "content-hash" in warning


def test_a_wrong_pyproject_is_an_error(read: Reader) -> None:
    with pytest.raises(LockfileError, match=r"pyproject\.toml.*not valid TOML"):
        read(PACKAGE + METADATA, "[project")
    with pytest.raises(LockfileError, match="a table belongs here") as caught:
        read(PACKAGE + METADATA, "tool.poetry.group.docs = 3")
    assert caught.value.place == "tool.poetry.group.docs"


# -- sources


def test_sources() -> None:
    lockfile = read_lockfile(LOCKS / "sources" / "poetry.lock")
    packages: dict[str, Package] = {
        package.name: package for package in lockfile.pylock.packages
    }
    folder = LOCKS / "sources"

    assert lockfile.warnings == ()
    index = packages["from-index"]
    assert index.index is None
    assert [dict(one.hashes) for one in index.wheels or ()] == [{"sha256": "3" * 64}]
    assert index.sdist is not None
    assert index.sdist.hashes == {"md5": "4" * 32}
    private = packages["from-private"]
    assert private.index == "https://index.example.com/simple"
    assert private.sdist is not None
    assert private.sdist.hashes == {"sha512": "5" * 128}
    assert lockfile.index_names == (("https://index.example.com/simple", "private"),)
    git, ssh = packages["from-git"].vcs, packages["from-ssh"].vcs
    assert git is not None
    assert (git.url, git.commit_id, git.requested_revision, git.subdirectory) == (
        "https://git.example.com/team/from-git.git",
        "0123456789abcdef0123456789abcdef01234567",
        "main",
        "python",
    )
    assert ssh is not None
    assert ssh.url == "ssh://git@git.example.com/team/from-ssh.git"
    url, archive = packages["from-url"].archive, packages["from-archive"].archive
    assert url is not None
    assert url.url == "https://files.example.com/from%5Furl-1.5-py3-none-any.whl"
    assert url.hashes == {"sha256": "6" * 64}
    assert archive is not None
    assert archive.subdirectory == "lib"
    file = packages["from-file"].archive
    assert file is not None
    assert file.path == str(folder / "dist" / "from_file-0.9-py3-none-any.whl")
    directory, develop = packages["from-folder"].directory, packages["in-development"]
    assert directory is not None
    assert (directory.path, directory.editable) == (str(LOCKS / "folder"), False)
    assert develop.directory is not None
    assert develop.directory.editable is True


def test_a_git_repository_beside_the_project(read: Reader, tmp_path: Path) -> None:
    source = (
        '[package.source]\ntype = "git"\nurl = "../re po"\nresolved_reference = "a"'
    )
    lockfile = read(PACKAGE + source + METADATA)
    vcs = lockfile.pylock.packages[0].vcs

    assert vcs is not None
    assert vcs.url == (tmp_path.parent / "re po").as_uri()


def test_an_editable_git_source_is_told(read: Reader) -> None:
    source = '[package.source]\ntype = "git"\nurl = "../repo"\nresolved_reference = "a"'
    quiet = read(PACKAGE + source + METADATA)
    told = read(PACKAGE + "develop = true\n" + source + METADATA)

    assert not any("develop" in warning for warning in quiet.warnings)
    assert any("develop = true" in warning for warning in told.warnings)


def test_several_ranges_of_pythons_become_environments(read: Reader) -> None:
    lockfile = read(PACKAGE + METADATA.replace('">=3.9"', '"~3.9 || ^3.11"'))

    assert lockfile.pylock.requires_python is None
    assert list(map(str, lockfile.pylock.environments or ())) == [
        'python_full_version >= "3.9" and python_full_version < "3.10"',
        'python_full_version >= "3.11" and python_full_version < "4"',
    ]


# -- what is refused


@pytest.mark.parametrize("version", ['"1.1"', '"2.0"', '"3.0"', '"abc"', "2.1"])
def test_other_lock_versions(read: Reader, version: str) -> None:
    text = f"package = []\n[metadata]\nlock-version = {version}"
    with pytest.raises(UnsupportedLockfile, match="lock-version") as caught:
        read(text)

    assert caught.value.place == "metadata.lock-version"
    assert "`poetry lock` (Poetry 2)" in (caught.value.hint or "")


def test_a_later_minor_version_is_a_warning(read: Reader) -> None:
    lockfile = read(PACKAGE + METADATA.replace('"2.1"', '"2.7"'))

    assert ["lock-version 2.7" in one for one in lockfile.warnings] == [True]


@pytest.mark.parametrize(
    ("old", "new", "said", "place"),
    [
        ('name = "demo"', "", "`name` is missing", "package[0].name"),
        ('name = "demo"', 'name = "a b"', "is not a name", "package[0].name"),
        ('["main"]', '["a b"]', "is not a name", "package[0].groups"),
        ("demo-1.0", "de\\u0000mo", "NUL", "package[0].files[0].file"),
        ('name = "demo"', 'x.y = "\\U00000000"', "NUL", "package[0].x.y"),
        ('name = "demo"', "name = 3", "a string belongs here", "package[0].name"),
        ('"1.0"', '"one"', "`one` is not a version", "package[0].version"),
        ('"1.0"', "1.0", "a string belongs here, not a number", "package[0].version"),
        ('groups = ["main"]', "", "`groups` is missing", "package[0].groups"),
        ('["main"]', '"main"', "an array belongs here", "package[0].groups"),
        ('["main"]', "[1]", "a string belongs here", "package[0].groups[0]"),
        ("sha256:", "sha256:0", "is not a hash that can", "package[0].files[0].hash"),
        ("sha256:", "crc32:", "is not a hash that can", "package[0].files[0].hash"),
        (DIGEST, "xyz", "is not a hash that can", "package[0].files[0].hash"),
        ("hash =", "hush =", "`hash` is missing", "package[0].files[0].hash"),
        ("file = ", "fill = ", "`file` is missing", "package[0].files[0].file"),
        ("demo-1.0", "../demo-1.0", "is not a file name", "package[0].files[0].file"),
        ("[{file", '["x", {file', "a table belongs here", "package[0].files[0]"),
        ('">=3.9"', '"3 or 4"', "is not a range of", "metadata.python-versions"),
    ],
)
def test_every_problem_has_its_place(
    read: Reader, old: str, new: str, said: str, place: str
) -> None:
    text = PACKAGE + METADATA
    assert old in text

    found = problems(read, text.replace(old, new, 1))

    assert len(found) == 1
    assert found[0][0].startswith("`poetry.lock`: ")
    assert said in found[0][0]
    assert found[0][1] == place


@pytest.mark.parametrize(
    ("addition", "said", "place"),
    [
        ("markers = 'x ='", "is not a marker", "package[0].markers"),
        ("markers = {main = 'x ='}", "is not a marker", "package[0].markers.main"),
        ("markers = {main = 1}", "a string belongs", "package[0].markers.main"),
        ("markers = ['a']", "a table belongs here", "package[0].markers"),
        ("markers = 'extra > \"a\"'", "has no meaning", "package[0].markers"),
        ("source = {url = 'x'}", "`type` is missing", "package[0].source.type"),
        (
            "source = {type = 'legacy', url = 'x', reference = {}}",
            "a string belongs here",
            "package[0].source.reference",
        ),
        ("source = {type = 'hg', url = 'x'}", "`hg`", "package[0].source.type"),
        ("source = {type = 'url'}", "`url` is missing", "package[0].source.url"),
        (
            "source = {type = 'git', url = 'x'}",
            "`resolved_reference` is missing",
            "package[0].source.resolved_reference",
        ),
    ],
)
def test_every_further_problem_has_its_place(
    read: Reader, addition: str, said: str, place: str
) -> None:
    ((message, found),) = problems(read, PACKAGE + addition + METADATA)

    assert said in message
    assert found == place


def test_an_archive_needs_a_hash(read: Reader) -> None:
    text = PACKAGE.replace(PACKAGE[PACKAGE.index("files") :], "files = []\n")
    source = 'source = {type = "url", url = "https://example.com/demo-1.0.zip"}'

    ((message, place),) = problems(read, text + source + METADATA)

    assert "needs a hash" in message
    assert place == "package[0].files"


def test_problems_are_told_together(read: Reader) -> None:
    second = PACKAGE.replace('"1.0"', '"x"').replace("sha256:", "sha256:g")
    third = PACKAGE.replace('["main"]', "3")

    assert [
        place for _, place in problems(read, PACKAGE + second + third + METADATA)
    ] == [
        "package[1].version",
        "package[1].files[0].hash",
        "package[2].groups",
    ]


def test_text_about_nul_is_text(read: Reader) -> None:
    text = PACKAGE.replace('description = ""', r'description = "say \\u0000"')

    assert len(read(text + METADATA).pylock.packages) == 1


def test_text_that_is_not_toml(read: Reader) -> None:
    ((message, _),) = problems(read, "[[package]\n" + METADATA)
    assert "not valid TOML" in message
    ((message, place),) = problems(read, b"[metadata]\nx = '\xff'\n")
    assert "not UTF-8" in message
    assert place == "line 2"
    ((message, _),) = problems(read, "x = " + "[" * 100_000)
    assert "not valid TOML" in message


def test_conflict_markers(read: Reader) -> None:
    text = PACKAGE + "<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> other\n" + METADATA
    with pytest.raises(
        LockfileError, match="conflict markers of a git merge"
    ) as caught:
        read(text)

    assert caught.value.place == "line 10"
    assert "git checkout --ours poetry.lock" in (caught.value.hint or "")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(LockfileError, match="there is no"):
        read_lockfile(tmp_path / "poetry.lock")
    (tmp_path / "poetry.lock").mkdir()
    with pytest.raises(LockfileError, match="is a folder"):
        read_lockfile(tmp_path / "poetry.lock")
    with pytest.raises(LockfileError, match="not a directory"):
        read_lockfile(Path(os.devnull) / "poetry.lock")


def test_a_key_of_endless_parts_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    lock = tmp_path / "poetry.lock"
    lock.write_text("a." * 1000 + "b = 1\n")

    with pytest.raises(LockfileError, match="more than 200 parts"):
        read_lockfile(lock)
