"""tox with the runner `mvenv`: linked environments, and tox's settings as they are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from integrations.conftest import Workplace, point_at
from kit.indexes import IndexMaker
from kit.lockfiles import PoetryLockWriter, PylockWriter
from kit.sdists import ProjectMaker, SdistMaker
from kit.wheels import WheelMaker

pytest.importorskip("tox")

SHOW = (
    "python -c \"import importlib.metadata as m; print('has', *sorted(d.name"
    " + '=' + d.version for d in m.distributions()))\""
)


def _ini(body: str, core: str = "no_package = true") -> str:
    return f"[tox]\nrequires = mvenv\nenv_list = a\n{core}\n[testenv]\n{body}\n"


def _linked(workplace: Workplace, name: str, env: str = "a") -> bool:
    """Return whether the one module of a project is shared with the store."""
    (module,) = workplace.root.parent.glob(
        f"**/.tox/{env}/lib/*/site-packages/{name}/__init__.py"
    )
    stored = workplace.store.glob(f"wheels/*/*/tree/{name}/__init__.py")
    return any(os.path.samefile(module, one) for one in stored)


def test_dependencies_are_linked_and_a_second_time_pip_is_not_asked(
    workplace: Workplace, make_wheel: WheelMaker, simple_index: IndexMaker
) -> None:
    """The environment that is replaced keeps what tox has in it."""
    below = make_wheel("below")
    above = make_wheel("above", metadata="Requires-Dist: below")
    point_at(workplace, simple_index, [above, below])
    workplace.write("tox.ini", _ini(f"deps = above\ncommands = {SHOW}"))

    first = workplace.succeed("tox")
    asked = len(simple_index.requests)
    again = workplace.succeed("tox", "-r")

    assert "has above=1.0 below=1.0\n" in first
    assert "has above=1.0 below=1.0\n" in again
    assert asked
    assert len(simple_index.requests) == asked
    assert _linked(workplace, "above")
    assert _linked(workplace, "below")
    assert (workplace.root / ".tox/a/.tox-info.json").is_file()
    assert (workplace.root / ".tox/a/log").is_dir()
    told = [*workplace.root.glob(".tox/.mvenv/a/pylock.toml")]
    told += workplace.store.glob("resolutions/*")
    assert {one.stat().st_mode & 0o777 for one in told} == {0o600}


@pytest.mark.slow
def test_what_pip_has_chosen_is_not_believed_for_ever(
    workplace: Workplace, make_wheel: WheelMaker, simple_index: IndexMaker
) -> None:
    point_at(workplace, simple_index, [make_wheel("above")])
    body = f"deps = above\nmvenv_remember_hours = 0\ncommands = {SHOW}"
    workplace.write("tox.ini", _ini(body))

    workplace.succeed("tox")
    asked = len(simple_index.requests)
    workplace.succeed("tox", "-r")

    assert len(simple_index.requests) > asked


def test_a_new_file_with_requirements_is_another_question(
    workplace: Workplace, make_wheel: WheelMaker, simple_index: IndexMaker
) -> None:
    """Constraints decide too, and so does what is in a file."""
    wheels = [make_wheel("above", version) for version in ("1.0", "2.0")]
    point_at(workplace, simple_index, wheels)
    body = f"deps = -r needed.txt\nconstraints = limits.txt\ncommands = {SHOW}"
    workplace.write("tox.ini", _ini(body))
    workplace.write("needed.txt", "above\n")
    workplace.write("limits.txt", "above<2\n")

    first = workplace.succeed("tox")
    workplace.write("limits.txt", "above<3\n")
    second = workplace.succeed("tox")

    assert "has above=1.0\n" in first
    assert "has above=2.0\n" in second


def test_what_has_no_wheel_is_built_once(
    workplace: Workplace,
    make_sdist: SdistMaker,
    simple_index: IndexMaker,
    tmp_path: Path,
) -> None:
    log = tmp_path / "builds"
    point_at(workplace, simple_index, [make_sdist("source", log=log)])
    workplace.write("tox.ini", _ini(f"deps = source\ncommands = {SHOW}"))

    workplace.succeed("tox")
    built = log.read_text().count("build_wheel")
    out = workplace.succeed("tox", "-r")

    assert "has source=1.0\n" in out
    assert log.read_text().count("build_wheel") == built
    assert _linked(workplace, "source")


@pytest.mark.parametrize(
    "package",
    [
        "wheel",
        pytest.param("sdist", marks=pytest.mark.slow),
        pytest.param("editable", marks=pytest.mark.slow),
    ],
)
def test_the_project_is_installed_and_not_shared(
    workplace: Workplace,
    make_project: ProjectMaker,
    make_wheel: WheelMaker,
    simple_index: IndexMaker,
    package: str,
) -> None:
    """With its dependencies, its extras and its group, which are linked."""
    point_at(
        workplace, simple_index, [make_wheel(n) for n in ("needed", "extra", "group")]
    )
    make_project(
        "mine",
        metadata="Requires-Dist: needed\nProvides-Extra: x\n"
        'Requires-Dist: extra; extra == "x"',
        pyproject='dependencies = ["needed"]\n[project.optional-dependencies]\n'
        'x = ["extra"]\n[dependency-groups]\ntest = ["group"]\n',
        entry_points="[console_scripts]\nmine = mine:version.isspace\n",
        folder=workplace.root.parent,
    ).rename(workplace.root.parent / "made")
    workplace.root.rmdir()
    (workplace.root.parent / "made").rename(workplace.root)
    body = f"package = {package}\nextras = x\ndependency_groups = test\n"
    workplace.write(
        "tox.ini", _ini(f"{body}commands = {SHOW}\n    mine", core="work_dir = ../.tox")
    )

    for words in ((), ("-r",), ()):
        out = workplace.succeed("tox", *words)

        assert "has extra=1.0 group=1.0 mine=1.0 needed=1.0\n" in out
    assert all(_linked(workplace, name) for name in ("needed", "extra", "group"))
    assert not [*workplace.store.glob("wheels/*/*/tree/mine*")]
    if package != "editable":
        assert not _linked(workplace, "mine")


@pytest.mark.parametrize("setting", ["lock = pylock.toml", "pylock = pylock.toml"])
def test_all_comes_from_a_lockfile(
    workplace: Workplace,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    setting: str,
) -> None:
    """Another lockfile is another environment."""
    path = workplace.root / "pylock.toml"
    write_pylock(make_wheel("above", "1.0"), path=path)
    workplace.write("tox.ini", _ini(f"{setting}\ncommands = {SHOW}"))

    first = workplace.succeed("tox")
    linked = _linked(workplace, "above")
    write_pylock(make_wheel("above", "2.0"), path=path)
    second = workplace.succeed("tox")

    assert "has above=1.0\n" in first
    assert linked
    assert "has above=2.0\n" in second


def test_groups_and_extras_of_a_poetry_lock(
    workplace: Workplace,
    make_wheel: WheelMaker,
    write_poetry_lock: PoetryLockWriter,
    simple_index: IndexMaker,
) -> None:
    wheels = [make_wheel(name) for name in ("plain", "tests", "docs", "extra")]
    index = simple_index(wheels)
    write_poetry_lock(
        *wheels,
        index=index,
        groups={"tests": ["test"], "docs": ["docs"]},
        markers={"extra": 'extra == "x"'},
        optional=["extra"],
        extras={"x": ["extra"]},
        path=workplace.root / "poetry.lock",
    )
    workplace.write(
        "pyproject.toml",
        '[tool.poetry]\nname = "p"\nversion = "1"\npackage-mode = false\n'
        "[tool.poetry.dependencies]\n[tool.poetry.group.test]\noptional = true\n"
        "[tool.poetry.group.docs]\noptional = true\n",
    )
    body = "lock = poetry.lock\nlock_groups = test\nlock_extras = x"
    only = "[testenv:b]\nlock_groups =\nlock_extras =\nlock_only_groups = docs"
    workplace.write("tox.ini", _ini(f"{body}\ncommands = {SHOW}\n{only}"))

    out = workplace.succeed("tox", "-e", "a,b")

    assert "has extra=1.0 plain=1.0 tests=1.0\n" in out
    assert "has docs=1.0\n" in out


def test_a_damaged_environment_is_healed_before_it_is_used(
    workplace: Workplace, make_wheel: WheelMaker, simple_index: IndexMaker
) -> None:
    point_at(workplace, simple_index, [make_wheel("above")])
    body = 'deps = above\ncommands = python -c "import above; print(above.version)"'
    workplace.write("tox.ini", _ini(body))
    workplace.succeed("tox")
    (module,) = workplace.root.glob(".tox/a/lib/*/site-packages/above/__init__.py")
    module.unlink()

    out = workplace.succeed("tox")

    assert "healed by mvenv" in out
    assert out.count("above/__init__.py is missing") == 1
    assert "healed" not in workplace.succeed("tox")


def test_one_that_has_outlived_its_notes_is_made_anew(
    workplace: Workplace,
    make_wheel: WheelMaker,
    make_project: ProjectMaker,
    simple_index: IndexMaker,
) -> None:
    """What is installed next would take out all that they had."""
    point_at(workplace, simple_index, [make_wheel("above")])
    make_project("mine", folder=workplace.root.parent)
    for one in (workplace.root.parent / "mine-1.0").iterdir():
        one.rename(workplace.root / one.name)
    workplace.write("tox.ini", _ini(f"deps = above\ncommands = {SHOW}", ""))
    workplace.succeed("tox")
    shutil.rmtree(workplace.root / ".tox/.mvenv/a")

    as_it_is = workplace.succeed("tox", "--skip-env-install")
    out = workplace.succeed("tox")

    assert "has above=1.0 mine=1.0\n" in as_it_is
    assert "is damaged" in out
    assert "has above=1.0 mine=1.0\n" in out
    assert "is damaged" not in workplace.succeed("tox")


def test_nothing_is_anybodys_default_by_being_installed(workplace: Workplace) -> None:
    """What a person says for one run comes first."""
    plain = "[tox]\nenv_list = a\nno_package = true\n"
    workplace.write("tox.ini", plain)
    bare = workplace.succeed("tox", "config", "-e", "a", "-k", "runner")
    chosen = workplace.succeed(
        "tox", "config", "-e", "a", "-k", "runner", TOX_DEFAULT_RUNNER="mvenv"
    )
    workplace.write("tox.ini", plain.replace("[tox]", "[tox]\nmvenv_default = true"))
    told = workplace.succeed("tox", "config", "-e", "a", "-k", "runner")
    words = ("--runner", "virtualenv", "-e", "a", "-k", "runner")
    other = workplace.succeed("tox", "config", *words)

    assert "runner = virtualenv" in bare
    assert "runner = mvenv" in chosen
    assert "runner = mvenv" in told
    assert "runner = virtualenv" in other


def test_an_install_command_that_is_not_pips_is_refused(workplace: Workplace) -> None:
    body = "deps = above\ninstall_command = conda install {packages}"
    workplace.write("tox.ini", _ini(body))

    ran = workplace.run("tox")

    assert ran.code
    assert "install_command of a is `conda install {packages}" in ran.out
    assert "Traceback" not in ran.out


def test_what_cannot_be_found_is_said_by_pip(
    workplace: Workplace, make_wheel: WheelMaker, simple_index: IndexMaker
) -> None:
    point_at(workplace, simple_index, [make_wheel("above")])
    workplace.write("tox.ini", _ini("deps = nothing-like-it"))

    ran = workplace.run("tox")

    assert ran.code == 1
    assert "No matching distribution found for nothing-like-it" in ran.out
    assert "output:" not in ran.out
    assert "Traceback" not in ran.out


@pytest.mark.slow
def test_several_at_once(
    workplace: Workplace, make_wheel: WheelMaker, simple_index: IndexMaker
) -> None:
    """Threads of one process, on an empty store and on a full one."""
    point_at(workplace, simple_index, [make_wheel(f"w{n}") for n in range(4)])
    text = _ini(f"deps =\n    w0\n    w{{env:N:1}}\n    w2\n    w3\ncommands = {SHOW}")
    names = "a, b, c, d, e, f, g, h"
    workplace.write("tox.ini", text.replace("env_list = a", f"env_list = {names}"))
    variables = {"MVENV_STORE": str(workplace.root.parent / "empty")}

    for _ in range(2):
        words = ("-p", "8", "--parallel-no-spinner", "-r", "-o")
        out = workplace.succeed("tox", *words, **variables)

        assert out.count("has w0=1.0 w1=1.0 w2=1.0 w3=1.0\n") == 8


def test_pip_is_there_where_it_is_asked_for(workplace: Workplace) -> None:
    body = 'mvenv_seed = true\ncommands = python -c "import pip; print(pip.__name__)"'
    workplace.write("tox.ini", _ini(body))

    assert "\npip\n" in workplace.succeed("tox")


def test_pip_is_installed_where_it_is_a_dependency(
    workplace: Workplace, make_wheel: WheelMaker, simple_index: IndexMaker
) -> None:
    """The pip that is run from outside does not take itself for installed."""
    above = make_wheel("above", metadata="Requires-Dist: pip>=99")
    point_at(workplace, simple_index, [above, make_wheel("pip", "99.0")])
    workplace.write("tox.ini", _ini(f"deps =\n    above\n    pip\ncommands = {SHOW}"))

    assert "has above=1.0 pip=99.0\n" in workplace.succeed("tox")
    workplace.write("tox.ini", _ini(f"deps = pip\ncommands = {SHOW}"))
    assert "has pip=99.0\n" in workplace.succeed("tox", "-r")


@pytest.mark.slow
def test_an_interpreter_that_is_missing(workplace: Workplace) -> None:
    """The same as with tox's own runner."""
    workplace.write("tox.ini", _ini("").replace("env_list = a", "env_list = py399"))

    skipped = workplace.run("tox", "--skip-missing-interpreters", "true")
    failed = workplace.run("tox", "--skip-missing-interpreters", "false")

    assert "SKIP" in skipped.out
    assert failed.code
    assert "could not find python interpreter" in failed.out


def test_another_interpreter_is_never_taken_for_missing(workplace: Workplace) -> None:
    """It would be skipped, and nobody would know that nothing was run."""
    workplace.write("tox.ini", _ini("").replace("env_list = a", "env_list = pypy3"))
    words = ("--skip-missing-interpreters", "true")
    missing = workplace.run("tox", *words)
    workplace.write(
        "toxfile.py",
        "from tox.tox_env.python.api import PythonInfo, VersionInfo\n"
        "from tox.tox_env.python.virtual_env.api import VirtualEnv\n\n"
        "version = VersionInfo(3, 11, 0, 'final', 0)\n"
        "found = PythonInfo('PyPy', version, '', True, 'linux', {})\n"
        "VirtualEnv._get_python = lambda *_: found\n",
    )

    there = workplace.run("tox", *words)

    assert "pypy3: SKIP" in missing.out
    assert there.code == 1
    assert "for CPython only, not for PyPy: say `runner = virtualenv`" in there.out


def test_a_variable_that_names_a_file_is_another_question(
    workplace: Workplace, make_wheel: WheelMaker, simple_index: IndexMaker
) -> None:
    """Where the file says something else: a limit that was raised counts at once."""
    wheels = [make_wheel("above", version) for version in ("1.0", "2.0")]
    point_at(workplace, simple_index, wheels)
    workplace.write("tox.ini", _ini(f"deps = above\ncommands = {SHOW}"))
    limits = workplace.write("limits.txt", "above<2\n")
    workplace.variables["PIP_CONSTRAINT"] = str(limits)

    assert "has above=1.0\n" in workplace.succeed("tox")
    limits.write_text("above<3\n")
    assert "has above=2.0\n" in workplace.succeed("tox", "-r")


@pytest.mark.parametrize(
    ("name", "value"), [("MVENV_LINK_MODE", "funny"), ("MVENV_STORE", "/proc/nope")]
)
def test_a_setting_that_cannot_be_is_told(
    workplace: Workplace, name: str, value: str
) -> None:
    workplace.write("tox.ini", _ini(f"commands = {SHOW}"))
    ran = workplace.run("tox", **{name: value})

    assert ran.code == 1
    assert value in ran.out
    assert "Traceback" not in ran.out
    assert "internal error" not in ran.out


@pytest.mark.parametrize("setting", ["lock", "pylock"])
def test_a_lockfile_that_cannot_be_read_is_told(
    workplace: Workplace, setting: str
) -> None:
    """It is a file, and reading it is an error, for the superuser too."""
    if not Path("/proc/self/mem").is_file():
        pytest.skip("there is no file here that nobody can read")
    workplace.write("tox.ini", _ini(f"{setting} = /proc/self/mem"))
    ran = workplace.run("tox")

    assert ran.code == 1
    assert "a: failed with reading `/proc/self/mem`: input/output error\n" in ran.out
    assert "Traceback" not in ran.out


def test_a_folder_that_cannot_be_written_to_is_told(workplace: Workplace) -> None:
    workplace.write("tox.ini", _ini(""))
    ran = workplace.run("tox", "--workdir", "/proc/nope")

    assert ran.code == 1
    assert "/proc/nope: no such file or directory" in ran.out
    assert "Traceback" not in ran.out
