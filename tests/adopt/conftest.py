"""Environments that pip and uv make, from small wheels, with no index."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from adopt.installing import MakeEnvironment, find_uv, pip, run
from kit.wheels import WheelMaker


def make_wheels(make_wheel: WheelMaker) -> None:
    """Make two projects' wheels; one has a file of each kind."""
    make_wheel(
        "demo",
        "1.0",
        {
            "demo/__init__.py": "def main():\n    print('demo')\n",
            "demo/empty.py": "",
            "demo/data.bin": bytes(range(256)) * 800,
            "demo/templates/page.html": "<p>\n",
            "demo-1.0.data/scripts/tool": "#!python\nprint('tool')\n",
            "demo-1.0.data/scripts/program": b"\x7fELF" + bytes(90_000),
            "demo-1.0.data/data/etc/demo.conf": "a=1\n",
            "demo-1.0.data/data/share/demo/table.bin": bytes(9000),
            "demo-1.0.data/headers/demo.h": "int demo;\n",
            "demo.pth": "import sys\n",
        },
        entry_points="[console_scripts]\ndemo = demo:main\n",
        executables=["demo-1.0.data/scripts/program", "demo-1.0.data/scripts/tool"],
    )
    make_wheel("plain", "2.0", {"plain/__init__.py": "x = 1\n" * 2000})
    make_wheel("plain", "3.0", {"plain/__init__.py": "x = 2\n" * 2000})


@pytest.fixture
def wheels(make_wheel: WheelMaker) -> Path:
    """Return a folder with the wheels."""
    make_wheels(make_wheel)
    return make_wheel.folder


class Templates:
    """Environments that pip made, each once, to be copied: pip takes its time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_wheels(WheelMaker(folder=folder / "wheels"))

    def copy(self, requirements: tuple[str, ...], folder: Path) -> None:
        """Make ``folder`` what pip would have made there."""
        template = self._folder / "-".join(requirements)
        if not template.exists():
            run(sys.executable, "-m", "venv", "--without-pip", template)
            wheels = self._folder / "wheels"
            pip(
                template,
                "install",
                "--no-index",
                "--find-links",
                wheels,
                *requirements,
            )
        shutil.copytree(template, folder, symlinks=True)
        for path in (folder / "pyvenv.cfg", *(folder / "bin").iterdir()):
            content = b"" if path.is_symlink() else path.read_bytes()
            here = content.replace(os.fsencode(template), os.fsencode(folder))
            if here != content:
                path.write_bytes(here)


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """Return what pip made so far in this process."""
    return Templates(tmp_path_factory.mktemp("pip"))


@pytest.fixture
def pip_environment(tmp_path: Path, templates: Templates) -> MakeEnvironment:
    """Make environments as pip does."""

    def make(name: str, *requirements: str) -> Path:
        folder = tmp_path / name
        templates.copy(requirements or ("demo", "plain==2.0"), folder)
        return folder

    return make


@pytest.fixture
def uv_environment(tmp_path: Path, wheels: Path) -> MakeEnvironment:
    """Make environments with uv, whose cache is in ``uv-cache``."""
    uv = find_uv()

    def make(name: str, *requirements: str) -> Path:
        folder = tmp_path / name
        cache = {"UV_CACHE_DIR": str(tmp_path / "uv-cache")}
        run(uv, "venv", "--python", sys.executable, folder, **cache)
        wanted = requirements or ("demo", "plain==2.0")
        run(
            uv,
            "pip",
            "install",
            "--no-index",
            "--find-links",
            wheels,
            "--python",
            folder,
            "--link-mode",
            "hardlink",
            *wanted,
            **cache,
        )
        return folder

    return make
