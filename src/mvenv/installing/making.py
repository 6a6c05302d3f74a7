"""Environments for our own use: for pip, and for building a project's wheel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mvenv.creation import create
from mvenv.creation.request import CreateRequest
from mvenv.env.compiled import Bytecode
from mvenv.progress import Silent
from mvenv.selection.groups import GroupOptions
from mvenv.target import Target

if TYPE_CHECKING:
    from mvenv.installing.request import InstallRequest

__all__ = ["make_for"]


def make_for(
    request: InstallRequest,
    target: Target,
    folder: Path,
    *,
    lockfile: Path | None = None,
    seeds: tuple[str, ...] = (),
) -> None:
    """Make an environment at ``folder``; `MvenvError` where that cannot be."""
    said = request.surroundings
    os.makedirs(folder.parent, exist_ok=True)
    create(
        CreateRequest(
            folder=folder,
            lockfile=lockfile,
            locked=lockfile is not None,
            start=request.start,
            python=target.executable,
            groups=GroupOptions(),
            policy=said.policy,
            require_link=False,
            seeds=seeds,
            bytecode=Bytecode.EAGER,
            prompt=None,
            system_site_packages=False,
            clear=True,
            store=said.store,
            seal=said.seal,
            fetch=said.fetch,
            environ=request.environ,
        ),
        Silent(),
    )
