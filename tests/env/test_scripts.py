"""Shebangs and launchers: pip's own bytes, and scripts that really run."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kit.wheels import WheelMaker
from mvenv.env.scripts import compose_script, shebang
from mvenv.wheels.launchers import EntryPoint, split_placeholder

ODD_FOLDERS = {
    "plain": "plain",
    "space": "with space",
    "two spaces": "with  two spaces",
    "long": "/".join(["long" * 12] * 4),
    "long with space": "/".join(["long " * 9 + "x"] * 4),
    "unicode": "größe-中",
    "unicode and space": "größe 中",
    "dollar": "a $HOME b",
    "dollar, direct": "a$HOME",
    "quotes": "it's \"so\" ''' b",
    "backtick": "a `id` b",
    "backslash": "a \\N \\x \\ b",
    "colon": "a:b c",
    "percent": "100 %s $",
    "parenthesis": "(a" + "x" * 130 + ")&;",
    "tab": "a\tb",
    "newline": "a\nb",
    "carriage return": "a\rb",
    "not UTF-8": os.fsdecode(b"caf\xe9"),
    "not UTF-8, with space": os.fsdecode(b"caf\xe9 au lait"),
}
odd_folders = pytest.mark.parametrize("folder", ODD_FOLDERS.values(), ids=ODD_FOLDERS)


def make_python(folder: Path) -> str:
    """Put a link to this interpreter into a folder, and return its path."""
    folder.mkdir(parents=True)
    python = folder / "python"
    python.symlink_to(sys.executable)
    return str(python)


def run(script: Path, *arguments: str) -> str:
    """Run a script and return what it printed; warnings are errors."""
    done = subprocess.run(
        [str(script), *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error", "HOME": "/elsewhere"},
    )
    assert done.stderr == ""
    return done.stdout


@odd_folders
def test_scripts_run_wherever_the_interpreter_is(tmp_path: Path, folder: str) -> None:
    python = make_python(tmp_path / folder)
    script = tmp_path / "script"
    body = b"import sys\nprint(sys.argv[1:])\n"
    script.write_bytes(compose_script(python, body))
    script.chmod(0o755)

    assert run(script, "a b", "$c") == "['a b', '$c']\n"


def rewritten(content: bytes, python: str) -> bytes:
    """Return a ``#!python`` script for an interpreter."""
    script = split_placeholder(content)
    assert script is not None
    return compose_script(python, script.body, script.arguments)


@odd_folders
def test_arguments_reach_the_interpreter(tmp_path: Path, folder: str) -> None:
    python = make_python(tmp_path / folder)
    script = tmp_path / "script"
    script.write_bytes(
        rewritten(b"#!python -OO\nimport sys\nprint(sys.flags.optimize)\n", python)
    )
    script.chmod(0o755)

    assert run(script) == "2\n"


@pytest.mark.parametrize("folder", ["plain", "with space"])
def test_a_declared_encoding_is_kept(tmp_path: Path, folder: str) -> None:
    python = make_python(tmp_path / folder)
    script = tmp_path / "script"
    text = "#!python\n# -*- coding: latin-1 -*-\nprint(ascii('é'))\n"
    script.write_bytes(rewritten(text.encode("latin-1"), python))
    script.chmod(0o755)

    assert run(script) == "'\\xe9'\n"


def test_a_shebang_that_the_kernel_would_cut_goes_by_the_shell() -> None:
    longest = 512 if sys.platform == "darwin" else 127
    fits = "/" + "a" * (longest - 4)
    shell = b"#!/bin/sh\n'''exec' /aaa"

    assert shebang(fits) == b"#!" + fits.encode() + b"\n"
    assert len(shebang(fits)) == longest
    assert shebang(fits + "a").startswith(shell)
    assert shebang(fits, b"-E").startswith(shell)


def test_other_scripts_are_not_rewritten() -> None:
    for content in (b"#!/bin/sh\necho\n", b"", b"\x7fELF"):
        assert split_placeholder(content) is None


def test_windowed_scripts_get_the_same_interpreter() -> None:
    assert rewritten(b"#!pythonw\nx\n", "/python") == b"#!/python\nx\n"


PIP = next(iter(importlib.metadata.distributions(name="pip")), None)
needs_pip = pytest.mark.skipif(
    PIP is None or int(PIP.version.split(".")[0]) < 26,
    reason="needs pip 26 or newer beside pytest, as what to compare with",
)


@needs_pip
@pytest.mark.parametrize("folder", ["plain", "with space", "/".join(["long" * 12] * 4)])
def test_launchers_are_pips(
    tmp_path: Path, make_wheel: WheelMaker, folder: str
) -> None:
    environment = tmp_path / folder
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True
    )
    python = str(environment / "bin/python")
    wheel = make_wheel(
        "demo",
        files={"demo/__init__.py": "class Main:\n    run = staticmethod(print)\n"},
        entry_points="[console_scripts]\n"
        "one = demo:Main.run [extra]\n"
        "[gui_scripts]\n"
        "two = demo:Main\n",
    )
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    subprocess.run(
        [*command, "--no-deps", "--no-index", "--no-compile", str(wheel)],
        check=True,
    )

    one, two = environment / "bin/one", environment / "bin/two"
    version = sys.version_info[:2]
    for path, attr in ((one, "Main.run"), (two, "Main")):
        body = EntryPoint(path.name, "demo", attr).launcher_body(version)
        assert compose_script(python, body) == path.read_bytes()
    assert run(one) == "\n"
