"""`mvenv.EnvBuilder` and `mvenv.create`: those of the standard library's `venv`.

A builder whose class changes nothing makes environments as ``python -m mvenv`` does.
One that overrides a hook goes the way of `venv`, hook by hook, so whoever subclasses
`venv.EnvBuilder` only changes an import; what came of it is then adopted, which shares
its files with the store and makes it known to ``mvenv doctor``.
"""

from __future__ import annotations

import os
import venv
from pathlib import Path
from typing import Any, TypeAlias

from mvenv.dropin import make_venv
from mvenv.dropin.renewing import make_known
from mvenv.dropin.request import VenvRequest
from mvenv.errors import MvenvError, SystemFault
from mvenv.progress import Silent
from mvenv.surroundings import Surroundings
from mvenv.workers import one_process

__all__ = ["EnvBuilder", "create"]

StrOrBytesPath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_HOOKS = (
    "ensure_directories",
    "create_configuration",
    "create_git_ignore_file",
    "setup_python",
    "_setup_pip",
    "setup_scripts",
    "post_setup",
    "install_scripts",
    "replace_variables",
    "symlink_or_copy",
    "upgrade_dependencies",
    "_call_new_python",
    "clear_directory",
)
"""What a subclass, or a test, may have put its own in place of."""
_KNOWN_IGNORES = frozenset({"git"})


class EnvBuilder(venv.EnvBuilder):
    """`venv.EnvBuilder`, whose environments share pip with the store.

    Same arguments, hooks and attributes as that of the interpreter that runs this. The
    store and the index are those of the command line's environment variables
    (``MVENV_STORE`` and so on). Raises what `venv` raises: `ValueError` where an
    environment cannot be at a path, `OSError` for what the system refuses.
    """

    def create(self, env_dir: StrOrBytesPath) -> None:
        """Create an environment at ``env_dir``, or renew the one that is there."""
        if not self._is_plain():
            super().create(env_dir)
            self._make_known(os.path.abspath(os.fsdecode(env_dir)))
            return
        try:
            with one_process():
                make_venv(self._request(env_dir), Silent())
        except SystemFault as error:
            raise OSError(error.message) from error
        except MvenvError as error:
            raise ValueError(error.message) from error

    def _is_plain(self) -> bool:
        """Return whether all is done as `venv` itself does it."""
        own = vars(self)
        return self._scm_ignores() <= _KNOWN_IGNORES and all(
            name not in own
            and getattr(type(self), name, None) is getattr(_ORIGINAL, name, None)
            for name in _HOOKS
        )

    def _scm_ignores(self) -> frozenset[str]:
        return frozenset(getattr(self, "scm_ignore_files", ()))

    def _request(self, env_dir: StrOrBytesPath) -> VenvRequest:
        said = Surroundings.of(os.environ)
        prompt = getattr(self, "orig_prompt", self.prompt)
        return VenvRequest(
            folder=os.path.abspath(os.fsdecode(env_dir)),
            start=os.getcwd(),
            python=None,
            system_site_packages=bool(self.system_site_packages),
            copies=not self.symlinks,
            clear=bool(self.clear),
            upgrade=bool(self.upgrade),
            with_pip=bool(self.with_pip),
            prompt=None if prompt is None else str(prompt),
            upgrade_deps=bool(getattr(self, "upgrade_deps", False)),
            scm_ignore="git" in self._scm_ignores(),
            surroundings=said,
        )

    def _make_known(self, env_dir: str) -> None:
        """Share what hooks have made; where that cannot be, it is as `venv` left it."""
        try:
            make_known(Path(env_dir), Surroundings.of(os.environ), Silent())
        except MvenvError:
            return


_ORIGINAL = venv.EnvBuilder


def create(env_dir: StrOrBytesPath, *values: Any, **options: Any) -> None:
    """Create an environment: `venv.create`, with the arguments that it has.

    ``system_site_packages``, ``clear``, ``symlinks``, ``with_pip``, ``prompt``,
    ``upgrade_deps``, and from 3.13 on by name ``scm_ignore_files``.
    """
    names = ("system_site_packages", "clear", "symlinks", "with_pip", "prompt")
    given = dict(zip((*names, "upgrade_deps"), values, strict=False))
    if len(values) > len(names) + 1 or given.keys() & options.keys():
        raise TypeError("create() got more values than it has arguments")
    EnvBuilder(**given, **options).create(env_dir)
