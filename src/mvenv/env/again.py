"""The bare part of an environment that is there, as it was asked for."""

from __future__ import annotations

from mvenv.env.bare import BareEnvironment, VenvOptions, read_program, render
from mvenv.env.receipt import Receipt
from mvenv.env.skeleton import load_skeleton
from mvenv.target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mvenv.paths import StrPath

__all__ = ["render_again"]


def render_again(
    receipt: Receipt, target: Target, path: str, memory: StrPath | None
) -> BareEnvironment:
    """Return what ``receipt`` speaks of, for ``target`` and at ``path``.

    ``memory`` is where skeletons are remembered. `InterpreterError` where that
    interpreter makes none.
    """
    asked = receipt.asked
    return render(
        load_skeleton(target, memory),
        env_dir=path,
        prompt=asked.prompt,
        options=VenvOptions(with_pip=asked.seed, prompt=asked.prompt),
        system_site_packages=asked.system_site_packages,
        scm_ignore=asked.scm_ignore,
        made_by=receipt.mvenv,
        program=read_program(target) if asked.copies else None,
    )
