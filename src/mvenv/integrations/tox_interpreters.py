"""What virtualenv knows of an interpreter, as each version of tox has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tox.tox_env.python.api import PythonInfo, VersionInfo

__all__ = ["described"]

_64_BITS = 64


def described(info: Any) -> PythonInfo | None:
    """Return what tox wants to know; `None` where that is not an interpreter."""
    if info.system_executable is None:
        return None
    version = info.version_info
    told_by_newer = {
        name: getattr(info, theirs)
        for name, theirs in (
            ("free_threaded", "free_threaded"),
            ("debug", "debug_build"),
            ("machine", "machine"),
            ("marker_environment", "marker_environment"),
        )
        if name in PythonInfo.__dataclass_fields__ and hasattr(info, theirs)
    }
    return PythonInfo(
        implementation=info.implementation,
        version_info=VersionInfo(
            version.major,
            version.minor,
            version.micro,
            version.releaselevel,
            version.serial,
        ),
        version=info.version,
        is_64=info.architecture == _64_BITS,
        platform=info.platform,
        extra={"executable": Path(info.system_executable).resolve()},
        **told_by_newer,
    )
