"""The choice from a lockfile: groups, files in order, the reasons for refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kit.targets import make_target
from mvenv.errors import (
    MvenvError,
    NoCompatibleFile,
    SelectionError,
    SeveralErrors,
    UsageError,
)
from mvenv.lockfiles import read_lockfile
from mvenv.lockfiles.model import Lockfile
from mvenv.selection import (
    ArchiveChoice,
    Chosen,
    DirectoryChoice,
    GroupOptions,
    IndexChoice,
    VcsChoice,
    select,
)
from mvenv.target import Target

LOCKS = Path(__file__).parent / "locks"
LINUX = make_target("3.12")

Entry = str
LockMaker = Callable[..., Lockfile]


def entry(
    name: str,
    *files: str,
    version: str = "1.0",
    groups: tuple[str, ...] = ("main",),
    more: str = "",
) -> Entry:
    """Return a ``[[package]]``."""
    listed = [
        {"file": file, "hash": f"sha256:{n:064x}"} for n, file in enumerate(files)
    ]
    rows = ", ".join(
        f'{{file = {json.dumps(one["file"])}, hash = "{one["hash"]}"}}'
        for one in listed
    )
    return f"""
[[package]]
name = "{name}"
version = "{version}"
groups = {json.dumps(groups)}
files = [{rows}]
{more}
"""


@pytest.fixture
def lock(tmp_path: Path) -> LockMaker:
    """Make a poetry.lock of entries, and a pyproject.toml beside it where given."""

    def maker(
        *entries: Entry,
        pyproject: str | None = None,
        extras: str = "",
        pythons: str = ">=3.9",
    ) -> Lockfile:
        (tmp_path / "poetry.lock").write_text(
            "".join(entries) + f"[extras]\n{extras}\n[metadata]\n"
            f'lock-version = "2.1"\npython-versions = "{pythons}"\n',
            encoding="utf-8",
        )
        if pyproject is not None:
            (tmp_path / "pyproject.toml").write_text(pyproject, encoding="utf-8")
        return read_lockfile(tmp_path / "poetry.lock")

    return maker


def chosen(
    lockfile: Lockfile, target: Target = LINUX, **options: object
) -> list[Chosen]:
    selection = select(lockfile, target, GroupOptions(**options))  # type: ignore[arg-type] # any option
    return list(selection.distributions)


def names(lockfile: Lockfile, **options: object) -> list[str]:
    return [one.name for one in chosen(lockfile, **options)]  # type: ignore[arg-type] # any option


def index_choice(lockfile: Lockfile, target: Target = LINUX) -> IndexChoice:
    (one,) = chosen(lockfile, target)
    assert isinstance(one.source, IndexChoice)
    return one.source


def failures(
    lockfile: Lockfile, target: Target = LINUX, **options: object
) -> list[MvenvError]:
    with pytest.raises(MvenvError) as caught:
        chosen(lockfile, target, **options)
    error = caught.value
    return list(error.errors) if isinstance(error, SeveralErrors) else [error]


# -- groups, extras, the root project

GROUPED = (
    entry("a", "a-1.0-py3-none-any.whl"),
    entry("b", "b-1.0-py3-none-any.whl", groups=("dev",)),
    entry("c", "c-1.0-py3-none-any.whl", groups=("docs", "dev")),
    entry("d", "d-1.0-py3-none-any.whl", groups=("docs",)),
    entry("e", "e-1.0-py3-none-any.whl", more="markers = \"extra == 'x'\""),
    entry("f", "f-1.0-py3-none-any.whl", more="markers = \"extra == 'y-z'\""),
)
PROJECT = """
[project]
name = "Root"
[tool.poetry.group.dev]
[tool.poetry.group.docs]
optional = true
"""


@pytest.fixture
def grouped(lock: LockMaker) -> Lockfile:
    return lock(*GROUPED, pyproject=PROJECT, extras='x = ["e"]\n"Y.z" = ["f"]')


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "a b c root"),
        ({"with_groups": ("docs",)}, "a b c d root"),
        ({"without": ("dev",)}, "a root"),
        ({"without": ("main",)}, "b c root"),
        ({"with_groups": ("docs",), "without": ("docs", "main")}, "b c root"),
        ({"only": ("Docs",)}, "c d root"),
        ({"only": ("main", "docs"), "no_root": True}, "a c d"),
        ({"all_groups": True}, "a b c d root"),
        ({"extras": ("x",), "no_root": True}, "a b c e"),
        ({"extras": ("Y_Z", "x"), "only": ("main",)}, "a e f root"),
        ({"extras": ("x",), "only": ("dev",)}, "b c root"),
        ({"all_extras": True}, "a b c e f root"),
    ],
)
def test_groups_and_extras(
    grouped: Lockfile, options: dict[str, object], expected: str
) -> None:
    assert names(grouped, **options) == expected.split()


def test_beside_only_the_other_options_have_no_effect(grouped: Lockfile) -> None:
    options = GroupOptions(only=("dev",), with_groups=("docs",), without=("dev",))

    selection = select(grouped, LINUX, options)

    assert [one.name for one in selection.distributions] == ["b", "c", "root"]
    assert ["`--only`" in warning for warning in selection.warnings] == [True]
    assert select(grouped, LINUX, GroupOptions(only=("dev",))).warnings == ()


def test_the_root_project_is_last_and_editable(
    grouped: Lockfile, tmp_path: Path
) -> None:
    root = chosen(grouped)[-1]

    assert root.version is None
    assert root.source == DirectoryChoice(path=tmp_path, editable=True)


def test_unknown_names_are_told_together(grouped: Lockfile) -> None:
    errors = failures(grouped, with_groups=("dosc",), without=("q",), extras=("xx",))

    assert [type(error) for error in errors] == [SelectionError] * 3
    assert [error.message for error in errors] == [
        "`poetry.lock` has no group `dosc` (`--with`)",
        "`poetry.lock` has no group `q` (`--without`)",
        "`poetry.lock` has no extra `xx` (`--extra`)",
    ]
    hints = [error.hint or "" for error in errors]
    assert hints[0] == "did you mean `docs`? It has `dev`, `docs`, `main`"
    assert hints[1] == "it has `dev`, `docs`, `main`"
    assert "`x`, `y-z`" in hints[2]


def test_a_name_that_is_empty_is_unknown(grouped: Lockfile) -> None:
    """An empty variable in ``--only $GROUP`` must not install everything."""
    (error,) = failures(grouped, only=("",))

    assert "no group ``" in error.message


@pytest.mark.parametrize(
    "options",
    [
        {"extras": ("x",), "all_extras": True},
        {"with_groups": ("dev",), "all_groups": True},
        {"without": ("dev",), "all_groups": True},
        {"only": ("dev",), "all_groups": True},
    ],
)
def test_options_that_exclude_each_other(
    grouped: Lockfile, options: dict[str, object]
) -> None:
    (error,) = failures(grouped, **options)  # type: ignore[arg-type] # any option

    assert type(error) is UsageError


def test_groups_of_a_pylock(tmp_path: Path) -> None:
    def package(name: str, marker: str) -> str:
        return f"""
            [[packages]]
            name = "{name}"
            version = "1"
            marker = '{marker}'
            sdist = {{path = "{name}-1.tar.gz", hashes = {{sha256 = "ab"}}}}
        """

    path = tmp_path / "pylock.toml"
    path.write_text(
        'lock-version = "1.0"\ncreated-by = "test"\nextras = ["x"]\n'
        'dependency-groups = ["dev", "docs"]\ndefault-groups = ["dev"]\n'
        + package("always", 'os_name == "posix"')
        + package("b", '"dev" in dependency_groups')
        + package("c", '"docs" in dependency_groups and "x" in extras')
    )
    lockfile = read_lockfile(path)

    assert names(lockfile) == ["always", "b"]
    assert names(lockfile, without=("dev",)) == ["always"]
    assert names(lockfile, only=("docs",), extras=("x",)) == ["always", "c"]
    assert names(lockfile, all_groups=True, all_extras=True) == ["always", "b", "c"]


# -- files


def test_wheels_are_ordered_as_pip_does(lock: LockMaker) -> None:
    """The best tag first, and among equals the highest build number."""
    ordered = [
        "demo-1.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        "demo-1.0-10-cp312-cp312-manylinux_2_17_x86_64.whl",
        "demo-1.0-2-cp312-cp312-manylinux_2_17_x86_64.whl",
        "demo-1.0-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "demo-1.0-cp39-abi3-manylinux_2_17_x86_64.whl",
        "demo-1.0-9-py3-none-any.whl",
        "demo-1.0-py2.py3-none-any.whl",
    ]
    lockfile = lock(entry("demo", *reversed(ordered), "demo-1.0.tar.gz"))

    choice = index_choice(lockfile)

    assert [file.filename for file in choice.wheels] == ordered
    assert choice.sdist is not None
    assert choice.sdist.filename == "demo-1.0.tar.gz"
    assert choice.rejections == ()


def test_a_file_keeps_what_the_lockfile_knows(lock: LockMaker) -> None:
    digest = "AB" * 64
    text = entry("demo", "demo-1.0-py3-none-any.whl", "demo-1.0.zip", "demo-1.0.tar.gz")
    text = text.replace(f"sha256:{1:064x}", f"SHA512:{digest}").replace(
        f"sha256:{2:064x}", f"md5:{'c' * 32}"
    )
    source = '[package.source]\ntype = "legacy"\nurl = "https://i/s"\nreference = "own"'

    choice = index_choice(lock(text + source + "\n"))

    assert (choice.index, choice.index_name) == ("https://i/s", "own")
    (wheel,) = choice.wheels
    assert wheel.sha256 == f"{0:064x}"
    assert (wheel.url, wheel.path, wheel.size) == (None, None, None)
    assert choice.sdist is not None
    assert choice.sdist.filename == "demo-1.0.tar.gz"  # rather than the .zip
    assert choice.sdist.sha256 is None
    assert choice.sdist.hashes == (("md5", "c" * 32),)


def test_an_sdist_does_where_no_wheel_fits(lock: LockMaker) -> None:
    files = "demo-1.0-cp311-cp311-win_amd64.whl", "demo-1.0.tar.gz"

    choice = index_choice(lock(entry("demo", *files)))

    assert choice.wheels == ()
    assert choice.sdist is not None
    assert len(choice.rejections) == 1


def test_wheels_that_cannot_be_are_refused_alone(lock: LockMaker) -> None:
    choice = index_choice(
        lock(
            entry(
                "demo",
                "demo-1.0.whl",
                "demo-1.0-py3.11.egg",
                "demo-1.0.win32.exe",
                "demo-1.0.txt",
                "other-1.0-py3-none-any.whl",
                "demo-1.1-py3-none-any.whl",
                "demo-1.0-py3-none-any.whl",
            )
        )
    )

    assert [file.filename for file in choice.wheels] == ["demo-1.0-py3-none-any.whl"]
    assert choice.rejections == (
        "`demo-1.0.whl` has a name that no wheel may have",
        "`demo-1.0-py3.11.egg` is an egg, a format that was given up",
        "`demo-1.0.win32.exe` is a Windows installer",
        "`demo-1.0.txt` is neither a wheel nor an sdist",
        "`other-1.0-py3-none-any.whl` is a wheel of `other` 1.0",
        "`demo-1.1-py3-none-any.whl` is a wheel of `demo` 1.1",
    )


FREE = make_target("3.13", free_threaded=True)
OLD = make_target("3.12", glibc=28)
MUSL = make_target("3.12", "musl")
MACOS = make_target("3.12", "macos")
WINDOWS = make_target("3.12", "windows")


@pytest.mark.parametrize(
    ("tag", "target", "wanted", "here"),
    [
        ("cp311-cp311-manylinux_2_17_x86_64", LINUX, "CPython 3.11", "CPython 3.12"),
        (
            "cp313-abi3-manylinux_2_17_x86_64",
            LINUX,
            "CPython 3.13 or newer",
            "CPython 3.12",
        ),
        ("py313-none-any", LINUX, "Python 3.13 or newer", "CPython 3.12"),
        ("py2-none-any", LINUX, "Python 2", "CPython 3.12"),
        ("cp310.cp311-none-any", LINUX, "CPython 3.10 or CPython 3.11", "CPython 3.12"),
        (
            "pp310-pypy310_pp73-manylinux_2_17_x86_64",
            LINUX,
            "PyPy 3.10",
            "CPython 3.12",
        ),
        (
            "cp312-cp312t-manylinux_2_17_x86_64",
            LINUX,
            "free-threaded CPython 3.12",
            "CPython 3.12",
        ),
        (
            "cp313-cp313-manylinux_2_17_x86_64",
            FREE,
            "CPython 3.13",
            "free-threaded CPython 3.13",
        ),
        ("cp312-cp312-macosx_11_0_arm64", LINUX, "macOS", "Linux"),
        ("cp312-cp312-win_amd64", LINUX, "Windows", "Linux"),
        ("cp312-cp312-musllinux_1_2_x86_64", LINUX, "musl", "glibc"),
        ("cp312-cp312-manylinux_2_17_x86_64", MUSL, "glibc", "musl"),
        (
            "cp312-cp312-manylinux_2_17_aarch64.manylinux2014_aarch64",
            LINUX,
            "aarch64",
            "x86_64",
        ),
        ("cp312-cp312-manylinux1_i686", LINUX, "i686", "x86_64"),
        ("cp312-cp312-manylinux_2_34_x86_64", OLD, "glibc 2.34 or newer", "glibc 2.28"),
        ("cp312-cp312-macosx_15_0_arm64", MACOS, "macOS 15.0 or newer", "macOS 14.0"),
        (
            "cp312-cp312-macosx_15_0_universal2",
            MACOS,
            "macOS 15.0 or newer",
            "macOS 14.0",
        ),
        ("cp312-cp312-macosx_10_9_x86_64", MACOS, "x86_64", "arm64"),
        ("cp312-cp312-win32", WINDOWS, "32 bit", "amd64"),
        ("cp312-cp312-win_arm64", WINDOWS, "arm64", "amd64"),
        ("cp312-cp312-manylinux_2_17_x86_64", WINDOWS, "Linux", "Windows"),
        (
            "cp311-cp311-win_amd64",
            LINUX,
            "CPython 3.11 on Windows",
            "CPython 3.12 on Linux",
        ),
        (
            "cp312-cp312-emscripten_3_1_46_wasm32",
            LINUX,
            "the browser (Emscripten)",
            "Linux",
        ),
        ("cp312-cp312-strange", LINUX, "strange", "Linux"),
    ],
)
def test_a_refusal_says_why(
    lock: LockMaker, tag: str, target: Target, wanted: str, here: str
) -> None:
    name = f"demo-1.0-{tag}.whl"
    (error,) = failures(lock(entry("demo", name)), target)

    assert isinstance(error, NoCompatibleFile)
    assert error.rejections == (f"`{name}` is built for {wanted}, this is {here}",)
    assert error.message.startswith("no file of `demo` 1.0 fits ")
    assert error.hint


def test_all_that_do_not_fit_are_told_together(lock: LockMaker) -> None:
    lockfile = lock(
        entry("a", "a-1.0-cp311-cp311-win_amd64.whl", "a-1.0-py2-none-any.whl"),
        entry("b", "b-1.0-py3-none-any.whl"),
        entry("c"),
        entry("d", "d-1.0-py2-none-any.whl", groups=("dev",)),
        entry("e", "e-1.0-py2-none-any.whl", more="markers = \"os_name == 'nt'\""),
    )

    errors = failures(lockfile, only=("main",))

    assert [error.message for error in errors] == [
        "no file of `a` 1.0 fits CPython 3.12 on linux-x86_64",
        "the lockfile names no file of `c` 1.0",
    ]
    assert [len(getattr(error, "rejections", ())) for error in errors] == [2, 0]


# -- what the lockfile is for


def test_another_python_than_the_lockfile_is_for(lock: LockMaker) -> None:
    (error,) = failures(lock(pythons=">=3.9,<3.12"))

    assert type(error) is SelectionError
    assert "is for Python <3.12,>=3.9, this is 3.12.4" in error.message
    assert "--python" in (error.hint or "")


def test_a_prerelease_of_an_allowed_python_is_allowed(lock: LockMaker) -> None:
    markers = {**LINUX.markers, "python_full_version": "3.12.0rc1+"}
    target = replace(LINUX, markers=markers)

    assert names(lock(entry("a", "a-1.0.zip"), pythons=">=3.9"), target=target) == ["a"]


def test_one_of_several_ranges_is_enough(lock: LockMaker) -> None:
    assert chosen(lock(pythons="~3.9 || ^3.12")) == []
    (error,) = failures(lock(pythons="~3.9 || ^3.13"))

    assert 'python_full_version >= "3.13"' in error.message
    assert "this is CPython 3.12 on linux-x86_64" in error.message


PYLOCK = """
lock-version = "1.0"
created-by = "test"
[[packages]]
name = "a"
version = "1"
requires-python = ">=3.13"
sdist = {url = "https://example.com/a-1.tar.gz", size = 3, hashes = {sha256 = "AB"}}
[[packages]]
name = "b"
version = "1"
requires-python = ">=3.14"
marker = 'os_name == "nt"'
sdist = {url = "https://example.com/b-1.tar.gz", hashes = {sha256 = "ab"}}
[[packages]]
name = "c"
version = "1"
wheels = [{url = "https://example.com/c-1-py2-none-any.whl", hashes = {sha256 = "ab"}}]
"""


def test_what_a_distribution_requires(tmp_path: Path) -> None:
    """With what else does not fit; not what is not wanted."""
    path = tmp_path / "pylock.toml"
    path.write_text(PYLOCK)
    lockfile = read_lockfile(path)

    assert [error.message for error in failures(lockfile)] == [
        "`a` 1 needs Python >=3.13, this is 3.12.4",
        "no file of `c` 1 fits CPython 3.12 on linux-x86_64",
    ]
    path.write_text(PYLOCK[: PYLOCK.rindex("[[packages]]")])
    choice = index_choice(read_lockfile(path), make_target("3.13"))
    assert choice.sdist is not None
    assert (choice.sdist.url, choice.sdist.size, choice.sdist.sha256) == (
        "https://example.com/a-1.tar.gz",
        3,
        "ab",
    )


def test_two_releases_of_one_distribution(lock: LockMaker) -> None:
    """Poetry would install both, one over the other."""
    lockfile = lock(
        entry("a", "a-1.0.zip", more="markers = \"python_version < '3.13'\""),
        entry("a", "a-2.0.zip", version="2.0", more="markers = \"os_name == 'posix'\""),
        entry("b", "b-1.0.zip"),
        entry("b", "b-3.0.zip", version="3.0"),
    )

    assert [error.message.partition(": ")[2] for error in failures(lockfile)] == [
        "1.0 and 2.0",
        "1.0 and 3.0",
    ]


@pytest.mark.parametrize("marker", ["os_name ~= 'x'", "extra == 'x'"])
def test_an_environment_that_nobody_has(tmp_path: Path, marker: str) -> None:
    path = tmp_path / "pylock.toml"
    path.write_text(f'environments = ["{marker}"]\n{PYLOCK}')

    (error,) = failures(read_lockfile(path))

    assert "is for `" in error.message


def test_a_condition_that_cannot_be_evaluated(tmp_path: Path) -> None:
    path = tmp_path / "pylock.toml"
    path.write_text(PYLOCK.replace('os_name == "nt"', 'extra == "x"'))

    (error,) = failures(read_lockfile(path))

    assert type(error) is SelectionError
    assert error.message == ('the condition of `b` cannot be evaluated: `extra == "x"`')


# -- other sources than an index


def test_sources() -> None:
    lockfile = read_lockfile(LOCKS / "sources" / "poetry.lock")
    by_name = {str(one.name): one for one in chosen(lockfile)}
    folder = LOCKS / "sources"

    assert by_name["from-git"].source == VcsChoice(
        kind="git",
        url="https://git.example.com/team/from-git.git",
        commit="0123456789abcdef0123456789abcdef01234567",
        requested_revision="main",
        subdirectory="python",
    )
    url, file = by_name["from-url"].source, by_name["from-file"].source
    assert isinstance(url, ArchiveChoice)
    assert url.file.filename == "from_url-1.5-py3-none-any.whl"
    assert url.file.url == "https://files.example.com/from%5Furl-1.5-py3-none-any.whl"
    assert url.file.sha256 == "6" * 64
    assert isinstance(file, ArchiveChoice)
    assert file.file.path == folder / "dist" / "from_file-0.9-py3-none-any.whl"
    assert file.file.url is None
    archive = by_name["from-archive"].source
    assert isinstance(archive, ArchiveChoice)
    assert archive.subdirectory == "lib"
    directory = DirectoryChoice(path=LOCKS / "folder", editable=False)
    assert by_name["from-folder"].source == directory
    develop = DirectoryChoice(path=folder / "packages/in_development", editable=True)
    assert by_name["in-development"].source == develop
    private = by_name["from-private"].source
    assert isinstance(private, IndexChoice)
    assert private.index_name == "private"
    assert by_name["sources"].source == DirectoryChoice(path=folder, editable=True)


def test_a_wheel_by_url_must_fit_too(lock: LockMaker) -> None:
    name = "demo-1.0-cp312-cp312-win_amd64.whl"
    source = f'source = {{type = "url", url = "https://example.com/{name}"}}'
    lockfile = lock(entry("demo", name, more=source))

    (error,) = failures(lockfile)

    assert isinstance(error, NoCompatibleFile)
    assert error.rejections == (f"`{name}` is built for Windows, this is Linux",)
    assert isinstance(chosen(lockfile, WINDOWS)[0].source, ArchiveChoice)


def test_an_archive_needs_an_url_that_is_one(tmp_path: Path) -> None:
    path = tmp_path / "pylock.toml"
    path.write_text(
        'lock-version = "1.0"\ncreated-by = "test"\n[[packages]]\nname = "a"\n'
        'archive = {url = "http://[a/a-1.0.zip", hashes = {sha256 = "ab"}}\n'
    )
    (error,) = failures(read_lockfile(path))

    assert type(error) is SelectionError
    assert "not an URL" in error.message


def test_folders_and_repositories_of_a_pylock(tmp_path: Path) -> None:
    path = tmp_path / "pylock.toml"
    path.write_text(
        'lock-version = "1.0"\ncreated-by = "test"\n'
        '[[packages]]\nname = "a"\n'
        'directory = {path = "a", subdirectory = "b", editable = true}\n'
        '[[packages]]\nname = "c"\n'
        'vcs = {type = "git", path = "c", commit-id = "0a"}\n'
    )
    a, c = chosen(read_lockfile(path))

    assert a.source == DirectoryChoice(path=tmp_path / "a" / "b", editable=True)
    assert a.version is None
    assert isinstance(c.source, VcsChoice)
    assert c.source.url == (tmp_path / "c").as_uri()
