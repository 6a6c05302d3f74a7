"""Errors in words: what happened, what was kept, what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from mvenv.errors import (
    BuildError,
    FileNotOffered,
    HashMismatch,
    LockfileError,
    MvenvError,
    NoCompatibleFile,
    SeveralErrors,
)

__all__ = ["error_lines", "error_value"]

_OUTPUT_LINES = 40
"""Lines of a back end's output that an error shows; the cause is near the end."""


def error_lines(error: MvenvError, *, indent: str = "") -> Iterator[str]:
    """Yield what a person reads of an error."""
    if isinstance(error, SeveralErrors):
        yield f"{indent}{_label()} {error.message}"
        for one in error.errors:
            yield ""
            yield from error_lines(one, indent=indent + "  ")
        return
    yield f"{indent}{_label()} {error.message}"
    for line in _facts(error):
        yield f"{indent}  {line}"
    if error.kept:
        yield f"{indent}  kept: {error.kept}"
    if error.hint:
        yield ""
        yield f"{indent}{click.style('hint:', fg='cyan', bold=True)} {error.hint}"


def _label() -> str:
    return click.style("error:", fg="red", bold=True)


def _facts(error: MvenvError) -> Iterator[str]:
    if isinstance(error, LockfileError) and error.place:
        yield f"at {error.place}"
    if isinstance(error, (NoCompatibleFile, FileNotOffered)):
        yield from (f"- {one}" for one in error.rejections)
    if isinstance(error, HashMismatch):
        yield f"expected {' or '.join(error.expected)}"
        yield f"     got {error.actual}"
    if isinstance(error, BuildError) and error.output:
        lines = error.output.rstrip().splitlines()
        if len(lines) > _OUTPUT_LINES:
            yield f"… {len(lines) - _OUTPUT_LINES} lines before these"
        yield from (f"| {line}" for line in lines[-_OUTPUT_LINES:])


def error_value(error: MvenvError) -> dict[str, Any]:
    """Return what a program reads of an error."""
    value: dict[str, Any] = {
        "kind": type(error).__name__,
        "message": error.message,
        "exit_code": error.exit_code,
    }
    if isinstance(error, SeveralErrors):
        value["errors"] = [error_value(one) for one in error.errors]
    facts = list(_facts(error))
    if facts:
        value["facts"] = facts
    if error.kept:
        value["kept"] = error.kept
    if error.hint:
        value["hint"] = error.hint
    return value
