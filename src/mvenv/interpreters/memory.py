"""Answers that are kept for as long as the files they came from are unchanged.

An answer is remembered with its witnesses: the size and mtime that each deciding file
had when the answer was found. One look at each of them tells whether it still holds,
so recalling an answer costs a few ``stat`` calls. Standard library only.
"""

from __future__ import annotations

import contextlib
import os

from mvenv import __version__
from mvenv.hashes import quick_digest
from mvenv.records import load_json, store_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from mvenv.paths import StrPath

__all__ = ["Witness", "bear_witness", "recall", "remember"]

Witness = tuple[str, int, int]
"""Path, size in bytes, mtime in nanoseconds; -1 and -1 where nothing is there."""

_FORMAT = 1


def bear_witness(path: str) -> Witness:
    """Return how the file or folder at ``path`` is now; links are followed."""
    try:
        seen = os.stat(path)
    except (OSError, ValueError):
        return (path, -1, -1)
    return (path, seen.st_size, seen.st_mtime_ns)


def recall(memory: StrPath | None, kind: str, question: tuple[str, ...]) -> Any:
    """Return the answer remembered for ``question``, or `None` if it holds no more."""
    if memory is None:
        return None
    try:
        record = load_json(_place(memory, kind, question), kind, _FORMAT)
        if record["question"] != list(question):
            return None
        for path, size, mtime in record["witnesses"]:
            if bear_witness(path) != (path, size, mtime):
                return None
        return record["answer"]
    # A sealed record is what we wrote; one from a future mvenv may be anything.
    except (KeyError, TypeError, ValueError):
        return None


def remember(
    memory: StrPath | None,
    kind: str,
    question: tuple[str, ...],
    answer: Any,
    witnesses: Iterable[Witness],
) -> None:
    """Keep ``answer``, a JSON value; a folder that cannot be written forgets it."""
    if memory is None:
        return
    record = {"question": question, "witnesses": tuple(witnesses), "answer": answer}
    with contextlib.suppress(OSError):
        os.makedirs(memory, exist_ok=True)
        store_json(_place(memory, kind, question), kind, _FORMAT, record)


def _place(memory: StrPath, kind: str, question: tuple[str, ...]) -> str:
    # Another version of mvenv may ask the same and expect another kind of answer.
    text = "\0".join((__version__, *question))
    digest = quick_digest(text.encode("utf-8", "surrogateescape"))
    return os.path.join(memory, f"{kind}-{digest}")
