"""An environment takes its name at once, or file by file with a mark."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kit.filesystems import Filesystems
from mvenv.env.place import open_place
from mvenv.env.receipt import BUILDING
from mvenv.env.state import Standing, observe
from mvenv.errors import EnvironmentExists, EnvironmentFault, SystemFault


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a folder that other users can reach; pytest's own is private."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # noqa: S103  another user has to come in
        yield Path(folder)


def _fill(folder: Path, *, clear: bool = False, fingerprint: str = "f1") -> None:
    state = observe(folder)
    with open_place(state, clear=clear, fingerprint=fingerprint) as place:
        (place.folder / "pyvenv.cfg").write_text("new")
        place.commit(lambda: frozenset({"pyvenv.cfg"}))


def _make_environment(folder: Path) -> None:
    folder.mkdir()
    (folder / "pyvenv.cfg").write_text("old")
    (folder / "mine.txt").write_text("mine")
    (folder / "deep").mkdir()
    (folder / "deep" / "er.txt").write_text("mine")


def test_absent_folder_and_parents_are_made(tmp_path: Path) -> None:
    _fill(tmp_path / "a" / "b" / "env")

    assert os.listdir(tmp_path / "a" / "b") == ["env"]
    assert os.listdir(tmp_path / "a" / "b" / "env") == ["pyvenv.cfg"]


def test_failure_leaves_nothing_at_all(tmp_path: Path) -> None:
    state = observe(tmp_path / "a" / "env")
    with (
        pytest.raises(ZeroDivisionError),
        open_place(state, clear=False, fingerprint="f") as place,
    ):
        (place.folder / "pyvenv.cfg").write_text("new")
        raise ZeroDivisionError

    assert os.listdir(tmp_path) == []


def test_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    _fill(tmp_path / "env")

    assert os.listdir(tmp_path) == ["env"]


def test_an_environment_is_replaced_only_when_asked(tmp_path: Path) -> None:
    _make_environment(tmp_path / "env")
    with pytest.raises(EnvironmentExists) as refused:
        _fill(tmp_path / "env")
    assert "--clear" in str(refused.value.hint)
    assert (tmp_path / "env" / "mine.txt").read_text() == "mine"

    _fill(tmp_path / "env", clear=True)

    assert os.listdir(tmp_path) == ["env"]
    assert os.listdir(tmp_path / "env") == ["pyvenv.cfg"]


def test_a_folder_that_is_no_environment_is_never_cleared(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.py").write_text("precious")
    with pytest.raises(EnvironmentExists, match="not a virtual environment"):
        _fill(tmp_path / "src", clear=True)
    # Nor where it would be filled in place.
    mounted = replace(observe(tmp_path / "src"), mount_point=True)
    with (
        pytest.raises(EnvironmentExists, match="not a virtual environment"),
        open_place(mounted, clear=True, fingerprint="f1") as place,
    ):
        place.commit(frozenset)

    assert (tmp_path / "src" / "main.py").read_text() == "precious"
    assert os.listdir(tmp_path) == ["src"]


def test_a_file_in_the_way_is_kept(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("first line\nsecond line\n")
    with pytest.raises(EnvironmentExists, match="not a folder"):
        _fill(tmp_path / "env", clear=True)
    (tmp_path / "env" / "x").parent.write_text("a\nb")
    with pytest.raises(EnvironmentFault, match="a file stands where"):
        _fill(tmp_path / "env" / "below")


def test_a_redirect_file_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / ".venv").write_text("envs/one\n")
    _fill(tmp_path / ".venv")

    assert (tmp_path / "envs" / "one" / "pyvenv.cfg").read_text() == "new"
    assert (tmp_path / ".venv").read_text() == "envs/one\n"


def test_a_file_of_another_name_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("envs/one\n")
    with pytest.raises(EnvironmentExists, match="not a folder"):
        _fill(tmp_path / "env")

    assert (tmp_path / "env").read_text() == "envs/one\n"


def test_what_cannot_be_deleted_of_the_old_one_is_named(tmp_path: Path) -> None:
    _fill(tmp_path / "env")
    stuck = tmp_path / "env" / "stuck"
    stuck.write_text("old")
    if subprocess.run(["chattr", "+i", stuck], check=False).returncode:
        pytest.skip("no file can be made immutable here")
    try:
        with open_place(
            observe(tmp_path / "env"), clear=True, fingerprint="x"
        ) as place:
            place.commit(frozenset)
        assert place.leftover is not None
        assert [path.name for path in place.leftover.rglob("stuck")] == ["stuck"]
    finally:
        for found in tmp_path.rglob("stuck"):
            subprocess.run(["chattr", "-i", found], check=True)


def test_a_link_to_a_folder_is_followed_and_kept(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "env").symlink_to("real")
    _fill(tmp_path / "env")

    assert (tmp_path / "env").is_symlink()
    assert (tmp_path / "real" / "pyvenv.cfg").read_text() == "new"


def test_leftovers_of_killed_runs_are_swept_and_living_ones_kept(
    tmp_path: Path,
) -> None:
    dead, alive = tmp_path / ".mvenv-build-dead", tmp_path / ".mvenv-build-alive"
    for folder in (dead, alive):
        (folder / "new" / "bin").mkdir(parents=True)
        (folder / ".lock").touch()
    (tmp_path / ".mvenv-build-unlocked").mkdir()
    with (alive / ".lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _fill(tmp_path / "env")

    assert sorted(os.listdir(tmp_path)) == [".mvenv-build-alive", "env"]


def test_a_mount_point_is_filled_in_place(filesystems: Filesystems) -> None:
    for mount in (filesystems.tiny_disk(), filesystems.limited_tmpfs(1 << 20)):
        state = observe(mount)
        assert (state.mount_point, state.standing) == (True, Standing.EMPTY)
        _fill(mount)

        assert sorted(set(os.listdir(mount)) - {"lost+found"}) == [
            ".mvenv",
            "pyvenv.cfg",
        ]
        assert not (mount / BUILDING).exists()


def test_a_bind_mount_is_seen_as_one(filesystems: Filesystems, tmp_path: Path) -> None:
    (tmp_path / "a b\\").mkdir()
    bound = filesystems.bind(tmp_path / "a b\\")

    assert observe(bound).mount_point


def test_clearing_a_mount_point_keeps_what_is_planned(filesystems: Filesystems) -> None:
    mount = filesystems.limited_tmpfs(1 << 20)
    (mount / "pyvenv.cfg").write_text("old")
    (mount / "deep" / "er").mkdir(parents=True)
    (mount / "deep" / "er" / "mine.txt").write_text("old")
    (mount / "away").symlink_to("/etc")
    _fill(mount, clear=True)

    assert sorted(os.listdir(mount)) == [".mvenv", "pyvenv.cfg"]
    assert os.path.exists("/etc/passwd")


def test_an_unfinished_filling_says_so_and_is_finished(
    filesystems: Filesystems,
) -> None:
    mount = filesystems.limited_tmpfs(1 << 20)
    state = observe(mount)
    with (
        pytest.raises(ZeroDivisionError),
        open_place(state, clear=False, fingerprint="f1") as place,
    ):
        (place.folder / "half").write_text("half")
        raise ZeroDivisionError
    assert observe(mount).standing is Standing.HALF_BUILT

    with pytest.raises(EnvironmentExists, match="something else"):
        _fill(mount, fingerprint="f2")
    _fill(mount, fingerprint="f1")

    assert observe(mount).standing is Standing.ENVIRONMENT


def test_two_at_once_in_one_place_are_refused(filesystems: Filesystems) -> None:
    mount = filesystems.limited_tmpfs(1 << 20)
    state = observe(mount)
    with (
        open_place(state, clear=False, fingerprint="f1"),
        pytest.raises(EnvironmentFault, match="another mvenv"),
    ):
        _fill(mount)


def test_an_unwritable_parent_with_a_writable_folder(open_folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    parent = open_folder / "parent"
    (parent / "env").mkdir(parents=True)
    os.chown(parent / "env", 4321, 4321)
    child = os.fork()
    if child == 0:
        os.setegid(4321)
        os.seteuid(4321)
        try:
            _fill(parent / "env")
            os._exit(0)
        except BaseException:  # noqa: BLE001  whatever it is, the parent is told
            os._exit(1)

    assert os.waitpid(child, 0)[1] == 0
    assert (parent / "env" / "pyvenv.cfg").read_text() == "new"


def test_an_unwritable_parent_is_a_kind_error(tmp_path: Path) -> None:
    with pytest.raises(SystemFault, match="cannot make"):
        _fill(Path("/proc/mvenv/env"))
    with pytest.raises(SystemFault, match="too long"):
        _fill(tmp_path / ("n" * 300))
