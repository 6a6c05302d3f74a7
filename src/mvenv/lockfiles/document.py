"""TOML documents, read so that every problem is noted with its place.

A reader asks a `Table` for what it needs; what is missing or of another type is
noted in `Problems` and an empty value takes its place, so that one run finds all
faults of a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from mvenv.errors import LockfileError, SeveralErrors

__all__ = [
    "Problems",
    "Table",
    "locate_file",
    "parse_toml",
    "read_bytes",
    "warn_of_newer",
]

T = TypeVar("T")

_CONFLICT = re.compile(rb"^(?:<{7}|>{7}|\|{7}) ", re.MULTILINE)

_DEEP_KEY = re.compile(rb"""(?<![\w"'-])(?:[\w"'-]++[ \t]*+\.[ \t]*+){200}""")
"""`tomllib` takes memory by the square of a dotted key's parts."""
_ENDLESS = re.compile(rb"[0-9_]{1000}")
"""More than any version or hash has; Python refuses to make 4,300 digits a number."""

_WORDS: dict[type, str] = {
    bool: "true or false",
    dict: "a table",
    float: "a number",
    int: "a number",
    list: "an array",
    str: "a string",
}


def _words(kind: type) -> str:
    return _WORDS.get(kind, "a date or time")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problems:
    """What is wrong with one file, noted as it is read."""

    path: Path
    hint: str | None
    """What to do about a file that is wrong."""
    noted: list[LockfileError] = field(default_factory=list)

    def note(self, message: str, place: str, *, hint: str | None = None) -> None:
        """Note one problem; ``place`` is the path inside the document.

        A reader may look at one value twice: the same problem is noted once.
        """
        said = f"`{self.path.name}`: {message}"
        if any(one.place == place and one.message == said for one in self.noted):
            return
        self.noted.append(LockfileError(said, place=place, hint=hint or self.hint))

    def raise_if_any(self) -> None:
        """Raise what was noted, several problems as one `SeveralErrors`."""
        if self.noted:
            raise SeveralErrors.unless_one(list(self.noted))


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of a document, that knows its place."""

    values: Mapping[str, Any]
    place: str
    """Empty for the document itself."""
    problems: Problems

    def at(self, key: str) -> str:
        """Return the place of ``key``."""
        return f"{self.place}.{key}" if self.place else key

    def note(self, message: str, key: str, *, hint: str | None = None) -> None:
        """Note a problem with the value of ``key``."""
        self.problems.note(message, self.at(key), hint=hint)

    def get(self, key: str, kind: type[T]) -> T | None:
        """Return the value, or `None` where it is absent or of another type."""
        value = self.values.get(key)
        if value is None or type(value) is kind:
            return value
        self.note(f"{_words(kind)} belongs here, not {_words(type(value))}", key)
        return None

    def require(self, key: str, kind: type[T]) -> T | None:
        """Return the value as `get` does, and note its absence."""
        if key not in self.values:
            self.note(f"`{key}` is missing", key)
        return self.get(key, kind)

    def table(self, key: str) -> Table:
        """Return the table, an empty one where there is none."""
        return Table(
            values=self.get(key, dict) or {},
            place=self.at(key),
            problems=self.problems,
        )

    def tables(self, key: str) -> Iterator[Table]:
        """Return the tables of an array."""
        for index, value in self._items(key, dict):
            place = f"{self.at(key)}[{index}]"
            yield Table(values=value, place=place, problems=self.problems)

    def subtables(self) -> Iterator[tuple[str, Table]]:
        """Return each key with its value, which must be a table."""
        for key in self.values:
            yield key, self.table(key)

    def strings(self, key: str) -> tuple[str, ...]:
        """Return the strings of an array, none where there is no array."""
        return tuple(value for _, value in self._items(key, str))

    def _items(self, key: str, kind: type[T]) -> Iterator[tuple[int, T]]:
        for index, value in enumerate(self.get(key, list) or ()):
            if type(value) is kind:
                yield index, value
            else:
                self.note(
                    f"{_words(kind)} belongs here, not {_words(type(value))}",
                    f"{key}[{index}]",
                )


def read_bytes(path: Path) -> bytes:
    """Return the content of a lockfile; `LockfileError` where it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise LockfileError(
            f"there is no `{path}`",
            hint="name the lockfile with `--from`",
        ) from None
    except IsADirectoryError:
        raise LockfileError(
            f"`{path}` is a folder",
            hint="name the lockfile in it, like `poetry.lock` or `pylock.toml`",
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise LockfileError(
            f"cannot read `{path}`: {reason[:1].lower()}{reason[1:]}"
        ) from error


def parse_toml(path: Path, content: bytes, *, hint: str | None = None) -> Table:
    """Return the document in ``content``; `LockfileError` where it is not TOML.

    ``hint`` says what to do about a file that is wrong.
    """
    import tomllib

    if deep := _DEEP_KEY.search(content):
        line = content.count(b"\n", 0, deep.start()) + 1
        raise LockfileError(
            f"`{path.name}` has a key of more than 200 parts",
            place=f"line {line}",
            hint=hint,
        )
    if endless := _ENDLESS.search(content):
        line = content.count(b"\n", 0, endless.start()) + 1
        raise LockfileError(
            f"`{path.name}` has a number of more than 1,000 digits",
            place=f"line {line}",
            hint=hint,
        )
    try:
        values = tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise LockfileError(
            f"`{path.name}` is not UTF-8 text", place=f"line {line}", hint=hint
        ) from None
    except tomllib.TOMLDecodeError as error:
        if conflict := _CONFLICT.search(content):
            line = content.count(b"\n", 0, conflict.start()) + 1
            raise LockfileError(
                f"`{path.name}` has the conflict markers of a git merge",
                place=f"line {line}",
                hint=f"take one side (`git checkout --ours {path.name}`), then lock "
                "again",
            ) from None
        raise LockfileError(
            f"`{path.name}` is not valid TOML: {_lower(str(error))}", hint=hint
        ) from None
    except RecursionError:
        raise LockfileError(
            f"`{path.name}` is not valid TOML: nested too deeply", hint=hint
        ) from None
    table = Table(values=values, place="", problems=Problems(path=path, hint=hint))
    if re.search(rb"u0000|U00000000", content):
        for place in _with_nul(values, ""):
            # No path, name or URL has one, and the system's calls stop at it.
            table.problems.note("a value with a NUL character means nothing", place)
        table.problems.raise_if_any()
    return table


def _with_nul(value: object, place: str) -> Iterator[str]:
    if isinstance(value, str) and "\0" in value:
        yield place
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _with_nul(inner, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _with_nul(inner, f"{place}[{index}]")


def locate_file(path: str, folder: Path) -> str:
    """Return the absolute path of a file that a lockfile in ``folder`` names.

    The last part stays as it is, should it be a symbolic link: what a wheel is for is
    told by its name.
    """
    place = folder / path
    return os.path.join(os.path.realpath(place.parent), place.name)


def warn_of_newer(path: Path, version: object) -> str:
    """Return the warning for a lockfile of a newer minor version than is known."""
    return (
        f"`{path.name}` has lock-version {version}, newer than this mvenv knows: "
        "what it means may have changed"
    )


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
