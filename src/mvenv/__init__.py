"""Real virtual environments, filled by links from a verified store."""

from importlib import import_module

__all__ = ["EnvBuilder", "__version__", "create"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Load the stand-ins for `venv` when they are asked for (PEP 562)."""
    if name not in {"EnvBuilder", "create"}:
        raise AttributeError(f"module `mvenv` has no attribute `{name}`")
    return getattr(import_module("mvenv.integrations.venv"), name)
