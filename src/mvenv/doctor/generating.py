"""What is written into an environment and not linked: made again, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mvenv.env.again import render_again
from mvenv.env.bare import BareEnvironment
from mvenv.env.paths import python_in
from mvenv.env.receipt import Receipt
from mvenv.env.scripts import compose_script
from mvenv.hashes import digest_bytes
from mvenv.interpreters import inspect_interpreter
from mvenv.plan.model import Plan
from mvenv.store.layout import StoreLayout
from mvenv.target import Target
from mvenv.wheels.record import record_row

__all__ = ["Generated", "bare_for", "digest_of", "generate", "generate_bare"]

_PLAIN, _EXECUTABLE = 0o644, 0o755


class Generated(NamedTuple):
    """A file that is written, or a link."""

    content: bytes | str
    """Text is what a symbolic link points to."""
    mode: int


def digest_of(one: Generated) -> str | None:
    """Return the sha256 of a file that is written; `None` of a link."""
    return None if isinstance(one.content, str) else digest_bytes(one.content).sha256


def generate(plan: Plan, path: str) -> dict[str, Generated]:
    """Return what a plan has written into an environment at ``path``, by path."""
    python = python_in(path)
    made = {}
    rows: dict[str, tuple[str, int]] = {}
    for script in plan.scripts:
        own = script.shebang_of(python)
        content = compose_script(own, script.body, script.arguments)
        digest = digest_bytes(content)
        rows[script.path] = (digest.sha256, digest.size)
        made[script.path] = Generated(content, _EXECUTABLE)
    for file in plan.files:
        mode = _EXECUTABLE if file.executable else _PLAIN
        made[file.path] = Generated(file.content, mode)
    for record in plan.records:
        lines = [record.rows]
        lines += [record_row(one, *rows[one], record.site) for one in record.scripts]
        text = "".join(lines).encode("utf-8", "surrogateescape")
        made[record.path] = Generated(text, _PLAIN)
    return made


def bare_for(
    receipt: Receipt, target: Target, path: str, layout: StoreLayout | None
) -> BareEnvironment:
    """Return the bare environment of ``target`` at ``path``, with what was asked for.

    `InterpreterError` where that interpreter makes none. Without ``layout`` nothing is
    remembered.
    """
    memory = layout.interpreters if layout is not None else None
    return render_again(receipt, target, path, memory)


def generate_bare(
    receipt: Receipt, layout: StoreLayout | None
) -> Iterator[tuple[str, Generated]]:
    """Yield the files and links of an environment's bare part, by path."""
    memory = layout.interpreters if layout is not None else None
    target = inspect_interpreter(receipt.interpreter, memory=memory)
    bare = bare_for(receipt, target, receipt.path, layout)
    for path, content, mode in bare.files:
        yield path, Generated(content, _EXECUTABLE if mode & 0o100 else _PLAIN)
    for path, points_to in bare.symlinks:
        yield path, Generated(points_to, 0)
