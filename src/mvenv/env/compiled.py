"""Whether an environment comes with its bytecode."""

from __future__ import annotations

import enum

__all__ = ["CACHE", "Bytecode"]

CACHE = "__pycache__"
"""Where Python looks for bytecode, beside the source (PEP 3147)."""


class Bytecode(enum.Enum):
    """What is done about bytecode when an environment is made."""

    EAGER = "eager"
    """All of it is there: what the store lacks is compiled first."""
    LAZY = "lazy"
    """What was compiled before is there; nothing is compiled now."""
    NONE = "none"
    """Python makes its own, as it imports."""
