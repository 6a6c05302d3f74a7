"""Normal life is no alarm: what people and tools do to environments every day."""

from __future__ import annotations

import os
import py_compile
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.commands import Outcome, Runner
from kit.interpreters import Interpreters
from kit.lockfiles import PylockWriter
from kit.never import Watch
from kit.sdists import ProjectMaker
from kit.wheels import WheelMaker

_MODES = ("hardlink", "copy")


class Home:
    """An environment with pip, its sibling, and a folder of wheels."""

    def __init__(self, base: Path, mvenv: Runner, wheels: Path) -> None:
        self.env = base / "env"
        self.sibling = base / "sibling"
        self.mvenv = mvenv
        self.wheels = wheels

    @property
    def site(self) -> Path:
        """Return its site-packages."""
        return next(self.env.glob("lib/python*/site-packages"))

    def python(self, *arguments: str) -> None:
        """Run the environment's interpreter, as its user does."""
        surroundings = {
            **{key: value for key, value in os.environ.items() if key[:4] != "PYTH"},
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
        }
        done = subprocess.run(
            [str(self.env / "bin" / "python"), *arguments],
            env=surroundings,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def pip(self, *arguments: str) -> None:
        """Run pip there."""
        self.python("-m", "pip", "--quiet", *arguments)

    def doctor(self, *options: str) -> Outcome:
        """Look, under watch."""
        watch = Watch(environments=(self.env, self.sibling), stores=(self.mvenv.store,))
        watch.begin()
        outcome = self.mvenv("doctor", self.env, "--offline", "--json", *options)
        watch.ended(code=outcome.code, read_only="--check" in options)
        assert list(watch.broken()) == []
        return outcome


@pytest.fixture(params=_MODES)
def home(
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Home:
    """Return an environment that was just made, with a sibling."""
    script = "[console_scripts]\nalpha = alpha:main\n"
    files: dict[str, str | bytes] = {
        "alpha/__init__.py": "def main(): return 0\n",
        "alpha/more.py": "more = 1\n" * 50,
    }
    lock = write_pylock(
        make_wheel("alpha", "1.0", files, entry_points=script),
        make_wheel("beta"),
        make_wheel("gamma"),
    )
    make_wheel("alpha", "2.0", {"alpha/__init__.py": "def main(): return 2\n"})
    make_wheel("delta")
    home = Home(tmp_path, mvenv, make_wheel.folder)
    for folder in (home.env, home.sibling):
        mvenv.create(folder, lock, "--seed", "--link-mode", request.param)
    return home


def faults(outcome: Outcome) -> Iterator[str]:
    """Yield what is told and is no drift."""
    for one in outcome.value["findings"]:
        if not one["drift"] and one["code"] != "F14":
            yield f"{one['code']} {one['path']}: {one['detail']}"


def check(home: Home) -> None:
    """Fail where anything is called a fault, or is changed by a heal."""
    for options in (("--check",), ("--check", "--full"), ("--full", "--fix"), ()):
        outcome = home.doctor(*options)

        assert list(faults(outcome)) == [], options
        assert outcome.code == 0, options


@pytest.mark.slow
def test_imports(home: Home) -> None:
    home.python("-c", "import alpha.more, beta, gamma, pip")
    assert list(home.site.glob("alpha/__pycache__/*.pyc"))

    check(home)


@pytest.mark.slow
def test_bytecode_of_another_interpreter(
    home: Home, interpreters: Interpreters
) -> None:
    source = home.site / "alpha" / "more.py"
    for other in interpreters:
        code = "import py_compile, sys; py_compile.compile(sys.argv[1])"
        subprocess.run([other.executable, "-c", code, source], check=True)
    py_compile.compile(str(source), optimize=2)

    check(home)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("install", "delta"),
        ("install", "--upgrade", "alpha"),
        ("install", "--force-reinstall", "--no-deps", "alpha==1.0"),
        ("uninstall", "--yes", "beta"),
        ("uninstall", "--yes", "alpha", "beta", "gamma"),
    ],
)
def test_pip(home: Home, arguments: tuple[str, ...]) -> None:
    home.pip(*arguments)
    before = sorted(path.name for path in home.site.iterdir())

    check(home)

    assert sorted(path.name for path in home.site.iterdir()) == before


@pytest.mark.slow
def test_editable(home: Home, make_project: ProjectMaker) -> None:
    project = make_project("omega")
    home.pip("install", "--no-build-isolation", "--editable", str(project))

    check(home)


@pytest.mark.slow
def test_a_sibling_is_removed(home: Home) -> None:
    shutil.rmtree(home.sibling)

    check(home)


@pytest.mark.slow
def test_a_backup_tool_touches_every_date(home: Home) -> None:
    for folder, _, names in os.walk(home.env):
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink():
                seen = path.stat()
                os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns // 10**9 * 10**9))

    first = home.doctor()

    assert list(faults(first)) == []
    check(home)


@pytest.mark.slow
def test_notes_beside_modules(home: Home) -> None:
    (home.site / "alpha" / "local_settings.py").write_text("mine = 1\n")
    (home.env / "notes.txt").write_text("mine\n")
    (home.site / "usercustomize.py").write_text("")

    check(home)
