"""Looks that write nothing: `mvenv list`, `du`, `store list`, `store verify`."""

from __future__ import annotations

from mvenv.overview.environments import (
    ListedEnvironment,
    LockState,
    Overview,
    list_environments,
)
from mvenv.overview.stored import (
    StoredEntry,
    StoreOverview,
    StoreVerdict,
    list_store,
    verify_store,
)
from mvenv.overview.usage import DiskUsage, EnvironmentUsage, disk_usage

__all__ = [
    "DiskUsage",
    "EnvironmentUsage",
    "ListedEnvironment",
    "LockState",
    "Overview",
    "StoreOverview",
    "StoreVerdict",
    "StoredEntry",
    "disk_usage",
    "list_environments",
    "list_store",
    "verify_store",
]
