"""Real virtual environments, filled by links from a verified store."""

__all__ = ["__version__"]

__version__ = "0.1.0"
