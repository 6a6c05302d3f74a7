"""A small environment that has one of everything, and a sibling of the same lock."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv.diagnose.examination import examine
from mvenv.diagnose.model import Examination, Finding, Level
from mvenv.diagnose.subject import Subject, open_subject
from mvenv.env.receipt import Receipt, read_receipt
from mvenv.store.layout import StoreLayout

CODE = "".join(f"value_{number} = {number}\n" for number in range(200))


@dataclass(frozen=True)
class Scene:
    """Environments of one lock in one store."""

    mvenv: Runner
    lock: Path
    env: Path
    sibling: Path
    mode: str

    @property
    def layout(self) -> StoreLayout:
        """Return the store."""
        return StoreLayout(self.mvenv.store)

    @property
    def site(self) -> Path:
        """Return the environment's site-packages."""
        return next(self.env.glob("lib/python3*/site-packages"))

    def create(self, folder: Path, *options: str | Path) -> None:
        """Make an environment of the lock."""
        self.mvenv.create(folder, self.lock, "--link-mode", self.mode, *options)

    def subject(self, env: Path | None = None) -> Subject:
        """Open an environment to look at it."""
        return open_subject(env or self.env, self.layout)

    def look(
        self, level: Level = Level.QUICK, env: Path | None = None, *, scrub: float = 0.0
    ) -> Examination:
        """Look at an environment."""
        return examine(self.subject(env), level, scrub_seconds=scrub)

    def faults(
        self, level: Level = Level.QUICK, env: Path | None = None
    ) -> list[Finding]:
        """Return what is found and is no drift."""
        return [one for one in self.look(level, env).findings if not one.drift]

    def drifts(self) -> list[Finding]:
        """Return what the user did on purpose."""
        return [one for one in self.look().findings if one.drift]

    def only(self, level: Level = Level.QUICK, env: Path | None = None) -> Finding:
        """Return the one finding that there must be."""
        found = self.look(level, env).findings
        assert len(found) == 1, [(one.code, one.path, one.detail) for one in found]
        return found[0]

    def receipt(self) -> Receipt:
        """Return the environment's receipt."""
        receipt = read_receipt(self.env)
        assert receipt is not None
        return receipt

    def stored(self, path: Path) -> Path:
        """Return the store's name of a shared file."""
        inode = path.stat().st_ino
        found = [
            one
            for one in self.layout.root.glob("wheels/*/*/tree/**/*")
            if one.stat().st_ino == inode
        ]
        return found[0]


def write_through(path: Path, content: bytes) -> None:
    """Give all names of a file other bytes, as ``cp`` and editors do."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.write(content)
        stream.truncate()
    path.chmod(mode & 0o7777)


def put(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Give one name a new file, as ``sed -i`` and ``git`` do."""
    new = path.with_name("new-by-user")
    new.write_bytes(content)
    new.chmod(mode)
    new.replace(path)


@contextlib.contextmanager
def stat_kept(path: Path) -> Iterator[None]:
    """Put date and mode back afterwards."""
    seen = path.stat()
    yield
    path.chmod(seen.st_mode & 0o7777)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def make_wheels(make_wheel: WheelMaker) -> list[Path]:
    return [
        make_wheel(
            "tools",
            "2.0",
            {
                "tools/__init__.py": "def main():\n    print('tools')\n",
                "tools/code.py": CODE,
                "tools/deep/er/more.py": CODE + "more = 1\n",
                **{f"tools/part{n}.py": f"part = {n}\n" for n in range(9)},
                "tools/empty.py": "",
                "tools/data.bin": bytes(range(256)) * 80,
                "tools/templates/page.html": "<p>page</p>\n" * 9,
                "both/__init__.py": "owner = 'tools'\n",
                "tools-2.0.data/scripts/old-tool": "#!python\nprint('old')\n",
                "tools-2.0.data/data/share/tools/readme.txt": "text\n",
                "tools_paths.pth": "import sys\n",
            },
            entry_points="[console_scripts]\nrun-tools = tools:main\n",
        ),
        make_wheel(
            "plain",
            "1.0",
            {
                "plain/__init__.py": "version = '1.0'\n",
                "plain/a.py": CODE + "a = 1\n",
                "plain/b.py": CODE + "b = 2\n",
                "both/__init__.py": "owner = 'plain'\n",
            },
        ),
        make_wheel("single", "3.1", {"single.py": CODE + "single = 3\n"}),
    ]


def make_scene(
    mode: str,
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    folder: Path,
) -> Scene:
    lock = write_pylock(*make_wheels(make_wheel))
    scene = Scene(mvenv, lock, folder / "env", folder / "sibling", mode)
    scene.create(scene.env)
    scene.create(scene.sibling)
    return scene


@pytest.fixture
def scene(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> Scene:
    """Return two environments whose files are hard links."""
    return make_scene("hardlink", mvenv, make_wheel, write_pylock, tmp_path)


@pytest.fixture
def copied_scene(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> Scene:
    """Return two environments whose files are copies."""
    return make_scene("copy", mvenv, make_wheel, write_pylock, tmp_path)


@pytest.fixture(params=["hardlink", "copy"])
def any_scene(
    request: pytest.FixtureRequest,
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> Scene:
    """Return two environments, in each way of bringing files."""
    return make_scene(request.param, mvenv, make_wheel, write_pylock, tmp_path)
