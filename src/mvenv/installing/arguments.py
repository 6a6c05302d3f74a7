"""The arguments of ``pip install``: which are understood, and what they say in all."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from mvenv.fetch.urls import file_url_path
from mvenv.values import dataclass

__all__ = [
    "ALONE",
    "TAKE_VALUE",
    "Arguments",
    "place_words",
    "read_arguments",
    "split_option",
]

_FILES = ("-r", "--requirement", "-c", "--constraint")
_WITH_VALUE = frozenset(
    {
        "-i",
        "--index-url",
        "--extra-index-url",
        "--trusted-host",
        "--no-binary",
        "--only-binary",
        "--upgrade-strategy",
        "--use-feature",
        "--progress-bar",
        "--timeout",
        "--retries",
        "--proxy",
        "--cert",
        "--client-cert",
    }
)
ALONE = frozenset(
    {
        "--pre",
        "--no-index",
        "--no-deps",
        "--prefer-binary",
        "--require-hashes",
        "--upgrade",
        "-U",
        "--force-reinstall",
        "--ignore-installed",
        "-I",
        "--no-cache-dir",
        "--disable-pip-version-check",
        "--no-input",
        "--quiet",
        "-q",
        "--verbose",
        "-v",
        "-vv",
        "-vvv",
    }
)
"""What changes what is chosen, or nothing. Others change where things go or how they
are built: those are pip's own business."""
_PLACES = ("-f", "--find-links")
TAKE_VALUE = _WITH_VALUE.union(_FILES, _PLACES)
"""Options whose next word is no requirement."""
_REQUIREMENT = re.compile(
    r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?\s*(?:\[[\w\s,.-]*\])?\s*"
    r"(?:\(?[<>=!~][^@/;#]*\)?)?\s*(?:;.*)?"
)
"""By name: not by path or address."""
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tar.bz2", ".tgz")
_DEEPEST = 20
"""Files that name files: more of them go round in a circle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """What was asked of pip."""

    understood: bool
    """pip's report tells all that comes of them."""
    words: tuple[str, ...] | None
    """All that decides the outcome, files that are named with their contents; `None`
    where something does that can change at any time: a folder, a repository."""


class _Changing(Exception):
    """Something is named that may be another thing the next time."""


class _Foreign(Exception):
    """An option that is no affair of ours."""


def read_arguments(arguments: tuple[str, ...], start: Path) -> Arguments:
    """Read the arguments of ``pip install``; touches nothing but the files they name.

    Relative paths begin at ``start``.
    """
    try:
        words = tuple(_words(list(arguments), start, 0))
    except _Foreign:
        return Arguments(understood=False, words=None)
    except (_Changing, OSError):
        return Arguments(understood=True, words=None)
    return Arguments(understood=True, words=words)


def _words(arguments: list[str], start: Path, depth: int) -> Iterator[str]:
    rest = iter(arguments)
    changing = False
    for word in rest:
        option, value = split_option(word)
        if option in _FILES:
            named = value if value is not None else next(rest, "")
            yield option
            yield from _file(named, start, depth)
        elif option in _WITH_VALUE:
            yield f"{option} {value if value is not None else next(rest, '')}"
        elif word in ALONE:
            yield word
        elif option in _PLACES:
            named = value if value is not None else next(rest, "")
            yield from place_words(named, start)
        elif word.startswith("-"):
            raise _Foreign
        elif _REQUIREMENT.fullmatch(word.strip()) and not word.endswith(_ARCHIVES):
            yield word.strip()
        else:
            changing = True
    if changing:
        # Only now: an option that is not understood may follow.
        raise _Changing


def split_option(word: str) -> tuple[str, str | None]:
    """Return an option and what is attached to it."""
    if word.startswith("--"):
        option, equals, value = word.partition("=")
        return option, value if equals else None
    short = word[:2]
    if len(word) > len(short) and short in {"-r", "-c", "-i", "-f", "-e", "-C"}:
        return short, word[2:].strip().removeprefix("=")
    return word, None


def _file(named: str, start: Path, depth: int) -> Iterator[str]:
    if "://" in named or depth > _DEEPEST:
        raise _Changing
    path = start / os.path.expanduser(named)
    content = path.read_bytes()
    yield content.decode("utf-8", "surrogateescape")
    for line in _logical_lines(content.decode("utf-8", "replace")):
        if not line.startswith("-"):
            bare = re.split(r"\s+--", line)[0].strip()
            if not _REQUIREMENT.fullmatch(bare) or bare.endswith(_ARCHIVES):
                raise _Changing
            continue
        option, value = split_option(re.split(r"[\s=]", line)[0])
        if value is None:
            value = re.split(r"[\s=]+", line, maxsplit=1)[-1].strip()
        if option in _FILES:
            yield from _file(value, path.parent, depth + 1)
        elif option in _PLACES:
            yield from place_words(value, path.parent)
        elif option in {"-e", "--editable"} or "${" in line:
            raise _Changing


def place_words(entry: str, start: Path) -> Iterator[str]:
    """Yield what a place for ``--find-links`` is: a folder with all that is in it.

    A new file in it is meant to be seen at once.
    """
    yield f"find-links {entry}"
    local = file_url_path(entry) if entry.startswith("file:") else None
    if local is None and "://" in entry:
        return
    folder = start / os.path.expanduser(local or entry)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        found = sorted((one.name, one.stat()) for one in entries)
        yield repr([(name, one.st_size, one.st_mtime_ns) for name, one in found])


def _logical_lines(text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").splitlines():
        stripped = re.sub(r"(^|\s)#.*", "", line).strip()
        if stripped:
            yield stripped
