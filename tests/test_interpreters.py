"""Interpreters: found by what users say, and telling the truth of themselves."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import packaging
import pytest

from kit.interpreters import FoundInterpreter, Interpreters, find_interpreters
from mvenv.errors import InterpreterError
from mvenv.interpreters import find_interpreter, inspect_interpreter
from mvenv.interpreters.inspection import ask_tags
from mvenv.interpreters.memory import bear_witness, recall, remember
from mvenv.interpreters.running import run_python

EACH = tuple(find_interpreters())
each_interpreter = pytest.mark.parametrize(
    "found", EACH, ids=[f"{one.origin}-{one.short_version}" for one in EACH]
)
OLDEST, NEWEST = EACH[0], EACH[-1]
PACKAGES = str(Path(str(packaging.__file__)).parents[1])


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which answers are kept."""
    return tmp_path_factory.mktemp("memory")


def make_venv(found: FoundInterpreter | Path, folder: Path, *options: str) -> Path:
    """Make an environment with the interpreter's own venv; return its python."""
    python = found if isinstance(found, Path) else found.executable
    command = [str(python), "-m", "venv", "--without-pip", *options, str(folder)]
    subprocess.run(command, check=True)
    return folder / "bin" / "python"


def write_script(path: Path, text: str) -> Path:
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


# -- what an interpreter is ------------------------------------------------------


@each_interpreter
def test_markers_and_tags_are_those_it_reports_itself(found: FoundInterpreter) -> None:
    code = """
import builtins, collections.abc, json, sys, typing
sys.path.append(sys.argv[1])
real = tuple
if sys.version_info < (3, 9):
    # packaging no longer runs there, for want of two subscripts alone.
    class Subscripted(tuple):
        __class_getitem__ = classmethod(lambda cls, item: cls)
    collections.abc.Sequence, builtins.tuple = typing.Sequence, Subscripted
import packaging.tags
builtins.tuple = real
from packaging import tags
report = {"tags": [str(tag) for tag in tags.sys_tags()]}
if sys.version_info >= (3, 9):
    from packaging import markers
    report["markers"] = dict(markers.default_environment())
print(json.dumps(report))
"""
    command = [str(found.executable), "-I", "-S", "-c", code, PACKAGES]
    report = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    target = inspect_interpreter(str(found.executable), memory=None)

    assert list(target.tags) == report["tags"]
    if "markers" in report:
        assert target.markers == report["markers"]
    assert target.markers["python_full_version"] == target.version
    assert target.version_info == found.version
    assert target.short_version == found.short_version


@each_interpreter
def test_facts_are_those_it_reports_itself(
    found: FoundInterpreter, tmp_path: Path, memory: Path
) -> None:
    code = """
import json, os, sys, sysconfig
print(json.dumps([sys.implementation.cache_tag, sysconfig.get_platform(),
    sysconfig.get_path("stdlib"), getattr(sys, "_base_executable", sys.executable),
    os.path.realpath(sys.executable)]))
"""
    command = [str(found.executable), "-I", "-c", code]
    report = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    target = inspect_interpreter(str(found.executable), memory=memory)

    assert report == [
        target.cache_tag,
        target.platform,
        target.stdlib,
        target.executable,
        target.real_executable,
    ]
    assert target.implementation == "cpython"
    assert not target.free_threaded
    python = make_venv(found, tmp_path / "env")
    code = "import json, sysconfig; print(json.dumps(sysconfig.get_paths()))"
    text = subprocess.run(
        [python, "-I", "-c", code], capture_output=True, check=True
    ).stdout
    paths = json.loads(text)
    for name in ("purelib", "platlib", "scripts", "data"):
        place = str(tmp_path / "env" / getattr(target.scheme, name)).rstrip("/")
        assert paths[name] == place
    assert target.scheme.headers == f"include/site/python{found.short_version}"


@each_interpreter
def test_a_target_of_another_kind_is_asked_for_its_tags(
    found: FoundInterpreter,
) -> None:
    """By running our packaging there; here it must agree with the other way."""
    if found.version < (3, 9):
        with pytest.raises(InterpreterError, match="which wheels it accepts"):
            ask_tags(str(found.executable))
        return
    target = inspect_interpreter(str(found.executable), memory=None)

    assert ask_tags(str(found.executable)) == target.tags


@each_interpreter
@pytest.mark.parametrize("options", [(), ("--copies",)], ids=["links", "copies"])
def test_an_environment_stands_for_the_interpreter_it_is_made_from(
    found: FoundInterpreter, options: tuple[str, ...], tmp_path: Path, memory: Path
) -> None:
    python = make_venv(found, tmp_path / "one", *options)
    if found.version >= (3, 11):
        code = "import sys; print(sys._base_executable)"
        command = [str(python), "-I", "-c", code]
        base = subprocess.run(command, capture_output=True, text=True, check=True)
        expected = base.stdout.strip()
    else:
        # It knew no better than the environment's own interpreter then.
        expected = os.path.realpath(found.executable)
    nested = make_venv(python, tmp_path / "two", *options)

    for one in (python, nested, python):
        target = inspect_interpreter(str(one), memory=memory)
        assert os.path.realpath(target.executable) == os.path.realpath(expected)
        assert not target.executable.startswith(str(tmp_path))
        if not options:
            assert target.executable == expected


def test_an_environment_of_virtualenv_stands_for_its_interpreter(
    tmp_path: Path, interpreters: Interpreters
) -> None:
    found = interpreters.get("3.9")
    folder = str(tmp_path / "env")
    command = [sys.executable, "-m", "virtualenv", "--no-seed", "--copies", "-q"]
    command += ["--app-data", str(tmp_path / "data"), "-p", str(found.executable)]
    subprocess.run([*command, folder], check=True)

    target = inspect_interpreter(f"{folder}/bin/python", memory=None)

    assert os.path.realpath(target.executable) == os.path.realpath(found.executable)


def test_sitecustomize_and_noise_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('<<mvenv>>{}<<mvenv>>')")
    wrapper = write_script(
        tmp_path / "python",
        f"echo '{{noise'; PYTHONPATH='{tmp_path}' exec '{NEWEST.executable}' \"$@\"",
    )

    target = inspect_interpreter(str(wrapper), memory=None)

    assert target == inspect_interpreter(str(NEWEST.executable), memory=None)


# -- remembering -----------------------------------------------------------------


def test_a_remembered_answer_needs_no_process_and_no_packaging(
    tmp_path: Path,
) -> None:
    environ = {"PATH": str(NEWEST.executable.parent)}
    spec = NEWEST.short_version
    found = find_interpreter(spec, cache_folder=tmp_path, environ=environ)
    target = inspect_interpreter(found, memory=tmp_path)
    code = """
import json, sys
sys.addaudithook(lambda event, _: event == "subprocess.Popen" and sys.exit(event))
from pathlib import Path
from mvenv.interpreters import find_interpreter, inspect_interpreter
memory, spec, environ = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
found = find_interpreter(spec, cache_folder=memory, environ=environ)
target = inspect_interpreter(found, memory=memory)
heavy = {"packaging", "python_discovery", "subprocess", "platform"}
heavy &= set(sys.modules)
print(json.dumps([found, target.tags, target.markers, sorted(heavy)]))
"""
    command = [sys.executable, "-c", code, str(tmp_path), spec, json.dumps(environ)]
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        command,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [found, list(target.tags), target.markers, []]


def test_a_link_that_leads_elsewhere_is_inspected_again(
    tmp_path: Path, memory: Path
) -> None:
    link = tmp_path / "python"
    for found in (OLDEST, NEWEST, OLDEST):
        link.unlink(missing_ok=True)
        link.symlink_to(found.executable)
        target = inspect_interpreter(str(link), memory=memory)

        assert target.version_info == found.version
        assert target.executable == str(link)


def test_a_link_to_a_twin_is_inspected_again(tmp_path: Path, memory: Path) -> None:
    """Equal in size and date, at another place."""
    link = tmp_path / "python"
    for name in ("one", "two"):
        twin = tmp_path / name / "bin" / "python"
        twin.parent.mkdir(parents=True)
        shutil.copy2(os.path.realpath(NEWEST.executable), twin)
        link.unlink(missing_ok=True)
        link.symlink_to(twin)

        target = inspect_interpreter(str(link), memory=memory)

        assert target.real_executable == str(twin)


def test_a_replaced_interpreter_is_inspected_again(tmp_path: Path) -> None:
    executable = tmp_path / "bin" / "python"
    executable.parent.mkdir()
    shutil.copy2(os.path.realpath(NEWEST.executable), executable)
    inspect_interpreter(str(executable), memory=tmp_path / "memory")

    # Written over, as a package manager does it.
    write_script(tmp_path / "new", "exit 1").replace(executable)

    with pytest.raises(InterpreterError, match="did not answer"):
        inspect_interpreter(str(executable), memory=tmp_path / "memory")


def test_becoming_an_environment_is_noticed(tmp_path: Path) -> None:
    """`pyvenv.cfg` beside an interpreter changes what it is."""
    link = tmp_path / "env" / "bin" / "python"
    link.parent.mkdir(parents=True)
    link.symlink_to(NEWEST.executable)
    memory = tmp_path / "memory"
    assert inspect_interpreter(str(link), memory=memory).executable == str(link)

    (tmp_path / "env" / "pyvenv.cfg").write_text(f"home = {NEWEST.executable.parent}\n")

    target = inspect_interpreter(str(link), memory=memory)
    assert target.executable == os.path.realpath(NEWEST.executable)


def test_what_a_wrapper_leads_to_is_not_remembered(tmp_path: Path) -> None:
    choice = tmp_path / "choice"
    shim = write_script(tmp_path / "shim", f'exec "$(cat \'{choice}\')" "$@"')
    for found in (OLDEST, NEWEST):
        choice.write_text(str(found.executable))
        target = inspect_interpreter(str(shim), memory=tmp_path / "memory")

        assert target.version_info == found.version
        assert target.executable == str(found.executable)


def test_damaged_records_are_as_good_as_absent(tmp_path: Path) -> None:
    first = inspect_interpreter(str(NEWEST.executable), memory=tmp_path)
    (record,) = tmp_path.iterdir()
    content = record.read_bytes()
    for damaged in (b"", content[:-9], content.replace(b"cp", b"xx")):
        record.write_bytes(damaged)

        assert inspect_interpreter(str(NEWEST.executable), memory=tmp_path) == first


def test_a_memory_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    nowhere = tmp_path / "file" / "below"

    target = inspect_interpreter(str(NEWEST.executable), memory=nowhere)

    assert target.version_info == NEWEST.version


def test_an_answer_holds_while_its_witnesses_do(tmp_path: Path) -> None:
    one, absent = tmp_path / "one", tmp_path / "absent"
    one.write_text("1")
    witnesses = [bear_witness(str(path)) for path in (one, absent)]
    remember(tmp_path / "memory", "kind", ("q", "\udcff"), {"a": 1}, witnesses)

    def ask() -> object:
        return recall(tmp_path / "memory", "kind", ("q", "\udcff"))

    assert ask() == {"a": 1}
    assert recall(tmp_path / "memory", "kind", ("another",)) is None
    assert recall(None, "kind", ("q", "\udcff")) is None
    absent.touch()
    assert ask() is None
    absent.unlink()
    assert ask() == {"a": 1}
    one.write_text("12")
    assert ask() is None


# -- what is no interpreter ------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 0", "did not answer as a Python interpreter: exit status 0"),
        ("echo first >&2; echo last >&2; exit 4", "interpreter: first"),
        ("kill -SEGV $$", "interpreter: ended by signal SIGSEGV"),
        ("sleep 60 & sleep 60", "did not answer in 0.5 seconds"),
        ("exec yes", "prints without end"),
        ('exec echo "$@"', "did not answer as a Python interpreter"),
        ("echo 'Unknown option: -I' >&2; exit 2", "is too old"),
    ],
)
def test_what_is_no_python_is_refused(
    script: str, message: str, tmp_path: Path
) -> None:
    fake = write_script(tmp_path / "python", script)
    timeout = 0.5 if "sleep" in script else 60
    began = time.monotonic()

    with pytest.raises(InterpreterError, match=message) as caught:
        inspect_interpreter(str(fake), memory=tmp_path / "memory", timeout=timeout)

    assert str(fake) in caught.value.message
    assert "--python" in str(caught.value.hint)
    assert time.monotonic() - began < 50
    assert not (tmp_path / "memory").exists()


def test_nothing_is_left_running(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 60 & echo $! > '{pids}'; wait"
    fake = write_script(tmp_path / "python", script)

    with pytest.raises(InterpreterError):
        run_python(str(fake), [], timeout=2)

    pid = int(pids.read_text())
    for _ in range(100):
        state = Path(f"/proc/{pid}/stat")
        # Gone, or waiting to be reaped by the init of this container.
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the wrapper's child outlived it")


def test_paths_that_cannot_be_run_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    (tmp_path / "dangling").symlink_to("gone")
    (tmp_path / "noise").write_bytes(b"\x7fELF not really")
    (tmp_path / "noise").chmod(0o755)
    reasons = {
        "absent": "there is no interpreter at",
        "text": "is not executable",
        "dangling": "which is not there",
        ".": "is a folder without Python",
        "noise": "cannot be run: exec format error",
    }
    for name, reason in reasons.items():
        with pytest.raises(InterpreterError, match=reason) as caught:
            inspect_interpreter(str(tmp_path / name), memory=None)

        assert caught.value.hint, name


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7"])
def test_old_pythons_are_refused(version: str) -> None:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [*root.glob(f"versions/{version}.*/bin/python")]
    if not found:
        pytest.skip(f"no python {version} here")

    with pytest.raises(InterpreterError, match="too old") as caught:
        inspect_interpreter(str(found[0]), memory=None)

    assert "3.8 or newer" in str(caught.value.hint)


def test_other_implementations_are_refused(tmp_path: Path) -> None:
    """A real answer with another name, for want of a PyPy."""
    code = "import sys; sys.implementation.name = 'pypy'"
    wrapper = write_script(
        tmp_path / "pypy3",
        f'exec {NEWEST.executable} -c "{code}; import platform, runpy;'
        " platform.python_implementation = lambda: 'PyPy';"
        ' runpy.run_path(sys.argv[3], run_name=\'__main__\')" "$@"',
    )

    with pytest.raises(InterpreterError, match=r"is PyPy; .* CPython only"):
        inspect_interpreter(str(wrapper), memory=None)
    with pytest.raises(InterpreterError, match=r"not for `pypy3\.9`"):
        find_interpreter("pypy3.9", cache_folder=None, environ={})


# -- finding ---------------------------------------------------------------------


@pytest.fixture
def pyenv(tmp_path: Path) -> Path:
    """Return a pyenv: all interpreters, and shims that say no."""
    root = tmp_path / "pyenv"
    (root / "versions").mkdir(parents=True)
    for one in EACH:
        if one.origin == "pyenv":
            version = ".".join(map(str, one.version))
            (root / "versions" / version).symlink_to(one.executable.parents[1])
            for name in ("python", "python3", f"python{one.short_version}"):
                say_no = "echo 'pyenv: command not found' >&2; exit 127"
                write_script(root / "shims" / name, say_no)
    (root / "versions" / "3.99.0" / "bin").mkdir(parents=True)
    write_script(root / "versions" / "3.99.0" / "bin" / "python", "exit 1")
    return root


@pytest.mark.parametrize("form", ["{}", "python{}", "cpython{}", "=={}.*", "~={}.0"])
def test_versions_and_names_find_pyenvs(
    form: str, pyenv: Path, interpreters: Interpreters, memory: Path
) -> None:
    """Not on PATH, or on PATH as a shim that does not lead to it."""
    wanted = interpreters.get("3.9", "pyenv")
    own = (sys.version_info.major, sys.version_info.minor)
    assert own != wanted.version[:2], "else mvenv's own would be it"
    for path in ("", str(pyenv / "shims")):
        found = find_interpreter(
            form.format(wanted.short_version),
            cache_folder=memory,
            environ={"PATH": path or "/nowhere", "PYENV_ROOT": str(pyenv)},
        )

        assert "shims" not in found
        assert inspect_interpreter(found, memory=memory).version_info == wanted.version


def test_pyenv_is_found_at_home(pyenv: Path, interpreters: Interpreters) -> None:
    wanted = interpreters.get("3.10", "pyenv")
    pyenv.rename(pyenv.parent / ".pyenv")
    environ = {"PATH": "/nowhere", "HOME": str(pyenv.parent)}
    found = find_interpreter("3.10", cache_folder=None, environ=environ)

    assert os.path.realpath(found) == os.path.realpath(wanted.executable)


def test_path_comes_before_what_is_not_on_it(
    tmp_path: Path, pyenv: Path, interpreters: Interpreters
) -> None:
    wanted = interpreters.get("3.9")
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "python3.9").symlink_to(wanted.executable)
    environ = {"PATH": str(folder), "PYENV_ROOT": str(pyenv)}

    found = find_interpreter("3.9", cache_folder=None, environ=environ)

    assert os.path.realpath(found) == os.path.realpath(wanted.executable)
    assert str(pyenv) not in found


def test_a_new_interpreter_on_path_is_found_at_once(
    tmp_path: Path, interpreters: Interpreters
) -> None:
    """What was found is remembered only while the places are as they were."""
    first, second = interpreters.get("3.9"), interpreters.get("3.10")
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    environ = {"PATH": os.pathsep.join(map(str, folders))}
    memory = tmp_path / "memory"
    (folders[1] / "python3.9").symlink_to(first.executable)

    def find() -> str:
        found = find_interpreter("<3.11", cache_folder=memory, environ=environ)
        return os.path.realpath(found)

    assert find() == find() == os.path.realpath(first.executable)
    (folders[0] / "python3.10").symlink_to(second.executable)
    assert find() == os.path.realpath(second.executable)


def test_environments_are_found_by_folder_and_by_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = make_venv(NEWEST, tmp_path / "env")
    monkeypatch.chdir(tmp_path)

    for spec in (str(tmp_path / "env"), "env", "./env", "env/", "env/bin/python"):
        found = find_interpreter(spec, cache_folder=None, environ={})

        assert found == str(python)
    installation = str(NEWEST.executable.parents[1])
    found = find_interpreter(installation, cache_folder=None, environ={})
    assert os.path.realpath(found) == os.path.realpath(
        Path(installation, "bin", "python3")
    )


def test_nothing_said_means_the_interpreter_of_mvenv(tmp_path: Path) -> None:
    """The one outside, where mvenv is installed in an environment."""
    own = sys._base_executable  # type: ignore[attr-defined]  # CPython's, undocumented
    assert find_interpreter(None, cache_folder=None, environ={}) == own
    python = make_venv(Path(sys.executable), tmp_path / "env")
    code = """
from mvenv.interpreters import find_interpreter
print(find_interpreter(None, cache_folder=None, environ={}))
"""
    done = subprocess.run(
        [python, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert os.path.realpath(done.stdout.strip()) == os.path.realpath(own)
    assert str(tmp_path) not in done.stdout


def test_what_is_not_found_is_told_with_what_is(
    pyenv: Path, memory: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    environ = {"PATH": "/nowhere", "PYENV_ROOT": str(pyenv)}
    for spec in ("3.99", "python3.15", "nonsense"):
        with pytest.raises(InterpreterError) as caught:
            find_interpreter(spec, cache_folder=memory, environ=environ)

        assert caught.value.message.startswith(f"no interpreter `{spec}` was found")
        for one in EACH:
            if one.origin == "pyenv":
                assert ".".join(map(str, one.version)) in caught.value.message
        assert caught.value.hint
    assert capfd.readouterr() == ("", "")


def test_the_search_prints_nothing() -> None:
    """`python_discovery` warns of interpreters that it cannot ask."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [*root.glob("versions/2.7.*/bin")]
    if not found:
        pytest.skip("no python 2.7 here")
    code = """
import sys
from mvenv.errors import InterpreterError
from mvenv.interpreters import find_interpreter
try:
    find_interpreter("python2.7", cache_folder=None, environ={"PATH": sys.argv[1]})
except InterpreterError:
    sys.exit(0)
sys.exit(1)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(found[0])],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("spec", ["", "==3.x", "/nowhere/python", "./nothing"])
def test_specs_that_mean_nothing_are_refused(spec: str) -> None:
    with pytest.raises(InterpreterError) as caught:
        find_interpreter(spec, cache_folder=None, environ={"PATH": "/nowhere"})

    assert caught.value.hint


@pytest.mark.parametrize("suggest", [True, False])
def test_others_are_asked_only_for_suggestions_that_are_wanted(
    tmp_path: Path, suggest: bool
) -> None:
    """Each takes time, and what is odd about one is printed by whoever has tox."""
    asked = tmp_path / "asked"
    other = tmp_path / "pyenv/versions/3.10.99/bin/python"
    other.parent.mkdir(parents=True)
    other.write_text(f"#!/bin/sh\n: > {asked}\nexit 1\n")
    other.chmod(0o755)
    environ = {"PATH": "/nowhere", "PYENV_ROOT": str(tmp_path / "pyenv")}

    with pytest.raises(InterpreterError, match=r"no interpreter `3\.99` was found"):
        find_interpreter("3.99", cache_folder=None, environ=environ, suggest=suggest)

    assert asked.exists() is suggest


@pytest.mark.parametrize("spec", ["python", ">=3.99", "other", "other3.99"])
def test_one_that_is_too_old_is_not_asked(tmp_path: Path, spec: str) -> None:
    """python-discovery warns of it, in tox before the JSON of `tox config`."""
    asked = tmp_path / "asked"
    for version in ("2.7.18", "3.99.1" if spec == "other3.99" else "3.7.16"):
        old = tmp_path / f"pyenv/versions/{version}/bin/python"
        old.parent.mkdir(parents=True)
        old.write_text(f"#!/bin/sh\n: > {asked}\nexit 1\n")
        old.chmod(0o755)
    environ = {"PATH": "/nowhere", "PYENV_ROOT": str(tmp_path / "pyenv")}

    with contextlib.suppress(InterpreterError):
        find_interpreter(spec, cache_folder=None, environ=environ, suggest=False)

    assert not asked.exists()
