"""The newest release of something that the index has, for ``--upgrade-deps``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from mvenv.errors import BuildError, SystemFault
from mvenv.fetch.pip import pip_environment, run_pip, scratch
from mvenv.fetch.settings import FetchSettings
from mvenv.names import project_of

__all__ = ["download_newest"]


def download_newest(
    names: Iterable[str],
    *,
    python: str,
    pip: Path,
    folder: Path,
    settings: FetchSettings,
    environ: Mapping[str, str],
) -> dict[str, Path]:
    """Return the newest wheel of each distribution that runs on ``python``, by name.

    pip, whose wheel is given, chooses them as it would for an upgrade; they are left
    in ``folder``, which is made. `BuildError` where pip fails or finds none.
    """
    wanted = tuple(names)
    what = " and ".join(wanted)
    try:
        folder.mkdir()
    except OSError as error:
        raise SystemFault.from_os_error(error, "preparing a download") from error
    with scratch(folder) as temporary:
        output = run_pip(
            python,
            pip,
            [
                "download",
                "--no-deps",
                "--only-binary=:all:",
                f"--dest={folder}",
                *wanted,
            ],
            what=what,
            doing="downloading",
            environment=pip_environment(settings, environ, temporary),
        )
    found = {project_of(wheel.name): wheel for wheel in folder.glob("*.whl")}
    missing = [name for name in wanted if name not in found]
    if missing:
        raise BuildError(
            f"pip downloaded no wheel of {' and '.join(missing)}", output=output
        )
    return found
