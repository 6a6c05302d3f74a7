"""A project's wheel from its sdist, built in an environment that is linked.

As pip builds it: what pyproject.toml requires is there, and what the back end asks for
besides. pip itself takes seconds for that, most of them to install a back end.
"""

from __future__ import annotations

import contextlib
import json
import os
import tarfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvenv.env.paths import python_in
from mvenv.env.state import observe
from mvenv.errors import BuildError, MvenvError
from mvenv.fetch.build import build_wheel
from mvenv.fetch.pip import pip_environment, run_pip
from mvenv.installing.making import make_for
from mvenv.installing.notes import Notes
from mvenv.installing.pip_at_hand import pip_at_hand
from mvenv.interpreters.running import run_python
from mvenv.progress import Reporter
from mvenv.store.layout import open_layout
from mvenv.store.registry import unregister
from mvenv.target import Target
from mvenv.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from mvenv.installing.request import InstallRequest

__all__ = ["build_own_sdist"]

_LEGACY = "setuptools.build_meta:__legacy__"
_LEGACY_REQUIRES: tuple[str, ...] = ("setuptools>=40.8.0",)
"""What stands for no ``[build-system]`` (PEP 518)."""
_PATIENCE = 600.0
_HOOK = """\
import importlib, json, os, sys
told = json.loads(sys.argv[1])
os.chdir(told["source"])
sys.path[:0] = told["path"]
name, _, attributes = told["backend"].partition(":")
backend = importlib.import_module(name)
for attribute in filter(None, attributes.split(".")):
    backend = getattr(backend, attribute)
hook = getattr(backend, "get_requires_for_build_wheel", None)
sys.stdout.write("\\n" + json.dumps(list(hook() if hook else ())))
"""


def build_own_sdist(
    sdist: Path,
    folder: Path,
    request: InstallRequest,
    target: Target,
    *,
    install: Callable[[InstallRequest], object],
    reporter: Reporter,
) -> Path:
    """Build a wheel in ``folder``, which is empty; `BuildError` where that fails.

    ``install`` installs what is asked for into an environment.
    """
    building = _Building(sdist, folder, request, target)
    try:
        return building.build(install)
    except (MvenvError, OSError, ValueError, KeyError, tarfile.TarError) as error:
        # pip makes no such shortcuts, and its word is the one that counts.
        reporter.detail(f"built again by pip: {error}")
    finally:
        building.forget()
    return build_wheel(
        python=target.executable,
        pip=pip_at_hand(request, target),
        source=sdist,
        folder=folder,
        settings=request.surroundings.fetch,
        environ=request.environ,
        reporter=reporter,
        broken_off=request.broken_off,
    )


class _Building:
    def __init__(
        self, sdist: Path, folder: Path, request: InstallRequest, target: Target
    ) -> None:
        self._sdist = sdist
        self._folder = folder
        self._env = folder / "env"
        self._request = replace(
            request, folder=self._env, notes=request.notes.with_name(folder.name)
        )
        self._target = target

    def build(self, install: Callable[[InstallRequest], object]) -> Path:
        source = self._unpack()
        system = _build_system(source)
        make_for(self._request, self._target, self._env)
        if system["requires"]:
            install(replace(self._request, arguments=system["requires"]))
        asked = self._asked_by_back_end(system)
        if asked:
            install(replace(self._request, arguments=asked))
        return self._build(source)

    def _unpack(self) -> Path:
        place = self._folder / "source"
        with tarfile.open(self._sdist) as archive:
            archive.extractall(place, filter="data")
        (source,) = place.iterdir()
        return source

    def _asked_by_back_end(self, system: dict[str, Any]) -> tuple[str, ...]:
        words = ["-I", "-c", _HOOK, json.dumps(system)]
        python = python_in(str(self._env))
        answer = run_python(python, words, timeout=_PATIENCE)
        if answer.status:
            reason = answer.reason()
            raise BuildError(f"the back end does not say what it needs: {reason}")
        return tuple(map(str, json.loads(answer.output.splitlines()[-1])))

    def _build(self, source: Path) -> Path:
        out = self._folder / "out"
        temporary = self._folder / "tmp"
        temporary.mkdir()
        request = self._request
        output = run_pip(
            python_in(str(self._env)),
            pip_at_hand(request, self._target),
            [
                "wheel",
                "--no-deps",
                "--no-build-isolation",
                f"--wheel-dir={out}",
                str(source),
            ],
            what=f"`{self._sdist.name}`",
            environment=pip_environment(
                request.surroundings.fetch, request.environ, temporary
            ),
            broken_off=request.broken_off,
        )
        made = [*out.glob("*.whl")]
        if len(made) != 1:
            raise BuildError("no wheel was built", output=output)
        return made[0]

    def forget(self) -> None:
        """Take its environment off the record: it is deleted with the folder."""
        with contextlib.suppress(MvenvError, OSError):
            receipt = observe(self._env).receipt
            if receipt is not None:
                unregister(open_layout(self._request.surroundings.store), receipt.id)
        Notes(self._request.notes).forget()
        with contextlib.suppress(OSError):
            self._request.notes.rmdir()


def _build_system(source: Path) -> dict[str, Any]:
    backend, requires = _LEGACY, _LEGACY_REQUIRES
    path: list[str] = []
    with contextlib.suppress(FileNotFoundError):
        text = (source / "pyproject.toml").read_text(encoding="utf-8")
        system = tomllib.loads(text).get("build-system")
        if system is not None:
            backend = system.get("build-backend", backend)
            requires = tuple(map(str, system["requires"]))
            path = [os.path.join(source, one) for one in system.get("backend-path", ())]
    if not path and backend == _LEGACY:
        # As that back end itself has it.
        path = [str(source)]
    return {
        "backend": backend,
        "requires": requires,
        "path": path,
        "source": str(source),
    }
