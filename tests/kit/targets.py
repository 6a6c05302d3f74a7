"""Targets of any Python and system, made from `packaging.tags`: none is inspected."""

from __future__ import annotations

from functools import cache

from packaging import tags

from mvenv.target import Scheme, Target

__all__ = ["PYTHONS", "SYSTEMS", "make_target"]

PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13")
SYSTEMS = ("linux", "macos", "windows")

_ALIASES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


def _linux(machine: str, glibc: int) -> list[str]:
    found = []
    for minor in range(glibc, 4, -1):
        found.append(f"manylinux_2_{minor}_{machine}")
        if minor in _ALIASES:
            found.append(f"{_ALIASES[minor]}_{machine}")
    return [*found, f"linux_{machine}"]


def _musl(machine: str) -> list[str]:
    found = [f"musllinux_1_{minor}_{machine}" for minor in (2, 1, 0)]
    return [*found, f"linux_{machine}"]


def _platforms(system: str, machine: str, glibc: int) -> list[str]:
    if system == "linux":
        return _linux(machine, glibc)
    if system == "musl":
        return _musl(machine)
    if system == "macos":
        return list(tags.mac_platforms((14, 0), machine))
    return [f"win_{machine.lower()}"]


_MARKERS = {
    "linux": {"os_name": "posix", "platform_system": "Linux", "sys_platform": "linux"},
    "macos": {
        "os_name": "posix",
        "platform_system": "Darwin",
        "sys_platform": "darwin",
    },
    "windows": {
        "os_name": "nt",
        "platform_system": "Windows",
        "sys_platform": "win32",
    },
}
_NAMES = {
    "linux": "linux-{}",
    "musl": "linux-{}",
    "macos": "macosx-11.0-{}",
    "windows": "win-{}",
}
_MACHINES = {
    "linux": "x86_64",
    "musl": "x86_64",
    "macos": "arm64",
    "windows": "AMD64",
}


@cache
def make_target(
    python: str = "3.12",
    system: str = "linux",
    *,
    machine: str | None = None,
    glibc: int = 36,
    free_threaded: bool = False,
    micro: int = 4,
) -> Target:
    """Return a CPython; ``glibc`` is its minor version."""
    major, minor = (int(part) for part in python.split("."))
    machine = machine or _MACHINES[system]
    platforms = _platforms(system, machine, glibc)
    abi = f"cp{major}{minor}" + ("t" if free_threaded else "")
    own = tags.cpython_tags((major, minor), abis=[abi], platforms=platforms)
    others = tags.compatible_tags((major, minor), f"cp{major}{minor}", platforms)
    library = f"lib/python{python}"
    return Target(
        executable=f"/opt/python{python}/bin/python{python}",
        real_executable=f"/opt/python{python}/bin/python{python}",
        implementation="cpython",
        version=f"{python}.{micro}",
        version_info=(major, minor, micro),
        cache_tag=f"cpython-{major}{minor}",
        platform=_NAMES[system].format(machine.lower()),
        free_threaded=free_threaded,
        markers={
            "implementation_name": "cpython",
            "implementation_version": f"{python}.{micro}",
            "platform_machine": machine,
            "platform_python_implementation": "CPython",
            "platform_release": "6.1.0",
            "platform_version": "#1 SMP",
            "python_full_version": f"{python}.{micro}",
            "python_version": python,
            **_MARKERS["linux" if system == "musl" else system],
        },
        tags=tuple(map(str, (*own, *others))),
        scheme=Scheme(
            purelib=f"{library}/site-packages",
            platlib=f"{library}/site-packages",
            scripts="bin",
            headers=f"include/site/python{python}",
            data="",
        ),
        stdlib=f"/opt/python{python}/{library}",
    )
