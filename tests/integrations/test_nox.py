"""nox with `venv_backend="mvenv"`: sessions install by links."""

from __future__ import annotations

import os

import pytest

from integrations.conftest import Workplace, point_at
from kit.indexes import IndexMaker
from kit.lockfiles import PylockWriter
from kit.sdists import ProjectMaker
from kit.wheels import WheelMaker

pytest.importorskip("nox")

HEAD = """\
import nox
import mvenv.nox

nox.options.default_venv_backend = "mvenv"
SHOW = (
    "import importlib.metadata as m; print('has', *sorted(d.name + '=' + d.version"
    " for d in m.distributions() if d.name != 'mvenv'))"
)
"""


def _noxfile(workplace: Workplace, body: str) -> None:
    workplace.write("noxfile.py", HEAD + body)


def _is_shared(workplace: Workplace, session: str, name: str) -> bool:
    pattern = f".nox/{session}/lib/*/site-packages/{name}/__init__.py"
    (module,) = workplace.root.glob(pattern)
    stored = workplace.store.glob(f"wheels/*/*/tree/{name}/__init__.py")
    return any(os.path.samefile(module, one) for one in stored)


def test_sessions_install_by_links(
    workplace: Workplace, make_wheel: WheelMaker, simple_index: IndexMaker
) -> None:
    """And again from memory; one that is used again is not filled again with -R."""
    point_at(workplace, simple_index, [make_wheel("above"), make_wheel("more")])
    _noxfile(
        workplace,
        """
@nox.session
@nox.parametrize("name", ["above", "more"])
def a(session, name):
    session.install(name)
    session.run("python", "-c", SHOW)
    print("backend", session.virtualenv.venv_backend)
""",
    )

    first = workplace.succeed("nox")
    asked = len(simple_index.requests)
    again = workplace.succeed("nox")
    reused = workplace.succeed("nox", "-R")

    for out in (first, again, reused):
        assert "has above=1.0\n" in out
        assert "has more=1.0\n" in out
        assert "backend mvenv" in out
    assert len(simple_index.requests) == asked
    assert "pip install" not in reused
    assert _is_shared(workplace, "a-name-above", "above")


def test_a_project_is_installed_with_what_it_needs(
    workplace: Workplace,
    make_project: ProjectMaker,
    make_wheel: WheelMaker,
    simple_index: IndexMaker,
) -> None:
    """What it needs is linked, and it itself comes from pip."""
    point_at(workplace, simple_index, [make_wheel("needed")])
    project = make_project(
        "mine",
        metadata="Requires-Dist: needed",
        pyproject='dependencies = ["needed"]\n',
    )
    _noxfile(
        workplace,
        f"""
@nox.session
def a(session):
    session.install("-e", {str(project)!r})
    session.run("python", "-c", SHOW)
""",
    )

    out = workplace.succeed("nox")

    assert "has mine=1.0 needed=1.0\n" in out
    assert _is_shared(workplace, "a", "needed")


def test_what_is_in_a_folder_is_never_taken_from_an_index(
    workplace: Workplace,
    make_project: ProjectMaker,
    make_wheel: WheelMaker,
    simple_index: IndexMaker,
) -> None:
    """Somebody else may have its name there; pip itself knows that it has it."""
    strange = make_wheel("core", "9.0")
    plugin = make_wheel("plugin", metadata="Requires-Dist: core")
    point_at(workplace, simple_index, [strange, plugin])
    project = make_project("core")
    _noxfile(
        workplace,
        f"""
@nox.session
def a(session):
    session.install({str(project)!r}, "plugin")
    session.run("python", "-c", SHOW)
""",
    )

    out = workplace.succeed("nox")

    assert "has core=1.0 plugin=1.0\n" in out
    assert not any("core-9.0" in line for line in simple_index.requests)


def test_a_lockfile_decides_all(
    workplace: Workplace, make_wheel: WheelMaker, write_pylock: PylockWriter
) -> None:
    """Also in an environment that is used again."""
    write_pylock(make_wheel("above"), path=workplace.root / "pylock.toml")
    _noxfile(
        workplace,
        """
@nox.session(reuse_venv=True)
def a(session):
    mvenv.nox.sync(session, "pylock.toml")
    session.run("python", "-c", SHOW)
""",
    )

    first = workplace.succeed("nox")
    write_pylock(make_wheel("above", "2.0"), path=workplace.root / "pylock.toml")
    second = workplace.succeed("nox")

    assert "has above=1.0\n" in first
    assert "has above=2.0\n" in second
    assert _is_shared(workplace, "a", "above")


def test_what_pip_has_chosen_can_be_asked_each_time(
    workplace: Workplace, make_wheel: WheelMaker, simple_index: IndexMaker
) -> None:
    point_at(workplace, simple_index, [make_wheel("above")])
    body = '\n@nox.session\ndef a(session):\n    session.install("above")\n'
    _noxfile(workplace, body)

    workplace.succeed("nox", MVENV_REMEMBER_HOURS="0")
    asked = len(simple_index.requests)
    workplace.succeed("nox", MVENV_REMEMBER_HOURS="0")

    assert len(simple_index.requests) > asked


def test_one_that_has_outlived_its_notes_is_made_anew(
    workplace: Workplace, make_wheel: WheelMaker, simple_index: IndexMaker
) -> None:
    """What is installed next would take out all that they had."""
    point_at(workplace, simple_index, [make_wheel("above"), make_wheel("more")])
    body = """
@nox.session
def a(session):
    session.install("above")
    session.install(*session.posargs)
    session.run("python", "-c", SHOW)
"""
    _noxfile(workplace, body)
    workplace.succeed("nox", "--", "above")
    (workplace.root / ".nox/.mvenv/a/pylock.toml").write_bytes(b"")

    out = workplace.succeed("nox", "-r", "--", "more")

    assert "is made anew" in out
    assert "has above=1.0 more=1.0\n" in out


def test_a_lockfile_takes_out_what_was_installed_otherwise(
    workplace: Workplace,
    make_wheel: WheelMaker,
    simple_index: IndexMaker,
    write_pylock: PylockWriter,
) -> None:
    """In the same session, and in one of before."""
    point_at(workplace, simple_index, [make_wheel("other")])
    write_pylock(make_wheel("above"), path=workplace.root / "pylock.toml")
    _noxfile(
        workplace,
        """
@nox.session(reuse_venv=True)
def a(session):
    session.install("other")
    session.run("python", "-c", SHOW)
    mvenv.nox.sync(session, "pylock.toml")
    session.run("python", "-c", SHOW)
""",
    )

    for expected in ("has other=1.0\n", "has above=1.0 other=1.0\n"):
        out = workplace.succeed("nox")

        assert expected in out
        assert "has above=1.0\n" in out


def test_other_backends_stay_as_they_are(workplace: Workplace) -> None:
    """A session without an environment, and one of `venv`; `sync` refuses both."""
    _noxfile(
        workplace,
        """
@nox.session(venv_backend="none")
def none(session):
    session.run("python", "-c", "print('ran')")

@nox.session(venv_backend="venv", venv_params=["--without-pip"])
def other(session):
    mvenv.nox.sync(session, "pylock.toml")
""",
    )

    ran = workplace.run("nox", "-s", "none", "other")

    assert "\nran\n" in ran.out
    assert "has no environment of mvenv" in ran.out


def test_another_backend_does_not_go_on_with_ours(
    workplace: Workplace, make_wheel: WheelMaker, simple_index: IndexMaker
) -> None:
    """It would find no pip in it."""
    point_at(workplace, simple_index, [make_wheel("above")])
    _noxfile(
        workplace,
        """
@nox.session(reuse_venv=True)
def a(session):
    session.install("above")
    session.run("python", "-c", SHOW)
    print("backend", session.virtualenv.venv_backend)
""",
    )
    workplace.succeed("nox")
    noxfile = (workplace.root / "noxfile.py").read_text()
    workplace.write("noxfile.py", noxfile.replace('"mvenv"', '"virtualenv"'))

    first = workplace.succeed("nox")
    again = workplace.succeed("nox")

    assert "Creating virtual environment (virtualenv)" in first
    assert "backend virtualenv" in first
    assert "Creating virtual environment" not in again


def test_an_unknown_nox_is_told_kindly(workplace: Workplace) -> None:
    workplace.write(
        "other.py",
        "import nox.sessions\ndel nox.sessions.Session.install\nimport mvenv.nox\n",
    )

    ran = workplace.run("other")

    assert ran.code == 1
    assert "mvenv does not know nox " in ran.out
    assert "Traceback" not in ran.out


@pytest.mark.parametrize(
    ("body", "variables", "word"),
    [
        ('mvenv.nox.sync(session, "nowhere.toml")', {}, "there is no"),
        ('session.install("one")', {"MVENV_REMEMBER_HOURS": "soon"}, "a number"),
        ('session.install("one")', {"MVENV_LINK_MODE": "funny"}, "funny"),
    ],
)
def test_what_fails_is_told(
    workplace: Workplace, body: str, variables: dict[str, str], word: str
) -> None:
    """Nox itself shows nothing of what a backend raises."""
    _noxfile(workplace, f"\n@nox.session\ndef a(session):\n    {body}\n")
    ran = workplace.run("nox", **variables)

    assert ran.code == 1
    assert word in ran.out
    assert "Traceback" not in ran.out


def test_what_is_printed_goes_where_it_is_told(
    workplace: Workplace, make_wheel: WheelMaker, simple_index: IndexMaker
) -> None:
    """A process has a file's descriptor, and asks not how it was opened."""
    names = ("above", "more", "third")
    point_at(workplace, simple_index, [make_wheel(name) for name in names])
    body = """
@nox.session
def a(session):
    with open("bytes", "wb") as stream:
        session.install("above", silent=False, stdout=stream)
    with open("text", "w") as stream:
        session.install("more", silent=False, stdout=stream)
    session.install("third", silent=False, stdout=-3)
"""
    _noxfile(workplace, body)

    out = workplace.succeed("nox")

    assert (workplace.root / "bytes").read_bytes() == b"linked above 1.0\n"
    assert (workplace.root / "text").read_bytes() == b"linked more 1.0\n"
    assert "linked" not in out


def test_a_failure_that_counts_as_success(
    workplace: Workplace, make_wheel: WheelMaker, simple_index: IndexMaker
) -> None:
    """As pip's exit code says: it is told, and the session goes on."""
    point_at(workplace, simple_index, [make_wheel("above")])
    _noxfile(
        workplace,
        """
@nox.session
def a(session):
    session.install("nothing-like-it", success_codes=[0, 1])
    session.run("python", "-c", "print('went on')")
""",
    )

    out = workplace.succeed("nox")

    assert "No matching distribution found for nothing-like-it" in out
    assert "\nwent on\n" in out


def test_parameters_that_are_not_known_are_told(workplace: Workplace) -> None:
    _noxfile(
        workplace,
        "\n@nox.session(venv_backend='mvenv', venv_params=['--symlinks'])\n"
        "def a(session):\n    pass\n",
    )
    ran = workplace.run("nox")

    assert ran.code == 1
    assert "does not know `--symlinks`" in ran.out
    assert "Traceback" not in ran.out
