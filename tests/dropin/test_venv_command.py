"""``python -m mvenv`` makes what ``python -m venv`` makes."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dropin.conftest import Venv, by_venv, tree_of
from kit.commands import Runner
from kit.interpreters import FoundInterpreter, find_interpreters
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv.cli.venv import _DEFAULTS, _read_plainly, venv_parser
from mvenv.interpreters.running import run_python

FURTHER = frozenset({"bin/activate.nu", "bin/activate.xsh", "bin/activate_this.py"})
"""virtualenv's activators, which `venv` has not."""
EACH = tuple(find_interpreters())
BASE = Path(getattr(sys, "_base_executable", sys.executable))

OPTIONS = (
    (),
    ("--system-site-packages",),
    ("--symlinks",),
    ("--copies",),
    ("--clear",),
    ("--prompt", "a name"),
    ("--prompt", "."),
    ("--without-scm-ignore-files",),
    ("--copies", "--system-site-packages", "--prompt=x"),
)


def _configuration(env: Path) -> list[str]:
    lines = (env / "pyvenv.cfg").read_text().splitlines()
    return [line for line in lines if not line.startswith("mvenv = ")]


def _same(ours: Path, theirs: Path) -> None:
    assert tree_of(ours, without=FURTHER) == tree_of(theirs)
    for name in ("bin/activate", "bin/activate.csh", "bin/activate.fish"):
        text = (ours / name).read_text().replace(str(ours), str(theirs))
        assert text.replace(ours.name, theirs.name) == (theirs / name).read_text()
    told = [line.replace(str(ours), str(theirs)) for line in _configuration(ours)]
    assert told == _configuration(theirs)


def _names(version: tuple[int, ...]) -> list[tuple[str, ...]]:
    new = version >= (3, 13)
    return [one for one in OPTIONS if new or "--without-scm-ignore-files" not in one]


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_bare_as_by_venv(venv: Venv, tmp_path: Path, options: tuple[str, ...]) -> None:
    if options not in _names(sys.version_info[:2]):
        pytest.skip("this interpreter's venv has no such option")
    assert venv(tmp_path / "one" / "env", "--without-pip", *options) == 0
    by_venv(BASE, tmp_path / "two" / "env", "--without-pip", *options)

    _same(tmp_path / "one" / "env", tmp_path / "two" / "env")


@pytest.mark.slow
@pytest.mark.parametrize("found", EACH, ids=[one.short_version for one in EACH])
def test_each_option_of_each_interpreter(
    venv: Venv, tmp_path: Path, found: FoundInterpreter
) -> None:
    executable = found.executable
    version = found.version[:2]
    for number, options in enumerate(_names(version)):
        if version < (3, 9) and "." in options:
            continue  # there it is a prompt like any other
        one, two = tmp_path / f"one{number}" / "env", tmp_path / f"two{number}" / "env"
        words = ("--without-pip", *options)
        assert venv(one, *words, "--python", executable) == 0
        by_venv(executable, two, *words)
        _same(one, two)


def test_with_pip(
    venv: Venv, mvenv: Runner, shared_store: Path, tmp_path: Path
) -> None:
    env = tmp_path / "env"
    assert venv(env) == 0
    python = env / "bin" / "python"
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
        capture_output=True,
        check=True,
        text=True,
    )
    names = {one["name"] for one in json.loads(listed.stdout)}

    assert names == ({"pip"} if sys.version_info >= (3, 12) else {"pip", "setuptools"})
    assert (env / "bin" / "pip").is_file()
    assert (env / "bin" / f"pip3.{sys.version_info.minor}").is_file()
    module = next(env.glob("lib/*/site-packages/pip/__main__.py"))
    assert module.stat().st_nlink > 1 or sys.platform != "linux"
    told = mvenv("doctor", env, "--check", "--full", store=shared_store)
    assert told.code == 0, told.out
    check = [str(python), "-m", "pip", "check", "--disable-pip-version-check"]
    assert subprocess.run(check, check=False, capture_output=True).returncode == 0


def test_a_second_one_is_recalled(
    venv: Venv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert venv(tmp_path / "first") == 0

    def decide(*_: object) -> None:
        raise AssertionError("it was decided before")

    monkeypatch.setattr("mvenv.creation._Making._decider", decide)
    assert venv(tmp_path / "second") == 0
    assert tree_of(tmp_path / "first") == tree_of(tmp_path / "second")


def test_several_and_odd_places(venv: Venv, tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("a b", "ü", "$x'\"", "deep/er/env", "-x")]
    assert venv("--without-pip", *places) == 0
    for place in places:
        told = subprocess.run(
            [place / "bin" / "python", "-c", "import sys; print(sys.prefix)"],
            capture_output=True,
            check=True,
            text=True,
        )
        assert told.stdout.strip() == str(place)


def test_says_nothing_when_all_is_well(
    venv: Venv, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert venv(tmp_path / "env") == 0
    assert capfd.readouterr() == ("", "")


def test_what_is_there_stays(
    venv: Venv, mvenv: Runner, shared_store: Path, tmp_path: Path
) -> None:
    env = tmp_path / "env"
    env.mkdir()
    (env / "mine").write_text("mine")
    assert venv(env) == 0
    assert (env / "mine").read_text() == "mine"
    first = tree_of(env)

    # And once more, over what is an environment by now.
    (env / "bin" / "activate").unlink()
    assert venv(env, "--prompt", "new") == 0
    assert first.items() <= tree_of(env).items()
    assert "prompt = 'new'" in (env / "pyvenv.cfg").read_text()
    told = mvenv("doctor", env, "--check", "--full", store=shared_store)
    assert told.code == 0, told.out


def test_an_environment_of_ours_is_renewed(
    venv: Venv,
    mvenv: Runner,
    shared_store: Path,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    env = tmp_path / "env"
    lock = write_pylock(make_wheel("demo"))
    mvenv.create(env, lock, store=shared_store)
    (env / "bin" / "activate").write_text("broken")
    (env / "bin" / "python3").unlink()
    assert venv(env, "--without-pip", "--prompt", "new") == 0

    assert "new" in (env / "bin" / "activate").read_text()
    assert (env / "bin" / "python3").is_symlink()
    told = mvenv("doctor", env, "--check", "--full", "--json", store=shared_store)
    assert told.code == 0, told.out
    assert told.value["findings"] == []
    run = [str(env / "bin" / "python"), "-c", "import demo"]
    assert subprocess.run(run, check=False).returncode == 0


def test_what_is_there_stays_where_nothing_can_be_shared(
    venv: Venv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MVENV_LINK_MODE", "copy")
    env = tmp_path / "env"
    assert venv(env) == 0
    (env / "mine").write_text("mine")
    assert venv(env, "--upgrade", "--without-pip") == 0
    assert (env / "mine").read_text() == "mine"


def test_clear_empties_any_folder(venv: Venv, tmp_path: Path) -> None:
    env = tmp_path / "env"
    (env / "deep").mkdir(parents=True)
    (env / "deep" / "file").write_text("")
    (env / "link").symlink_to(tmp_path)
    assert venv(env, "--clear", "--without-pip") == 0
    assert not (env / "deep").exists()
    assert not (env / "link").is_symlink()
    (env / "more").write_text("")
    assert venv(env, "--clear", "--without-pip") == 0
    assert not (env / "more").exists()


@pytest.mark.parametrize("wrong", [("--python", "/nowhere/python"), ("--python=2.7",)])
def test_clear_loses_nothing_where_it_fails(
    venv: Venv, tmp_path: Path, wrong: tuple[str, ...]
) -> None:
    env = tmp_path / "env"
    (env / "deep").mkdir(parents=True)
    (env / "deep" / "file").write_text("mine")
    assert venv(env, "--clear", *wrong) == 1
    assert (env / "deep" / "file").read_text() == "mine"
    assert [one.name for one in tmp_path.iterdir()] == ["env"]


def test_clear_deletes_no_home_and_no_store(
    venv: Venv,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = tmp_path / "home"
    (home / "deep").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    assert venv(home, "--clear") == 1
    assert "your home folder" in capsys.readouterr().err
    monkeypatch.setenv("HOME", str(tmp_path / "other"))
    monkeypatch.setenv("MVENV_STORE", str(home / "store"))
    assert venv(home, "--clear") == 1
    assert (home / "deep").is_dir()


def test_a_refused_renewal_changes_nothing(
    venv: Venv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("full", "with:colon"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_text("")
    monkeypatch.chdir(tmp_path)
    assert venv("with:colon") == 1
    assert venv("") == 1
    monkeypatch.setenv("MVENV_STORE", str(tmp_path / "full" / "store"))
    assert venv("full") == 1
    assert [one.name for one in (tmp_path / "full").iterdir()] == ["mine"]
    assert [one.name for one in (tmp_path / "with:colon").iterdir()] == ["mine"]


def test_in_a_folder_that_is_gone(
    venv: Venv,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert venv("env") == 1
    assert "not there any more" in capsys.readouterr().err


def test_a_renewal_asks_the_index_it_is_told(
    venv: Venv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = tmp_path / "env"
    env.mkdir()
    (env / "mine").write_text("")
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    monkeypatch.setenv("MVENV_INDEX_URL", nowhere.as_uri())
    seen = []

    def noted(*words: Any, environ: dict[str, str], **options: Any) -> Any:
        seen.append(environ["PIP_INDEX_URL"])
        return run_python(*words, environ=environ, **options)

    monkeypatch.setattr("mvenv.dropin.renewing.run_python", noted)
    assert venv(env, "--without-pip") == 0
    assert seen == [nowhere.as_uri()]


def test_a_wrong_variable_is_told_with_its_values(
    venv: Venv,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MVENV_LINK_MODE", "symlink")
    assert venv(tmp_path / "env") == 1
    assert "hardlink" in capsys.readouterr().err


@pytest.mark.parametrize("name", [".git", "pyproject.toml"])
def test_clear_deletes_no_work(venv: Venv, tmp_path: Path, name: str) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / name).write_text("")
    assert venv(tmp_path / "project", "--clear") == 1
    assert (tmp_path / "project" / name).exists()


def test_mistakes(
    venv: Venv, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    assert venv(tmp_path / "file") == 1
    told = capsys.readouterr()
    assert told.err.startswith("Error: ")
    assert not told.out
    assert (tmp_path / "file").read_text() == "mine"
    assert venv(tmp_path / "e", "--upgrade", "--clear") == 1
    assert "--upgrade and --clear together" in capsys.readouterr().err
    assert venv(tmp_path / "e", "--python", "/nowhere/python") == 1
    assert venv(tmp_path / "a:b") == 1
    for wrong in (
        ["--copies"],
        [str(tmp_path), "--what"],
        ["x", "--copies", "--symlinks"],
    ):
        with pytest.raises(SystemExit) as ended:
            venv(*wrong)
        assert ended.value.code == 2
    assert sorted(os.listdir(tmp_path)) == ["file"]


def test_what_is_a_command_and_what_a_folder(
    venv: Venv,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for word in ("list", "--version", "--help"):
        assert venv(word) == 0
    assert venv("creat", as_module=False) == 2
    assert venv("--clear", "creat", as_module=False) == 2
    assert "No such command" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    for word in (".venv", "venv", "env", "./list", "some/where"):
        assert venv(word, "--without-pip", as_module=False) == 0
        assert (tmp_path / word / "pyvenv.cfg").is_file()
    assert venv("list2", "--without-pip") == 0
    assert (tmp_path / "list2" / "pyvenv.cfg").is_file()


def test_a_lock_can_follow(
    venv: Venv,
    mvenv: Runner,
    shared_store: Path,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    env = tmp_path / "env"
    assert venv(env) == 0
    lock = write_pylock(make_wheel("demo"))
    told = mvenv("sync", env, "--from", lock, store=shared_store)
    assert told.code == 0, told.err
    run = [str(env / "bin" / "python"), "-c", "import demo, pip"]
    assert subprocess.run(run, check=False).returncode == 0
    assert mvenv("doctor", env, "--check", "--full", store=shared_store).code == 0


def test_read_plainly_and_by_argparse() -> None:
    words = ("--clear", "--copies", "--without-pip", "--prompt=x", "--python=3.12")
    for size in range(len(words) + 1):
        for chosen in itertools.permutations(words, size):
            line = ["a", *chosen, "b"]
            plain = _read_plainly(line)
            whole = vars(venv_parser("x").parse_intermixed_args(line))
            assert plain == {name: whole[name] for name in (*_DEFAULTS, "folders")}


@pytest.mark.index
def test_upgrade_deps(
    venv: Venv, mvenv: Runner, shared_store: Path, tmp_path: Path
) -> None:
    env = tmp_path / "env"
    assert venv(env, "--upgrade-deps") == 0
    told = mvenv("doctor", env, "--check", "--full", store=shared_store)
    assert told.code == 0, told.out
    module = next(env.glob("lib/*/site-packages/pip/__main__.py"))
    assert module.stat().st_nlink > 1


def test_shells_can_complete() -> None:
    words = [sys.executable, "-c", "from mvenv.cli import main; main()"]
    environ = {**os.environ, "_MVENV_COMPLETE": "bash_complete"}
    environ |= {"COMP_WORDS": "mvenv doc", "COMP_CWORD": "1"}
    told = subprocess.run(
        words, env=environ, capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == ["plain,doctor"]
