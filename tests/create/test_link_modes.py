"""Link modes on the real thing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.filesystems import Filesystems
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv.env.state import Standing, observe


@pytest.fixture
def lock(make_wheel: WheelMaker, write_pylock: PylockWriter) -> Path:
    """Return a lock of one wheel."""
    files: dict[str, str | bytes] = {
        "one/__init__.py": "version = 1\n",
        "one/data.bin": os.urandom(300_000),
    }
    return write_pylock(make_wheel("one", "1.0", files))


def _runs(environment: Path) -> bool:
    command = [str(environment / "bin" / "python"), "-c", "import one"]
    return subprocess.run(command, check=False).returncode == 0


def _data(environment: Path) -> os.stat_result:
    return next(environment.glob("lib/*/site-packages/one/data.bin")).stat()


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("ext4", "hardlink"),
        ("tmpfs", "hardlink"),
        ("xfs", "reflink"),
        ("btrfs", "reflink"),
    ],
)
def test_auto_is_the_best_of_each_file_system(
    mvenv: Runner, lock: Path, filesystems: Filesystems, kind: str, mode: str
) -> None:
    folder = filesystems.folder(kind)
    value = mvenv.create(folder / "env", lock, "--json", store=folder / "store").value

    assert value["link_mode"] == mode
    assert value["files"][mode] > 0
    assert value["files"]["copy"] == 0
    assert _runs(folder / "env")
    assert (_data(folder / "env").st_nlink > 1) == (mode == "hardlink")


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_reflinks_share_their_blocks(
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    filesystems: Filesystems,
    kind: str,
) -> None:
    size = 30_000_000
    lock = write_pylock(make_wheel("one", "1.0", {"one/data.bin": os.urandom(size)}))
    folder = filesystems.folder(kind)
    mvenv.create(folder / "first", lock, store=folder / "store")
    os.sync()
    before = os.statvfs(folder)
    mvenv.create(folder / "second", lock, store=folder / "store")
    os.sync()
    after = os.statvfs(folder)

    used = (before.f_bfree - after.f_bfree) * before.f_frsize
    assert used < size / 10


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs"])
@pytest.mark.parametrize("mode", ["reflink", "hardlink", "copy"])
def test_every_mode_makes_a_working_environment(
    mvenv: Runner, lock: Path, filesystems: Filesystems, kind: str, mode: str
) -> None:
    folder = filesystems.folder(kind)
    options = ("--link-mode", mode, "--json")
    value = mvenv.create(folder / "env", lock, *options, store=folder / "store").value

    works = mode != "reflink" or kind in {"xfs", "btrfs"}
    assert value["link_mode"] == (mode if works else "copy")
    assert bool(value["passed_over"]) == (not works)
    assert _runs(folder / "env")


def test_copies_across_file_systems_say_why(
    mvenv: Runner, lock: Path, filesystems: Filesystems
) -> None:
    folder = filesystems.folder("tmpfs")
    outcome = mvenv.create(folder / "env", lock)

    assert "copies" in outcome.out
    assert "no hard links: the store is on another file system or mount" in outcome.out


def test_require_link_leaves_nothing_where_links_fail(
    mvenv: Runner, lock: Path, filesystems: Filesystems
) -> None:
    folder = filesystems.folder("tmpfs")
    outcome = mvenv("create", folder / "env", "--from", lock, "--require-link")

    assert outcome.code == 18
    assert "--store" in outcome.err
    assert os.listdir(folder) == []


def test_a_bind_mount_of_the_same_disk_is_copied_to(
    mvenv: Runner, lock: Path, filesystems: Filesystems, tmp_path: Path
) -> None:
    (tmp_path / "inner").mkdir()
    bound = filesystems.bind(tmp_path / "inner")
    value = mvenv.create(bound / "env", lock, "--json").value

    assert value["link_mode"] == "copy"


def test_a_full_inode_gets_a_fresh_one(
    mvenv: Runner, lock: Path, filesystems: Filesystems
) -> None:
    folder = filesystems.folder("ext4")
    store = folder / "store"
    mvenv.create(folder / "first", lock, store=store)
    stored = next(store.glob("wheels/*/*/tree/one/data.bin"))
    old = stored.stat()
    (folder / "many").mkdir()
    for number in range(65_000 - old.st_nlink):
        os.link(stored, folder / "many" / str(number))
    assert stored.stat().st_nlink == 65_000

    mvenv.create(folder / "second", lock, store=store)

    assert stored.stat().st_ino != old.st_ino
    assert stored.stat().st_nlink == 2
    assert stored.stat().st_mtime_ns == old.st_mtime_ns
    assert _data(folder / "second").st_ino == stored.stat().st_ino
    assert _data(folder / "first").st_ino == old.st_ino


def test_a_mount_point_becomes_an_environment(
    mvenv: Runner, lock: Path, filesystems: Filesystems
) -> None:
    mount = filesystems.limited_tmpfs(64 << 20)
    mvenv.create(mount, lock)
    assert _runs(mount)
    assert mvenv("create", mount, "--from", lock).code == 17
    (mount / "mine").write_text("mine")
    mvenv.create(mount, lock, "--clear")

    assert _runs(mount)
    assert not (mount / "mine").exists()
    state = observe(mount)
    assert (state.standing, state.mount_point) == (Standing.ENVIRONMENT, True)


def test_no_seal_keeps_files_writable(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    mvenv.create(tmp_path / "env", lock, "--no-seal", "--link-mode", "hardlink")

    assert _data(tmp_path / "env").st_mode & 0o777 == 0o644
    assert _data(tmp_path / "env").st_nlink > 1


def test_pip_can_upgrade_and_uninstall_what_is_linked(
    mvenv: Runner,
    lock: Path,
    make_wheel: WheelMaker,
    tmp_path: Path,
) -> None:
    env = tmp_path / "env"
    mvenv.create(env, lock, "--seed", "--link-mode", "hardlink")
    newer = make_wheel("one", "2.0", {"one/__init__.py": "version = 2\n"})
    stored = next(mvenv.store.glob("wheels/*/*/tree/one/__init__.py"))
    pip = [str(env / "bin" / "pip"), "--disable-pip-version-check", "--no-input"]
    install = [*pip, "install", "--no-index", "-q", str(newer)]
    subprocess.run(install, check=True, capture_output=True)
    assert stored.read_text() == "version = 1\n"
    assert not list(env.glob("lib/*/site-packages/one/data.bin"))
    subprocess.run([*pip, "uninstall", "-q", "-y", "one"], check=True)

    assert not list(env.glob("lib/*/site-packages/one*"))
    assert stored.read_text() == "version = 1\n"
