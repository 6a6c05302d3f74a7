"""Entry points and ``#!python`` scripts, taken apart."""

from __future__ import annotations

import pytest

from mvenv.errors import InvalidWheel
from mvenv.wheels.launchers import (
    EntryPoint,
    is_launcher_name,
    parse_entry_points,
    split_placeholder,
    versioned_launchers,
)

MEMBER = "demo-1.0.dist-info/entry_points.txt"


def test_entry_points_are_read_as_importlib_does() -> None:
    text = """
# a comment
[ignored.plugins]
run = not an object at all

[console_scripts]
run = demo.main:run
Run-2.0+x=demo:Main.run [extra, other]
  spaced = demo . main : run
spaced = demo.main : run
run = demo.later:run
größe = demo:größe

[gui_scripts]
window = demo.gui:main
"""

    with pytest.raises(InvalidWheel):
        parse_entry_points(text.encode(), MEMBER)
    console, gui = parse_entry_points(
        text.replace("demo . main", "demo.main").encode(), MEMBER
    )

    assert console == (
        EntryPoint("run", "demo.later", "run"),
        EntryPoint("Run-2.0+x", "demo", "Main.run"),
        EntryPoint("spaced", "demo.main", "run"),
        EntryPoint("größe", "demo", "größe"),
    )
    assert gui == (EntryPoint("window", "demo.gui", "main"),)


INVALID = {
    "module only": ("run = demo.main", "nothing in it to call"),
    "module and extras": ("run = demo.main [x]", "nothing in it to call"),
    "no value": ("run", "is not valid"),
    "two colons": ("run = demo:a:b", "is not valid"),
    "code": ("run = demo:a();import os", "is not valid"),
    "code in the module": ("run = demo import a\\nimport b:c", "is not valid"),
    "parent": ("../run = demo:a", "not one for a file"),
    "folder": ("sub/run = demo:a", "not one for a file"),
    "absolute": ("/bin/run = demo:a", "not one for a file"),
    "backslash": ("sub\\run = demo:a", "not one for a file"),
    "dots": (".. = demo:a", "not one for a file"),
    "no name": (" = demo:a", "not one for a file"),
    "too long": (f"{'a' * 256} = demo:a", "not one for a file"),
    "control": ("a\x01b = demo:a", "not one for a file"),
}


@pytest.mark.parametrize(("line", "reason"), INVALID.values(), ids=INVALID)
@pytest.mark.parametrize("group", ["console_scripts", "gui_scripts"])
def test_invalid_entry_points_are_refused(group: str, line: str, reason: str) -> None:
    with pytest.raises(InvalidWheel, match=reason) as caught:
        parse_entry_points(f"[{group}]\n{line}\n".encode(), MEMBER)

    assert caught.value.member == MEMBER


def test_entry_points_that_are_not_text() -> None:
    with pytest.raises(InvalidWheel, match="not UTF-8"):
        parse_entry_points(b"[console_scripts]\n\xff = a:b\n", MEMBER)


@pytest.mark.parametrize("version", [(3, 8), (3, 13)])
def test_the_body_calls_the_object(version: tuple[int, int]) -> None:
    body = EntryPoint("run", "demo.main", "Main.run").launcher_body(version).decode()

    assert "from demo.main import Main\n" in body
    assert ("removesuffix" in body) == (version > (3, 8))
    assert "sys.exit(Main.run())" in body
    compile(body, "run", "exec")


def test_launchers_by_setuptools_are_known_by_name() -> None:
    points = frozenset({"run"})

    for name in ("run", "run.exe", "run.EXE", "run-script.py", "run.pya"):
        assert is_launcher_name(name, points)
    for name in ("run2", "run.py", "exe", "run-script.pyw"):
        assert not is_launcher_name(name, points)


def test_pip_gets_the_launchers_of_the_target() -> None:
    point = EntryPoint("pip", "pip._internal.cli.main", "main")
    console = (point, point._replace(name="pip3.8"), EntryPoint("pipx", "a", "b"))

    names = [one.name for one in versioned_launchers(console, (3, 12))]

    assert names == ["pip", "pip3", "pip3.12", "pipx"]


def test_easy_install_gets_the_launchers_of_the_target() -> None:
    point = EntryPoint("easy_install", "setuptools", "main")
    console = (point, point._replace(name="easy_install-2.7"))

    names = [one.name for one in versioned_launchers(console, (3, 13))]

    assert names == ["easy_install", "easy_install-3.13"]


def test_other_launchers_are_as_declared() -> None:
    console = (EntryPoint("a", "b", "c"), EntryPoint("pip3", "b", "c"))

    assert versioned_launchers(console, (3, 12)) == console


SCRIPTS = {
    "plain": (b"#!python\nx\ny\n", b"x\ny\n", b""),
    "arguments": (b"#!python -E -u \nx\n", b"x\n", b"-E -u"),
    "window": (b"#!pythonw\nx\n", b"x\n", b""),
    "window with arguments": (b"#!pythonw\t-u\nx\n", b"x\n", b"-u"),
    "version": (b"#!python3.8 -u\nx\n", b"x\n", b"-u"),
    "Windows": (b"#!python -u\r\nx\r\n", b"x\r\n", b"-u"),
    "one line": (b"#!python", b"", b""),
    "anything that starts so": (b"#!pythonic -u\nx\n", b"x\n", b""),
}


@pytest.mark.parametrize(
    ("content", "body", "arguments"), SCRIPTS.values(), ids=SCRIPTS
)
def test_placeholders_are_taken_off(
    content: bytes, body: bytes, arguments: bytes
) -> None:
    assert split_placeholder(content) == (body, arguments)


@pytest.mark.parametrize(
    "content",
    [b"", b"#!/usr/bin/python\n", b"#! python\n", b"#!Python\n", b"\x7fELF#!python"],
)
def test_other_scripts_are_left(content: bytes) -> None:
    assert split_placeholder(content) is None
