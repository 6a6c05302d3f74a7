"""A pip to run from outside: unpacked, with its bytecode, so that it starts soon."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mvenv.env.seeds import seed_wheel
from mvenv.errors import MvenvError
from mvenv.installing.making import make_for
from mvenv.target import Target

if TYPE_CHECKING:
    from mvenv.installing.request import InstallRequest

__all__ = ["pip_at_hand"]


def pip_at_hand(request: InstallRequest, target: Target) -> Path:
    """Return what `run_pip` takes: pip in an environment of its own, beside the notes.

    It is linked, and made once for each version of Python. Where that cannot be, pip's
    wheel, which takes twice as long.
    """
    folder = request.notes.parent / f"pip-{target.cache_tag}"
    inside = folder / target.scheme.purelib
    if not _is_there(inside):
        try:
            make_for(request, target, folder, seeds=("pip",))
        except MvenvError:
            # Another thread may have been faster.
            if not _is_there(inside):
                return seed_wheel(target, "pip")
    return inside


def _is_there(inside: Path) -> bool:
    return (inside / "pip" / "__main__.py").is_file()
