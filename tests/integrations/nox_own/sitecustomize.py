"""Puts the backend `mvenv` in the place of nox's `virtualenv`, for nox's own tests.

Python imports this by itself where this folder is on ``PYTHONPATH``, so commands that
the tests start have it, too. From the folder of nox's sources, with mvenv installed
beside nox::

    export PYTHONPATH=.../tests/integrations/nox_own
    python -m pytest -m "not conda and not rattler"

pip is seeded: with the backend that is replaced, some of the tests count on it.
"""

from __future__ import annotations

import contextlib
from typing import Any

with contextlib.suppress(ImportError):
    import nox.virtualenv

    from mvenv.integrations.nox_backend import MvenvBackend, register

    def _with_pip(*values: Any, venv_params: Any = (), **options: Any) -> MvenvBackend:
        return MvenvBackend(*values, venv_params=[*venv_params, "--seed"], **options)

    register()
    nox.virtualenv.ALL_VENVS["virtualenv"] = _with_pip
