"""The plugin for tox, found by its entry point: hooks alone, and nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tox.plugin import impl

from mvenv.integrations.tox_runner import (
    MvenvCmdBuilder,
    MvenvPep517Packager,
    MvenvRunner,
)
from mvenv.names import normalized

if TYPE_CHECKING:
    from tox.config.sets import ConfigSet
    from tox.session.state import State
    from tox.tox_env.register import ToxEnvRegister

__all__ = ["tox_add_core_config", "tox_register_tox_env"]


@impl
def tox_register_tox_env(register: ToxEnvRegister) -> None:
    """Make the runner and its packaging environments known; nobody's default."""
    register.add_run_env(MvenvRunner)
    register.add_package_env(MvenvPep517Packager)
    register.add_package_env(MvenvCmdBuilder)


@impl
def tox_add_core_config(core_conf: ConfigSet, state: State) -> None:
    """Make the runner the default of a project that requires mvenv.

    What a command line or ``TOX_DEFAULT_RUNNER`` says comes first, and a ``runner`` of
    an environment before all.
    """
    core_conf.add_config(
        keys=["mvenv_default"],
        of_type=bool,
        default=_is_required(core_conf),
        desc="let mvenv make all environments that name no runner (default: whether"
        " `requires` names mvenv)",
    )
    if core_conf["mvenv_default"] and not _is_chosen(state):
        state.conf.options.default_runner = MvenvRunner.id()


def _is_required(core_conf: ConfigSet) -> bool:
    try:
        requires = core_conf["requires"]
    except KeyError:
        return False
    return any(normalized(one.name) == "mvenv" for one in requires)


def _is_chosen(state: State) -> bool:
    """Return whether a person has named a runner for this run."""
    named = any(word.split("=")[0] == "--runner" for word in state.args)
    return named or "TOX_DEFAULT_RUNNER" in os.environ
