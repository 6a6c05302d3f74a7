"""The interpreter's own ``venv``, over what is there already."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mvenv import __version__
from mvenv.adopt import AdoptRequest, adopt
from mvenv.dropin.request import VenvRequest
from mvenv.env.again import render_again
from mvenv.env.bare import BareEnvironment
from mvenv.env.receipt import Generated, Receipt, write_receipt
from mvenv.env.state import EnvironmentState
from mvenv.env.writing import Writer
from mvenv.errors import EnvironmentFault, LinkError, SystemFault
from mvenv.fetch.pip import pip_environment, scratch
from mvenv.interpreters import find_interpreter, inspect_interpreter
from mvenv.interpreters.running import run_python
from mvenv.locking import lock_folder
from mvenv.progress import Reporter
from mvenv.store.layout import StoreLayout, open_layout
from mvenv.surroundings import Surroundings
from mvenv.target import Target
from mvenv.values import replace

__all__ = ["make_known", "renew"]

_PATIENCE = 600.0
"""Seconds for pip, which may be fetched and is compiled."""
_WITH_UPGRADE_DEPS = (3, 9)
_WITH_IGNORE_FILES = (3, 13)


def renew(request: VenvRequest, state: EnvironmentState, reporter: Reporter) -> None:
    """Run ``venv`` on a folder and make known what came of it.

    It replaces its own files, keeps all others, and installs pip where there is none;
    so it does what it has always done there. `EnvironmentFault` where it fails.
    """
    said = request.surroundings
    layout = open_layout(said.store)
    executable = find_interpreter(
        request.python, cache_folder=layout.interpreters_text, environ=said.environ
    )
    target = inspect_interpreter(executable, memory=layout.interpreters_text)
    words = ["-I", "-m", "venv", *_arguments(request, target), state.path_text]
    with scratch(Path(tempfile.gettempdir())) as temporary:
        # For the pip that it may run: our own settings of the index count.
        environ = pip_environment(said.fetch, said.environ, temporary)
        answer = run_python(
            target.executable, words, timeout=_PATIENCE, environ=environ
        )
    if answer.status:
        reason = answer.reason().removeprefix("Error: ")
        raise EnvironmentFault(
            f"`{state.path_text}` could not be renewed by the interpreter's own venv:"
            f" {reason}",
            hint="`--clear` makes a new one in its place",
        )
    _keep_on_record(request, state, target, layout)
    make_known(state.path, said, reporter)


def _keep_on_record(
    request: VenvRequest, state: EnvironmentState, target: Target, layout: StoreLayout
) -> None:
    """Make the bare part of an environment of ours as ours are, and put it down."""
    receipt = state.receipt
    if receipt is None or not _is_of(receipt, target):
        return
    receipt = replace(
        receipt,
        mvenv=__version__,
        asked=replace(
            receipt.asked,
            prompt=request.prompt_shown,
            system_site_packages=request.system_site_packages,
            seed=request.with_pip or receipt.asked.seed,
            copies=request.copies,
            scm_ignore=request.scm_ignore,
        ),
    )
    bare = render_again(receipt, target, state.path_text, layout.interpreters_text)
    try:
        with lock_folder(state.place, exclusive=True):
            written = _written(bare, state)
            rows = {row.path: row for row in (*receipt.generated, *written)}
            made = replace(receipt, generated=tuple(rows.values()))
            write_receipt(state.place, made)
    except OSError as error:
        doing = "the environment cannot be written"
        raise SystemFault.from_os_error(error, doing) from error


def _written(bare: BareEnvironment, state: EnvironmentState) -> list[Generated]:
    root = os.open(state.place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        writer = Writer(root=root, replaces=True)
        writer.make_folders(bare.folders)
        writer.write_bare(bare)
    finally:
        os.close(root)
    return writer.written


def _is_of(receipt: Receipt, target: Target) -> bool:
    return receipt.interpreter_version.split(".")[:2] == target.version.split(".")[:2]


def make_known(folder: Path, said: Surroundings, reporter: Reporter) -> None:
    """Share the files of an environment that `venv` made, and put it on record.

    Where it and the store can share nothing there is nothing to do. `MvenvError` where
    it cannot be; the environment is whole then, too.
    """
    adopted = AdoptRequest(
        folder=folder,
        policy=said.policy,
        store=Path(said.store),
        seal=said.seal,
        dry_run=False,
    )
    with contextlib.suppress(LinkError):
        adopt(adopted, reporter)


def _arguments(request: VenvRequest, target: Target) -> Iterator[str]:
    version = target.version_info[:2]
    told = (
        (request.system_site_packages, "--system-site-packages"),
        (True, "--copies" if request.copies else "--symlinks"),
        (request.clear, "--clear"),
        (request.upgrade, "--upgrade"),
        (not request.with_pip, "--without-pip"),
        (request.upgrade_deps and version >= _WITH_UPGRADE_DEPS, "--upgrade-deps"),
        (
            not request.scm_ignore and version >= _WITH_IGNORE_FILES,
            "--without-scm-ignore-files",
        ),
    )
    yield from (text for wanted, text in told if wanted)
    if request.prompt is not None:
        yield f"--prompt={request.prompt}"
