"""Wheels that want the same paths, and wheels that are refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker


def _python(environment: Path, code: str) -> str:
    done = subprocess.run(
        [environment / "bin" / "python", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_later_of_two_wins_and_it_is_said(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    lock = write_pylock(
        make_wheel("aaa", "1", {"shared/x.py": "who = 'aaa'\n", "aaa.py": ""}),
        make_wheel("bbb", "1", {"shared/x.py": "who = 'bbb'\n", "bbb.py": ""}),
    )
    for name in ("one", "two"):
        outcome = mvenv.create(tmp_path / name, lock)
        assert _python(tmp_path / name, "import shared.x as x; print(x.who)") == "bbb"
        assert "shared/x.py: bbb has it, aaa had it too" in outcome.out


def test_equal_files_of_two_are_no_conflict(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    lock = write_pylock(
        make_wheel("aaa", "1", {"shared/x.py": "same = 1\n", "aaa.py": ""}),
        make_wheel("bbb", "1", {"shared/x.py": "same = 1\n", "bbb.py": ""}),
    )
    value = mvenv.create(tmp_path / "env", lock, "--json").value

    assert value["conflicts"] == []


def test_both_records_tell_the_bytes_that_are_there(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    lock = write_pylock(
        make_wheel("aaa", "1", {"shared/x.py": "who = 'aaa'\n", "aaa.py": ""}),
        make_wheel("bbb", "1", {"shared/x.py": "who = 'bbbb'\n", "bbb.py": ""}),
    )
    mvenv.create(tmp_path / "env", lock)
    rows = {
        line
        for record in (tmp_path / "env").rglob("RECORD")
        for line in record.read_text().splitlines()
        if line.startswith("shared/x.py,")
    }

    assert len(rows) == 1


@pytest.mark.parametrize(
    "path",
    [
        "bad-1.data/data/pyvenv.cfg",
        "bad-1.data/scripts/python",
        "bad-1.data/scripts/activate",
        "bad-1.data/data/lib64",
        "bad-1.data/data/.mvenv/receipt",
    ],
)
def test_the_environments_own_files_are_not_a_wheels(
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
    path: str,
) -> None:
    lock = write_pylock(make_wheel("bad", "1", {path: "#!/bin/sh\nevil\n"}))
    outcome = mvenv("create", tmp_path / "env", "--from", lock)

    assert outcome.code in {15, 17}
    assert not (tmp_path / "env").exists()


def test_a_file_where_another_has_a_folder(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    lock = write_pylock(
        make_wheel("aaa", "1", {"shared": "a file\n"}),
        make_wheel("bbb", "1", {"shared/x.py": "x = 1\n"}),
    )
    outcome = mvenv("create", tmp_path / "env", "--from", lock)

    assert outcome.code == 17
    assert "`shared`" in outcome.err.replace("lib/python3.11/site-packages/", "")
    assert not (tmp_path / "env").exists()


def test_namespace_packages_of_all_kinds(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    pkgutil = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
    wheels = [
        make_wheel(
            f"part-{part}",
            "1",
            {
                f"native/{part}/__init__.py": "",
                "old/__init__.py": pkgutil,
                f"old/{part}/__init__.py": "",
            },
        )
        for part in ("one", "two")
    ]
    env = tmp_path / "env"
    mvenv.create(env, write_pylock(*wheels), "--link-mode", "hardlink")
    init = next(env.glob("lib/*/site-packages/old/__init__.py"))

    _python(env, "import native.one, native.two, old.one, old.two")
    assert init.stat().st_nlink == 1


def test_a_hostile_wheel_is_refused_and_leaves_nothing(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    lock = write_pylock(
        make_wheel("good", "1"), make_wheel("evil", "1", {"../../evil.py": "evil\n"})
    )
    outcome = mvenv("create", tmp_path / "env", "--from", lock)

    assert outcome.code == 15
    assert "evil" in outcome.err
    assert not (tmp_path / "env").exists()
    assert not list(tmp_path.rglob("evil.py"))
    assert list((mvenv.store / "tmp").iterdir()) == []


def test_data_for_lib64_goes_where_the_link_points(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    lock = write_pylock(make_wheel("odd", "1", {"odd-1.data/data/lib64/odd.so": "x\n"}))
    env = tmp_path / "env"
    mvenv.create(env, lock)

    assert (env / "lib64").is_symlink()
    assert (env / "lib" / "odd.so").read_text() == "x\n"


def test_another_distributions_record_is_nobodys(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    path = "bad-1.data/purelib/good-1.dist-info/RECORD"
    lock = write_pylock(make_wheel("bad", "1", {path: ""}), make_wheel("good", "1"))
    outcome = mvenv("create", tmp_path / "env", "--from", lock)

    assert outcome.code == 17
    assert "good-1.dist-info/RECORD" in outcome.err
    assert not (tmp_path / "env").exists()
