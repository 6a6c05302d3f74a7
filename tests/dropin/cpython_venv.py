"""CPython's own tests of `venv`, with its `EnvBuilder` replaced.

Run by the interpreter whose tests they are::

    python cpython_venv.py [--api FOLDER... | --command WORD...] [-- TEST...]

``--api`` puts `mvenv.EnvBuilder` from these folders in the place, ``--command`` one
that runs a command line; then nothing of ours is imported. For Python 3.8 and newer.
"""

from __future__ import annotations

import os
import subprocess
import sys
import unittest
import venv
from typing import Any

_ORIGINAL = venv.EnvBuilder
_HOOKS = (
    "create_configuration",
    "create_git_ignore_file",
    "setup_python",
    "_setup_pip",
    "setup_scripts",
    "post_setup",
    "install_scripts",
    "upgrade_dependencies",
)


def by_command(command: list[str], made: list[Any]) -> Any:
    """Return a builder that runs ``command`` where no hook is its own."""

    class EnvBuilder(_ORIGINAL):
        def create(self, env_dir: Any) -> None:
            kind = type(self)
            same = all(
                getattr(kind, name, None) is getattr(_ORIGINAL, name, None)
                for name in _HOOKS
            )
            ignores: Any = getattr(self, "scm_ignore_files", frozenset())
            if not same or set(ignores) - {"git"} or self.__dict__.keys() & set(_HOOKS):
                super().create(env_dir)
                return
            words = [
                os.fsdecode(env_dir),
                "--python",
                getattr(sys, "_base_executable", ""),
            ]
            told = {
                "--system-site-packages": self.system_site_packages,
                "--copies": not self.symlinks,
                "--clear": self.clear,
                "--upgrade": self.upgrade,
                "--without-pip": not self.with_pip,
                "--upgrade-deps": getattr(self, "upgrade_deps", False),
                "--without-scm-ignore-files": "git" not in ignores,
            }
            words += [word for word, wanted in told.items() if wanted]
            prompt = getattr(self, "orig_prompt", self.prompt)
            if prompt is not None:
                words.append(f"--prompt={prompt}")
            done = subprocess.run(
                [*command, *words], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise ValueError(done.stderr)
            made.append(env_dir)

    return EnvBuilder


def by_api(made: list[Any]) -> Any:
    """Return `mvenv.EnvBuilder`; what it makes itself is noted in ``made``."""
    from mvenv import EnvBuilder

    original = EnvBuilder._request

    def request(self: EnvBuilder, env_dir: Any) -> Any:
        made.append(env_dir)
        return original(self, env_dir)

    EnvBuilder._request = request  # type: ignore[method-assign]  # to count
    return EnvBuilder


def replace_with(builder: Any) -> None:
    """Put a builder in the place of the standard library's."""

    def create(env_dir: Any, *values: Any, **options: Any) -> None:
        names = ("system_site_packages", "clear", "symlinks", "with_pip", "prompt")
        options.update(zip(names, values))  # noqa: B905  new in 3.10
        builder(**options).create(env_dir)

    replaced: Any = venv
    replaced.EnvBuilder, replaced.create = builder, create


def main() -> None:
    """Replace, and run the tests; the number of environments goes to stderr."""
    words, tests = sys.argv[1:], []
    if "--" in words:
        at = words.index("--")
        words, tests = words[:at], words[at + 1 :]
    made: list[Any] = []
    if words and words[0] == "--command":
        replace_with(by_command(words[1:], made))
    elif words:
        # Not by PYTHONPATH, which the environments' own Pythons would see.
        sys.path += words[1:]
        replace_with(by_api(made))
    from test import test_venv  # type: ignore[import-not-found]  # not in typeshed

    suite = unittest.defaultTestLoader.loadTestsFromModule(test_venv)
    if tests:
        suite = unittest.defaultTestLoader.loadTestsFromNames(tests, test_venv)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    sys.stderr.write(f"environments made by what stands in: {len(made)}\n")
    sys.exit(not result.wasSuccessful())


if __name__ == "__main__":
    main()
