"""What list, du, store list and store verify show is so, and they write nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.filesystems import Filesystems
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker

DAY = 86_400 * 10**9


@pytest.fixture
def lock(make_wheel: WheelMaker, write_pylock: PylockWriter) -> Path:
    """Return a lock of two wheels, one with some bytes."""
    big: dict[str, str | bytes] = {
        "big/__init__.py": "",
        "big/data.bin": os.urandom(1 << 20),
    }
    return write_pylock(make_wheel("big", "2.0", big), make_wheel("small"))


def _everything(*folders: Path) -> dict[str, tuple[int, int, int]]:
    found = {}
    for folder in folders:
        for path in [folder, *folder.rglob("*")]:
            seen = path.lstat()
            found[str(path)] = (seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns)
    return found


@pytest.mark.parametrize(
    "words",
    [("list",), ("du",), ("store", "list"), ("store", "verify"), ("store", "path")],
)
def test_looking_writes_nothing(
    mvenv: Runner, lock: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    mvenv.create(tmp_path / "a", lock)
    mvenv.create(tmp_path / "b", lock)
    shutil.rmtree(tmp_path / "b")
    before = _everything(mvenv.store, tmp_path / "a")
    outcome = mvenv(*words)

    assert outcome.code == 0
    assert outcome.out
    assert _everything(mvenv.store, tmp_path / "a") == before


@pytest.mark.parametrize("words", [("list",), ("du",)])
def test_no_store_is_no_environments(
    mvenv: Runner, tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert mvenv(*words, store=tmp_path / "none").code == 0
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("word", ["list", "verify", "prune", "clean", "export"])
def test_no_store_is_told(mvenv: Runner, tmp_path: Path, word: str) -> None:
    more = [tmp_path / "a.tar"] if word == "export" else []
    outcome = mvenv("store", word, *more, store=tmp_path / "none")

    assert outcome.code == 16
    assert "there is no store" in outcome.err
    assert not (tmp_path / "none").exists()


def test_environments_are_listed_as_they_are(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    for name in ("same", "changed", "gone", "away"):
        copy = tmp_path / f"pylock.{name}.toml"
        shutil.copy(lock, copy)
        mvenv.create(tmp_path / name, copy)
    (tmp_path / "pylock.changed.toml").write_text("")
    (tmp_path / "pylock.gone.toml").unlink()
    shutil.rmtree(tmp_path / "away")
    found = {
        Path(one["path"]).name: one
        for one in mvenv("list", "--json").value["environments"]
    }

    assert {name: one["lock"] for name, one in found.items()} == {
        "same": "same",
        "changed": "changed",
        "gone": "gone",
        "away": "none",
    }
    assert found["away"]["standing"] == "gone, not long ago"
    assert found["away"]["distributions"] is None
    same = found["same"]
    assert same["standing"] == "present"
    assert (same["distributions"], same["drift"]) == (2, 0)
    assert same["version"].count(".") == 2
    assert abs(same["last_seen"] - time.time()) < 600


@pytest.mark.parametrize(
    ("change", "count"),
    [("nothing", 0), ("removed", 1), ("added", 1), ("upgraded", 1), ("all", 2)],
)
def test_drift_is_counted_by_distribution(
    mvenv: Runner, lock: Path, tmp_path: Path, change: str, count: int
) -> None:
    mvenv.create(tmp_path / "a", lock)
    [site] = (tmp_path / "a").glob("lib/*/site-packages")
    if change == "removed":
        shutil.rmtree(site / "small-1.0.dist-info")
    elif change == "added":
        (site / "other-1.0.dist-info").mkdir()
    elif change == "upgraded":
        os.rename(site / "small-1.0.dist-info", site / "small-2.0.dist-info")
    elif change == "all":
        for path in site.glob("*.dist-info"):
            shutil.rmtree(path)

    [found] = mvenv("list", "--json").value["environments"]
    assert found["drift"] == count


def test_damaged_records_are_told(mvenv: Runner, lock: Path, tmp_path: Path) -> None:
    mvenv.create(tmp_path / "a", lock)
    (mvenv.store / "envs/0123").write_bytes(b"garbage")

    assert "1 record cannot be read" in mvenv("list").out
    assert len(mvenv("list", "--json").value["environments"]) == 1
    assert mvenv("du", "--json").value["store"]["unused"] is None


def test_people_read_a_table(
    mvenv: Runner, lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mvenv.create(tmp_path / "a", lock)
    monkeypatch.chdir(tmp_path)
    version = subprocess.run(
        [
            tmp_path / "a/bin/python",
            "-c",
            "import platform as p; print(p.python_version())",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    head, line = mvenv("list").out.splitlines()

    assert head.split() == [
        "ENVIRONMENT",
        "PYTHON",
        "PACKAGES",
        "LOCK",
        "DRIFT",
        "SEEN",
    ]
    assert line.split() == ["a", version, "2", "same", "-", "just", "now"]
    assert head.index("PYTHON") == line.index(version)
    lines = mvenv("store", "list").out.splitlines()
    assert [one.split()[:2] for one in lines[1:3]] == [["big", "2.0"], ["small", "1.0"]]
    assert lines[1].split()[-1] == "1"
    assert lines[3].startswith("2 wheels · 1.0 MB")


def test_users_are_those_that_may_come_back(
    mvenv: Runner,
    lock: Path,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    mvenv.create(tmp_path / "a", lock)
    mvenv.create(tmp_path / "b", lock)
    mvenv.create(tmp_path / "c", write_pylock(make_wheel("small")))
    shutil.rmtree(tmp_path / "b")
    found = mvenv("store", "list", "--json").value["wheels"]

    assert {one["name"]: one["users"] for one in found} == {"big": 2, "small": 3}
    assert all(abs(one["last_used"] - time.time()) < 600 for one in found)


def _blocks(*folders: Path) -> int:
    done = subprocess.run(
        ["du", "-s", "-B1", *folders], capture_output=True, text=True, check=True
    )
    return sum(int(line.split()[0]) for line in done.stdout.splitlines())


def test_du_agrees_with_du(mvenv: Runner, lock: Path, filesystems: Filesystems) -> None:
    folder = filesystems.folder("ext4")
    for name in ("a", "b"):
        mvenv.create(folder / name, lock, store=folder / "store")
    value = mvenv("du", "--json", store=folder / "store").value
    found = {Path(one["path"]).name: one for one in value["environments"]}

    for name in ("a", "b"):
        assert found[name]["on_disk"] == _blocks(folder / name)
        # GNU du counts what it saw in an earlier folder no more.
        rest = _blocks(folder / "store", folder / name) - _blocks(folder / "store")
        assert abs(found[name]["reclaimable"] - rest) <= 16384
        assert found[name]["shared"] >= 1 << 20
        assert found[name]["exact"]
    assert value["store"]["on_disk"] == _blocks(folder / "store")


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs"])
def test_deleting_an_environment_brings_what_du_says(
    mvenv: Runner, lock: Path, filesystems: Filesystems, kind: str
) -> None:
    folder = filesystems.folder(kind)
    for name in ("a", "b"):
        mvenv.create(folder / name, lock, store=folder / "store")
    [mine] = (folder / "a").glob("lib/*/site-packages/small")
    (mine / "mine.bin").write_bytes(os.urandom(3 << 20))
    [found] = mvenv("du", folder / "a", "--json", store=folder / "store").value[
        "environments"
    ]
    before = _free(folder)
    shutil.rmtree(folder / "a")
    slack = (1 << 20) if kind == "btrfs" else 128 << 10
    deadline = time.monotonic() + 15
    while abs(_free(folder) - before - found["reclaimable"]) > slack:
        assert time.monotonic() < deadline, (_free(folder) - before, found)
        time.sleep(0.1)

    assert found["exact"]
    assert 3 << 20 <= found["reclaimable"] < 4 << 20
    assert found["shared"] >= 1 << 20


def _free(folder: Path) -> int:
    os.sync()
    seen = os.statvfs(folder)
    return seen.f_bfree * seen.f_frsize


def test_du_says_what_prune_would_bring(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    mvenv.create(tmp_path / "a", lock)
    shutil.rmtree(tmp_path / "a")
    mvenv("store", "prune")
    assert mvenv("du", "--json").value["store"]["unused"] == 0
    for mark in mvenv.store.glob("envs/*.absent"):
        os.utime(mark, ns=(0, mark.stat().st_mtime_ns - 8 * DAY))
    unused = mvenv("du", "--json").value["store"]["unused"]

    assert unused > 1 << 20
    assert "`mvenv store prune` would give back 1." in mvenv("du").out


def test_du_of_what_is_no_environment_is_told(mvenv: Runner, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    outcome = mvenv("du", tmp_path)

    assert outcome.code == 17
    assert "not a virtual environment" in outcome.err


def test_a_sound_store_is_all_right(mvenv: Runner, lock: Path, tmp_path: Path) -> None:
    mvenv.create(tmp_path / "a", lock)
    outcome = mvenv("store", "verify", "--json")

    assert outcome.code == 0
    assert outcome.value["wrong"] == []
    assert (outcome.value["wheels"], outcome.value["unsynced"]) == (2, 0)
    assert outcome.value["bytes"] > 1 << 20


@pytest.mark.parametrize(
    "damage", ["flipped", "missing", "alien", "mode", "manifest", "outside"]
)
def test_whatever_is_wrong_is_found(
    mvenv: Runner, lock: Path, tmp_path: Path, damage: str
) -> None:
    mvenv.create(tmp_path / "a", lock, "--link-mode", "copy")
    [file] = mvenv.store.glob("wheels/*/*/tree/big/data.bin")
    entry = file.parent.parent.parent
    seen = file.stat()
    if damage == "flipped":
        with file.open("r+b") as stream:
            stream.seek(1000)
            byte = stream.read(1)
            stream.seek(1000)
            stream.write(bytes([byte[0] ^ 1]))
        os.utime(file, ns=(seen.st_mtime_ns, seen.st_mtime_ns))
    elif damage == "missing":
        file.unlink()
    elif damage == "alien":
        (file.parent / "thesis.txt").write_text("mine")
    elif damage == "mode":
        file.chmod(0o644)
    elif damage == "manifest":
        (entry / "MANIFEST").unlink()
    else:
        (mvenv.store / "wheels/thesis.txt").write_text("mine")
    before = _everything(mvenv.store)
    outcome = mvenv("store", "verify", "--json")

    assert outcome.code == 1
    assert len(outcome.value["wrong"]) == 1
    assert _everything(mvenv.store) == before
    words = mvenv("store", "verify").out
    assert words.startswith("1 wrong · ")
    assert "mvenv doctor" in words


def test_where_wheels_came_from_is_told(
    mvenv: Runner, lock: Path, tmp_path: Path
) -> None:
    mvenv.create(tmp_path / "a", lock)
    assert mvenv("store", "export", tmp_path / "a.tar").code == 0
    assert (
        mvenv("store", "import", tmp_path / "a.tar", store=tmp_path / "new").code == 0
    )
    [synced, _] = sorted((tmp_path / "new").glob("wheels/*/*/synced"))
    synced.unlink()
    value = mvenv("store", "verify", "--json", store=tmp_path / "new").value

    assert (value["imported"], value["unsynced"], value["wrong"]) == (2, 1, [])
    assert (
        "2 imported · 1 not flushed yet"
        in mvenv("store", "verify", store=tmp_path / "new").out
    )
    found = mvenv("store", "list", "--json", store=tmp_path / "new").value["wheels"]
    assert [one["marks"] for one in found] == [["imported"]] * 2


@pytest.mark.slow
def test_twenty_thousand_files_take_a_moment(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    files: dict[str, str | bytes] = {
        f"many/p{n // 200}/m{n}.py": f"x = {n}\n" for n in range(20_000)
    }
    lock = write_pylock(make_wheel("many", files=files))
    mvenv.create(tmp_path / "a", lock)
    mvenv("du")
    started = time.process_time()
    value = mvenv("du", "--json").value
    took = time.process_time() - started

    assert value["environments"][0]["files"] > 20_000
    # The processor's time, for 40,000 files: other work on the machine is not in it.
    assert took < 3
