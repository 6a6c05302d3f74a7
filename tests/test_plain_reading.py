"""`mvenv create` read without click means what click reads; and what it imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import platformdirs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import mvenv.creation
from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv import cli
from mvenv.cli import asked
from mvenv.cli.plain import read_plainly

FORBIDDEN = (
    "click",
    "ctypes",
    "dataclasses",
    "email",
    "hashlib",
    "httpx2",
    "inspect",
    "json",
    "packaging",
    "pathlib",
    "platformdirs",
    "re",
    "rich",
    "shutil",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "tomllib",
    "typing",
    "unearth",
    "urllib",
    "virtualenv",
)
"""What takes long to import, and is of no use where a plan is recalled."""


@pytest.fixture(autouse=True)
def _without_variables_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """They look like options that click is to read."""
    monkeypatch.delenv("MVENV_REQUIRE_FILESYSTEMS", raising=False)
    monkeypatch.delenv("MVENV_FULL_FAULTS", raising=False)


class _ReadError(Exception):
    """Ends a command when its request was read."""


def _request(words: list[str], monkeypatch: pytest.MonkeyPatch, *, plain: bool) -> Any:
    """Return what is asked to be created, or the exit code where nothing is."""
    requests = []

    def note(request: Any, _: Any) -> None:
        requests.append(request)
        raise _ReadError

    with monkeypatch.context() as patch:
        patch.setattr(mvenv.creation, "create", note)
        if not plain:
            patch.setattr(cli, "read_plainly", lambda *_: None)
        try:
            code = cli.run(words)
        except _ReadError:
            return requests[0]
    return code


TYPED = [
    "create",
    "create env",
    "create env --from poetry.lock --python 3.12 --offline",
    "create --from=pylock.toml --link-mode=COPY --no-seed --seed",
    "create -p python3 -E a,b -E c --with docs --without test --only x --all-extras",
    "create --store ~/store --no-seal --require-link --clear --prompt . -q",
    "create ./a//b/../c --store ./s --index-url http://i/simple --extra-index-url u",
    "create --find-links a --find-links b --json -v --system-site-packages",
    "create --no-root --all-groups --quiet --verbose --link-mode clone",
]
LEFT_TO_CLICK = [
    "",
    "--help",
    "create --help",
    "create -h",
    "create env other",
    "create -- env",
    "create -p3.12",
    "create -qv",
    "create --link-mode hardlinks",
    "create --from",
    "create --from -x",
    "create --fro x",
    "create --clear=1",
    "create --unknown",
    "sync",
    "doctor",
]


@pytest.mark.parametrize("line", TYPED)
def test_what_people_type_is_read_alike(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_plainly(line.split(), os.environ) is not None
    plain = _request(line.split(), monkeypatch, plain=True)

    assert plain == _request(line.split(), monkeypatch, plain=False)
    assert not isinstance(plain, int)


@pytest.mark.parametrize(
    "words",
    [
        ["create", ""],
        ["create", "--from", ""],
        ["create", "--store", ""],
        ["sync", ""],
        ["rollback", ""],
        ["edit", ""],
        ["doctor", ""],
        ["adopt", ""],
        ["du", ""],
        ["store", "clean", "--yes", "--store", ""],
        ["store", "prune", "--forget", ""],
    ],
)
def test_an_empty_name_is_not_the_current_folder(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a variable of a shell without a value."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert cli.run(words) == 2
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("line", LEFT_TO_CLICK)
def test_the_rest_is_left_to_click(line: str) -> None:
    assert read_plainly(line.split(), os.environ) is None


WORDS = st.sampled_from(
    [
        *("env", ".", "a b", "-", "--", "-q", "-v", "-p", "-E", "-x", ""),
        *("--from", "--python", "--link-mode", "--prompt", "--store", "--index-url"),
        *("--extra", "--only", "--without", "--with", "--find-links", "a,b", "copy"),
        *("--no-root", "--all-groups", "--seed", "--no-seed", "--clear", "--json"),
        *("--from=x", "--prompt=", "--with=a b", "--seed=1", "-p=x", "AUTO", "~/s"),
        *("--offline", "--no-seal", "--require-link", "--quiet", "--help", "=x"),
    ]
)
VALUES = {
    "MVENV_STORE": ["", "/s", "s/../t"],
    "MVENV_PYTHON": ["", "3.12"],
    "MVENV_FROM": ["", "x.lock"],
    "MVENV_ENV_DIR": ["", "there"],
    "MVENV_LINK_MODE": ["", "copy", "wrong"],
    "MVENV_PROMPT": ["", "p q"],
    "MVENV_INDEX_URL": ["", "http://i"],
    "MVENV_OFFLINE": ["", "1", "no"],
    "MVENV_WITH": ["", "a b"],
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    words=st.lists(WORDS, max_size=6),
    variables=st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(every) for name, every in VALUES.items()}
    ),
)
@example(words=["--prompt", " x "], variables={"MVENV_PROMPT": " "})
def test_any_line_that_is_read_plainly_is_read_alike(
    monkeypatch: pytest.MonkeyPatch, words: list[str], variables: dict[str, str]
) -> None:
    with monkeypatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        line = ["create", *words]
        if read_plainly(line, os.environ) is None:
            return
        plain = _request(line, patch, plain=True)

        assert plain == _request(line, patch, plain=False)
        assert not isinstance(plain, int)


def test_the_store_is_where_platformdirs_has_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for home in (str(tmp_path), "/", ""):
        for data in (None, "", "/data", "~/data"):
            monkeypatch.setenv("HOME", home)
            monkeypatch.delenv("XDG_DATA_HOME", raising=False)
            if data is not None:
                monkeypatch.setenv("XDG_DATA_HOME", data)
            theirs = platformdirs.user_data_dir("mvenv", appauthor=False)

            assert str(asked.store_folder({"store": None})) == str(
                Path(theirs).expanduser().absolute()
            )


def test_a_warm_create_imports_little(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    lock = write_pylock(make_wheel("demo"))
    mvenv.create(tmp_path / "first", lock)
    script = """
import json, os, sys
from mvenv.cli import run
code = run(sys.argv[2:])
os.write(int(sys.argv[1]), str([code, *sys.modules]).encode())
"""
    reading, writing = os.pipe()
    command = ["create", tmp_path / "second", "--from", lock, "--store", mvenv.store]
    # `json` and what comes with it are not our doing here.
    script = script.replace("import json, ", "import ")
    subprocess.run(
        [sys.executable, "-c", script, str(writing), *map(str, command)],
        pass_fds=[writing],
        check=True,
    )
    os.close(writing)
    with open(reading, encoding="utf-8") as stream:
        code, *modules = json.loads(stream.read().replace("'", '"'))

    assert code == 0
    assert {name for name in modules if name.split(".")[0] in FORBIDDEN} == set()
