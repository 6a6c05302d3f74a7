"""The bare environment against what each interpreter's own ``venv`` makes."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import packaging
import pytest

import mvenv
from kit.interpreters import FoundInterpreter, find_interpreters
from mvenv.env.bare import BareEnvironment, VenvOptions, render
from mvenv.env.paths import python_in
from mvenv.env.seeds import seed_wheel
from mvenv.env.skeleton import Skeleton, load_skeleton
from mvenv.errors import EnvironmentFault, InterpreterError
from mvenv.interpreters import inspect_interpreter
from mvenv.target import Target

EACH = tuple(find_interpreters())
each_interpreter = pytest.mark.parametrize(
    "found", EACH, ids=[f"{one.origin}-{one.short_version}" for one in EACH]
)
NEWEST = EACH[-1]

# The packages alone: another interpreter has a standard library of its own.
PACKAGES = os.pathsep.join(
    str(Path(str(module.__file__)).parents[1]) for module in (mvenv, packaging)
)

Tree = dict[str, tuple[str, int, bytes]]


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the interpreters' skeletons are kept."""
    return tmp_path_factory.mktemp("memory")


def target_of(found: FoundInterpreter, memory: Path) -> Target:
    """Return what inspecting the interpreter says."""
    return inspect_interpreter(str(found.executable), memory=memory)


def skeleton_of(found: FoundInterpreter, memory: Path) -> Skeleton:
    """Return the interpreter's skeleton."""
    return load_skeleton(target_of(found, memory), memory)


def read_tree(root: Path) -> Tree:
    """Return kind, mode and content of everything below ``root``."""
    tree: Tree = {}
    for path in root.rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        name = str(path.relative_to(root))
        if path.is_symlink():
            tree[name] = ("link", 0, os.fsencode(path.readlink()))
        elif path.is_dir():
            tree[name] = ("folder", mode, b"")
        else:
            tree[name] = ("file", mode, path.read_bytes())
    return tree


def materialise(bare: BareEnvironment, folder: Path) -> None:
    """Write a bare environment."""
    folder.mkdir(parents=True)
    for path in bare.folders:
        (folder / path).mkdir()
    for path, to in bare.symlinks:
        (folder / path).symlink_to(to)
        assert (folder / path).exists(), "links come after what they point to"
    for path, content, mode in bare.files:
        (folder / path).write_bytes(content)
        (folder / path).chmod(mode)


def own_tree(found: FoundInterpreter, folder: Path, *options: str) -> Tree:
    """Return what the interpreter's own venv makes at ``folder``, and remove it."""
    command = ["-I", "-m", "venv", "--without-pip", *options, str(folder)]
    subprocess.run([str(found.executable), *command], check=True)
    tree = read_tree(folder)
    shutil.rmtree(folder)
    return tree


def run(env_dir: Path, code: str) -> str:
    """Return what the environment's interpreter prints."""
    command = [python_in(str(env_dir)), "-I", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@each_interpreter
@pytest.mark.parametrize("name", ["plain", "a b", "ünï-(x)'"])
def test_it_is_what_venv_makes(
    found: FoundInterpreter, name: str, tmp_path: Path, memory: Path
) -> None:
    env_dir = tmp_path / name
    expected = own_tree(found, env_dir)
    bare = render(
        skeleton_of(found, memory), env_dir=str(env_dir), further_activators=False
    )
    materialise(bare, env_dir)

    assert read_tree(env_dir) == expected


@each_interpreter
def test_options_are_told_as_venv_tells_them(
    found: FoundInterpreter, tmp_path: Path, memory: Path
) -> None:
    env_dir = tmp_path / "env"
    options = ["--system-site-packages", "--clear", "--prompt", "it's ü"]
    unignored = found.version >= (3, 13)
    options += ["--without-scm-ignore-files"] if unignored else []
    expected = own_tree(found, env_dir, *options)
    bare = render(
        skeleton_of(found, memory),
        env_dir=str(env_dir),
        prompt="it's ü",
        system_site_packages=True,
        scm_ignore=False,
        further_activators=False,
        options=VenvOptions(clear=True),
    )
    materialise(bare, env_dir)

    assert read_tree(env_dir) == expected


@each_interpreter
def test_additions_are_the_documented_ones(
    found: FoundInterpreter, tmp_path: Path, memory: Path
) -> None:
    env_dir = tmp_path / "env"
    expected = own_tree(found, env_dir)
    bare = render(skeleton_of(found, memory), env_dir=str(env_dir), made_by="1.2.3")
    materialise(bare, env_dir)
    made = read_tree(env_dir)

    kind, mode, configuration = expected.pop("pyvenv.cfg")
    assert made.pop("pyvenv.cfg") == (kind, mode, configuration + b"mvenv = 1.2.3\n")
    added = {"bin/activate.nu", "bin/activate.xsh", "bin/activate_this.py"}
    assert set(made) - set(expected) == added
    assert {path: made[path] for path in expected} == expected
    assert bare.files[-1][0] == "pyvenv.cfg", "what makes it an environment is last"


@each_interpreter
def test_it_runs(found: FoundInterpreter, tmp_path: Path, memory: Path) -> None:
    target = target_of(found, memory)
    env_dir = tmp_path / "$an `env`\n\udcff"
    bare = render(
        load_skeleton(target, memory),
        env_dir=str(env_dir),
        prompt="$(x)\n'",
        made_by="1",
    )
    materialise(bare, env_dir)
    code = """
import json, sys, sysconfig
paths = sysconfig.get_paths()
names = ("purelib", "platlib", "scripts", "data")
print(json.dumps([sys.prefix, sys.base_prefix, sys.path, [paths[n] for n in names]]))
"""
    prefix, base, path, schemes = json.loads(run(env_dir, code))

    assert prefix == str(env_dir)
    assert base != prefix
    assert str(env_dir / target.scheme.purelib) in path
    own = target.scheme
    places = [own.purelib, own.platlib, own.scripts, own.data]
    assert schemes == [str(env_dir / place) for place in places]


def test_configuration_holds_no_line_of_the_path(tmp_path: Path, memory: Path) -> None:
    """What a path says after a newline must not become a key."""
    env_dir = f"{tmp_path}/x\nhome = /evil\r\u2028include-system-site-packages = true"
    bare = render(skeleton_of(NEWEST, memory), env_dir=env_dir)
    text = bare.files[-1][1].decode()

    assert [line.split(" = ")[0] for line in text.splitlines()] == [
        "home",
        "include-system-site-packages",
        "version",
        "executable",
        "command",
    ]


@pytest.mark.parametrize("env_dir", ["/tmp/a:b", "relative", "/nul\0"])  # noqa: S108  a name only
def test_impossible_paths_are_refused(env_dir: str, memory: Path) -> None:
    with pytest.raises(EnvironmentFault) as caught:
        render(skeleton_of(NEWEST, memory), env_dir=env_dir)

    if ":" in env_dir:
        assert "`:`" in caught.value.message
        assert caught.value.hint


def test_a_skeleton_is_learned_once(memory: Path) -> None:
    """The second time no process is started, and nothing heavy is imported."""
    target = target_of(NEWEST, memory)
    first = load_skeleton(target, memory)
    code = """
import sys
sys.addaudithook(lambda event, _: event == "subprocess.Popen" and sys.exit(event))
from pathlib import Path
from mvenv.interpreters import inspect_interpreter
from mvenv.env.skeleton import load_skeleton
from mvenv.env.bare import render
memory = Path(sys.argv[1])
target = inspect_interpreter(sys.argv[2], memory=memory)
skeleton = load_skeleton(target, memory)
assert len(render(skeleton, env_dir="/somewhere").files) == int(sys.argv[3])
heavy = {"packaging", "subprocess", "tempfile", "virtualenv", "importlib.metadata"}
sys.exit(", ".join(heavy & set(sys.modules)) or 0)
"""
    files = render(first, env_dir="/somewhere").files
    subprocess.run(
        [sys.executable, "-c", code, memory, NEWEST.executable, str(len(files))],
        check=True,
        env={**os.environ, "PYTHONPATH": PACKAGES},
    )


def test_changed_templates_are_read_again(tmp_path: Path, memory: Path) -> None:
    target = target_of(NEWEST, memory)
    stdlib = tmp_path / "stdlib"
    shutil.copytree(Path(target.stdlib, "venv"), stdlib / "venv")
    target = dataclasses.replace(target, stdlib=str(stdlib))
    kept = tmp_path / "kept"
    assert load_skeleton(target, kept) == load_skeleton(target, kept)

    with (stdlib / "venv" / "scripts" / "common" / "activate").open("a") as stream:
        stream.write("# changed\n")

    # The real venv goes on with its own templates, which are other ones now.
    with pytest.raises(InterpreterError, match="does not know"):
        load_skeleton(target, kept)


@pytest.mark.parametrize(
    ("script", "message", "hint"),
    [
        ("echo 'No module named venv' >&2; exit 1", "no module `venv`", "apt install"),
        ("echo 'disk on fire'; exit 3", "failed: disk on fire", "--python"),
        ("exit 0", "failed: exit status 0", "--python"),
        ("kill -9 $$", "SIGKILL", "--python"),
        ("exec sleep 60", "did not answer in 1 seconds", "--python"),
        ("exec yes", "prints without end", "--python"),
    ],
)
def test_a_failing_venv_is_told(
    script: str, message: str, hint: str, tmp_path: Path, memory: Path
) -> None:
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    target = dataclasses.replace(target_of(NEWEST, memory), executable=str(fake))

    with pytest.raises(InterpreterError, match=message) as caught:
        load_skeleton(target, None, timeout=1 if "sleep" in script else 60)

    assert hint in str(caught.value.hint)


@each_interpreter
def test_there_is_a_pip_that_runs(
    found: FoundInterpreter, tmp_path: Path, memory: Path
) -> None:
    target = target_of(found, memory)
    env_dir = tmp_path / "env"
    materialise(render(load_skeleton(target, memory), env_dir=str(env_dir)), env_dir)
    wheel = seed_wheel(target, "pip")
    command = [python_in(str(env_dir)), "-I", str(wheel / "pip"), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert f"(python {found.short_version})" in done.stdout
    assert f"pip {wheel.name.split('-')[1]} " in done.stdout


def test_no_pip_is_told(tmp_path: Path, memory: Path) -> None:
    target = dataclasses.replace(
        target_of(NEWEST, memory), version_info=(3, 8, 99), stdlib=str(tmp_path)
    )

    with pytest.raises(InterpreterError, match="no pip") as caught:
        seed_wheel(target, "pip")

    assert "python3.8-venv" in str(caught.value.hint)


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="needs packages of 3.11")
def test_all_of_it_from_the_system_python_without_home(tmp_path: Path) -> None:
    """Debian's interpreter as mvenv's own, no HOME, and a memory that cannot be."""
    system = Path("/usr/bin/python3.11")
    if not system.exists():
        pytest.skip("no such interpreter here")
    (tmp_path / "file").touch()
    code = """
import os, sys
from pathlib import Path
from mvenv.interpreters import find_interpreter, inspect_interpreter
from mvenv.env.bare import render
from mvenv.env.seeds import seed_wheel
from mvenv.env.skeleton import load_skeleton
nowhere = Path(sys.argv[1], "file", "below")
found = find_interpreter(None, cache_folder=nowhere, environ={})
assert found == "/usr/bin/python3.11", found
assert find_interpreter("3.11", cache_folder=nowhere, environ={"PATH": "/usr/bin"})
target = inspect_interpreter(found, memory=nowhere)
skeleton = load_skeleton(target, nowhere)
assert render(skeleton, env_dir=sys.argv[1]).files
assert seed_wheel(target, "pip").is_file()
"""
    subprocess.run(
        [system, "-c", code, tmp_path],
        check=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": PACKAGES},
    )
