"""Why a wheel's tags and a target's do not meet, in a sentence.

Tags: https://packaging.python.org/specifications/platform-compatibility-tags/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.tags import Tag

    from mvenv.target import Target

__all__ = ["Accepted", "describe_target", "explain"]

_IMPLEMENTATIONS = {"cp": "CPython", "pp": "PyPy", "gp": "GraalPy", "ip": "IronPython"}
_SYSTEMS = {
    "android": "Android",
    "emscripten": "the browser (Emscripten)",
    "freebsd": "FreeBSD",
    "ios": "iOS",
    "linux": "Linux",
    "macosx": "macOS",
    "pyodide": "the browser (Pyodide)",
    "wasi": "WASI",
    "win": "Windows",
}
_GLIBC = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_PLATFORM = re.compile(
    r"(?P<kind>manylinux\d+|[a-z]+)(?:_(?P<major>\d+)_(?P<minor>\d+))?"
    r"(?:_?(?P<arch>[a-z0-9].*))?"
)
_FAT = {  # macOS builds for several machines
    "universal2": {"arm64", "x86_64"},
    "universal": {"i386", "ppc", "ppc64", "x86_64"},
    "intel": {"i386", "x86_64"},
    "fat64": {"ppc64", "x86_64"},
    "fat32": {"i386", "ppc"},
    "fat3": {"i386", "ppc", "x86_64"},
    "fat": {"i386", "ppc"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Platform:
    """A platform tag, taken apart."""

    system: str
    libc: str | None
    version: tuple[int, int] | None
    """Of the C library or of macOS."""
    arch: str

    @classmethod
    def parse(cls, text: str) -> _Platform:
        match = _PLATFORM.fullmatch(text)
        if match is None:
            return cls(system=text, libc=None, version=None, arch="")
        kind, arch = match["kind"], match["arch"] or ""
        version = (int(match["major"]), int(match["minor"])) if match["major"] else None
        if kind in _GLIBC:
            version = _GLIBC[kind]
        libc = {"manylinux": "glibc", "musllinux": "musl"}.get(
            kind.rstrip("0123456789")
        )
        if libc or kind == "linux":
            return cls(system="linux", libc=libc, version=version, arch=arch)
        if text == "win32":
            return cls(system="win", libc=None, version=None, arch="32 bit")
        return cls(system=kind, libc=None, version=version, arch=arch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What a target accepts, as far as reasons need it."""

    pythons: frozenset[tuple[str, str]]
    """Pairs of interpreter and ABI."""
    platforms: frozenset[str]
    python: str
    """Like ``CPython 3.12``."""
    system: str
    arch: str
    libc: str | None
    version: tuple[int, int] | None
    """Of the C library or of macOS."""

    @classmethod
    def of(cls, target: Target, tags: Iterable[Tag]) -> Accepted:
        """Take it from the target's tags."""
        tags = list(tags)
        platforms = dict.fromkeys(tag.platform for tag in tags if tag.platform != "any")
        parsed = [_Platform.parse(text) for text in platforms]
        # The first is the interpreter's own; the platform's name may be a fat build's.
        own = target.platform.replace("-", "_").replace(".", "_")
        here = parsed[0] if parsed else _Platform.parse(own)
        libcs = [one for one in parsed if one.libc]
        return cls(
            pythons=frozenset((tag.interpreter, tag.abi) for tag in tags),
            platforms=frozenset({"any", *platforms}),
            python=describe_target(target),
            system=here.system,
            arch=here.arch,
            libc=libcs[0].libc if libcs else None,
            version=max(
                (one.version for one in libcs or parsed if one.version), default=None
            ),
        )


def describe_target(target: Target) -> str:
    """Return a target in words, like ``free-threaded CPython 3.13``."""
    names = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalPy"}
    name = names.get(target.implementation.lower(), target.implementation)
    free = "free-threaded " if target.free_threaded else ""
    return f"{free}{name} {target.short_version}"


def explain(tags: Iterable[Tag], accepted: Accepted) -> str:
    """Return why no tag is accepted, like ``built for macOS, this is Linux``."""
    tags = sorted(tags, key=str)
    pythons = dict.fromkeys((tag.interpreter, tag.abi) for tag in tags)
    platforms = dict.fromkeys(tag.platform for tag in tags)
    reasons = []
    if not accepted.pythons & pythons.keys():
        reasons.append((_or(map(_python, pythons)), accepted.python))
    if not accepted.platforms & platforms.keys():
        reasons.append(_platform_reason(map(_Platform.parse, platforms), accepted))
    if not reasons:  # each part fits, together they do not: py3-none-any of old
        reasons.append((_or(map(str, tags)), accepted.python))
    wanted = " on ".join(one for one, _ in reasons)
    there = " on ".join(one for _, one in reasons)
    return f"built for {wanted}, this is {there}"


def _or(words: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(words))


def _python(pair: tuple[str, str]) -> str:
    interpreter, abi = pair
    match = re.fullmatch(r"([a-z]+)(\d)?(\d*)", interpreter)
    if match is None:
        return interpreter
    version = ".".join(part for part in match.groups()[1:] if part)
    if match[1] == "py":
        return f"Python {version} or newer" if "." in version else f"Python {version}"
    name = _IMPLEMENTATIONS.get(match[1], match[1])
    if abi == "abi3":
        return f"{name} {version} or newer"
    if re.fullmatch(r"cp\d+t", abi):
        return f"free-threaded {name} {version}"
    if re.fullmatch(r"cp\d+[a-z]*d", abi):
        return f"a debug build of {name} {version}"
    return f"{name} {version}"


def _platform_reason(
    platforms: Iterable[_Platform], accepted: Accepted
) -> tuple[str, str]:
    """Return what is wanted and what is there, by the first thing that differs."""
    wanted = list(platforms)
    same = [one for one in wanted if one.system == accepted.system]
    if not same:
        names = (_SYSTEMS.get(one.system, one.system) for one in wanted)
        return _or(names), _SYSTEMS.get(accepted.system, accepted.system)
    machine = [one for one in same if accepted.arch in _FAT.get(one.arch, {one.arch})]
    if not machine:
        return _or(one.arch for one in same), accepted.arch
    libc = [one for one in machine if one.libc == accepted.libc]
    if not libc:
        names = (one.libc or "no certain C library" for one in machine)
        return _or(names), accepted.libc or "an unknown C library"
    name = accepted.libc or _SYSTEMS.get(accepted.system, accepted.system)
    least = min((one.version for one in libc if one.version), default=None)
    return f"{name} {_dotted(least)} or newer", f"{name} {_dotted(accepted.version)}"


def _dotted(version: tuple[int, int] | None) -> str:
    return ".".join(map(str, version)) if version else "unknown"
