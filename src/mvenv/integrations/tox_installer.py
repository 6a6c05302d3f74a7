"""tox's installer for environments of mvenv: pip's words, carried out by links."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tox.execute.request import ExecuteRequest
from tox.tox_env.errors import Fail
from tox.tox_env.python.pip.pip_install import Pip

from mvenv.errors import BuildError, MvenvError, SystemFault
from mvenv.integrations.words import LogReporter, told, told_beside_output

if TYPE_CHECKING:
    from mvenv.installing.request import InstallRequest

__all__ = ["MvenvInstaller"]

_OWN = ("--force-reinstall", "--no-deps")
"""How tox's arguments for a project's own package begin."""
_FREEZE = (
    "from importlib.metadata import distributions as d;"
    "print('\\n'.join(sorted({f\"{i.metadata['Name']}=={i.version}\" for i in d()},"
    "key=str.lower)))"
)


class MvenvInstaller(Pip):
    """All of tox's ways to install, done in this process."""

    # One of `tox_envs`, which has the installer: it cannot be imported here.
    _env: Any

    def freeze_cmd(self) -> list[str]:
        """Return a command that lists what is installed: there is no pip to ask."""
        return ["python", "-I", "-c", _FREEZE]

    def pip_arguments(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return the arguments of ``pip install`` in a command.

        `Fail` where ``install_command`` is something else than pip.
        """
        texts = [str(word) for word in words]
        for number, word in enumerate(texts[:-1] or texts):
            name = Path(word).name
            if name.startswith("pip") and texts[number + 1 : number + 2] == ["install"]:
                before = [Path(one).name for one in texts[:number]]
                if not before or before[0].startswith("python"):
                    return tuple(texts[number + 2 :])
        raise Fail(
            f"install_command of {self._env.name} is `{' '.join(texts[:3])} …`, and the"
            " runner mvenv installs by itself: leave it out, or say `runner ="
            " virtualenv` for this environment"
        )

    def arguments_of(self, deps: Sequence[Any]) -> tuple[str, ...]:
        """Return what installing ``deps`` asks of pip."""
        return self.pip_arguments(self.build_install_cmd(deps))

    def check_command(self) -> None:
        """Raise `Fail` where ``install_command`` cannot be served."""
        self.pip_arguments(self._env.conf["install_command"].args)

    def carry_out(
        self, request: ExecuteRequest, interrupted: threading.Event
    ) -> tuple[int, str]:
        """Install what a command says; return an exit code and what to print."""
        arguments = self.pip_arguments(request.cmd)
        if arguments in self._env.foreseen:
            return 0, "linked when the environment was made"
        asked = self._env.install_request(request, arguments, interrupted)
        try:
            return 0, self._install(asked)
        except BuildError as error:
            return 1, f"{error.output}\n{told_beside_output(error)}"
        except MvenvError as error:
            return 1, told(error)
        except OSError as error:
            return 1, told(SystemFault.from_os_error(error, "installing"))

    def _install(self, asked: InstallRequest) -> str:
        from mvenv.fetch.pip import scratch
        from mvenv.installing import install, install_own
        from mvenv.installing.own_sdist import build_own_sdist

        reporter = LogReporter()
        own = self._own_package(asked.arguments)
        if own is None:
            how = install(asked, reporter)
        elif own.suffix == ".whl":
            how = install_own(asked, own, reporter)
        else:
            with scratch(Path(tempfile.gettempdir())) as folder:
                wheel = build_own_sdist(
                    own,
                    folder,
                    asked,
                    self._env.target(),
                    install=lambda one: install(one, reporter),
                    reporter=reporter,
                )
                how = install_own(asked, wheel, reporter)
        if how.by_pip:
            return how.output
        return f"linked {', '.join(how.changed)}" if how.changed else "nothing to do"

    @staticmethod
    def _own_package(arguments: tuple[str, ...]) -> Path | None:
        """Return the one file that is a project's own; `None`: pip is to do it."""
        if arguments[: len(_OWN)] != _OWN or len(arguments) != len(_OWN) + 1:
            return None
        path = Path(arguments[-1])
        ours = path.name.endswith((".whl", ".tar.gz")) and path.is_file()
        return path.absolute() if ours else None
