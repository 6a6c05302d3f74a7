"""Lockfiles: text in, `Lockfile` out; one reader per format."""

from __future__ import annotations

from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mvenv.errors import LockfileError
    from mvenv.lockfiles.model import Lockfile

__all__ = ["find_lockfile", "read_lockfile"]

_PYLOCK_NAME = r"pylock(\.[^.]+)?\.toml"
_UV = "uv export --format pylock.toml -o pylock.toml"
_PDM = "pdm export -f pylock -o pylock.toml"
_PIPENV = "pipenv pylock"
_OTHERS = (
    (r"uv\.lock", _UV),
    (r"pdm\.lock", _PDM),
    (r"Pipfile\.lock", _PIPENV),
    (
        r".*requirements.*\.(txt|in)|constraints.*\.txt",
        "pip lock -r {name}",
    ),
)
"""Names of lockfiles of other tools, and the command that makes a pylock.toml."""
_CONDA = r"(.*[-.])?conda-lock\.ya?ml|environment\.ya?ml"


def read_lockfile(path: Path) -> Lockfile:
    """Return the lockfile at ``path``: poetry.lock or pylock.toml.

    The file's name decides, and its content where the name says nothing. Raises
    `UnsupportedLockfile`, with the command that makes a pylock.toml of it, for a
    format of another tool; `LockfileError`, several as `SeveralErrors`, for what
    cannot be read or is wrong.
    """
    import re

    if path.name == "poetry.lock":
        return _read_poetry(path)
    if re.fullmatch(_PYLOCK_NAME, path.name):
        return _read_pylock(path)
    if refusal := _refuse_name(path):
        from mvenv.lockfiles.document import read_bytes

        read_bytes(path)  # that there is no such file is the better message
        raise refusal
    return _read_by_content(path)


def find_lockfile(folder: Path) -> Path | None:
    """Return the nearest lockfile, from ``folder`` upward; `None` where there is none.

    Where both are in one folder, poetry.lock is meant when the pyproject.toml beside
    it is Poetry's, and pylock.toml otherwise: a poetry.lock without its project is a
    leftover. A lockfile of uv, PDM or Pipenv is found too, last in its folder:
    `read_lockfile` says what to do with it, where passing over it would install what
    a folder further up locks.
    """
    folder = folder.absolute()
    for place in (folder, *folder.parents):
        if found := _find_in(place):
            return found
    return None


def _find_in(folder: Path) -> Path | None:
    poetry, pylock = folder / "poetry.lock", folder / "pylock.toml"
    if poetry.is_file() and pylock.is_file():
        return poetry if _is_poetrys(folder) else pylock
    for name in ("poetry.lock", "pylock.toml", "uv.lock", "pdm.lock", "Pipfile.lock"):
        if (folder / name).is_file():
            return folder / name
    return None


def _is_poetrys(folder: Path) -> bool:
    from mvenv.errors import MvenvError
    from mvenv.lockfiles.project import is_poetry_project

    try:
        return is_poetry_project(folder / "pyproject.toml")
    except MvenvError:
        return False


def _read_poetry(path: Path) -> Lockfile:
    from mvenv.lockfiles.poetry import read_poetry

    return read_poetry(path)


def _read_pylock(path: Path) -> Lockfile:
    from mvenv.lockfiles.pylock import read_pylock

    return read_pylock(path)


def _refuse_name(path: Path) -> LockfileError | None:
    import re

    from mvenv.errors import LockfileError, UnsupportedLockfile

    for pattern, command in _OTHERS:
        if re.fullmatch(pattern, path.name):
            return _refusal(path, command)
    if re.fullmatch(_CONDA, path.name):
        return UnsupportedLockfile(
            f"`{path.name}` is conda's: its packages are not wheels",
            hint="lock what comes from a Python index: `pip lock -r requirements.txt`",
        )
    if path.name == "pyproject.toml":
        return LockfileError(
            f"`{path}` is a project, not a lockfile",
            hint="name its lockfile, like `poetry.lock` or `pylock.toml`",
        )
    return None


def _refusal(path: Path, command: str) -> LockfileError:
    from mvenv.errors import UnsupportedLockfile

    return UnsupportedLockfile(
        f"`{path.name}` is not a format that mvenv reads",
        hint=f"`{command.format(name=path.name)}` makes a pylock.toml, which it reads",
    )


def _read_by_content(path: Path) -> Lockfile:
    from mvenv.errors import LockfileError
    from mvenv.lockfiles.document import parse_toml, read_bytes

    content = read_bytes(path)
    if _is_pipfile_lock(content):
        raise _refusal(path, _PIPENV)
    try:
        values = parse_toml(path, content).values
    except LockfileError as error:
        raise _unknown(path) from error
    metadata = values.get("metadata")
    metadata = metadata.keys() if isinstance(metadata, dict) else set()
    if "lock-version" in values and "created-by" in values:
        return _read_pylock(path)
    if "lock-version" in metadata:
        return _read_poetry(path)
    if "lock_version" in metadata:
        raise _refusal(path, _PDM)
    if "version" in values and "package" in values:
        raise _refusal(path, _UV)
    raise _unknown(path)


def _is_pipfile_lock(content: bytes) -> bool:
    import json

    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and "_meta" in document


def _unknown(path: Path) -> LockfileError:
    from mvenv.errors import LockfileError

    return LockfileError(
        f"`{path}` is not a lockfile that mvenv knows",
        hint="poetry.lock and pylock.toml are read",
    )
