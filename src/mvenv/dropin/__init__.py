"""What ``python -m venv`` does: a bare environment, with pip, at any folder.

Where there is nothing, or what is there is to be replaced, it is made as `create` makes
environments, with pip as a linked wheel. Where there is something that stays, the
interpreter's own ``venv`` goes over it, and what came of it is adopted.
"""

from __future__ import annotations

import os

from mvenv.creation import create
from mvenv.creation.request import CreateRequest
from mvenv.dropin.request import VenvRequest
from mvenv.env.bare import check_path
from mvenv.env.clearing import check_apart, emptied
from mvenv.env.state import Standing, observe
from mvenv.errors import UsageError
from mvenv.selection.groups import GroupOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mvenv.paths import StrPath
    from mvenv.progress import Reporter

__all__ = ["VenvRequest", "make_venv"]


def make_venv(request: VenvRequest, reporter: Reporter) -> None:
    """Make an environment, or renew the one that is there, as ``venv`` does.

    `MvenvError` where it cannot be made; nothing is half-made then, but where the
    interpreter's own ``venv`` went over something that is there.
    """
    if request.upgrade and request.clear:
        raise UsageError("you cannot supply --upgrade and --clear together.")
    state = observe(request.folder)
    # Before anything is changed: whoever does it would only find out then.
    check_path(state.path_text)
    check_apart(state, request.surroundings.store)
    stays = state.standing in {Standing.ENVIRONMENT, Standing.FOREIGN}
    if request.upgrade or (stays and not request.clear):
        from mvenv.dropin.renewing import renew

        renew(request, state, reporter)
        return
    if state.standing is not Standing.FOREIGN:
        create(_create_request(request), reporter)
        return
    with emptied(state, _needed(request)):
        create(_create_request(request), reporter)


def _needed(request: VenvRequest) -> Iterator[tuple[str, StrPath]]:
    import sys

    yield "your home folder", request.surroundings.environ.get("HOME") or os.sep
    yield "mvenv itself", sys.prefix
    yield "mvenv itself", os.path.dirname(os.path.dirname(__file__))
    yield "the interpreter", sys.base_prefix


def _create_request(request: VenvRequest) -> CreateRequest:
    said = request.surroundings
    return CreateRequest(
        folder=request.folder,
        lockfile=None,
        locked=False,
        start=request.start,
        python=request.python,
        groups=GroupOptions(),
        policy=said.policy,
        require_link=False,
        seeds=None if request.with_pip else (),
        bundled_seeds=said.bundled_seeds,
        upgrade_seeds=request.upgrade_deps and request.with_pip,
        bytecode=said.bytecode,
        prompt=request.prompt,
        system_site_packages=request.system_site_packages,
        clear=request.clear,
        copies=request.copies,
        scm_ignore=request.scm_ignore,
        store=said.store,
        seal=said.seal,
        fetch=said.fetch,
        environ=said.environ,
    )
