"""For noxfiles: ``import mvenv.nox`` makes ``venv_backend="mvenv"`` known to nox.

`sync` installs what a lockfile says into a session's environment.
"""

from mvenv.integrations.nox_backend import register, sync

__all__ = ["register", "sync"]

register()
