"""tox's environments, made by mvenv: bare or from a lockfile, linked, looked after."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from abc import ABC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tox.execute.request import ExecuteRequest
from tox.tox_env.errors import Fail, Recreate
from tox.tox_env.python.api import Python as ToxPython
from tox.tox_env.python.api import PythonInfo
from tox.tox_env.python.virtual_env.api import VirtualEnv

from mvenv.integrations.tox_executing import InstallingExecutor
from mvenv.integrations.tox_installer import MvenvInstaller
from mvenv.integrations.tox_interpreters import described
from mvenv.integrations.words import LogReporter, told

if TYPE_CHECKING:
    from tox.execute.api import Execute
    from tox.tox_env.api import ToxEnvCreateArgs

    from mvenv.installing.request import InstallRequest
    from mvenv.selection.groups import GroupOptions
    from mvenv.surroundings import Surroundings
    from mvenv.target import Target

__all__ = ["INFO", "MvenvEnvironment"]

_LOGGER = logging.getLogger(__name__)

INFO = ".tox-info.json"
"""What tox knows of an environment, in it."""
_LOCK = "file.lock"
"""Held while tox works on an environment."""
_HOUR = 3600.0
_TAKEN = {".gitignore", ".mvenv", "bin", "etc", "include", "lib", "lib64", "share"}
"""Names at the top of an environment."""
_LASTING = ("HOME", "XDG_DATA_HOME")
"""Where the store is: not to be moved by a ``set_env`` for tests."""


class MvenvEnvironment(VirtualEnv, ABC):
    """What is common to all: how one is made, filled and looked after."""

    def __init__(self, create_args: ToxEnvCreateArgs) -> None:
        self._made_now = False
        self._python: str | None = None
        self.foreseen: tuple[tuple[str, ...], ...] = ()
        """Arguments of ``pip install`` that were served when it was made."""
        super().__init__(create_args)

    def setup(self) -> None:
        """Set it up; what goes wrong is told as tox tells a failure."""
        from mvenv.errors import MvenvError, SystemFault

        try:
            super().setup()
        except MvenvError as error:
            raise Fail(told(error)) from error
        except OSError as error:
            fault = SystemFault.from_os_error(error, "setting up the environment")
            raise Fail(told(fault)) from error

    def register_config(self) -> None:
        """Declare the settings that tox does not have."""
        super().register_config()
        self.conf.add_config(
            keys=["mvenv_seed"],
            of_type=bool,
            default=False,
            desc="have pip in the environment, for commands that call it",
        )
        self.conf.add_config(
            keys=["mvenv_remember_hours"],
            of_type=float,
            default=24.0,
            desc="how long what pip has chosen for `deps` is believed (0: never)",
        )

    @property
    def executor(self) -> Execute:
        """Return what runs commands."""
        if self._executor is None:
            colored = self.options.is_colored
            self._executor = InstallingExecutor(self._carry_out, colored=colored)
        return self._executor

    def _carry_out(
        self, request: ExecuteRequest, interrupted: threading.Event
    ) -> tuple[int, str]:
        # The installer declares settings: it is not made before tox asks for it.
        return self.installer.carry_out(request, interrupted)

    @property
    def installer(self) -> MvenvInstaller:
        """Return what installs."""
        if not isinstance(self._installer, MvenvInstaller):
            self._installer = MvenvInstaller(self)
        return self._installer

    def _default_pass_env(self) -> list[str]:
        return [*super()._default_pass_env(), "MVENV_*"]

    def python_cache(self) -> dict[str, Any]:
        """Return what an environment must have been made of to be the same."""
        base: dict[str, Any] = ToxPython.python_cache(self)
        base["executable"] = str(self.base_python.extra["executable"])
        base["mvenv"] = {"seed": bool(self._seeds())}
        if self.conf["system_site_packages"]:
            base["system_site_packages"] = True
        return base

    def _seeds(self) -> tuple[str, ...]:
        wanted = self.conf["mvenv_seed"] or self.conf["download"]
        return ("pip",) if wanted else ()

    # Where things are, without a session of virtualenv.

    def _get_python(self, base_python: list[str]) -> PythonInfo | None:
        from mvenv.interpreters.search import look

        if getattr(self.options, "discover", None):
            return super()._get_python(base_python)
        # First of all: a set_env may name a folder of this environment.
        _ = self.environment_variables
        path = self._find_python(base_python)
        if path is None:
            self._refuse_another(base_python)
            return None
        # Not by `get_virtualenv_py_info`: in older tox it needs an older virtualenv.
        found = look(path, self._memory(), self.environment_variables)
        return None if found is None else described(found)

    def _refuse_another(self, base_python: list[str]) -> None:
        """Raise `Fail` for one that is there: as missing it could be skipped."""
        from mvenv.interpreters import is_another

        if not any(map(is_another, base_python)):
            return
        found = super()._get_python(base_python)
        if found is not None:
            raise Fail(
                f"mvenv makes environments for CPython only, not for"
                f" {found.implementation}: say `runner = virtualenv` for {self.name}"
            )

    def _find_python(self, base_python: list[str]) -> str | None:
        """Return the path of the first interpreter that is there, found once."""
        from mvenv.errors import InterpreterError
        from mvenv.interpreters import find_interpreter

        if self._python is None:
            cache = self._memory()
            environ = self.environment_variables
            for spec in base_python:
                try:
                    # tox has its own words; what others print of odd interpreters
                    # would stand before the JSON of `tox config`.
                    self._python = find_interpreter(
                        spec, cache_folder=cache, environ=environ, suggest=False
                    )
                    break
                except InterpreterError as error:
                    _LOGGER.info("%s", error.message)
        return self._python

    def _memory(self) -> Path:
        """Return where the store keeps what interpreters have said."""
        from mvenv.store.layout import open_layout

        return open_layout(self.surroundings().store).interpreters

    def target(self) -> Target:
        """Return the interpreter it is for, inspected."""
        from mvenv.interpreters import inspect_interpreter

        found = self._python
        if found is None and not getattr(self.options, "discover", None):
            found = self._find_python(self.conf["base_python"])
        executable = found or str(self.base_python.extra["executable"])
        return inspect_interpreter(executable, memory=self._memory())

    def prepend_env_var_path(self) -> list[Path]:
        """Return the folders that come first on PATH."""
        return [self.env_bin_dir()]

    def env_site_package_dir(self) -> Path:
        """Return where pure Python goes."""
        return self.env_dir / self.target().scheme.purelib

    def env_site_package_dir_plat(self) -> Path:
        """Return where what is compiled goes."""
        return self.env_dir / self.target().scheme.platlib

    def env_python(self) -> Path:
        """Return its interpreter."""
        return self.env_bin_dir() / "python"

    def env_bin_dir(self) -> Path:
        """Return where its scripts are."""
        return self.env_dir / "bin"

    # How it is made.

    def surroundings(self) -> Surroundings:
        """Return where the store and the index are, for this environment."""
        from mvenv.surroundings import Surroundings

        outside = dict(os.environ)
        said = {k: v for k, v in outside.items() if k.startswith("MVENV_")}
        said |= self.environment_variables
        for name in _LASTING:
            said.pop(name, None)
            if name in outside:
                said[name] = outside[name]
        return Surroundings.of(said)

    @property
    def notes(self) -> Path:
        """Return the folder for what mvenv keeps of this environment."""
        from mvenv.hashes import sha256_bytes

        work_dir = self.core["work_dir"]
        name = self.conf.name
        if self.env_dir != work_dir / name:
            # One of `tox devenv` beside the one of the same name.
            name += f"-{sha256_bytes(os.fsencode(self.env_dir))[:8]}"
        return Path(work_dir, ".mvenv", name)

    def create_python_env(self) -> None:
        """Make the environment, in place of one that is there."""
        self.installer.check_command()
        self._make()
        self._made_now = True

    def _make(self) -> None:
        from mvenv.env.state import Standing, observe
        from mvenv.integrations.tox_apart import make

        kept = self._kept()
        state = observe(self.env_dir, keep=kept)
        if state.standing is Standing.FOREIGN:
            others = set(os.listdir(self.env_dir)).difference(kept)
            if others.intersection(_TAKEN):
                return self._make_among_others()
            # Somebody's, and in nobody's way.
            kept = (*kept, *sorted(others))
        elif not self._run_state["clean"] and state.is_anothers():
            return self._make_among_others()
        return make(self._asked(kept))

    def _lock(self) -> tuple[Path, GroupOptions] | None:
        """Return the user's lockfile and what to take of it, if there is one."""
        return None

    def _asked(self, kept: tuple[str, ...]) -> dict[str, Any]:
        """Return what to make, in plain values."""
        from mvenv.values import asdict

        said = self.surroundings()
        lockfile, groups = self._locked(said)
        return {
            "variables": dict(said.environ),
            "folder": str(self.env_dir),
            "lockfile": lockfile,
            "start": str(self.core["tox_root"]),
            "python": str(self.base_python.extra["executable"]),
            "groups": asdict(groups),
            "seeds": self._seeds(),
            "upgrade_seeds": bool(self.conf["download"]),
            "system_site_packages": self.conf["system_site_packages"],
            "copies": self.conf["always_copy"],
            "environ": dict(self.environment_variables),
            "keep": kept,
        }

    def _make_among_others(self) -> None:
        """Make it over somebody's things, as `venv` does; `Fail` where they hinder."""
        from mvenv.dropin import VenvRequest, make_venv
        from mvenv.env.state import observe
        from mvenv.installing.notes import Notes

        in_the_way = Fail(
            f"`{self.env_dir}` has things that tox did not put there, and mvenv cannot"
            f" make {self.name} beside them: move them away, or say `-r` to lose them"
        )
        if self._lock() is not None:
            raise in_the_way
        Notes(self.notes).forget()
        make_venv(
            VenvRequest(
                folder=str(self.env_dir),
                start=str(self.core["tox_root"]),
                python=str(self.base_python.extra["executable"]),
                system_site_packages=self.conf["system_site_packages"],
                copies=self.conf["always_copy"],
                clear=False,
                upgrade=False,
                with_pip=bool(self._seeds()),
                prompt=None,
                upgrade_deps=False,
                scm_ignore=True,
                surroundings=self.surroundings(),
            ),
            LogReporter(),
        )
        if observe(self.env_dir).receipt is None:
            raise in_the_way  # the store and that folder can share nothing

    def _locked(self, said: Surroundings) -> tuple[str | None, GroupOptions]:
        """Return the lockfile to make it from: of what is remembered, or none."""
        from mvenv.installing import foresee
        from mvenv.installing.notes import Notes
        from mvenv.selection.groups import GroupOptions
        from mvenv.store.layout import open_layout

        notes = Notes(self.notes)
        notes.forget()
        steps = self._first_steps()
        if not steps or self.conf["system_site_packages"] or self._seeds():
            return None, GroupOptions()
        asked = self.install_request(None, (), None)
        layout = open_layout(said.store)
        packages = foresee(steps, self.target(), layout, asked)
        if packages is None:
            return None, GroupOptions()
        notes.replace({one["name"]: one for one in packages})
        self.foreseen = tuple(steps)
        return str(notes.lockfile), GroupOptions()

    def _first_steps(self) -> list[tuple[str, ...]]:
        """Return the arguments of what tox is going to install first, in its order."""
        return []

    def _kept(self) -> tuple[str, ...]:
        """Return the names in its folder that are tox's and stay."""
        names = [INFO, _LOCK]
        for folder in (self.env_tmp_dir, self.env_log_dir):
            with contextlib.suppress(ValueError):
                names += folder.relative_to(self.env_dir).parts[:1]
        return tuple(dict.fromkeys(names))

    def install_request(
        self,
        request: ExecuteRequest | None,
        arguments: tuple[str, ...],
        interrupted: threading.Event | None,
    ) -> InstallRequest:
        """Return what to install; without ``request`` what can be said before."""
        from mvenv.installing.request import InstallRequest

        return InstallRequest(
            folder=self.env_dir,
            arguments=arguments,
            start=Path(request.cwd if request else self.core["tox_root"]),
            notes=self.notes,
            remember=self.conf["mvenv_remember_hours"] * _HOUR,
            surroundings=self.surroundings(),
            environ=dict(request.env if request else self.environment_variables),
            broken_off=interrupted,
        )

    # How it is looked after.

    def ensure_python_env(self) -> None:
        """Make it where it is not there; look at it where it is, and heal it."""
        super().ensure_python_env()
        if not self._made_now:
            self._look_after()

    def _look_after(self) -> None:
        from mvenv.errors import Busy, MvenvError
        from mvenv.installing.notes import Notes
        from mvenv.integrations.looking_after import look_after

        # Where nothing is installed, nothing is taken out, and would not come back.
        fixed = getattr(self.options, "skip_env_install", False)
        notes = None if fixed else Notes(self.notes)
        try:
            healed, wrong = look_after(self.env_dir, self.surroundings(), notes)
        except Busy:
            raise  # whoever is at it would have it taken away
        except MvenvError as error:
            raise Recreate(f"mvenv cannot look at it: {error.message}") from error
        if wrong:
            raise Recreate(f"it is damaged: {wrong}")
        if healed:
            _LOGGER.warning("%s", healed)
