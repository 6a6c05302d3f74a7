"""Which arguments of ``pip install`` are understood, and what decides their outcome."""

from __future__ import annotations

from pathlib import Path

import pytest

from mvenv.installing.arguments import read_arguments
from mvenv.installing.projects import find_projects


@pytest.mark.parametrize(
    "words",
    [
        ("one",),
        ("one[extra,other]>=1,<2", "two ; python_version < '3.12'"),
        ("one (>=1)", "--pre", "-U", "--no-deps"),
        ("one", "-i", "https://index.example/simple", "--only-binary=:all:"),
        ("one~=1.0", "--extra-index-url=https://index.example/simple"),
    ],
)
def test_what_is_remembered(words: tuple[str, ...], tmp_path: Path) -> None:
    read = read_arguments(words, tmp_path)

    assert read.understood
    assert read.words is not None
    assert read_arguments((*words, "more"), tmp_path).words != read.words


@pytest.mark.parametrize(
    "words",
    [
        (".",),
        ("./one",),
        ("one @ git+https://host.example/one",),
        ("git+https://host.example/one",),
        ("https://host.example/one-1.0-py3-none-any.whl",),
        ("one-1.0-py3-none-any.whl",),
        ("-r", "https://host.example/needed.txt"),
        ("-r", "not-there.txt"),
        ("-r", "editable.txt"),
        ("-r", "attached.txt"),
        ("-r", "circle.txt"),
    ],
)
def test_what_can_change_at_any_time(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "editable.txt").write_text("one\n-e ../other\n")
    (tmp_path / "attached.txt").write_text("-e../other\n")
    (tmp_path / "circle.txt").write_text("-r circle.txt\n")
    read = read_arguments(words, tmp_path)

    assert read.understood
    assert read.words is None


@pytest.mark.parametrize(
    "option", ["--target=x", "--prefix", "--user", "--config-settings=a=b", "-t"]
)
@pytest.mark.parametrize("changing", ["one", "./one"])
def test_what_is_left_to_pip(option: str, changing: str, tmp_path: Path) -> None:
    assert not read_arguments((changing, option), tmp_path).understood


def test_files_count_with_their_contents(tmp_path: Path) -> None:
    """Those that they name too, from where they are."""
    below = tmp_path / "below"
    below.mkdir()
    (tmp_path / "needed.txt").write_text("# a word\none\n-c below/limits.txt\n")
    (below / "limits.txt").write_text("-r more.txt\n")
    (below / "more.txt").write_text("two<2 --hash=sha256:00\n")
    first = read_arguments(("-rneeded.txt",), tmp_path).words

    assert first is not None
    assert read_arguments(("-rneeded.txt",), tmp_path).words == first
    (below / "more.txt").write_text("two<3\n")
    assert read_arguments(("-rneeded.txt",), tmp_path).words not in {None, first}


def test_a_folder_of_wheels_counts_with_what_is_in_it(tmp_path: Path) -> None:
    words = ("one", "--find-links", "wheels")
    (tmp_path / "wheels").mkdir()
    empty = read_arguments(words, tmp_path).words
    (tmp_path / "wheels" / "one-1.0-py3-none-any.whl").touch()

    assert empty is not None
    assert read_arguments(words, tmp_path).words not in {None, empty}


def test_a_project_and_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "pyproject.toml").write_text(
        '[project]\nname = "Mine"\ndependencies = ["one>=1"]\n'
        '[project.optional-dependencies]\nx = ["two"]\nall = ["mine[x]", "four"]\n'
    )
    found = find_projects(("-e", "./mine[x]", "three"), tmp_path)

    assert found.folders == ("./mine[x]",)
    assert found.names == ("mine",)
    assert found.needs == ("three", "one>=1", "two")
    assert find_projects(("--editable=./mine",), tmp_path).needs == ("one>=1",)
    assert find_projects(("./mine[all]",), tmp_path).needs == ("one>=1", "four")
    assert not find_projects(("mine", "three"), tmp_path).folders
    # What an option takes is no project, though a folder.
    for option in ("-f", "--find-links"):
        found = find_projects((option, "./mine", "three"), tmp_path)
        assert not found.folders


def test_options_beside_a_project(tmp_path: Path) -> None:
    """One that is not known may have the next word for its own: all is pip's then."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "mine"\ndependencies = ["one"]\n'
    )

    assert find_projects(("-e.", "two"), tmp_path).needs == ("two", "one")
    assert find_projects(("-rmore.txt", "."), tmp_path).needs == ("-rmore.txt", "one")
    assert find_projects(("--no-deps", "-e", "."), tmp_path).needs == ()
    for words in (("--config-settings", "a=b"), ("--no-build-isolation",)):
        found = find_projects((*words, "-e", "."), tmp_path)
        assert found.folders == (".",)
        assert found.needs == ("one",)
    for words in (("--target", "."), ("-t", "."), ("--prefix", "./x")):
        assert find_projects((*words, "-e", ".", "two"), tmp_path).folders == ()


def test_a_project_that_does_not_say_what_it_needs(tmp_path: Path) -> None:
    """Pip finds out; options alone are nothing to install.

    Where not even a name is known nothing is looked for at all: an index could have
    another project of that name.
    """
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "setup.py").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "pyproject.toml").write_text(
        '[project]\nname = "other"\ndynamic = ["dependencies"]\n'
    )

    assert find_projects(("./mine", "three"), tmp_path).needs == ()
    assert find_projects(("-e", "./other", "--pre"), tmp_path).needs == ()
    needs = find_projects(("-e", "./other", "-r", "x.txt"), tmp_path).needs
    assert needs == ("-r", "x.txt")
