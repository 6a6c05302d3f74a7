"""The names of the commands, and the modules of this package that have them."""

from __future__ import annotations

__all__ = ["MODULES"]

MODULES = {
    "create": "create",
    "adopt": "adopt",
    "doctor": "doctor",
    "sync": "sync",
    "rollback": "sync",
    "edit": "edit",
    "selftest": "selftest",
    "list": "overview",
    "du": "overview",
    "store": "store",
}
"""By name of the command, the module that has ``<name>_command``."""
