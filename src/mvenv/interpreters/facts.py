"""A script that runs inside another interpreter and prints what it is, as JSON.

It must run on every CPython since 3.5, so that one that is too old can say so;
started with ``-I -S``, so no ``sitecustomize`` speaks before it.
"""

import json
import os
import platform
import sys
import sysconfig
from typing import Any

__all__ = ["gather_facts"]


def _full_version(version: Any) -> str:
    # As `packaging.markers.format_full_version`.
    text = "{}.{}.{}".format(*version)
    if version.releaselevel != "final":
        text += version.releaselevel[0] + str(version.serial)
    return text


def _scheme() -> Any:
    # Python 3.11 has a scheme for virtual environments, which distributors leave as
    # it is; before it `venv` made the folders of this one.
    venv = "venv" in sysconfig.get_scheme_names()
    root = "/environment"
    bases = ("base", "platbase", "installed_base", "installed_platbase")
    variables = dict.fromkeys(bases, root)
    paths = {}
    for name in ("purelib", "platlib", "scripts", "data"):
        path = sysconfig.get_path(name, "venv" if venv else "posix_prefix", variables)
        paths[name] = path[len(root) + 1 :]
    return paths


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, OSError, ValueError):
        return ""


def gather_facts() -> Any:
    """Return what the running interpreter is."""
    variable = sysconfig.get_config_var
    version = sys.version_info
    debug = variable("Py_DEBUG")
    return {
        "executable": sys.executable,
        "base": getattr(sys, "_base_executable", None) or sys.executable,
        "implementation": sys.implementation.name,
        "version": platform.python_version(),
        "version_info": list(version[:3]),
        "cache_tag": sys.implementation.cache_tag,
        "platform": sysconfig.get_platform(),
        "nodot": variable("py_version_nodot") or "{}{}".format(*version),
        "debug": bool(hasattr(sys, "gettotalrefcount") if debug is None else debug),
        "free_threaded": bool(variable("Py_GIL_DISABLED")),
        # What decides about binary compatibility, beside the machine.
        "kind": [sys.platform, platform.machine(), sys.maxsize > 2**32, _libc()],
        "markers": {
            "implementation_name": sys.implementation.name,
            "implementation_version": _full_version(sys.implementation.version),
            "os_name": os.name,
            "platform_machine": platform.machine(),
            "platform_release": platform.release(),
            "platform_system": platform.system(),
            "platform_version": platform.version(),
            "python_full_version": platform.python_version(),
            "platform_python_implementation": platform.python_implementation(),
            "python_version": "{}.{}".format(*version),
            "sys_platform": sys.platform,
        },
        "scheme": _scheme(),
        "stdlib": sysconfig.get_path("stdlib"),
        "library": (
            os.path.join(variable("LIBDIR") or "", variable("INSTSONAME") or "")
            if variable("Py_ENABLE_SHARED")
            else None
        ),
    }


if __name__ == "__main__":
    # Between two marks, in case a wrapper script prints something of its own.
    _MARK = "<<mvenv>>"
    os.write(1, (_MARK + json.dumps(gather_facts()) + _MARK).encode("ascii"))
