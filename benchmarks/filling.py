"""Many tiny wheels, made on the spot, and a lock that names them."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from pathlib import Path

__all__ = ["make_wheel", "write_lock"]

_DATE = (2020, 2, 2, 0, 0, 0)


def make_wheel(folder: Path, number: int) -> Path:
    """Return a wheel of one module, unlike all others."""
    name = f"filling_{number}"
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}/__init__.py": f"NUMBER = {number}\n" * 100,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: benchmarks\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{path},{_digest(text)},{len(text)}\n" for path, text in files.items()]
    files[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"])
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path, _DATE), text)
    return wheel


def _digest(text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
    return f"sha256={digest.decode().rstrip('=')}"


def write_lock(folder: Path, count: int) -> Path:
    """Make ``count`` wheels in ``folder``; return a pylock.toml of them."""
    folder.mkdir()
    lines = ['lock-version = "1.0"', 'created-by = "benchmarks"']
    for number in range(count):
        wheel = make_wheel(folder, number)
        sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines += [
            "\n[[packages]]",
            f'name = "filling-{number}"',
            'version = "1.0"',
            "[[packages.wheels]]",
            f"path = {json.dumps(wheel.name)}",
            f'hashes = {{sha256 = "{sha256}"}}',
        ]
    lock = folder / "pylock.toml"
    lock.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return lock
