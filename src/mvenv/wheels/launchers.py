"""Entry points and scripts of a wheel, as far as no environment is needed.

The launcher's body, and ``#!python`` scripts taken apart: `mvenv.env.scripts` puts
an environment's interpreter before either.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mvenv.errors import InvalidWheel

__all__ = [
    "EntryPoint",
    "ScriptBody",
    "is_launcher_name",
    "parse_entry_points",
    "split_placeholder",
    "versioned_launchers",
]

PLACEHOLDER = b"#!python"

_OBJECT = re.compile(
    r"(?P<module>\w+(?:\.\w+)*)\s*:\s*(?P<attr>\w+(?:\.\w+)*)\s*(?:\[.*\])?"
)
"""``importable.module:object.attr [extras]`` (entry points specification)."""
_MODULE_ONLY = re.compile(r"\w+(?:\.\w+)*\s*(?:\[.*\])?")
_PLACEHOLDER_LINE = re.compile(rb"#!pythonw?[0-9.]*(?:[ \t]+(?P<arguments>.*))?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAX_NAME = 255
_LAUNCHER_SUFFIXES = (".exe", "-script.py", ".pya")


class EntryPoint(NamedTuple):
    """A command: an object to call, under a name."""

    name: str
    module: str
    attr: str
    """Dotted, below the module."""

    def launcher_body(self, python: tuple[int, int]) -> bytes:
        """Return the script's text after its shebang, for a version of Python.

        As pip 26.3 writes it; for 3.8, whose strings have no ``removesuffix``, as the
        last pip for that version does.
        """
        cut = "    sys.argv[0] = sys.argv[0].removesuffix('.exe')\n"
        if python < (3, 9):
            cut = (
                "    if sys.argv[0].endswith('.exe'):\n"
                "        sys.argv[0] = sys.argv[0][:-4]\n"
            )
        return (
            "import sys\n"
            f"from {self.module} import {self.attr.partition('.')[0]}\n"
            f"if __name__ == '__main__':\n{cut}"
            f"    sys.exit({self.attr}())\n"
        ).encode()


class ScriptBody(NamedTuple):
    """A ``#!python`` script without its first line."""

    body: bytes
    arguments: bytes
    """For the interpreter; what followed it in the first line."""


def parse_entry_points(
    content: bytes, member: str
) -> tuple[tuple[EntryPoint, ...], tuple[EntryPoint, ...]]:
    """Return the console and the GUI scripts that ``entry_points.txt`` declares.

    Of two that share a name the later counts, as with pip. `InvalidWheel` where
    one is not valid, or would be written outside of the scripts folder.
    """
    groups: dict[str, dict[str, EntryPoint]] = {
        "console_scripts": {},
        "gui_scripts": {},
    }
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError as error:
        raise InvalidWheel(f"`{member}` is not UTF-8", member=member) from error
    group: dict[str, EntryPoint] | None = None
    for line in map(str.strip, lines):
        if line.startswith("[") and line.endswith("]"):
            group = groups.get(line[1:-1].strip())
        elif line and not line.startswith(("#", ";")) and group is not None:
            point = _parse_line(line, member)
            group[point.name] = point
    return (
        tuple(groups["console_scripts"].values()),
        tuple(groups["gui_scripts"].values()),
    )


def _parse_line(line: str, member: str) -> EntryPoint:
    name, _, value = (part.strip() for part in line.partition("="))
    found = _OBJECT.fullmatch(value)
    if found is None:
        if _MODULE_ONLY.fullmatch(value):
            reason = "it names a module and nothing in it to call"
        else:
            reason = "it is not `name = module:object`"
        raise InvalidWheel(f"the script `{line}` is not valid: {reason}", member=member)
    if (
        name in {"", ".", ".."}
        or "/" in name
        or "\\" in name
        or _CONTROL.search(name)
        or len(name.encode()) > _MAX_NAME
    ):
        raise InvalidWheel(
            f"the script's name {name!r} is not one for a file", member=member
        )
    return EntryPoint(name, found["module"], found["attr"])


def is_launcher_name(name: str, points: frozenset[str]) -> bool:
    """Return whether a script in the wheel is a launcher that setuptools made.

    ``points`` are the names of all entry points. pip leaves those out and writes its
    own.
    """
    lower = name.lower()
    for suffix in _LAUNCHER_SUFFIXES:
        if lower.endswith(suffix):
            return name[: -len(suffix)] in points
    return name in points


def versioned_launchers(
    console: tuple[EntryPoint, ...], python: tuple[int, int]
) -> tuple[EntryPoint, ...]:
    """Return the console scripts with pip's own and easy_install's made right.

    Their wheels are built by one Python and installed for others; so, as with pip,
    ``pip3.12`` and ``easy_install-3.12`` are made for the target's version, whatever
    the wheel declares.
    """
    major, minor = python
    rest = {point.name: point for point in console}
    made: list[EntryPoint] = []
    pip = rest.pop("pip", None)
    if pip is not None:
        names = ("pip", f"pip{major}", f"pip{major}.{minor}")
        made += [pip._replace(name=name) for name in names]
        rest = _without(rest, r"pip(\d+(\.\d+)?)?")
    easy_install = rest.pop("easy_install", None)
    if easy_install is not None:
        wanted = ("easy_install", f"easy_install-{major}.{minor}")
        made += [easy_install._replace(name=name) for name in wanted]
        rest = _without(rest, r"easy_install(-\d+\.\d+)?")
    return (*made, *rest.values())


def _without(points: dict[str, EntryPoint], pattern: str) -> dict[str, EntryPoint]:
    return {
        name: point for name, point in points.items() if not re.fullmatch(pattern, name)
    }


def split_placeholder(content: bytes) -> ScriptBody | None:
    """Return a ``#!python`` script taken apart, or `None` where it is not one.

    "If the first line of a file in scripts/ starts with exactly ``b'#!python'``,
    rewrite to point to the correct interpreter." pip drops arguments that follow;
    here they are kept, as their author meant them.
    """
    if not content.startswith(PLACEHOLDER):
        return None
    line, _, body = content.partition(b"\n")
    found = _PLACEHOLDER_LINE.fullmatch(line.rstrip())
    return ScriptBody(body, (found["arguments"] or b"").strip() if found else b"")
