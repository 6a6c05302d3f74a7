"""Tiny wheels and their lockfile, made here: the self-test needs no network.

Together they have one of each thing that can be damaged in its own way: modules, data,
a native file, an empty file, scripts of each kind, ``.pth``, shipped bytecode, text
that people edit, a namespace of several distributions, and a contested path.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["CONTESTANTS", "CONTESTED", "make_samples", "make_wheel"]

CONTESTED = "shared_by_two/__init__.py"
"""A path of two distributions, with different content."""

CONTESTANTS = frozenset({"maple", "oak"})
"""Those two."""

_EPOCH = (2020, 2, 2, 0, 0, 0)
_NAMES = (
    "alder",
    "birch",
    "cedar",
    "elm",
    "fir",
    "hazel",
    "larch",
    "maple",
    "oak",
    "pine",
    "rowan",
    "yew",
)
_BLOCK = 512


def make_samples(folder: Path, seed: random.Random, modules: int) -> Path:
    """Make the wheels in ``folder``, each with ``modules`` modules; return the lock."""
    folder.mkdir(parents=True, exist_ok=True)
    wheels = [
        make_wheel(folder, name, "1.0", dict(_files(name, seed, modules)))
        for name in _NAMES
    ]
    lockfile = folder / "pylock.toml"
    lines = ['lock-version = "1.0"', 'created-by = "mvenv-selftest"']
    for name, wheel in zip(_NAMES, wheels, strict=True):
        content = wheel.read_bytes()
        lines += [
            "",
            "[[packages]]",
            f'name = "{name}"',
            'version = "1.0"',
            f"wheels = [{_as_toml(wheel, content)}]",
        ]
    lockfile.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return lockfile


def _as_toml(wheel: Path, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    # JSON's strings are TOML's.
    name, path = json.dumps(wheel.name), json.dumps(str(wheel))
    hashes = f'{{sha256 = "{digest}"}}'
    size = len(content)
    return f"{{name = {name}, path = {path}, size = {size}, hashes = {hashes}}}"


def make_wheel(
    folder: Path, name: str, version: str, files: Mapping[str, bytes]
) -> Path:
    """Return a new wheel with ``files`` and what the specification asks for."""
    info = f"{name}-{version}.dist-info"
    contents = dict(files)
    contents[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        f"Summary: a sample of mvenv's self-test\n\n{name} is a tree.\n"
    ).encode()
    contents[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: mvenv-selftest\n"
        b"Root-Is-Purelib: true\nTag: py3-none-any\n"
    )
    contents[f"{info}/entry_points.txt"] = (
        f"[console_scripts]\n{name}-run = {name}:main\n".encode()
    )
    rows = [_row(path, content) for path, content in contents.items()]
    contents[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"]).encode()
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in contents.items():
            entry = zipfile.ZipInfo(path, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix: else the modes mean nothing
            entry.external_attr = (
                0o100755 if ".data/scripts" in path else 0o100644
            ) << 16
            archive.writestr(entry, content)
    return wheel


def _row(path: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
    return f"{path},sha256={digest.decode().rstrip('=')},{len(content)}\n"


def _files(name: str, seed: random.Random, modules: int) -> Iterator[tuple[str, bytes]]:
    """Yield the files of one distribution; only later names have special ones."""
    main = f"{name} = {seed.random()!r}\n\ndef main():\n    return 0\n"
    yield f"{name}/__init__.py", main.encode()
    for number in range(modules):
        below = "deep/er/" if number % 5 == 0 else ""
        yield f"{name}/{below}part{number}.py", _source(seed, number)
    yield f"{name}/py.typed", b""
    yield f"{name}/words.txt", f"the words of {name}\n".encode() * seed.randint(2, 60)
    yield f"{name}/data.bin", seed.randbytes(_BLOCK * seed.randint(3, 80))
    yield f"grove/{name}/__init__.py", f"tree = {name!r}\n".encode()
    yield from _special(name, seed)


def _source(seed: random.Random, number: int) -> bytes:
    lines = [f"# part {number}", "VALUES = {"]
    lines += [f"    {line}: {seed.random()!r}," for line in range(seed.randint(1, 90))]
    return "\n".join([*lines, "}", ""]).encode()


def _special(name: str, seed: random.Random) -> Iterator[tuple[str, bytes]]:
    scripts = f"{name}-1.0.data/scripts"
    if name == "cedar":
        yield f"{name}/_native.abi3.so", b"\x7fELF" + seed.randbytes(100_000)
        yield f"{scripts}/cedar-tool", b"#!python\nprint('a tool')\n"
        yield f"{scripts}/cedar.sh", b"#!/bin/sh\necho a shell tool\n"
    if name == "hazel":
        yield "hazel-paths.pth", b"import sys\n"
        yield f"{name}-1.0.data/data/share/hazel/notes.txt", b"notes\n" * 9
        yield f"{name}-1.0.data/data/etc/hazel.conf", b"[hazel]\nnuts = 3\n"
    if name == "larch":
        yield f"{name}/legacy.pyc", b"\xa7\r\r\n" + bytes(12) + seed.randbytes(300)
        yield f"{name}/templates/page.html", b"<p>larch</p>\n" * 5
    if name in CONTESTANTS:
        yield CONTESTED, f"owner = {name!r}\n".encode()
