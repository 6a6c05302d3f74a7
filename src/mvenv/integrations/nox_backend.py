"""nox's environments, made by mvenv; sessions install into them by links.

nox has no entry point for backends, so its table of them is added to, and what a
session does to install is asked whether the environment is one of ours.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import nox
import nox.command
import nox.sessions
import nox.virtualenv
from nox.logger import logger

from mvenv.creation import create
from mvenv.creation.request import CreateRequest
from mvenv.env.paths import python_in
from mvenv.env.state import Standing, observe
from mvenv.errors import BuildError, MvenvError, SystemFault, UsageError
from mvenv.installing import install
from mvenv.installing.notes import Notes
from mvenv.installing.request import InstallRequest
from mvenv.integrations.looking_after import look_after
from mvenv.integrations.nox_parameters import read_parameters
from mvenv.integrations.words import LogReporter, told, told_beside_output
from mvenv.selection.groups import GroupOptions
from mvenv.surroundings import Surroundings

__all__ = ["MvenvBackend", "register", "sync"]

NAME = "mvenv"
_NEEDED = {
    nox.virtualenv: ("ALL_VENVS", "VirtualEnv"),
    nox.sessions: ("Session",),
    nox.command: ("CommandFailed",),
}
_TYPE_CHECK = "_check_reused_environment_type"
_HOURS = "MVENV_REMEMBER_HOURS"
_DEFAULT_HOURS = 24.0
_HOUR = 3600.0
_PIPS_FAILURE = 1
"""The exit code of a pip that could not install something."""


class MvenvBackend(nox.virtualenv.VirtualEnv):
    """An environment of a session."""

    def __init__(
        self, location: str, interpreter: str | None = None, **options: Any
    ) -> None:
        options.pop("venv_backend", None)
        super().__init__(location, interpreter, **options)
        self.untouched = False
        """Nothing was installed since it was made."""

    @property
    def venv_backend(self) -> str:
        """Return what selects it."""
        return NAME

    @functools.cached_property
    def chosen(self) -> dict[str, Any]:
        """Return what ``venv_params`` say; `UsageError` if that is not understood."""
        return read_parameters(self.venv_params)

    @property
    def notes(self) -> Path:
        """Return the folder for what mvenv keeps of this environment."""
        place = Path(self.location)
        return place.parent / ".mvenv" / place.name

    def create(self) -> bool:
        """Make it, or take the one that is there; return whether it is new."""
        self._mark_folder()
        try:
            _ = self.chosen  # nox shows a traceback of what a constructor raises
            if self.reuse_existing and self._is_usable():
                logger.debug(
                    f"Reusing existing virtual environment at {self.location_name}."
                )
                self._reused = True
                return False
            logger.info(
                f"Creating virtual environment ({NAME}) using"
                f" {os.path.basename(self._resolved_interpreter)} in"
                f" {self.location_name}"
            )
            self.make(None, GroupOptions())
        except MvenvError as error:
            raise _failed(error) from error
        return True

    def variables(
        self, changes: Mapping[str, str | None], *, outer: bool
    ) -> dict[str, str]:
        """Return the environment variables of what runs in it."""
        made = self._get_env(changes, include_outer_env=outer)
        return {name: text for name, text in made.items() if text is not None}

    def _mark_folder(self) -> None:
        """Keep the folder of environments out of version control, as nox does."""
        for name in ("_ensure_gitignore", "_ensure_cachedir_tag"):
            mark = getattr(nox.virtualenv, name, None)
            if mark is not None:
                mark(Path(self.location).parent)

    def make(self, lockfile: Path | None, groups: GroupOptions) -> None:
        """Make it from a lockfile or bare, in place of what is there."""
        Notes(self.notes).forget()
        if observe(self.location).standing is Standing.FOREIGN:
            try:
                shutil.rmtree(self.location)  # nox deletes whatever is there
            except OSError as error:
                doing = "deleting what is in the way"
                raise SystemFault.from_os_error(error, doing) from error
        said = _surroundings()
        create(
            CreateRequest(
                folder=self.location,
                lockfile=lockfile,
                locked=lockfile is not None,
                start=os.getcwd(),
                python=self._resolved_interpreter if self.interpreter else None,
                groups=groups,
                policy=said.policy,
                require_link=False,
                seeds=("pip",) if self.chosen["seed"] else (),
                bytecode=said.bytecode,
                prompt=self.chosen["prompt"],
                system_site_packages=self.chosen["system_site_packages"],
                clear=True,
                copies=self.chosen["copies"],
                store=said.store,
                seal=said.seal,
                fetch=said.fetch,
                environ=said.environ,
            ),
            _reporter(),
        )
        self.untouched = True

    def _is_usable(self) -> bool:
        """Return whether the environment that is there will do; heals it."""
        state = observe(self.location)
        if state.receipt is None or state.receipt.path != state.path_text:
            return False
        if not (
            os.path.exists(python_in(self.location))
            and self._check_reused_environment_interpreter()
        ):
            return False
        notes = Notes(self.notes)
        healed, wrong = look_after(Path(self.location), _surroundings(), notes)
        if wrong:
            logger.warning(f"{self.location_name} is made anew: {wrong}")
        elif healed:
            logger.warning(f"{self.location_name}: {healed}")
        return not wrong

    def install(self, arguments: tuple[str, ...], environ: Mapping[str, str]) -> str:
        """Install what ``pip install`` would, and return what is to be printed."""
        self.untouched = False
        asked = InstallRequest(
            folder=Path(self.location),
            arguments=arguments,
            start=Path.cwd(),
            notes=self.notes,
            remember=_hours() * _HOUR,
            surroundings=_surroundings(),
            environ=environ,
        )
        how = install(asked, _reporter())
        if how.by_pip:
            return how.output
        return f"linked {', '.join(how.changed)}" if how.changed else ""


def _reporter() -> LogReporter:
    # nox shows all that is logged, to everybody.
    return LogReporter(detailed=bool(nox.options.verbose))


def _surroundings() -> Surroundings:
    return Surroundings.of(dict(os.environ))


def _hours() -> float:
    text = os.environ.get(_HOURS) or str(_DEFAULT_HOURS)
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{_HOURS} is `{text}`: it must be a number") from None


def _failed(error: MvenvError) -> nox.command.CommandFailed:
    output = error.output if isinstance(error, BuildError) else ""
    if output:
        sys.stderr.write(f"{output.rstrip()}\n")
    # nox shows nothing of the exception itself.
    logger.error(told_beside_output(error))
    return nox.command.CommandFailed(told(error))


def register() -> None:
    """Make the backend known to nox; to be done once, at the top of a noxfile.

    Ends with a word where this is a version of nox that is not known.
    """
    missing = [
        f"{module.__name__}.{name}"
        for module, names in _NEEDED.items()
        for name in names
        if not hasattr(module, name)
    ]
    if missing or not hasattr(nox.sessions.Session, "install"):
        raise SystemExit(
            f"mvenv does not know nox {metadata.version('nox')}: it has no"
            f" {', '.join(missing) or 'Session.install'}. Take another backend, or"
            " another version of nox or mvenv."
        )
    nox.virtualenv.ALL_VENVS[NAME] = MvenvBackend
    for name in ("httpcore2", "httpx2"):
        # Each request that it makes would be shown.
        logging.getLogger(name).setLevel(logging.WARNING)
    original = nox.sessions.Session.install
    if not hasattr(original, "__wrapped__"):
        nox.sessions.Session.install = _installing(original)  # type: ignore[method-assign]  # there is no other way
    # Where nox has it no more, it does not take ours for one of virtualenv either.
    check = getattr(nox.virtualenv.VirtualEnv, _TYPE_CHECK, None)
    if check is not None and not hasattr(check, "__wrapped__"):
        setattr(nox.virtualenv.VirtualEnv, _TYPE_CHECK, _telling_ours(check))


def _telling_ours(original: Callable[..., bool]) -> Callable[..., bool]:
    """Let no other backend go on with an environment of ours that has no pip."""

    @functools.wraps(original)
    def check(self: nox.virtualenv.VirtualEnv) -> bool:
        # uv brings its own installer.
        if self.venv_backend not in {NAME, "uv"} and not Path(self.bin, "pip").exists():
            with contextlib.suppress(MvenvError):
                if observe(self.location).receipt is not None:
                    return False
        return original(self)

    return check


def _installing(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def session_install(
        self: nox.sessions.Session, *arguments: str, **options: Any
    ) -> None:
        venv = _runner(self).venv
        if not isinstance(venv, MvenvBackend):
            original(self, *arguments, **options)
            return
        if not arguments:
            raise ValueError("At least one argument required to install().")
        if not _is_skipped(self):
            _install(self, venv, arguments, **options)

    return session_install


def _runner(session: nox.sessions.Session) -> nox.sessions.SessionRunner:
    return session._runner  # noqa: SLF001  nox has no other way from a session to it


def _is_skipped(session: nox.sessions.Session) -> bool:
    """Return whether nothing is to be installed: ``nox -R``."""
    runner = _runner(session)
    return bool(runner.global_config.no_install and runner.venv and runner.venv._reused)  # noqa: SLF001  nox asks it so


def _install(
    session: nox.sessions.Session,
    venv: MvenvBackend,
    arguments: tuple[str, ...],
    *,
    env: Mapping[str, str | None] | None = None,
    include_outer_env: bool = True,
    silent: bool | None = None,
    log: bool = True,
    stdout: int | IO[Any] | None = None,
    success_codes: Iterable[int] | None = None,
    **_: Any,
) -> None:
    words = tuple(os.fspath(word) for word in arguments)
    if log:
        logger.info(f"python -m pip install {' '.join(words)}")
    known = venv.variables(env or {}, outer=include_outer_env)
    try:
        output = venv.install(words, known)
    except MvenvError as error:
        failed = _failed(error)
        if _PIPS_FAILURE in (success_codes or ()):
            return
        raise failed from error
    if silent is None:
        silent = not _runner(session).global_config.verbose
    if output and not silent:
        _print(f"{output.rstrip()}\n", stdout)


def _print(text: str, stdout: int | IO[Any] | None) -> None:
    """Print where a process would: files are opened in either mode."""
    if stdout == subprocess.DEVNULL:
        return
    if stdout is None or isinstance(stdout, int):
        sys.stdout.write(text)
    else:
        stdout.write(text if isinstance(stdout, io.TextIOBase) else text.encode())


def sync(
    session: nox.sessions.Session,
    lockfile: str | os.PathLike[str],
    *,
    groups: Iterable[str] = (),
    only_groups: Iterable[str] = (),
    extras: Iterable[str] = (),
    root: bool = False,
) -> None:
    """Bring a session's environment to a lockfile, poetry.lock or pylock.toml.

    ``groups`` are installed beside the default ones, ``only_groups`` in their place.
    ``root`` installs the project itself too, editable, where the lockfile has it. What
    was installed otherwise is taken out. Does nothing where ``session.install`` would
    do nothing (``nox -R``).
    """
    venv = _runner(session).venv
    if not isinstance(venv, MvenvBackend):
        raise TypeError(
            f"session {session.name} has no environment of mvenv: give it"
            ' `venv_backend="mvenv"`'
        )
    if _is_skipped(session):
        return
    path = Path(lockfile).absolute()
    chosen = GroupOptions(
        with_groups=tuple(groups),
        only=tuple(only_groups),
        extras=tuple(extras),
        no_root=not root,
    )
    logger.info(f"mvenv sync --from {os.fspath(lockfile)}")
    try:
        if venv.untouched:
            venv.make(path, chosen)
        else:
            _sync(venv, path, chosen)
    except MvenvError as error:
        raise _failed(error) from error
    venv.untouched = False


def _sync(venv: MvenvBackend, lockfile: Path, chosen: GroupOptions) -> None:
    from mvenv.sync import SyncRequest
    from mvenv.sync import sync as bring_to

    said = _surroundings()
    request = SyncRequest(
        folder=Path(venv.location),
        lockfile=lockfile,
        python=None,
        groups=chosen,
        seed=None,
        exact=True,
        dry_run=False,
        store=Path(said.store),
        seal=said.seal,
        fetch=said.fetch,
        environ=said.environ,
    )
    bring_to(request, _reporter())
