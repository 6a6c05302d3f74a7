"""Bytecode from the store: valid, shared, in RECORD, and never in anybody's way."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.interpreters import Interpreters
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker

_TAG = f"cpython-{sys.version_info.major}{sys.version_info.minor}"
_FILES: dict[str, str | bytes] = {
    "demo/__init__.py": "value = 1\n",
    "demo/empty.py": "",
    "demo/broken.py": "print 'of another time'\n",
    "demo/deep/er.py": "def f():\n    raise ValueError('here')\n",
    "demo/data.txt": "data\n",
    "demo-1.0.data/platlib/other.py": "other = 1\n",
    "demo-1.0.data/scripts/tool.py": "#!python\nprint('tool')\n",
    "demo-1.0.data/data/share/demo/notes.py": "notes = 1\n",
}


@pytest.fixture
def wheel(make_wheel: WheelMaker) -> Path:
    """Return a wheel with modules of all kinds."""
    return make_wheel("demo", "1.0", _FILES)


@pytest.fixture
def lock(wheel: Path, write_pylock: PylockWriter) -> Path:
    """Return a lock of it."""
    return write_pylock(wheel)


def _site(environment: Path) -> Path:
    [found] = environment.glob("lib/python*/site-packages")
    return found


def _compiled(environment: Path) -> dict[str, Path]:
    site = _site(environment)
    return {
        path.relative_to(site).as_posix(): path for path in sorted(site.rglob("*.pyc"))
    }


def _inodes(environment: Path) -> dict[str, tuple[int, int]]:
    return {
        path: (place.stat().st_ino, place.stat().st_mtime_ns)
        for path, place in _compiled(environment).items()
    }


def _python(environment: Path, code: str) -> str:
    """Return what ``code`` prints in an environment; nothing is written there."""
    command = [str(environment / "bin" / "python"), "-B", "-v", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def _takes(environment: Path, module: str) -> bool:
    """Return whether Python takes the bytecode that is there."""
    return f"# {module} matches" in _names(_python(environment, "import demo.deep.er"))


def _names(said: str) -> str:
    """Return the interpreter's messages, files named without their folders."""
    return "\n".join(
        f"# {Path(line.split(' matches ')[0].removeprefix('# ')).name} matches"
        if " matches " in line
        else line
        for line in said.splitlines()
    )


@pytest.mark.parametrize("mode", ["hardlink", "copy"])
def test_each_module_has_its_own(
    mvenv: Runner, lock: Path, tmp_path: Path, mode: str
) -> None:
    mvenv.create(tmp_path / "a", lock, "--link-mode", mode)
    mvenv.create(tmp_path / "b", lock, "--link-mode", mode)
    for environment in (tmp_path / "a", tmp_path / "b"):
        found = _compiled(environment)
        assert list(found) == [
            f"__pycache__/other.{_TAG}.pyc",
            f"demo/__pycache__/__init__.{_TAG}.pyc",
            f"demo/__pycache__/empty.{_TAG}.pyc",
            f"demo/deep/__pycache__/er.{_TAG}.pyc",
        ]
        assert _takes(environment, f"er.{_TAG}.pyc")
        for path in found.values():
            seen = path.stat()
            assert (seen.st_nlink > 1) == (mode == "hardlink")
            sealed = 0o444 if mode == "hardlink" else 0o644
            assert stat.S_IMODE(seen.st_mode) == sealed
            assert str(mvenv.store).encode() not in path.read_bytes()
    said = "import demo.deep.er as er\ntry: er.f()\nexcept ValueError as e: print("
    said += "e.__traceback__.tb_next.tb_frame.f_code.co_filename)"
    assert str(_site(tmp_path / "a") / "demo/deep/er.py") in _python(
        tmp_path / "a", said
    )


def test_it_is_in_record_as_it_is(mvenv: Runner, lock: Path, tmp_path: Path) -> None:
    mvenv.create(tmp_path / "env", lock)
    site = _site(tmp_path / "env")
    [record] = site.glob("*.dist-info/RECORD")
    with record.open(newline="") as stream:
        rows = {row[0]: row[1:] for row in csv.reader(stream)}
    for path, place in _compiled(tmp_path / "env").items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(place.read_bytes()).digest())
        assert rows[path] == [
            f"sha256={digest.decode().rstrip('=')}",
            str(place.stat().st_size),
        ]


def test_without_it_there_is_none(mvenv: Runner, lock: Path, tmp_path: Path) -> None:
    mvenv.create(tmp_path / "env", lock, "--no-bytecode")

    assert _compiled(tmp_path / "env") == {}
    assert not list(mvenv.store.glob("wheels/*/*/bytecode"))
    assert mvenv("sync", tmp_path / "env").code == 0
    assert _compiled(tmp_path / "env") == {}


def test_lazy_takes_what_was_compiled_before(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    mvenv.create(tmp_path / "lazy", lock, "--bytecode", "lazy")
    assert _compiled(tmp_path / "lazy") == {}
    mvenv.create(tmp_path / "eager", lock)
    mvenv.create(tmp_path / "late", lock, "--bytecode", "lazy")

    assert _compiled(tmp_path / "late").keys() == _compiled(tmp_path / "eager").keys()


def test_each_interpreter_has_its_own(
    mvenv: Runner, lock: Path, tmp_path: Path, interpreters: Interpreters
) -> None:
    for number, one in enumerate(interpreters):
        environment = tmp_path / f"env{number}"
        mvenv.create(environment, lock, "--python", str(one.executable))
        assert "matches" in _python(environment, "import demo.deep.er"), one
        assert mvenv("doctor", environment, "--check", "--full").code == 0


def test_an_edit_is_seen_at_once(mvenv: Runner, lock: Path, tmp_path: Path) -> None:
    mvenv.create(tmp_path / "a", lock, "--link-mode", "hardlink")
    mvenv.create(tmp_path / "b", lock, "--link-mode", "hardlink")
    assert mvenv("edit", tmp_path / "a", "demo").code == 0
    module = _site(tmp_path / "a") / "demo" / "__init__.py"
    module.write_text("value = 2\n")
    python = str(tmp_path / "a" / "bin" / "python")
    command = [python, "-c", "import demo; print(demo.value)"]
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    for _ in range(2):
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=environ
        )
        assert done.stdout == "2\n"

    assert "1" in _python(tmp_path / "b", "import demo; print(demo.value)")
    mine = _compiled(tmp_path / "a")[f"demo/__pycache__/__init__.{_TAG}.pyc"]
    assert mine.stat().st_nlink == 1
    for environment in (tmp_path / "a", tmp_path / "b"):
        assert mvenv("doctor", environment, "--full").code == 0
    assert mine.stat().st_nlink == 1


def test_what_python_does_is_no_fault(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    mvenv.create(tmp_path / "env", lock, "--link-mode", "hardlink")
    compiled = _compiled(tmp_path / "env")
    compiled[f"demo/__pycache__/empty.{_TAG}.pyc"].unlink()
    python = str(tmp_path / "env" / "bin" / "python")
    module = str(_site(tmp_path / "env") / "demo" / "__init__.py")
    subprocess.run([python, "-m", "compileall", "-q", "-f", module], check=True)
    before = _inodes(tmp_path / "env")
    for options in ((), ("--full",)):
        outcome = mvenv("doctor", tmp_path / "env", *options, "--json")
        assert (outcome.code, outcome.value["findings"]) == (0, [])

    assert _inodes(tmp_path / "env") == before


def _in_place(path: Path) -> None:
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"\xff")
    path.chmod(0o444)


def _stamped(path: Path) -> None:
    seen = path.stat()
    _in_place(path)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


@pytest.mark.parametrize(
    ("damage", "options"),
    [(_in_place, ()), (_in_place, ("--full",)), (_stamped, ("--full",))],
)
def test_what_others_share_and_is_wrong_goes(
    mvenv: Runner,
    lock: Path,
    tmp_path: Path,
    damage: Callable[[Path], None],
    options: tuple[str, ...],
) -> None:
    for name in ("a", "b"):
        mvenv.create(tmp_path / name, lock, "--link-mode", "hardlink")
    name = f"demo/deep/__pycache__/er.{_TAG}.pyc"
    damage(_compiled(tmp_path / "a")[name])
    told = mvenv("doctor", "--all", "--check", *options, "--json")
    assert told.code == 1
    assert {one["code"] for one in told.value["findings"]} == {"F18"}
    assert {one["where"] for one in told.value["findings"]} == {
        str(tmp_path / "a"),
        str(tmp_path / "b"),
        str(mvenv.store),
    }
    assert mvenv("doctor", "--all", *options).code == 0
    assert mvenv("doctor", "--all", "--check", "--full").code == 0
    assert name not in _compiled(tmp_path / "a")
    assert "here" not in _python(tmp_path / "b", "import demo.deep.er")

    # What is next made has it again.
    mvenv.create(tmp_path / "c", lock, "--link-mode", "hardlink")
    assert _takes(tmp_path / "c", f"er.{_TAG}.pyc")
    assert mvenv("doctor", tmp_path / "c", "--check", "--full").code == 0


def test_touched_bytecode_is_sealed_again(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    mvenv.create(tmp_path / "env", lock, "--link-mode", "hardlink")
    file = _compiled(tmp_path / "env")[f"demo/deep/__pycache__/er.{_TAG}.pyc"]
    before = file.stat()
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
    told = mvenv("doctor", "--all", "--check", "--json")

    assert told.code == 0
    assert [(one["code"], one["drift"]) for one in told.value["findings"]] == [
        ("F44", True)
    ]
    assert mvenv("doctor", "--all").code == 0
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert file.stat().st_ino == before.st_ino
    [stored] = mvenv.store.rglob(f"er.{_TAG}.pyc")
    assert stored.samefile(file)
    assert mvenv("doctor", "--all", "--check", "--json").value["findings"] == []


def test_a_scrub_finds_it_too(
    mvenv: Runner, lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mvenv.create(tmp_path / "env", lock, "--link-mode", "hardlink")
    _stamped(_compiled(tmp_path / "env")[f"demo/deep/__pycache__/er.{_TAG}.pyc"])
    assert mvenv("doctor", tmp_path / "env", "--check", "--json").code == 0
    monkeypatch.setattr("mvenv.doctor.looking._SCRUB_SHARE", 60.0)
    [found] = mvenv("doctor", tmp_path / "env", "--json").value["findings"]

    assert (found["code"], found["fate"]) == ("F18", "healed")


@pytest.mark.parametrize("damage", [_in_place, Path.unlink])
def test_a_wrong_one_is_in_no_further_environment(
    mvenv: Runner, lock: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    mvenv.create(tmp_path / "a", lock, "--link-mode", "hardlink")
    [stored] = mvenv.store.rglob(f"er.{_TAG}.pyc")
    damage(stored)
    mvenv.create(tmp_path / "b", lock, "--link-mode", "hardlink")

    assert _takes(tmp_path / "b", f"er.{_TAG}.pyc")
    assert mvenv("doctor", tmp_path / "b", "--check", "--full").code == 0
    assert len(list((_site(tmp_path / "b")).rglob("*.py"))) == 5


def test_a_changed_source_is_not_compiled(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    mvenv.create(tmp_path / "a", lock, "--no-bytecode", "--link-mode", "hardlink")
    [stored] = mvenv.store.rglob("tree/demo/__init__.py")
    seen = stored.stat()
    stored.chmod(0o644)
    stored.write_text("value = 3\n")
    stored.chmod(0o444)
    os.utime(stored, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    outcome = mvenv.create(tmp_path / "b", lock, "--link-mode", "hardlink")

    assert "had been changed" in outcome.err
    assert "1" in _python(tmp_path / "b", "import demo; print(demo.value)")


def test_an_unflushed_one_of_another_boot_is_hashed_first(
    mvenv: Runner, lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mvenv.create(tmp_path / "a", lock)
    for mark in mvenv.store.glob("wheels/*/*/bytecode/*/synced"):
        mark.unlink()
    [stored] = mvenv.store.rglob(f"er.{_TAG}.pyc")
    _stamped(stored)
    monkeypatch.setattr("mvenv.store.entries.boot_id", lambda: "another")
    mvenv.create(tmp_path / "b", lock)

    assert _takes(tmp_path / "b", f"er.{_TAG}.pyc")
    monkeypatch.undo()
    assert mvenv("doctor", tmp_path / "b", "--check", "--full").code == 0


def test_sync_follows(
    mvenv: Runner,
    lock: Path,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    env = tmp_path / "env"
    mvenv.create(env, lock, "--link-mode", "hardlink")
    newer = make_wheel("demo", "2.0", {"demo/__init__.py": "value = 2\n"})
    further = write_pylock(newer, path=tmp_path / "pylock.further.toml")
    before = _compiled(env)
    assert mvenv("sync", env, "--from", further).code == 0
    assert list(_compiled(env)) == [f"demo/__pycache__/__init__.{_TAG}.pyc"]
    assert "matches" in _python(env, "import demo")
    assert "2" in _python(env, "import demo; print(demo.value)").splitlines()
    assert mvenv("doctor", env, "--check", "--full").code == 0

    assert mvenv("rollback", env).code == 0
    assert _compiled(env).keys() == before.keys()
    assert _takes(env, f"er.{_TAG}.pyc")
    assert mvenv("doctor", env, "--check", "--full").code == 0


def test_pip_takes_it_out_again(mvenv: Runner, lock: Path, tmp_path: Path) -> None:
    mvenv.create(tmp_path / "env", lock, "--seed")
    python = str(tmp_path / "env" / "bin" / "python")
    environ = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    command = [python, "-m", "pip", "uninstall", "-y", "demo"]
    subprocess.run(command, check=True, env=environ, capture_output=True)

    left = [
        path for path in _site(tmp_path / "env").rglob("*") if "pip" not in str(path)
    ]
    assert [path.name for path in left if path.is_file()] == []


def test_a_source_that_ends_the_interpreter_is_passed_over(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    # Deep enough for the compiler's own stack in every version, by its own check.
    deep = "x = " + "-" * 200_000 + "1\n"
    wheel = make_wheel("demo", "1.0", {"demo/deep.py": deep, "demo/fine.py": "a = 1\n"})
    mvenv.create(tmp_path / "env", write_pylock(wheel))

    assert f"demo/__pycache__/fine.{_TAG}.pyc" in _compiled(tmp_path / "env")
    assert mvenv("doctor", tmp_path / "env", "--check", "--full").code == 0


def test_who_ships_bytecode_keeps_it(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    own = f"demo/__pycache__/fine.{_TAG}.pyc"
    wheel = make_wheel("demo", "1.0", {"demo/fine.py": "a = 1\n", own: b"their own"})
    mvenv.create(tmp_path / "env", write_pylock(wheel))

    assert _compiled(tmp_path / "env")[own].read_bytes() == b"their own"


def test_prune_and_export_mind_it(mvenv: Runner, lock: Path, tmp_path: Path) -> None:
    mvenv.create(tmp_path / "env", lock)
    archive = tmp_path / "store.tar"
    assert mvenv("store", "export", archive).code == 0
    other = tmp_path / "other"
    assert mvenv("store", "import", archive, store=other).code == 0
    assert not list(other.rglob("*.pyc"))
    assert mvenv("store", "verify").code == 0
    assert mvenv("store", "prune").code == 0
    assert list(mvenv.store.rglob("*.pyc"))
