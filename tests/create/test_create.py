"""`mvenv create`: what it makes, says, and leaves alone."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.indexes import IndexMaker
from kit.interpreters import Interpreters
from kit.lockfiles import PoetryLockWriter, PylockWriter
from kit.snapshots import tree_snapshot
from kit.wheels import WheelMaker
from mvenv.env.receipt import read_receipt
from mvenv.store.layout import StoreLayout
from mvenv.store.registry import roots


def output(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a program, which has to work, and return what it prints."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def site(environment: Path) -> Path:
    """Return the environment's site-packages."""
    return next(environment.glob("lib/python3*/site-packages"))


@pytest.fixture
def lock(make_wheel: WheelMaker, write_pylock: PylockWriter) -> Path:
    """Return a lock of two small wheels with all that wheels can have."""
    tools = make_wheel(
        "tools",
        "2.0",
        {
            "tools/__init__.py": "import sys\n\n"
            "def main():\n    print('tools', sys.argv)\n",
            "tools/empty.py": "",
            "tools/data.bin": os.urandom(10_000),
            "tools-2.0.data/scripts/old-tool": "#!python\nprint('old')\n",
            "tools-2.0.data/scripts/sh-tool": "#!/bin/sh\necho sh\n",
            "tools-2.0.data/data/share/tools/readme.txt": "text\n",
            "tools-2.0.data/headers/tools.h": "int x;\n",
            "tools_hook.pth": "import tools_started\n",
            "tools_started.py": "import os; os.environ['TOOLS_STARTED'] = '1'\n",
        },
        entry_points="[console_scripts]\nrun-tools = tools:main\n"
        "[gui_scripts]\nshow-tools = tools:main\n",
    )
    return write_pylock(tools, make_wheel("plain", "1.0"))


def test_the_environment_works(mvenv: Runner, lock: Path, tmp_path: Path) -> None:
    env = tmp_path / "env"
    mvenv.create(env, lock)
    python = env / "bin" / "python"

    assert output(python, "-c", "import plain; print(plain.version)") == "1.0"
    assert output(env / "bin" / "run-tools", "x").startswith("tools [")
    assert output(env / "bin" / "show-tools").startswith("tools [")
    assert output(env / "bin" / "old-tool") == "old"
    assert output(env / "bin" / "sh-tool") == "sh"
    started = "import os; print(os.environ['TOOLS_STARTED'])"
    assert output(python, "-c", started) == "1"
    versions = (
        "from importlib.metadata import version as v; print(v('tools'), v('plain'))"
    )
    assert output(python, "-c", versions) == "2.0 1.0"
    assert (env / "share/tools/readme.txt").read_text() == "text\n"
    assert list(env.glob("include/site/python3*/tools/tools.h"))


def test_record_is_true_and_complete(mvenv: Runner, lock: Path, tmp_path: Path) -> None:
    env = tmp_path / "env"
    mvenv.create(env, lock)
    check = """
import base64, hashlib, importlib.metadata, os, sys
listed = set()
for dist in importlib.metadata.distributions():
    for file in dist.files:
        path = os.path.normpath(file.locate())
        listed.add(path)
        content = open(path, "rb").read()
        if file.hash:
            digest = hashlib.sha256(content).digest()
            encoded = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            assert encoded == file.hash.value
            assert len(content) == file.size
        else:
            assert path.endswith("RECORD"), path
    assert dist.read_text("INSTALLER") == "mvenv\\n"
    assert dist.read_text("REQUESTED") == ""
for folder, names, files in os.walk(sys.prefix):
    names[:] = [name for name in names if name not in (".mvenv", "__pycache__")]
    for name in files:
        path = os.path.join(folder, name)
        if "site-packages" in path or name.endswith("tool"):
            assert path in listed, path
print(len(listed))
"""
    assert int(output(env / "bin" / "python", "-c", check)) > 15


def test_files_are_hard_links_but_for_the_private_ones(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    env = tmp_path / "env"
    mvenv.create(env, lock, "--link-mode", "hardlink")
    linked = {
        path.relative_to(env).name
        for path in env.rglob("*")
        if path.is_file() and not path.is_symlink() and path.stat().st_nlink > 1
    }

    assert {"data.bin", "tools_started.py", "METADATA", "tools.h"} <= linked
    assert linked.isdisjoint(
        {
            "RECORD",
            "INSTALLER",
            "REQUESTED",
            "tools_hook.pth",
            "empty.py",
            "run-tools",
            "old-tool",
            "readme.txt",
            "pyvenv.cfg",
        }
    )
    assert (site(env) / "tools" / "data.bin").stat().st_mode & 0o7777 == 0o444


def test_the_second_environment_needs_no_index(
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_poetry_lock: PoetryLockWriter,
    simple_index: IndexMaker,
    tmp_path: Path,
) -> None:
    wheels = [make_wheel("one"), make_wheel("two")]
    url = simple_index(wheels, "html")
    lock = write_poetry_lock(*wheels)
    first = mvenv.create(tmp_path / "a", lock, "--index-url", url, "--json").value
    asked = len(simple_index.requests)
    second = mvenv.create(tmp_path / "b", lock, "--index-url", url, "--json").value
    offline = mvenv.create(tmp_path / "c", lock, "--offline", "--json").value

    assert (first["fetched"], second["fetched"], offline["fetched"]) == (2, 0, 0)
    assert asked > 0
    assert len(simple_index.requests) == asked


def test_the_receipt_and_the_registry_know_it(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    env = tmp_path / "env"
    mvenv.create(env, lock)
    receipt = read_receipt(env)
    assert receipt is not None

    assert receipt.path == str(env)
    assert receipt.lockfile == str(lock)
    assert [one.name for one in receipt.distributions] == ["plain", "tools"]
    assert receipt.flushed
    [root] = roots(StoreLayout(mvenv.store))
    assert (root.id, root.path) == (receipt.id, str(env))
    assert set(root.wheels) == {one.wheel for one in receipt.distributions}
    for path, _, size, *_ in receipt.generated:
        assert (env / path).stat().st_size == size


def test_clear_replaces_the_environment_and_its_root(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    env = tmp_path / "env"
    mvenv.create(env, lock)
    (env / "mine.txt").write_text("mine")
    refused = mvenv("create", env, "--from", lock)
    assert refused.code == 17
    assert "--clear" in refused.err
    assert (env / "mine.txt").exists()

    mvenv.create(env, lock, "--clear")

    assert not (env / "mine.txt").exists()
    receipt = read_receipt(env)
    assert receipt is not None
    assert [root.id for root in roots(StoreLayout(mvenv.store))] == [receipt.id]
    assert not list(tmp_path.glob(".mvenv-*"))


def test_two_environments_are_alike(mvenv: Runner, lock: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        mvenv.create(tmp_path / name / "env", lock)
    one, other = (tree_snapshot(tmp_path / name / "env") for name in ("a", "b"))
    different = {path for path in one | other if one.get(path) != other.get(path)}
    own_path = {path for path in different if path.startswith("bin/")}
    own_path |= {"pyvenv.cfg", ".mvenv/receipt"}
    own_path |= {path for path in different if path.endswith("/RECORD")}

    assert different <= own_path


@pytest.mark.usefixtures("lock")
def test_the_nearest_lock_is_found_and_said(
    mvenv: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = tmp_path / "src" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    outcome = mvenv("create")

    assert outcome.code == 0, outcome.err
    assert "using ../../pylock.toml" in outcome.err
    assert (below / ".venv" / "pyvenv.cfg").exists()


def test_no_lock_is_an_error(
    mvenv: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = mvenv("create", "env")

    assert outcome.code == 10
    assert "--from" in outcome.err
    assert not (tmp_path / "env").exists()


def test_options_come_from_the_environment_too(
    mvenv: Runner, lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MVENV_FROM", str(lock))
    monkeypatch.setenv("MVENV_LINK_MODE", "copy")
    monkeypatch.setenv("MVENV_PROMPT", "here")
    monkeypatch.setenv("MVENV_JSON", "1")
    outcome = mvenv("create", tmp_path / "env")

    assert outcome.value["link_mode"] == "copy"
    assert "prompt = 'here'" in (tmp_path / "env" / "pyvenv.cfg").read_text()


def test_json_has_errors_too(mvenv: Runner, lock: Path, tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "thesis.txt").write_text("precious")
    outcome = mvenv("create", tmp_path / "env", "--from", lock, "--json", "--clear")

    assert outcome.code == 17
    error = outcome.value["error"]
    assert (error["kind"], error["exit_code"]) == ("EnvironmentExists", 17)
    assert (tmp_path / "env" / "thesis.txt").read_text() == "precious"


def test_quiet_says_nothing(mvenv: Runner, lock: Path, tmp_path: Path) -> None:
    outcome = mvenv.create(tmp_path / "env", lock, "-q")

    assert (outcome.out, outcome.err) == ("", "")


def test_seed_puts_pip_inside(mvenv: Runner, lock: Path, tmp_path: Path) -> None:
    env = tmp_path / "env"
    mvenv.create(env, lock, "--seed", "--offline")
    listed = json.loads(output(env / "bin" / "pip", "list", "--format", "json"))

    assert {one["name"] for one in listed} == {"pip", "plain", "tools"}
    mvenv.create(tmp_path / "bare", lock)
    assert not (tmp_path / "bare" / "bin" / "pip").exists()


def test_system_site_packages(mvenv: Runner, lock: Path, tmp_path: Path) -> None:
    mvenv.create(tmp_path / "env", lock, "--system-site-packages")
    code = (
        "import sys; print(any('site-packages' in path"
        " and not path.startswith(sys.prefix) for path in sys.path))"
    )

    assert output(tmp_path / "env" / "bin" / "python", "-c", code) == "True"


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"])
def test_every_interpreter(
    mvenv: Runner, lock: Path, tmp_path: Path, interpreters: Interpreters, version: str
) -> None:
    found = interpreters.get(version)
    env = tmp_path / "env"
    mvenv.create(env, lock, "--python", found.executable, "--seed")
    code = "import sys, plain, pip; print(sys.version_info[:2], sys.prefix)"

    assert output(env / "bin" / "python", "-c", code).endswith(str(env))
    assert output(env / "bin" / "run-tools").startswith("tools [")
    assert version in output(env / "bin" / f"pip{version}", "--version")


@pytest.mark.parametrize(
    "name",
    [
        "with space",
        "ünï-çødé",
        "dollar $HOME `id` 'q'",
        "l" * 120,
        "deep/" + "/".join(["d" * 60] * 4),
    ],
)
def test_odd_paths(mvenv: Runner, lock: Path, tmp_path: Path, name: str) -> None:
    env = tmp_path / name
    mvenv.create(env, lock)

    assert output(env / "bin" / "run-tools").startswith("tools [")
    assert output(env / "bin" / "old-tool") == "old"
    assert output(env / "bin" / "python", "-c", "import sys; print(sys.prefix)") == str(
        env
    )


def test_a_path_separator_is_refused(mvenv: Runner, lock: Path, tmp_path: Path) -> None:
    outcome = mvenv("create", tmp_path / "a:b", "--from", lock)

    assert outcome.code == 17
    assert "PATH" in outcome.err
    assert not (tmp_path / "a:b").exists()


def test_a_linked_parent_is_kept_in_the_paths(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    mvenv.create(tmp_path / "link" / "env", lock)

    shebang = (tmp_path / "real/env/bin/run-tools").read_text().splitlines()[0]
    assert shebang == f"#!{tmp_path}/link/env/bin/python"


def test_help_and_version_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    from mvenv import __version__
    from mvenv.cli import run

    assert run(["--version"]) == 0
    assert __version__ in capsys.readouterr().out
    assert run(["create", "--help"]) == 0
    assert "--link-mode" in capsys.readouterr().out
    assert run(["creat"]) == 2


def test_an_empty_group_name_is_a_mistake(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    outcome = mvenv("create", tmp_path / "env", "--from", lock, "--only", "")

    assert outcome.code == 2
    assert not (tmp_path / "env").exists()


@pytest.mark.parametrize("names", [("real", "link"), ("link", "real")])
def test_a_folder_with_two_names_is_on_record_once(
    mvenv: Runner, lock: Path, tmp_path: Path, names: tuple[str, str]
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    first, second = (tmp_path / name for name in names)
    mvenv.create(first, lock)
    mvenv.create(second, lock, "--clear")

    [root] = roots(StoreLayout(mvenv.store))
    assert root.path == str(second)
