"""Tiny wheels, real and spec-true, the same bytes on every run."""

from __future__ import annotations

import base64
import hashlib
import re
import stat
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

__all__ = ["WheelMaker", "escape", "sha256_of"]

_EPOCH = (2020, 2, 2, 0, 0, 0)


def escape(name: str) -> str:
    """Return ``name`` as file names of wheels and sdists have it."""
    return re.sub(r"[-_.]+", "_", name).lower()


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _to_bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _wheel_text(tag: str, build: str | None, *, purelib: bool) -> str:
    lines = [
        "Wheel-Version: 1.0",
        "Generator: mvenv-tests 1",
        f"Root-Is-Purelib: {str(purelib).lower()}",
    ]
    python, abi, platform = (part.split(".") for part in tag.split("-"))
    lines += ["Tag: " + "-".join(one) for one in product(python, abi, platform)]
    lines += [f"Build: {build}"] if build else []
    return "\n".join(lines) + "\n"


def _record(files: Mapping[str, bytes], own_path: str) -> bytes:
    rows = []
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
        quoted = f'"{path}"' if "," in path else path
        rows.append(f"{quoted},sha256={digest.decode().rstrip('=')},{len(content)}")
    return "\n".join([*rows, f"{own_path},,", ""]).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelMaker:
    """Makes wheels in ``folder``."""

    folder: Path

    def __call__(
        self,
        name: str,
        version: str = "1.0",
        files: Mapping[str, str | bytes] | None = None,
        *,
        tag: str = "py3-none-any",
        build: str | None = None,
        entry_points: str | None = None,
        metadata: str = "",
        root_is_purelib: bool = True,
        executables: Collection[str] = (),
        folder: Path | None = None,
    ) -> Path:
        """Return a new wheel.

        ``files`` are paths below the archive's root (default: a module of the
        project's name); one of the dist-info's own paths, RECORD too, replaces what
        would be made. ``metadata`` are further lines of METADATA. ``executables``
        are those of ``files`` with mode 0755.
        """
        stem = f"{escape(name)}-{version}"
        info = f"{stem}.dist-info"
        if files is None:
            files = {f"{escape(name)}/__init__.py": f"version = {version!r}\n"}
        headers = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        extra = f"{metadata.strip()}\n" if metadata.strip() else ""
        made: dict[str, str | bytes] = {
            **{path: text for path, text in files.items() if path != f"{info}/RECORD"},
            f"{info}/METADATA": files.get(f"{info}/METADATA", headers + extra),
            f"{info}/WHEEL": files.get(
                f"{info}/WHEEL", _wheel_text(tag, build, purelib=root_is_purelib)
            ),
        }
        if entry_points is not None:
            made[f"{info}/entry_points.txt"] = entry_points
        contents = {path: _to_bytes(content) for path, content in made.items()}
        record = files.get(f"{info}/RECORD")
        contents[f"{info}/RECORD"] = (
            _record(contents, f"{info}/RECORD") if record is None else _to_bytes(record)
        )
        middle = f"-{build}" if build else ""
        target = (folder or self.folder) / f"{stem}{middle}-{tag}.whl"
        _write_archive(target, contents, executables)
        return target


def _write_archive(
    target: Path, contents: Mapping[str, bytes], executables: Collection[str]
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in contents.items():
            entry = zipfile.ZipInfo(path, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix: else the modes mean nothing
            mode = 0o755 if path in executables else 0o644
            entry.external_attr = (stat.S_IFREG | mode) << 16
            archive.writestr(entry, content)
