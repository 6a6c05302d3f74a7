"""tox's kinds of environments: for runs, and for building packages."""

from __future__ import annotations

import logging
from abc import ABC
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tox.tox_env.api import ToxEnv
from tox.tox_env.errors import Fail
from tox.tox_env.python.runner import PythonRun
from tox.tox_env.python.virtual_env.package.cmd_builder import VenvCmdBuilder
from tox.tox_env.python.virtual_env.package.pyproject import Pep517VenvPackager

from mvenv.integrations.tox_envs import INFO, MvenvEnvironment

if TYPE_CHECKING:
    from mvenv.selection.groups import GroupOptions
    from mvenv.surroundings import Surroundings

__all__ = ["MvenvCmdBuilder", "MvenvPep517Packager", "MvenvRunner", "Replacing"]

_LOGGER = logging.getLogger(__name__)


class Replacing(ToxEnv, ABC):
    """Leaves what is to be recreated where it is, until the new one takes its place.

    The last of the bases, so that it comes before tox's own way to clean up and after
    what runs commands in the old environment.
    """

    def _clean(self, transitive: bool = False) -> None:
        from mvenv.env.state import Standing, observe
        from mvenv.errors import MvenvError

        try:
            ours = observe(self.env_dir).standing is Standing.ENVIRONMENT
        except MvenvError:
            ours = False
        if self._run_state["clean"] or not ours:
            super()._clean(transitive)
            return
        _LOGGER.warning("remove tox env folder %s", self.env_dir)
        self._retract_redirect()
        (self.env_dir / INFO).unlink(missing_ok=True)
        self._log_id = 0
        self.cache.reset()
        self._run_state.update({"setup": False, "clean": True})

    def _retract_redirect(self) -> None:
        """Take back the file that leads to it (PEP 832), as newer tox does."""
        try:
            from tox.util.venv_redirect import forget_venv_redirect
        except ImportError:
            return
        if self.core.get_optional("venv_redirect", bool) is not False:
            forget_venv_redirect(self.core["tox_root"], self.env_dir)


class MvenvRunner(MvenvEnvironment, PythonRun, Replacing):
    """Where commands are run."""

    @staticmethod
    def id() -> str:
        """Return what ``runner`` calls it."""
        return "mvenv"

    @property
    def _package_tox_env_type(self) -> str:
        return MvenvPep517Packager.id()

    @property
    def _external_pkg_tox_env_type(self) -> str:
        return MvenvCmdBuilder.id()

    @property
    def default_pkg_type(self) -> str:
        """Return how the project is installed where nothing is said: as tox has it."""
        root = self.core["tox_root"]
        if any((root / name).exists() for name in _PROJECTS):
            return super().default_pkg_type
        return "skip"

    def register_config(self) -> None:
        """Declare the settings that tox does not have."""
        super().register_config()
        self.conf.add_config(
            keys=["lock"],
            of_type=str,
            default="",
            desc="a poetry.lock or pylock.toml to make the environment from",
        )
        for key, desc in _LOCK_SETTINGS.items():
            self.conf.add_config(keys=[key], of_type=set[str], default=set(), desc=desc)

    def python_cache(self) -> dict[str, Any]:
        """Return what an environment must have been made of to be the same."""
        base = super().python_cache()
        found = self._lock()
        if found is not None:
            path, groups = found
            base["mvenv"] |= {
                "lock": self._setting("lock") or self._setting("pylock"),
                "sha256": _digest(path),
                "groups": repr(groups),
            }
        return base

    def _setting(self, name: str) -> Any:
        """Return a setting that older versions of tox may not have."""
        try:
            return self.conf[name]
        except KeyError:
            return ""

    def _lock(self) -> tuple[Path, GroupOptions] | None:
        """Return the user's lockfile and what to take of it, if there is one."""
        from mvenv.selection.groups import GroupOptions

        if named := self._setting("lock"):
            path = self.core["tox_root"] / named
            self._check_lock(path, "lock")
            return path, GroupOptions(
                with_groups=self._names("lock_groups"),
                only=self._names("lock_only_groups"),
                extras=self._names("lock_extras"),
                no_root=True,
            )
        if named := self._setting("pylock"):
            path = self._package_root() / named
            self._check_lock(path, "pylock")
            return path, _as_tox_chooses(
                path, self._names("dependency_groups"), self._names("extras")
            )
        return None

    def _package_root(self) -> Path:
        """Return where the project is; older tox says it only if it packages it."""
        try:
            root: Path = self.core["package_root"]
        except KeyError:
            root = self.core["tox_root"]
        return root

    def _names(self, key: str) -> tuple[str, ...]:
        return tuple(sorted(self.conf[key]))

    def _check_lock(self, path: Path, key: str) -> None:
        if not path.is_file():
            raise Fail(f"{key} of {self.name} is `{path}`, and there is no such file")
        others = ["deps"] if self.conf["deps"].as_root_args else []
        if key == "lock":
            more = ("pylock", "dependency_groups")
            others += [one for one in more if self._setting(one)]
        if others:
            raise Fail(
                f"cannot use both `{key}` and `{others[0]}` in {self.name}: all that is"
                " installed comes from the lockfile (`lock_groups` and `lock_extras`"
                " choose of it)"
            )

    def _locked(self, said: Surroundings) -> tuple[str | None, GroupOptions]:
        found = self._lock()
        if found is None:
            return super()._locked(said)
        from mvenv.installing.notes import Notes

        Notes(self.notes).forget()
        return str(found[0]), found[1]

    def _install_pylock(self) -> None:
        """Do nothing: it was made from the lockfile."""

    def _first_steps(self) -> list[tuple[str, ...]]:
        if getattr(self.options, "skip_env_install", False):
            return []
        try:
            return [*self._dependency_steps()]
        except (Fail, OSError, ValueError, KeyError) as error:
            # tox comes to it by itself, and says it better.
            _LOGGER.debug("%s: %s", self.name, error)
            return []

    def _dependency_steps(self) -> Iterable[tuple[str, ...]]:
        installer = self.installer
        constraints = list(installer.constraints.as_root_args)
        deps = self.conf["deps"].as_root_args
        if deps:
            yield installer.arguments_of([*deps, *constraints])
        groups = self.conf["dependency_groups"]
        if groups:
            from tox.tox_env.python.dependency_groups import resolve

            found = resolve(self._package_root(), groups)
            yield installer.arguments_of([*sorted(map(str, found)), *constraints])


_PROJECTS = ("pyproject.toml", "setup.py", "setup.cfg")
_LOCK_SETTINGS = {
    "lock_groups": "groups to install of `lock`, beside its default ones",
    "lock_only_groups": "groups to install of `lock`, in place of its default ones",
    "lock_extras": "extras to install of `lock`",
}


def _digest(lockfile: Path) -> str:
    from mvenv.errors import SystemFault
    from mvenv.hashes import sha256_file

    try:
        return sha256_file(lockfile)
    except OSError as error:
        doing = f"reading `{lockfile}`"
        raise SystemFault.from_os_error(OSError(*error.args), doing) from error


def _as_tox_chooses(
    path: Path, groups: tuple[str, ...], extras: tuple[str, ...]
) -> GroupOptions:
    """Return what tox takes of its own ``pylock``.

    The groups that are named, else the default ones; names that the lockfile does not
    have mean nothing there.
    """
    from mvenv.lockfiles import read_lockfile
    from mvenv.selection.groups import GroupOptions

    if not groups and not extras:
        return GroupOptions()
    lockfile = read_lockfile(path)
    return GroupOptions(
        only=tuple(one for one in groups if one in lockfile.groups),
        extras=tuple(one for one in extras if one in lockfile.extras),
    )


class MvenvPep517Packager(MvenvEnvironment, Pep517VenvPackager, Replacing):
    """Where the project's package is built."""

    @staticmethod
    def id() -> str:
        """Return its name in tox."""
        return "mvenv-pep-517"

    def _first_steps(self) -> list[tuple[str, ...]]:
        try:
            requires = sorted(map(str, self.requires()))
        except (Fail, OSError, ValueError) as error:
            _LOGGER.debug("%s: %s", self.name, error)
            return []
        constraints = self.installer.constraints.as_root_args
        return [self.installer.arguments_of([*requires, *constraints])] * bool(requires)


class MvenvCmdBuilder(MvenvEnvironment, VenvCmdBuilder, Replacing):
    """Where commands of the user's build the project's package."""

    @staticmethod
    def id() -> str:
        """Return its name in tox."""
        return "mvenv-cmd-builder"
