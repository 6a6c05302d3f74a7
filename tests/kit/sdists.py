"""Source projects that build without a network: the back end is inside."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kit.wheels import escape

__all__ = ["ProjectMaker", "SdistMaker"]

_EPOCH = 1580601600

_PYPROJECT = """\
[build-system]
requires = []
build-backend = "tiny_backend"
backend-path = ["_build"]

[project]
name = {name}
version = {version}
"""

# A PEP 517/660 back end for Python >= 3.8. It packs `src/`, and tells of each build
# in the file that `project.json` names, so that a test can count builds.
_BACKEND = '''\
"""A build back end without dependencies."""
import base64, hashlib, json, os, sys, tarfile, zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
with open(os.path.join(HERE, "project.json"), encoding="utf-8") as stream:
    PROJECT = json.load(stream)
STEM = PROJECT["stem"]


def _begin(hook):
    if PROJECT["log"]:
        with open(PROJECT["log"], "a", encoding="utf-8") as stream:
            stream.write(hook + "\\n")
    if PROJECT["fails"]:
        print(PROJECT["fails"])
        print(PROJECT["fails"], file=sys.stderr)
        raise SystemExit(3)


def _pack(folder, files):
    info = STEM + ".dist-info"
    files = dict(files)
    files[info + "/METADATA"] = PROJECT["metadata"].encode()
    files[info + "/WHEEL"] = (
        "Wheel-Version: 1.0\\nGenerator: tiny 1\\nRoot-Is-Purelib: true\\n"
        "Tag: " + PROJECT["tag"] + "\\n"
    ).encode()
    if PROJECT["entry_points"]:
        files[info + "/entry_points.txt"] = PROJECT["entry_points"].encode()
    rows = []
    for path in sorted(files):
        digest = hashlib.sha256(files[path]).digest()
        text = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        rows.append("{},sha256={},{}".format(path, text, len(files[path])))
    files[info + "/RECORD"] = "\\n".join(rows + [info + "/RECORD,,", ""]).encode()
    name = "{}-{}.whl".format(STEM, PROJECT["tag"])
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for path in files:
            entry = zipfile.ZipInfo(path, (2020, 2, 2, 0, 0, 0))
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, files[path])
    return name


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    _begin("build_wheel")
    source, files = os.path.join(ROOT, "src"), {}
    for base, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in names:
            path = os.path.join(base, name)
            with open(path, "rb") as stream:
                files[os.path.relpath(path, source).replace(os.sep, "/")] = (
                    stream.read()
                )
    return _pack(wheel_directory, files)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    _begin("build_editable")
    line = os.path.join(ROOT, "src") + "\\n"
    return _pack(wheel_directory, {STEM.split("-")[0] + ".pth": line.encode()})


def build_sdist(sdist_directory, config_settings=None):
    _begin("build_sdist")
    name = STEM + ".tar.gz"
    with tarfile.open(os.path.join(sdist_directory, name), "w:gz") as archive:
        # Not what tools put beside it: an environment is no source.
        archive.add(ROOT, STEM, filter=lambda one: None if "/." in one.name else one)
    return name
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectMaker:
    """Makes folders with a buildable project in ``folder``."""

    folder: Path

    def __call__(
        self,
        name: str,
        version: str = "1.0",
        files: Mapping[str, str | bytes] | None = None,
        *,
        entry_points: str | None = None,
        metadata: str = "",
        pyproject: str = "",
        tag: str = "py3-none-any",
        log: Path | None = None,
        fails: str | None = None,
        folder: Path | None = None,
    ) -> Path:
        """Return a new folder ``<name>-<version>`` with a project in it.

        ``files`` are those of the wheel it builds (default: a module of its name).
        ``metadata`` are further lines of METADATA, ``pyproject`` is appended to
        pyproject.toml. Each call of the back end adds the hook's name to ``log``;
        with ``fails`` it prints that to both streams and exits with 3.
        """
        stem = f"{escape(name)}-{version}"
        if files is None:
            files = {f"{escape(name)}/__init__.py": f"version = {version!r}\n"}
        headers = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        facts = {
            "stem": stem,
            "metadata": headers + (f"{metadata.strip()}\n" if metadata else ""),
            "entry_points": entry_points,
            "tag": tag,
            "log": str(log) if log else None,
            "fails": fails,
        }
        base = _PYPROJECT.format(name=json.dumps(name), version=json.dumps(version))
        made: dict[str, str | bytes] = {
            "pyproject.toml": base + pyproject,
            "PKG-INFO": headers,
            "_build/tiny_backend.py": _BACKEND,
            "_build/project.json": json.dumps(facts, indent=1, sort_keys=True),
            **{f"src/{path}": content for path, content in files.items()},
        }
        root = (folder or self.folder) / stem
        for path, content in made.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(
                content.encode() if isinstance(content, str) else content
            )
        return root


@dataclass(frozen=True, slots=True, kw_only=True)
class SdistMaker:
    """Makes source distributions in ``folder``."""

    folder: Path

    def __call__(
        self,
        name: str,
        version: str = "1.0",
        files: Mapping[str, str | bytes] | None = None,
        *,
        entry_points: str | None = None,
        metadata: str = "",
        pyproject: str = "",
        tag: str = "py3-none-any",
        log: Path | None = None,
        fails: str | None = None,
        folder: Path | None = None,
    ) -> Path:
        """Return a new ``<name>-<version>.tar.gz``; the options are `ProjectMaker`'s.

        Reproducible: the same options give the same bytes.
        """
        folder = folder or self.folder
        root = ProjectMaker(folder=folder / ".projects")(
            name,
            version,
            files,
            entry_points=entry_points,
            metadata=metadata,
            pyproject=pyproject,
            tag=tag,
            log=log,
            fails=fails,
        )
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for path in sorted(root.rglob("*")):
                if path.is_file():
                    entry = tarfile.TarInfo(f"{root.name}/{path.relative_to(root)}")
                    entry.size = path.stat().st_size
                    entry.mtime = _EPOCH
                    with path.open("rb") as stream:
                        archive.addfile(entry, stream)
        target = folder / f"{root.name}.tar.gz"
        target.write_bytes(gzip.compress(packed.getvalue(), mtime=_EPOCH))
        return target
