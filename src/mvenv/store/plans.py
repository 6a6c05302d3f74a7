"""Plans in the store: each once, under the sha256 of its record."""

from __future__ import annotations

import contextlib

from mvenv.hashes import digest_bytes
from mvenv.paths import read_bytes
from mvenv.records import replace_bytes
from mvenv.store.layout import StoreLayout

__all__ = ["ANSWER", "RECIPE", "keep_plan", "plan_text", "recall_plan"]

ANSWER = ("ready", 2)
"""Kind and format of the records in ``ready/``: lists, with a plan's sha256 first."""

RECIPE = ".recipe"
"""How the names in ``ready/`` end, behind a plan's sha256, of what is made of it."""
_SEALED = 0o444


def keep_plan(layout: StoreLayout, content: bytes, sha256: str) -> str:
    """Keep a plan's record and return its file; `OSError` where that fails."""
    path = plan_text(layout, sha256)
    with contextlib.suppress(OSError):
        if read_bytes(path) == content:
            return path
    replace_bytes(path, content, mode=_SEALED)
    return path


def recall_plan(layout: StoreLayout, sha256: str) -> bytes | None:
    """Return the record kept under ``sha256``, or `None`: not there, or damaged."""
    try:
        content = read_bytes(plan_text(layout, sha256))
    except OSError:
        return None
    return content if digest_bytes(content).sha256 == sha256 else None


def plan_text(layout: StoreLayout, sha256: str) -> str:
    """Return the file of a plan, there or not, as text."""
    return f"{layout.root_text}/plans/{sha256}"
