"""Building what is no wheel, with pip as the back end."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from mvenv.errors import BuildError, OfflineError, SystemFault
from mvenv.fetch.pip import pip_environment, run_pip, scratch
from mvenv.fetch.redaction import redact_url
from mvenv.fetch.settings import FetchSettings
from mvenv.fetch.urls import split_url, vcs_url
from mvenv.progress import Reporter

__all__ = ["build_key", "build_wheel", "vcs_requirement"]

_COMMIT = re.compile("[0-9a-fA-F]{40}|[0-9a-fA-F]{64}")
"""SHA-1 as git and Mercurial write it, or git's SHA-256."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def build_key(
    *, source: str, subdirectory: str | None, cache_tag: str, platform: str
) -> str:
    """Return the name that a built wheel is found again by: a sha256 in hexadecimal.

    ``source`` is what fixes the source's bytes: ``sha256:<hexadecimal>`` of an sdist,
    ``git:<commit>``. ``cache_tag`` (``cpython-312``) and ``platform``
    (``linux-x86_64``) are the target's.
    """
    parts = ["mvenv build 1", source, subdirectory, cache_tag, platform]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def vcs_requirement(kind: str, url: str, commit: str) -> str:
    """Return the requirement for a commit, like ``git+https://host/repo@commit``.

    ``url`` is what `vcs_url` takes. `BuildError` where it is no address, or ``commit``
    could be something else than one commit: a branch, an option.
    """
    shown = redact_url(url)
    if not _COMMIT.fullmatch(commit):
        raise BuildError(
            f"`{commit}` is not the full name of a commit of `{shown}`",
            hint="lock again with a tool that writes it",
        )
    address = vcs_url(kind, url) if _is_address(url) else ""
    if not split_url(address).scheme:
        raise BuildError(f"`{shown}` is not the address of a repository")
    return f"{kind}+{address}@{commit}".replace(" ", "%20")


def _is_address(url: str) -> bool:
    # pip reads the requirement from a file, where a line's end begins an option.
    if _CONTROL.search(url) or url.startswith("-"):
        return False
    return "://" in url or url.startswith("/") or ":" in url.partition("/")[0]


def build_wheel(
    *,
    python: str,
    pip: Path,
    source: Path | str,
    subdirectory: str | None = None,
    folder: Path,
    settings: FetchSettings,
    environ: Mapping[str, str],
    reporter: Reporter,
    broken_off: threading.Event | None = None,
) -> Path:
    """Build a wheel and return its path in ``folder``, which must exist.

    ``source`` is an sdist, a project's folder, or a requirement of `vcs_requirement`.
    ``python`` runs pip from its wheel file ``pip``; nothing is installed into it.
    `BuildError` where it fails, with all output; `OfflineError` where a repository is
    remote and the settings forbid the network; nothing is left behind. ``broken_off``,
    set by another thread, ends the build.
    """
    requirement, what = _requirement(source, subdirectory)
    _refuse_remote_repository(requirement, settings)
    with scratch(folder) as made:
        out = made / "out"
        listed = made / "requirement.txt"
        try:
            out.mkdir()
            # In a file, since command lines are public and URLs may have passwords.
            listed.write_text(requirement + "\n", encoding="utf-8")
            listed.chmod(0o600)
        except OSError as error:
            raise SystemFault.from_os_error(error, "preparing a build") from error
        arguments = ["wheel", "--no-deps", "-w", str(out), "-r", str(listed)]
        with reporter.task(f"building {what}", None):
            output = run_pip(
                python,
                pip,
                arguments,
                what=what,
                environment=pip_environment(settings, environ, made),
                broken_off=broken_off,
            )
        reporter.detail(output)
        return _move_only_wheel(out, folder, what, output)


def _move_only_wheel(out: Path, folder: Path, what: str, output: str) -> Path:
    built = sorted(out.glob("*.whl"))
    if len(built) != 1:
        raise BuildError(
            f"building {what} made {len(built)} wheels, not one", output=output
        )
    target = folder / built[0].name
    try:
        os.replace(built[0], target)
    except OSError as error:
        raise SystemFault.from_os_error(error, "keeping a built wheel") from error
    return target


def _requirement(source: Path | str, subdirectory: str | None) -> tuple[str, str]:
    """Return the line for pip, and what messages call it."""
    fragment = f"#subdirectory={quote(subdirectory)}" if subdirectory else ""
    if isinstance(source, str):
        return source + fragment, f"`{redact_url(source)}`"
    source = source.absolute()
    if not source.exists():
        raise BuildError(f"`{source}` does not exist")
    if source.is_dir():
        project = source / subdirectory if subdirectory else source
        return project.as_uri(), f"`{project}`"
    return source.as_uri() + fragment, f"`{source.name}`"


def _refuse_remote_repository(requirement: str, settings: FetchSettings) -> None:
    scheme = split_url(requirement).scheme.rpartition("+")[2]
    if settings.offline and scheme != "file":
        raise OfflineError(
            f"`{redact_url(requirement)}` is needed and not to be fetched",
            hint="run once without `--offline`",
        )
