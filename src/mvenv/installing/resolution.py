"""What pip would install, from its report, as packages of a pylock.toml."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from mvenv.errors import BuildError, SystemFault
from mvenv.fetch.pip import pip_environment, run_pip, scratch
from mvenv.fetch.urls import file_url_path
from mvenv.installing.notes import PackageTable
from mvenv.names import normalized
from mvenv.target import Target
from mvenv.values import dataclass

if TYPE_CHECKING:
    from mvenv.installing.request import InstallRequest

__all__ = [
    "Found",
    "ask_pip",
    "installed_names",
    "packages_of",
    "pip_at_work",
]

_NEVER = frozenset(
    f"PIP_{name}"
    for name in (
        "DRY_RUN",
        "LOG",
        "PREFIX",
        "PYTHON",
        "QUIET",
        "REPORT",
        "REQUIRE_VIRTUALENV",
        "ROOT",
        "TARGET",
        "USER",
        "VERBOSE",
    )
)
"""Options that say where things go, or what is printed."""


def installed_names(folder: Path, target: Target) -> list[str]:
    """Return each distribution in an environment as ``name version``, sorted."""
    found = set()
    for below in {target.scheme.purelib, target.scheme.platlib}:
        try:
            names = os.listdir(folder / below)
        except OSError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                project, _, version = name.rpartition(".")[0].partition("-")
                found.add(f"{normalized(project)} {version}")
    return sorted(found)


@contextlib.contextmanager
def pip_at_work(request: InstallRequest) -> Iterator[dict[str, str]]:
    """Give the environment variables for pip, which has a folder for what it makes."""
    with scratch(Path(tempfile.gettempdir())) as temporary:
        environ = request.environ
        made = pip_environment(request.surroundings.fetch, environ, temporary)
        # The user's own pip, and its cache: only here is it asked what to install.
        made.pop("PIP_NO_CACHE_DIR", None)
        for name, value in environ.items():
            if name.startswith("PIP_") and name not in _NEVER:
                made.setdefault(name, value)
        if "PIP_REQUIRE_HASHES" in environ:
            made["PIP_REQUIRE_HASHES"] = environ["PIP_REQUIRE_HASHES"]
        yield made


def ask_pip(request: InstallRequest, python: str, pip: Path) -> dict[str, Any]:
    """Return pip's report of what it would install; `BuildError` where it finds none.

    ``python`` is the environment's, so that pip sees what is there already.
    """
    with pip_at_work(request) as environment:
        report = Path(environment["TMPDIR"]) / "report.json"
        run_pip(
            python,
            pip,
            [
                "install",
                "--dry-run",
                "--quiet",
                f"--report={report}",
                *request.arguments,
            ],
            what="what was asked for",
            doing="resolving",
            environment=environment,
            broken_off=request.broken_off,
            start=str(request.start),
        )
        try:
            found: dict[str, Any] = json.loads(report.read_bytes())
        except OSError as error:
            doing = "reading what pip has chosen"
            raise SystemFault.from_os_error(error, doing) from error
        except ValueError as error:
            raise BuildError("pip's report is not JSON") from error
    return found


@dataclass(frozen=True, slots=True)
class Found:
    """What is to be installed."""

    packages: tuple[PackageTable, ...]
    whole: bool
    """False where something more has no file with a sha256: a folder, an editable, an
    index without hashes."""
    recalled: bool = False
    """pip was not asked."""


def packages_of(report: dict[str, Any]) -> Found:
    """Return what a report of pip says is to be installed."""
    packages = [_package(item) for item in report.get("install", ())]
    known = tuple(one for one in packages if one is not None)
    return Found(known, whole=len(known) == len(packages))


def _package(item: dict[str, Any]) -> PackageTable | None:
    info, metadata = item["download_info"], item["metadata"]
    name = normalized(metadata["name"])
    package: PackageTable = {"name": name, "version": metadata["version"]}
    below = {"subdirectory": info["subdirectory"]} if info.get("subdirectory") else {}
    if vcs := info.get("vcs_info"):
        if vcs.get("vcs") != "git" or not vcs.get("commit_id"):
            return None
        revision = vcs.get("requested_revision")
        package["vcs"] = {
            "type": "git",
            "url": info["url"],
            **({"requested-revision": revision} if revision else {}),
            "commit-id": vcs["commit_id"],
            **below,
        }
        return package
    sha256 = _sha256(info.get("archive_info"))
    if sha256 is None:
        return None
    file = {**_where(info["url"]), "hashes": {"sha256": sha256}}
    if item.get("is_direct"):
        package["archive"] = {**file, **below}
        return package
    filename = unquote(urlsplit(info["url"]).path.rpartition("/")[2])
    if filename.endswith(".whl"):
        package["wheels"] = [{"name": filename, **file}]
    else:
        package["sdist"] = {"name": filename, **file}
    return package


def _sha256(archive: dict[str, Any] | None) -> str | None:
    if archive is None:
        return None
    algorithm, _, value = (archive.get("hash") or "").partition("=")
    old = value if algorithm == "sha256" else None
    found: str | None = (archive.get("hashes") or {}).get("sha256") or old
    return found


def _where(url: str) -> dict[str, str]:
    path = file_url_path(url)
    return {"url": url} if path is None else {"path": str(path)}
