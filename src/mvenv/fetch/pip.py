"""Running pip out of its wheel, with the target's interpreter."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from mvenv.errors import BuildError, SystemFault
from mvenv.fetch.redaction import redact_text
from mvenv.fetch.settings import DEFAULT_INDEX_URL, FetchSettings
from mvenv.fetch.urls import file_url_path
from mvenv.scratch import ScratchFolder, sweep_scratch

__all__ = ["pip_environment", "run_pip", "scratch"]

_SHOWN_LINES = 25
_GLANCE = 0.2
"""Seconds between looks whether a build is to be broken off."""

_KEPT_OPTIONS = frozenset(
    f"PIP_{name}"
    for name in (
        "BUILD_CONSTRAINT",
        "CERT",
        "CLIENT_CERT",
        "CONFIG_FILE",
        "CONSTRAINT",
        "DEFAULT_TIMEOUT",
        "EXTRA_INDEX_URL",
        "FIND_LINKS",
        "INDEX_URL",
        "KEYRING_PROVIDER",
        "NO_INDEX",
        "PROXY",
        "RETRIES",
        "TRUSTED_HOST",
    )
)
"""pip's options that say where build requirements come from. The others, like
``PIP_TARGET`` or ``PIP_ONLY_BINARY``, would change what is built or where it goes."""

_DROPPED = frozenset(
    {
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "VIRTUAL_ENV",
        "__PYVENV_LAUNCHER__",
    }
)


_SCRATCH = "mvenv-pip-"


@contextlib.contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Return a new folder inside ``folder``, deleted with the context.

    What killed runs left there goes, too: it can be the system's, for temporary files.
    """
    sweep_scratch(folder, _SCRATCH)
    try:
        made = ScratchFolder(folder, _SCRATCH)
    except OSError as error:
        raise SystemFault.from_os_error(error, "making a folder") from error
    with made:
        yield made.path


def pip_environment(
    settings: FetchSettings, environ: Mapping[str, str], temporary: Path
) -> dict[str, str]:
    """Return the environment for pip and its back ends.

    Options travel here, not on the command line, which every user of the machine can
    read: index URLs have passwords in them.
    """
    made = {
        name: value
        for name, value in environ.items()
        if name not in _DROPPED
        and (not name.startswith("PIP_") or name in _KEPT_OPTIONS)
    }
    made |= {
        "GIT_TERMINAL_PROMPT": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        # Its cache of wheels goes by URL, and ours are of temporary files.
        "PIP_NO_CACHE_DIR": "1",
        "PIP_NO_INPUT": "1",
        "PIP_REQUIRE_HASHES": "0",
        "PIP_REQUIRE_VIRTUALENV": "0",
        "PIP_USER": "0",
        # A project's folder has no use for the bytecode of its build scripts.
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONNOUSERSITE": "1",
        # What a killed build leaves behind is deleted with the folder.
        "TMPDIR": str(temporary),
        "TEMP": str(temporary),
        "TMP": str(temporary),
    }
    if settings.ca_bundle is not None:
        made["PIP_CERT"] = settings.ca_bundle
    if settings.client_cert is not None:
        made["PIP_CLIENT_CERT"] = settings.client_cert
    if settings.trusted_hosts:
        made["PIP_TRUSTED_HOST"] = " ".join(settings.trusted_hosts)
    _point_at_places(made, settings)
    return made


def _point_at_places(made: dict[str, str], settings: FetchSettings) -> None:
    indexes = (settings.index_url, *settings.extra_index_urls)
    links = tuple(_as_url(entry) for entry in settings.find_links)
    if settings.offline:
        indexes = tuple(url for url in indexes if file_url_path(url) is not None)
        links = tuple(url for url in links if file_url_path(url) is not None)
        # Configuration files could name a remote index.
        made["PIP_CONFIG_FILE"] = os.devnull
        for name in ("INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS"):
            made.pop(f"PIP_{name}", None)
        if not indexes:
            made["PIP_NO_INDEX"] = "1"
    if indexes and indexes[0] != DEFAULT_INDEX_URL:
        made["PIP_INDEX_URL"] = indexes[0]
    if indexes[1:]:
        made["PIP_EXTRA_INDEX_URL"] = " ".join(indexes[1:])
    if links:
        made["PIP_FIND_LINKS"] = " ".join(links)


def _as_url(entry: str) -> str:
    """Return an entry of find-links without spaces, which would split it."""
    if "://" in entry or entry.startswith("file:"):
        return entry.replace(" ", "%20")
    return Path(os.path.abspath(os.path.expanduser(entry))).as_uri()


def run_pip(
    python: str,
    pip: Path,
    arguments: list[str],
    *,
    what: str,
    doing: str = "building",
    environment: Mapping[str, str],
    broken_off: threading.Event | None = None,
    start: str | None = None,
) -> str:
    """Run pip and return its output; `BuildError` about ``what`` where it fails.

    ``pip`` is its wheel file, or a folder with the unpacked wheel, which starts faster.
    ``start`` is where relative paths begin, if not where this process stands.
    When this is interrupted, or ``broken_off`` is set by another thread, pip and all
    that it started are stopped first.
    """
    # As pip starts itself for another interpreter. By its folder it takes itself for
    # installed, and who asks for pip gets none; a wheel it does not look into.
    runner = pip / "pip" / "__pip-runner__.py"
    program = runner if runner.is_file() else pip / "pip"
    # -I: neither the current folder nor the user's packages take part.
    command = [python, "-I", str(program), *arguments]
    try:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=start,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise BuildError(
            f"`{python}` does not run: {error.strerror}",
            hint="is the interpreter still there?",
        ) from error
    with process:
        try:
            output = redact_text(_listen(process, what, broken_off))
        except BaseException:
            _stop(process)
            raise
    if process.returncode:
        reason = _explained(f"{doing} {what}", process.returncode, output)
        raise BuildError(reason, output=output)
    return output


def _listen(
    process: subprocess.Popen[str], what: str, broken_off: threading.Event | None
) -> str:
    """Return what a process prints; signals only ever reach the main thread."""
    pause = None if broken_off is None else _GLANCE
    while broken_off is None or not broken_off.is_set():
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=pause)[0]
    raise BuildError(f"building {what} was broken off")


def _explained(doing: str, status: int, output: str) -> str:
    lines = output.rstrip().splitlines()
    shown = "\n".join(f"  | {line}" for line in lines[-_SHOWN_LINES:])
    part = "its output" if len(lines) <= _SHOWN_LINES else "the end of its output"
    return f"{doing} failed with exit code {status}; {part}:\n{shown}"


def _stop(process: subprocess.Popen[str]) -> None:
    """End a process and its children: compilers would run on alone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
