"""Commands and settings of tox that have no code of ours, and work all the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from integrations.conftest import Workplace, point_at
from kit.indexes import IndexMaker
from kit.sdists import ProjectMaker
from kit.wheels import WheelMaker

pytest.importorskip("tox")

USE = "python -c \"import mine, sys; print('from', mine.__file__)\""


@pytest.fixture
def project(
    workplace: Workplace,
    make_project: ProjectMaker,
    make_wheel: WheelMaker,
    simple_index: IndexMaker,
) -> Workplace:
    """Return a place with a project `mine` in it, which needs `needed`."""
    point_at(workplace, simple_index, [make_wheel("needed")])
    made = make_project(
        "mine", metadata="Requires-Dist: needed", pyproject='dependencies=["needed"]\n'
    )
    workplace.root.rmdir()
    shutil.copytree(made, workplace.root)
    return workplace


def test_what_tells_and_what_runs_one_command(
    workplace: Workplace, make_wheel: WheelMaker, simple_index: IndexMaker
) -> None:
    """Lists, configurations, results, labels and an inline plugin."""
    point_at(workplace, simple_index, [make_wheel("above")])
    workplace.write(
        "tox.ini",
        "[tox]\nrequires = mvenv\nenv_list = a, b\nno_package = true\n"
        "labels =\n    few = b\n[testenv]\ndeps = above\ndepends =\n    b: a\n"
        "commands = python -c \"import above; print('ran')\"\n",
    )
    workplace.write(
        "toxfile.py",
        "from tox.plugin import impl\n\n\n@impl\n"
        "def tox_on_install(tox_env, arguments, section, of_type):\n"
        "    print('hook', tox_env.name, of_type)\n",
    )

    result = workplace.root / "result.json"
    first = workplace.succeed("tox", "run", "-m", "few", "--result-json", result)
    alone = workplace.succeed("tox", "exec", "-e", "b", "--", "python", "-c", "help")
    order = workplace.succeed("tox", "depends")
    named = workplace.succeed("tox", "list")
    said = workplace.succeed("tox", "config", "-e", "b", "-k", "runner", "env_python")

    assert "hook b deps\n" in first
    assert "\nran\n" in first
    assert "hook a" not in first
    told = json.loads(result.read_text())["testenvs"]["b"]
    assert told["installed_packages"] == ["above==1.0"]
    assert told["result"]["success"]
    assert "b: OK" in alone
    assert "Execution order: a, b" in order
    assert "\na " in named
    assert "\nb " in named
    here = workplace.root / ".tox/b/bin/python"
    assert f"runner = mvenv\nenv_python = {here}\n" in said


@pytest.mark.slow
def test_packages_that_others_build(project: Workplace, tmp_path: Path) -> None:
    """By commands in an environment that two share; or a file that is there."""
    wheels = tmp_path / "dist"
    project.write(
        "tox.ini",
        "[tox]\nrequires = mvenv\nenv_list = a, b\n[testenv]\n"
        f"package = external\npackage_env = building\ncommands = {USE}\n"
        "[testenv:building]\ndeps = needed\n"
        'commands = python -c "import os, sys; os.makedirs(sys.argv[1]);'
        " sys.path[:0] = ['_build']; import tiny_backend as b;"
        ' b.build_wheel(sys.argv[1])" {env_tmp_dir}/dist\n'
        "package_glob = {env_tmp_dir}/dist/*.whl\n",
    )

    for words in ((), ("-r",), ()):
        out = project.succeed("tox", *words)

        assert out.count("building: commands[0]") == 1
        assert out.count("/site-packages/mine/__init__.py\n") == 2
    (wheel,) = project.root.glob(".tox/building/tmp/dist/*.whl")
    wheels.mkdir()
    shutil.copy(wheel, wheels)
    given = project.succeed("tox", "-e", "a", "--installpkg", wheels / wheel.name)
    assert "building: commands" not in given
    assert "/a/lib/" in given


@pytest.mark.slow
def test_an_environment_for_development(project: Workplace, tmp_path: Path) -> None:
    """Beside the one of the same name; and again in the same folder."""
    project.write(
        "tox.ini",
        "[tox]\nrequires = mvenv\nenv_list = a\n[testenv]\npackage = wheel\n"
        f"commands = {USE}\n",
    )
    place = tmp_path / "development"

    project.succeed("tox", "run", "--notest")
    for _ in range(2):
        project.succeed("tox", "devenv", "-e", "a", place)

        (linked,) = place.glob("lib/*/site-packages/needed/__init__.py")
        stored = project.store.glob("wheels/*/*/tree/needed/__init__.py")
        assert any(linked.samefile(one) for one in stored)
        assert not [*place.glob("lib/*/site-packages/mine/__init__.py")]
        (path,) = place.glob("lib/*/site-packages/mine.pth")
        assert path.read_text().strip() == str(project.root / "src")
    assert "/.tox/a/lib/" in project.succeed("tox", "run")
