"""Where things are in an environment."""

from __future__ import annotations

import os

__all__ = ["python_in"]


def python_in(env_dir: str) -> str:
    """Return the interpreter of the environment ``env_dir``."""
    return os.path.join(env_dir, "bin", "python")
