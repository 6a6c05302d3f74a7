"""What is not an index's wheel: sdists, commits, folders, editables, the root."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.lockfiles import PoetryLockWriter, PylockWriter
from kit.sdists import ProjectMaker, SdistMaker
from kit.wheels import WheelMaker, sha256_of
from mvenv.env.receipt import read_receipt


def _python(environment: Path, code: str) -> str:
    done = subprocess.run(
        [environment / "bin" / "python", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _direct_url(environment: Path, name: str) -> object:
    code = (
        "from importlib.metadata import distribution as d;"
        f" print(d({name!r}).read_text('direct_url.json'))"
    )
    text = _python(environment, code)
    return None if text == "None" else json.loads(text)


def _commit(folder: Path) -> str:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.invalid"]
        done = subprocess.run(
            ["git", *identity, *words],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    git("init", "-q")
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    return git("rev-parse", "HEAD")


def test_an_sdist_is_built_once(
    mvenv: Runner, make_sdist: SdistMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    lock = write_pylock(make_sdist("built", "1.0", log=log))
    first = mvenv.create(tmp_path / "a", lock, "--offline", "--json").value
    calls = log.read_text()
    second = mvenv.create(tmp_path / "b", lock, "--offline", "--json").value

    assert (first["built"], second["built"]) == (1, 0)
    assert log.read_text() == calls
    assert _python(tmp_path / "b", "import built; print(built.version)") == "1.0"
    assert _direct_url(tmp_path / "a", "built") is None
    one, other = (next((tmp_path / n).rglob("built/__init__.py")) for n in "ab")
    assert one.samefile(other)


def test_a_failed_build_shows_the_output_and_leaves_nothing(
    mvenv: Runner, make_sdist: SdistMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    lock = write_pylock(make_sdist("broken", fails="no compiler for you"))
    outcome = mvenv("create", tmp_path / "env", "--from", lock, "--offline")

    assert outcome.code == 14
    assert "no compiler for you" in outcome.err
    assert not (tmp_path / "env").exists()
    assert list((mvenv.store / "tmp").iterdir()) == []
    assert list((mvenv.store / "envs").iterdir()) == []


def test_a_commit_is_built_once_and_told(
    mvenv: Runner,
    make_project: ProjectMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    project = make_project("fromgit", "3.1", log=log)
    commit = _commit(project)
    vcs = {
        "type": "git",
        "url": project.as_uri(),
        "requested-revision": "main",
        "commit-id": commit,
    }
    lock = write_pylock(packages=[{"name": "fromgit", "version": "3.1", "vcs": vcs}])
    first = mvenv.create(tmp_path / "a", lock, "--json").value
    second = mvenv.create(tmp_path / "b", lock, "--offline", "--json").value

    assert (first["built"], second["built"]) == (1, 0)
    assert _direct_url(tmp_path / "b", "fromgit") == {
        "url": project.as_uri(),
        "vcs_info": {
            "vcs": "git",
            "commit_id": commit,
            "requested_revision": "main",
        },
    }


def test_a_folder_is_built_each_time_and_never_shared(
    mvenv: Runner,
    make_project: ProjectMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    project = make_project("local", "1.0")
    entry = {"name": "local", "directory": {"path": str(project), "editable": False}}
    lock = write_pylock(packages=[entry])
    mvenv.create(tmp_path / "a", lock)
    (project / "src/local/__init__.py").write_text("version = 'changed'\n")
    mvenv.create(tmp_path / "b", lock)

    assert _python(tmp_path / "a", "import local; print(local.version)") == "1.0"
    assert _python(tmp_path / "b", "import local; print(local.version)") == "changed"
    module = next((tmp_path / "a").rglob("local/__init__.py"))
    assert (module.stat().st_nlink, module.stat().st_mode & 0o777) == (1, 0o644)
    assert list((mvenv.store / "wheels").iterdir()) == []
    assert _direct_url(tmp_path / "a", "local") == {
        "url": project.as_uri(),
        "dir_info": {},
    }


def test_an_editable_folder_is_editable(
    mvenv: Runner,
    make_project: ProjectMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    project = make_project(
        "devel",
        "1.0",
        {"devel/__init__.py": "def main():\n    print('one')\n"},
        entry_points="[console_scripts]\ndevel = devel:main\n",
    )
    entry = {"name": "devel", "directory": {"path": str(project), "editable": True}}
    lock = write_pylock(packages=[entry])
    env = tmp_path / "env"
    mvenv.create(env, lock)
    (project / "src/devel/__init__.py").write_text("def main():\n    print('two')\n")

    done = subprocess.run([env / "bin" / "devel"], capture_output=True, check=True)
    assert done.stdout == b"two\n"
    assert _direct_url(env, "devel") == {
        "url": project.as_uri(),
        "dir_info": {"editable": True},
    }
    installer = (
        "from importlib.metadata import distribution as d;"
        " print(d('devel').read_text('INSTALLER'))"
    )
    assert _python(env, installer) == "mvenv"
    receipt = read_receipt(env)
    assert receipt is not None
    assert [(one.name, one.shared) for one in receipt.distributions] == [
        ("devel", False)
    ]


def test_the_root_project_is_installed_editable(
    mvenv: Runner,
    make_project: ProjectMaker,
    make_wheel: WheelMaker,
    write_poetry_lock: PoetryLockWriter,
    tmp_path: Path,
) -> None:
    project = make_project("rooted", "0.1")
    lock = write_poetry_lock(make_wheel("dep"), path=project / "poetry.lock")
    options = ("--find-links", tmp_path / "wheels", "--offline")
    mvenv.create(tmp_path / "with", lock, *options)
    mvenv.create(tmp_path / "without", lock, "--no-root", *options)

    where = "import rooted; print(rooted.__file__)"
    assert _python(tmp_path / "with", where).startswith(str(project))
    code = "import dep, importlib.util as u; print(u.find_spec('rooted'))"
    assert _python(tmp_path / "without", code) == "None"


def test_a_local_wheel_by_path_tells_where_it_came_from(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    wheel = make_wheel("direct", "1.0")
    archive = {"path": str(wheel), "hashes": {"sha256": sha256_of(wheel)}}
    lock = write_pylock(packages=[{"name": "direct", "archive": archive}])
    mvenv.create(tmp_path / "env", lock)

    value = _direct_url(tmp_path / "env", "direct")
    assert isinstance(value, dict)
    assert value["url"] == wheel.as_uri()
    assert value["archive_info"]["hashes"] == {"sha256": sha256_of(wheel)}


def test_the_next_best_wheel_serves_where_the_best_is_gone(
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_poetry_lock: PoetryLockWriter,
    tmp_path: Path,
) -> None:
    best = make_wheel("twice", "1.0", {"twice.py": "build = 2\n"}, build="2")
    good = make_wheel("twice", "1.0", {"twice.py": "build = 1\n"}, build="1")
    lock = write_poetry_lock(best, good)
    best.unlink()
    options = ("--find-links", tmp_path / "wheels", "--offline")
    mvenv.create(tmp_path / "env", lock, *options)

    assert _python(tmp_path / "env", "import twice; print(twice.build)") == "1"


def test_wrong_bytes_never_reach_the_store(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    wheel = make_wheel("evil")
    lock = write_pylock(wheel, make_wheel("good"))
    wheel.write_bytes(wheel.read_bytes() + b"x")
    outcome = mvenv("create", tmp_path / "env", "--from", lock)

    assert outcome.code == 13
    assert "expected" in outcome.err
    assert not (tmp_path / "env").exists()
    stored = [path.name for path in (mvenv.store / "wheels").glob("*/*")]
    assert sha256_of(wheel) not in stored
    assert list((mvenv.store / "tmp").iterdir()) == []


@pytest.mark.parametrize("missing", ["hashes", "file"])
def test_what_cannot_be_proven_or_found_is_refused(
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
    missing: str,
) -> None:
    wheel = make_wheel("lost")
    lock = write_pylock(wheel)
    if missing == "file":
        wheel.unlink()
    else:
        lock.write_text(lock.read_text().replace("sha256", "md5"))
    outcome = mvenv("create", tmp_path / "env", "--from", lock)

    assert outcome.code in {10, 11, 13}
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "env").exists()


@pytest.mark.parametrize(("name", "version"), [("other", "1.0"), ("real", "2.0")])
def test_a_source_that_makes_something_else_is_refused(
    mvenv: Runner,
    make_sdist: SdistMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
    name: str,
    version: str,
) -> None:
    sdist = make_sdist("real", "1.0")
    archive = {"path": str(sdist), "hashes": {"sha256": sha256_of(sdist)}}
    entry = {"name": name, "version": version, "archive": archive}
    lock = write_pylock(packages=[entry])
    outcome = mvenv("create", tmp_path / "env", "--from", lock, "--offline")

    assert outcome.code == 14, outcome.err
    assert "its source makes" in outcome.err
    assert not (tmp_path / "env").exists()


def test_a_root_project_that_setuptools_cannot_know_is_refused(
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_poetry_lock: PoetryLockWriter,
    tmp_path: Path,
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[tool.poetry]\nname = "poem"\nversion = "1"\ndescription = ""\nauthors = []\n'
    )
    lock = write_poetry_lock(make_wheel("dep"), path=project / "poetry.lock")
    options = ("--find-links", tmp_path / "wheels", "--offline")
    outcome = mvenv("create", tmp_path / "env", "--from", lock, *options)

    assert outcome.code == 14, outcome.err
    assert "--no-root" in outcome.err or "setuptools" in outcome.err
    assert not (tmp_path / "env").exists()
