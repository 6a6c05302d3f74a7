"""pip builds what is no wheel, and a failure leaves nothing but its reason."""

from __future__ import annotations

import compileall
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from virtualenv.seed.wheels.embed import get_embed_wheel

from kit.interpreters import Interpreters
from kit.misbehaving import DEAD, Remembering
from kit.sdists import ProjectMaker, SdistMaker
from kit.wheels import WheelMaker
from mvenv.errors import BuildError, MvenvError, OfflineError
from mvenv.fetch.build import build_key, build_wheel, vcs_requirement
from mvenv.fetch.editable import EditableInstall, build_editable
from mvenv.fetch.pip import pip_environment
from mvenv.fetch.settings import DEFAULT_INDEX_URL, FetchSettings
from mvenv.progress import Silent

VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
BASE_PYTHON = os.path.realpath(sys.executable)
OFFLINE = replace(DEAD, offline=True)


def pip_for(version: str, python: str) -> Path:
    """Return a wheel of pip for a Python."""
    major, minor = version.split(".")
    if (int(major), int(minor)) >= (3, 9):
        found = get_embed_wheel("pip", version)
        assert found is not None
        return Path(found.path)
    library = Path(python).resolve().parents[1] / f"lib/python{version}"
    return max((library / "ensurepip/_bundled").glob("pip-*.whl"))


_unpacked: dict[Path, Path] = {}


@pytest.fixture(autouse=True, scope="module")
def _unpack_pip(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Unpack pip with its bytecode, once: it starts three times as fast."""
    wheel = pip_for(VERSION, BASE_PYTHON)
    folder = tmp_path_factory.mktemp("pip")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    compileall.compile_dir(folder, quiet=2)
    _unpacked[wheel] = folder


def fast_pip(version: str, python: str) -> Path:
    """Return the unpacked pip where there is one for a Python, else the wheel."""
    wheel = pip_for(version, python)
    return _unpacked.get(wheel, wheel) if version == VERSION else wheel


def build(
    source: Path | str,
    folder: Path,
    settings: FetchSettings = OFFLINE,
    *,
    subdirectory: str | None = None,
    python: str = BASE_PYTHON,
    version: str = VERSION,
    environ: dict[str, str] | None = None,
) -> Path:
    """Build with the Python that runs the tests."""
    return build_wheel(
        python=python,
        pip=fast_pip(version, python),
        source=source,
        subdirectory=subdirectory,
        folder=folder,
        settings=settings,
        environ=dict(os.environ) if environ is None else environ,
        reporter=Silent(),
    )


def names_in(wheel: Path) -> set[str]:
    """Return the paths in a wheel, without those of its dist-info."""
    with zipfile.ZipFile(wheel) as archive:
        return {n for n in archive.namelist() if ".dist-info/" not in n}


def run_git(folder: Path, *arguments: str) -> str:
    """Run git in ``folder``."""
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    done = subprocess.run(
        ["git", *who, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_an_sdist(
    make_sdist: SdistMaker, folder: Path, tmp_path: Path, reporter: Remembering
) -> None:
    sdist = make_sdist("demo", "2.0", {"demo.py": "x = 1\n"})

    wheel = build_wheel(
        python=BASE_PYTHON,
        pip=pip_for(VERSION, BASE_PYTHON),
        source=sdist,
        folder=folder,
        settings=OFFLINE,
        # what a user has set for pip does not decide where things go
        environ={
            **os.environ,
            "PIP_TARGET": str(tmp_path / "target"),
            "PIP_ONLY_BINARY": ":all:",
            "PIP_REQUIRE_VIRTUALENV": "1",
            "PIP_WHEEL_DIR": str(tmp_path / "wheels"),
            "PYTHONPATH": str(tmp_path / "nonsense"),
        },
        reporter=reporter,
    )

    assert wheel == folder / "demo-2.0-py3-none-any.whl"
    assert names_in(wheel) == {"demo.py"}
    assert list(folder.iterdir()) == [wheel]
    assert [task.label for task in reporter.tasks] == ["building `demo-2.0.tar.gz`"]
    assert any("Successfully built demo" in line for line in reporter.lines)


def test_a_folder(make_project: ProjectMaker, folder: Path, tmp_path: Path) -> None:
    project = make_project("demo", folder=tmp_path / "a b $HOME #1 [x] ü")
    before = sorted(project.rglob("*"))

    wheel = build(project, folder)

    assert names_in(wheel) == {"demo/__init__.py"}
    assert sorted(project.rglob("*")) == before


@pytest.mark.slow
def test_a_folder_below(make_project: ProjectMaker, folder: Path) -> None:
    project = make_project("demo")

    wheel = build(project.parent, folder, subdirectory=project.name)

    assert names_in(wheel) == {"demo/__init__.py"}


@pytest.mark.parametrize(
    "below", [pytest.param(None, marks=pytest.mark.slow), "part/demo-1.0"]
)
def test_a_commit(
    make_project: ProjectMaker, folder: Path, tmp_path: Path, below: str | None
) -> None:
    repository = tmp_path / "my repo"
    if below:
        make_project("demo", folder=repository / "part")
    else:
        made = make_project("demo", folder=tmp_path)
        made.rename(repository)
    run_git(repository, "init", "-q")
    run_git(repository, "add", "-A")
    run_git(repository, "commit", "-qm", "one")
    commit = run_git(repository, "rev-parse", "HEAD")
    inside = repository / (below or "")
    (inside / "src/demo/later.py").write_text("not in the commit\n")
    run_git(repository, "add", "-A")
    run_git(repository, "commit", "-qm", "two")

    wheel = build(
        vcs_requirement("git", str(repository), commit), folder, subdirectory=below
    )

    assert names_in(wheel) == {"demo/__init__.py"}
    assert list(folder.iterdir()) == [wheel]


def test_build_requirements_come_from_the_places_of_the_settings(
    make_project: ProjectMaker, make_wheel: WheelMaker, folder: Path, tmp_path: Path
) -> None:
    links = tmp_path / "links with space"
    make_wheel("needed", files={"needed.py": "mark = 'here'\n"}, folder=links)
    project = make_project("demo")
    pyproject = project / "pyproject.toml"
    text = pyproject.read_text().replace("requires = []", 'requires = ["needed"]')
    pyproject.write_text(text)
    backend = project / "_build/tiny_backend.py"
    backend.write_text("import needed\n" + backend.read_text())

    wheel = build(project, folder, replace(OFFLINE, find_links=(str(links),)))

    assert wheel.is_file()


def test_a_failure_says_what_the_back_end_said(
    make_sdist: SdistMaker, folder: Path
) -> None:
    sdist = make_sdist("demo", fails="no compiler in this house")

    with pytest.raises(BuildError) as caught:
        build(sdist, folder)

    assert "no compiler in this house" in caught.value.output
    assert "  | " in caught.value.message
    assert caught.value.message.startswith("building `demo-1.0.tar.gz` failed")
    assert not list(folder.iterdir())


def test_a_source_that_is_gone(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(BuildError, match="does not exist"):
        build(tmp_path / "missing", folder)


def test_an_interpreter_that_is_gone(make_sdist: SdistMaker, folder: Path) -> None:
    with pytest.raises(BuildError, match="does not run"):
        build_wheel(
            python=str(folder / "python"),
            pip=fast_pip(VERSION, BASE_PYTHON),
            source=make_sdist("demo"),
            folder=folder,
            settings=OFFLINE,
            environ={},
            reporter=Silent(),
        )

    assert not list(folder.iterdir())


def test_a_remote_repository_is_not_for_offline(folder: Path) -> None:
    url = vcs_requirement("git", "https://me:secret@h.invalid/r", "1" * 40)

    with pytest.raises(OfflineError, match=r"h\.invalid/r") as caught:
        build(url, folder)

    assert "secret" not in caught.value.message


def is_over(process: int) -> bool:
    """Tell whether a process ended, reaped or not; it gets a second."""
    status = Path(f"/proc/{process}/status")
    for _ in range(50):
        try:
            if "\nState:\tZ" in status.read_text():
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def test_interrupting_stops_all_that_was_started(
    make_project: ProjectMaker, folder: Path, tmp_path: Path
) -> None:
    project = make_project("demo")
    note = tmp_path / "pid"
    backend = project / "_build/tiny_backend.py"
    backend.write_text(
        "import os, time\n"
        f"open({str(note)!r}, 'w').write(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )

    def interrupt() -> None:
        while not (note.exists() and note.read_text()):
            time.sleep(0.02)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        build(project, folder)

    assert time.monotonic() - begin < 20
    assert is_over(int(note.read_text()))
    assert not list(folder.iterdir())


@pytest.mark.slow
def test_every_interpreter_builds(
    make_sdist: SdistMaker, interpreters: Interpreters, tmp_path: Path
) -> None:
    sdist = make_sdist("demo")
    built = {}

    for number, one in enumerate(interpreters):
        if one.origin == "system":
            continue
        folder = tmp_path / str(number)
        folder.mkdir()
        wheel = build(
            sdist, folder, python=str(one.executable), version=one.short_version
        )
        built[one.short_version] = wheel.name

    assert set(built.values()) == {"demo-1.0-py3-none-any.whl"}


class Scratch:
    """A bare environment for editables."""

    def __init__(self, folder: Path, python: str = BASE_PYTHON) -> None:
        subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
        self.python = str(folder / "bin/python")
        self.prefix = folder


@pytest.fixture
def scratch_env(tmp_path: Path) -> Scratch:
    """Return a bare environment, its path with a space."""
    return Scratch(tmp_path / "scratch env")


def install(
    project: Path, env: Scratch, folder: Path, settings: FetchSettings = OFFLINE
) -> EditableInstall:
    """Install editable with the Python that runs the tests."""
    return build_editable(
        python=env.python,
        pip=fast_pip(VERSION, BASE_PYTHON),
        project=project,
        folder=folder,
        settings=settings,
        environ=dict(os.environ),
        reporter=Silent(),
    )


def test_an_editable(
    make_project: ProjectMaker, scratch_env: Scratch, folder: Path
) -> None:
    points = "[console_scripts]\nDemo-It = demo:main\n[gui_scripts]\ng=demo:main\n"
    project = make_project("demo", "3.1", entry_points=points)

    made = install(project, scratch_env, folder)

    library = f"lib/python{VERSION}/site-packages"
    files = dict(made.files)
    assert (made.name, made.version, made.dist_info) == (
        "demo",
        "3.1",
        "demo-3.1.dist-info",
    )
    assert files[f"{library}/demo.pth"].decode() == f"{project / 'src'}\n"
    assert {path.rpartition("/")[2] for path in files} == {
        "demo.pth",
        "METADATA",
        "WHEEL",
        "INSTALLER",
        "REQUESTED",
        "direct_url.json",
        "entry_points.txt",
    }
    assert (scratch_env.prefix / "bin/Demo-It").exists()
    assert made.scripts == ()
    assert not list(folder.iterdir())


def test_scripts_that_an_editable_ships_can_move(
    make_project: ProjectMaker, scratch_env: Scratch, folder: Path
) -> None:
    project = make_project("demo")
    backend = project / "_build/tiny_backend.py"
    old = '{STEM.split("-")[0] + ".pth": line.encode()}'
    new = """{
        STEM.split("-")[0] + ".pth": line.encode(),
        STEM + ".data/scripts/tool": b"#!python\\nprint(1)\\n",
        STEM + ".data/scripts/shell": b"#!/bin/sh\\ntrue\\n",
        STEM + ".data/data/share/demo/x.txt": b"data",
    }"""
    assert old in backend.read_text()
    backend.write_text(backend.read_text().replace(old, new))

    made = install(project, scratch_env, folder)

    assert dict(made.scripts) == {
        "tool": b"#!python\nprint(1)\n",
        "shell": b"#!/bin/sh\ntrue\n",
    }
    assert dict(made.files)["share/demo/x.txt"] == b"data"
    assert not any("bin/" in path for path, _ in made.files)


@pytest.mark.slow
def test_a_setup_py_alone(tmp_path: Path, folder: Path, scratch_env: Scratch) -> None:
    embedded = get_embed_wheel("setuptools", VERSION)
    assert embedded is not None
    project = tmp_path / "old"
    (project / "old").mkdir(parents=True)
    (project / "old/__init__.py").touch()
    (project / "setup.py").write_text(
        "from setuptools import setup\n"
        "setup(name='old', version='0.1', packages=['old'],\n"
        "      entry_points={'console_scripts': ['old = old:main']})\n"
    )
    settings = replace(OFFLINE, find_links=(str(Path(embedded.path).parent),))

    made = install(project, scratch_env, folder, settings)
    found = subprocess.run(
        [scratch_env.python, "-c", "import old; print(old.__file__)"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert (made.name, made.version) == ("old", "0.1")
    assert found.stdout.strip() == str(project / "old/__init__.py")
    assert any(path.endswith((".pth", "finder.py")) for path, _ in made.files)


@pytest.mark.slow
def test_an_editable_that_fails(
    make_project: ProjectMaker, scratch_env: Scratch, folder: Path
) -> None:
    project = make_project("demo", fails="cannot")

    with pytest.raises(BuildError, match="cannot") as caught:
        install(project, scratch_env, folder)

    assert "cannot" in caught.value.output
    assert not list(folder.iterdir())


def test_the_scratch_environment_that_is_gone(
    make_project: ProjectMaker, folder: Path
) -> None:
    with pytest.raises(MvenvError, match="does not answer"):
        build_editable(
            python=str(folder / "python"),
            pip=fast_pip(VERSION, BASE_PYTHON),
            project=make_project("demo"),
            folder=folder,
            settings=OFFLINE,
            environ={},
            reporter=Silent(),
        )


def test_keys_tell_builds_apart() -> None:
    base = {
        "source": "sha256:ab",
        "subdirectory": None,
        "cache_tag": "cpython-312",
        "platform": "linux-x86_64",
    }
    keys = {
        build_key(**{**base, **change})  # type: ignore[arg-type]  # strings, or None where allowed
        for change in (
            {},
            {"source": "git:ab"},
            {"subdirectory": ""},
            {"subdirectory": "a"},
            {"cache_tag": "cpython-313"},
            {"platform": "linux-aarch64"},
            {"cache_tag": "cpython-312linux", "platform": "-x86_64"},
        )
    }

    assert len(keys) == 7
    assert build_key(**base) in keys  # type: ignore[arg-type]  # as above
    assert all(len(key) == 64 for key in keys)


@pytest.mark.parametrize(
    ("url", "requirement"),
    [
        ("https://h/r.git", "git+https://h/r.git"),
        ("git+https://h/r.git", "git+https://h/r.git"),
        ("git@h.org:o/r.git", "git+ssh://git@h.org/o/r.git"),
        ("ssh://git@h.org/o/r.git", "git+ssh://git@h.org/o/r.git"),
        ("/a b/r", "git+file:///a%20b/r"),
    ],
)
def test_repositories_by_all_their_names(url: str, requirement: str) -> None:
    assert vcs_requirement("git", url, "c0" * 20) == f"{requirement}@{'c0' * 20}"


def test_pip_is_told_by_its_environment(tmp_path: Path) -> None:
    settings = FetchSettings(
        index_url="https://me:secret@h/simple",
        extra_index_urls=("https://a/", "https://b/"),
        find_links=("/a b", "https://c/d e"),
        trusted_hosts=("h", "i:1"),
        ca_bundle="/bundle",
        client_cert="/me",
    )
    environ = {
        "CC": "gcc",
        "PIP_INDEX_URL": "x",
        "PIP_PROXY": "p",
        "PIP_TARGET": "t",
        "PIP_USER": "1",
        "PYTHONPATH": "p",
    }

    made = pip_environment(settings, environ, tmp_path)

    assert made["PIP_INDEX_URL"] == "https://me:secret@h/simple"
    assert made["PIP_EXTRA_INDEX_URL"] == "https://a/ https://b/"
    assert made["PIP_FIND_LINKS"] == "file:///a%20b https://c/d%20e"
    assert made["PIP_TRUSTED_HOST"] == "h i:1"
    assert (made["PIP_CERT"], made["PIP_CLIENT_CERT"]) == ("/bundle", "/me")
    assert (made["PIP_PROXY"], made["PIP_USER"], made["CC"]) == ("p", "0", "gcc")
    assert not {"PIP_NO_INDEX", "PIP_TARGET", "PYTHONPATH"} & made.keys()


def test_the_default_index_leaves_pips_own_settings_alone(tmp_path: Path) -> None:
    made = pip_environment(FetchSettings(), {}, tmp_path)

    assert DEFAULT_INDEX_URL not in made.values()
    assert "PIP_INDEX_URL" not in made


def test_offline_leaves_pip_only_folders(tmp_path: Path) -> None:
    environ = {"PIP_INDEX_URL": "https://x/", "PIP_FIND_LINKS": "https://y/"}
    settings = FetchSettings(
        offline=True,
        extra_index_urls=("file:///index/",),
        find_links=("https://z/", "/folder"),
    )

    made = pip_environment(settings, environ, tmp_path)
    without = pip_environment(FetchSettings(offline=True), environ, tmp_path)

    assert made["PIP_INDEX_URL"] == "file:///index/"
    assert made["PIP_FIND_LINKS"] == "file:///folder"
    assert "PIP_NO_INDEX" not in made
    assert without["PIP_NO_INDEX"] == "1"
    assert not {"PIP_INDEX_URL", "PIP_FIND_LINKS"} & without.keys()
