"""Prune takes what nobody needs, and nothing else; what it says comes back, does."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.filesystems import Filesystems
from kit.lockfiles import PylockWriter
from kit.snapshots import tree_snapshot
from kit.wheels import WheelMaker, sha256_of
from mvenv.creation import memory
from mvenv.creation.decision import Decision
from mvenv.creation.memory import Question
from mvenv.diagnose.roots import RootStanding
from mvenv.env.receipt import read_receipt
from mvenv.errors import Busy, StoreError, UsageError
from mvenv.progress import Silent, Task, Unit
from mvenv.prune import CleanRequest, Pruned, PruneRequest, clean, prune
from mvenv.records import load_json, store_json
from mvenv.store.layout import StoreLayout
from mvenv.store.locking import using
from mvenv.store.registry import roots

HOUR = 3600 * 10**9
DAY = 24 * HOUR


def _prune(store: Path, **options: object) -> Pruned:
    return prune(PruneRequest(store=store, **options), Silent())  # type: ignore[arg-type]  # any option


def _keys(store: Path) -> set[str]:
    return {path.name for path in store.glob("wheels/*/*")}


def _age_marks(store: Path, days: float) -> None:
    for mark in store.glob("envs/*.absent"):
        noticed = mark.stat().st_mtime_ns - int(days * DAY)
        os.utime(mark, ns=(noticed, noticed))


def _vanish(store: Path, *environments: Path) -> None:
    """Delete environments, and let them be gone for long."""
    for environment in environments:
        shutil.rmtree(environment)
    _prune(store)
    _age_marks(store, 8)


@pytest.fixture
def wheels(make_wheel: WheelMaker) -> dict[str, Path]:
    """Return three wheels by name."""
    return {
        name: make_wheel(name, files={f"{name}/__init__.py": f"x = {name!r}\n" * 999})
        for name in ("one", "two", "both")
    }


@pytest.fixture
def keys(wheels: dict[str, Path]) -> dict[str, str]:
    """Return their keys."""
    return {name: sha256_of(wheel) for name, wheel in wheels.items()}


@pytest.fixture
def store(
    mvenv: Runner, wheels: dict[str, Path], write_pylock: PylockWriter, tmp_path: Path
) -> Path:
    """Return a store of two environments, which have one wheel in common."""
    mvenv.create(tmp_path / "a", write_pylock(wheels["one"], wheels["both"]))
    mvenv.create(tmp_path / "b", write_pylock(wheels["two"], wheels["both"]))
    return mvenv.store


def test_what_environments_need_stays(store: Path, keys: dict[str, str]) -> None:
    pruned = _prune(store)

    assert pruned.removed == ()
    assert (pruned.bytes, pruned.left) == (0, 3)
    assert _keys(store) == set(keys.values())
    assert len(list(store.glob("plans/*"))) == 2


def test_who_vanished_lately_may_come_back(
    store: Path, keys: dict[str, str], tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "a")
    for _ in range(3):
        pruned = _prune(store)
        _age_marks(store, 2)

    assert _keys(store) == set(keys.values())
    assert [(one.path, one.standing) for one in pruned.waiting] == [
        (tmp_path / "a", RootStanding.ABSENT)
    ]
    _age_marks(store, 1.5)
    pruned = _prune(store)
    assert _keys(store) == {keys["two"], keys["both"]}
    assert pruned.forgotten == (tmp_path / "a",)
    assert [one.filename.split("-")[0] for one in pruned.removed] == ["one"]
    assert len(roots(StoreLayout(store))) == 1
    assert len(list(store.glob("plans/*"))) == 1
    assert list(store.glob("envs/*.absent")) == []


def test_who_came_back_was_never_away(
    store: Path, keys: dict[str, str], tmp_path: Path
) -> None:
    os.rename(tmp_path / "a", tmp_path / "c")
    _prune(store)
    _age_marks(store, 6.9)
    os.rename(tmp_path / "c", tmp_path / "a")
    _prune(store)
    os.rename(tmp_path / "a", tmp_path / "c")
    _prune(store)
    _age_marks(store, 6.9)
    _prune(store)

    assert _keys(store) == set(keys.values())


def test_a_disk_that_is_not_mounted_is_waited_for(
    mvenv: Runner,
    wheels: dict[str, Path],
    write_pylock: PylockWriter,
    keys: dict[str, str],
    tmp_path: Path,
) -> None:
    (tmp_path / "disk/work").mkdir(parents=True)
    mvenv.create(tmp_path / "disk/work/env", write_pylock(wheels["one"]))
    os.rename(tmp_path / "disk", tmp_path / "drawer")
    for _ in range(3):
        pruned = _prune(mvenv.store)
        _age_marks(mvenv.store, 100)

    assert _keys(mvenv.store) == {keys["one"]}
    assert [one.standing for one in pruned.waiting] == [RootStanding.UNMOUNTED]
    with pytest.raises(UsageError, match="no environment on record"):
        _prune(mvenv.store, forget=(tmp_path / "else",))
    pruned = _prune(mvenv.store, forget=(tmp_path / "disk/work/env",))
    assert _keys(mvenv.store) == set()
    assert pruned.forgotten == (tmp_path / "disk/work/env",)


def test_what_is_there_is_not_forgotten(store: Path, tmp_path: Path) -> None:
    before = tree_snapshot(store)
    with pytest.raises(UsageError, match="is there"):
        _prune(store, forget=(tmp_path / "a",))

    assert tree_snapshot(store) == before


def test_an_environment_that_cannot_be_read_is_there(
    store: Path, keys: dict[str, str]
) -> None:
    layout = StoreLayout(store)
    _redirect(layout, "/" + "x" * 300 + "/.venv")
    for _ in range(3):
        pruned = _prune(store)
        _age_marks(store, 100)

    assert _keys(store) == set(keys.values())
    assert {one.standing for one in pruned.waiting} == {RootStanding.UNREADABLE}


def _redirect(layout: StoreLayout, path: str) -> None:
    from dataclasses import replace

    from mvenv.store.registry import register

    for root in roots(layout):
        register(layout, replace(root, path=path))


@pytest.mark.parametrize("content", [b"", b"garbage", b"mvenv environment 9 00\n{}"])
def test_a_damaged_registry_stops_all(
    store: Path, tmp_path: Path, content: bytes
) -> None:
    _vanish(store, tmp_path / "a")
    [record, _] = sorted(
        path for path in store.glob("envs/*") if path.suffix != ".absent"
    )
    record.write_bytes(content)
    before = tree_snapshot(store)
    with pytest.raises(StoreError, match="cannot be read") as caught:
        _prune(store)

    assert "mvenv doctor --whole-store" in (caught.value.hint or "")
    assert tree_snapshot(store) == before


def test_a_place_that_another_environment_has_is_no_environment(
    mvenv: Runner,
    store: Path,
    keys: dict[str, str],
    wheels: dict[str, Path],
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    shutil.rmtree(tmp_path / "a")
    mvenv.create(tmp_path / "a", write_pylock(wheels["two"]))
    _prune(store)
    assert _keys(store) == set(keys.values())
    _age_marks(store, 8)
    _prune(store)

    assert _keys(store) == {keys["two"], keys["both"]}


def test_what_a_rollback_needs_stays(
    store: Path, keys: dict[str, str], tmp_path: Path
) -> None:
    kept = tmp_path / "b/.mvenv/generations/3/.mvenv"
    kept.mkdir(parents=True)
    shutil.copy(tmp_path / "a/.mvenv/receipt", kept / "receipt")
    _vanish(store, tmp_path / "a")
    _prune(store)

    assert _keys(store) == set(keys.values())
    assert len(list(store.glob("plans/*"))) == 2


@pytest.mark.parametrize("name", ["plan", "plan.next"])
def test_what_a_killed_change_needs_stays(
    store: Path, keys: dict[str, str], tmp_path: Path, name: str
) -> None:
    target = tmp_path / f"b/.mvenv/{name}"
    target.unlink(missing_ok=True)
    shutil.copy(tmp_path / "a/.mvenv/plan", target)
    _vanish(store, tmp_path / "a")
    _prune(store)

    assert _keys(store) == set(keys.values())


def test_only_what_was_not_used_for_long(
    store: Path, keys: dict[str, str], tmp_path: Path
) -> None:
    _vanish(store, tmp_path / "a", tmp_path / "b")
    for days, name in enumerate(["one", "two", "both"], 1):
        [entry] = store.glob(f"wheels/*/{keys[name]}")
        used = time.time_ns() - days * DAY
        os.utime(entry, ns=(used, used))
    pruned = _prune(store, older_than_ns=36 * HOUR)

    assert _keys(store) == {keys["one"]}
    assert pruned.left == 1


def test_creating_is_using(
    mvenv: Runner,
    store: Path,
    keys: dict[str, str],
    wheels: dict[str, Path],
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    [entry] = store.glob(f"wheels/*/{keys['one']}")
    os.utime(entry, ns=(HOUR, HOUR))
    mvenv.create(tmp_path / "c", write_pylock(wheels["one"]))
    _vanish(store, tmp_path / "a", tmp_path / "c")

    assert _prune(store, older_than_ns=DAY).removed == ()


def test_the_least_recently_used_goes_first(
    store: Path, keys: dict[str, str], tmp_path: Path
) -> None:
    _vanish(store, tmp_path / "a", tmp_path / "b")
    for days, name in enumerate(["one", "two", "both"], 1):
        [entry] = store.glob(f"wheels/*/{keys[name]}")
        used = time.time_ns() - days * DAY
        os.utime(entry, ns=(used, used))
    whole = _prune(store, max_size=1 << 40)
    assert whole.removed == ()
    assert whole.left_bytes is not None
    pruned = _prune(store, max_size=whole.left_bytes - 1)
    assert _keys(store) == {keys["one"], keys["two"]}
    assert pruned.left_bytes == whole.left_bytes - pruned.bytes

    assert _prune(store, max_size=0).left_bytes == 0
    assert _keys(store) == set()


def test_what_is_needed_stays_whatever_the_size(
    store: Path, keys: dict[str, str]
) -> None:
    pruned = _prune(store, max_size=0)

    assert _keys(store) == set(keys.values())
    assert pruned.left_bytes


def _everything(store: Path) -> dict[str, tuple[int, int, int]]:
    found = {}
    for path in [store, *store.rglob("*")]:
        seen = path.lstat()
        found[str(path)] = (seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns)
    return found


def test_a_dry_run_touches_nothing_and_says_the_same(
    store: Path, tmp_path: Path
) -> None:
    _vanish(store, tmp_path / "a")
    shutil.rmtree(tmp_path / "b")
    before = _everything(store)
    said = _prune(store, dry_run=True)
    assert _everything(store) == before
    done = _prune(store)

    for name in ("removed", "bytes", "left", "plans", "forgotten", "waiting"):
        assert getattr(said, name) == getattr(done, name), name
    assert said.bytes > 0


@pytest.mark.parametrize("edit", ["content", "hidden", "added", "manifest", "link"])
def test_nothing_that_somebody_wrote_is_deleted(
    store: Path, keys: dict[str, str], tmp_path: Path, edit: str
) -> None:
    [file] = store.glob("wheels/*/*/tree/one/__init__.py")
    seen = file.stat()
    mine = b"#" * (seen.st_size if edit == "hidden" else 10)
    if edit in {"content", "hidden"}:
        with file.open("r+b") as stream:
            stream.write(mine)
        if edit == "hidden":
            os.utime(file, ns=(seen.st_mtime_ns, seen.st_mtime_ns))
    elif edit == "added":
        (file.parent / "thesis.txt").write_bytes(mine)
    elif edit == "manifest":
        (file.parent.parent.parent / "MANIFEST").unlink()
        (file.parent.parent / "thesis.txt").write_bytes(mine)
    else:
        file.unlink()
        file.symlink_to(tmp_path)
    _vanish(store, tmp_path / "a")
    pruned = _prune(store)

    assert keys["one"] not in _keys(store)
    [kept] = pruned.rescued
    found = [path for path in kept.rglob("*") if not path.is_dir() or path.is_symlink()]
    if edit == "link":
        assert [path.is_symlink() for path in found] == [True]
    else:
        contents = [path.read_bytes()[: len(mine)] for path in found]
        assert mine in contents
        assert edit == "manifest" or len(contents) == 1


def test_lost_files_are_no_bytes_of_anybody(
    store: Path, keys: dict[str, str], tmp_path: Path
) -> None:
    [file] = store.glob("wheels/*/*/tree/one/__init__.py")
    file.unlink()
    file.touch()
    _vanish(store, tmp_path / "a")

    assert _prune(store).rescued == ()
    assert keys["one"] not in _keys(store)


def test_builds_and_locks_of_what_is_gone_go_too(
    store: Path, keys: dict[str, str], tmp_path: Path
) -> None:
    store_json(store / "builds/x", "build", 1, keys["one"])
    store_json(store / "builds/y", "build", 1, keys["two"])
    (store / "locks/other.lock").touch()
    before = set(os.listdir(store / "locks"))
    _vanish(store, tmp_path / "a")
    pruned = _prune(store)

    assert os.listdir(store / "builds") == ["y"]
    assert pruned.builds == 1
    assert before - set(os.listdir(store / "locks")) == {f"{keys['one']}.lock"}


def test_answers_go_with_their_plans(
    store: Path, keys: dict[str, str], tmp_path: Path
) -> None:
    answers = store / "ready"
    kept, gone = sorted(
        (one for one in answers.iterdir() if not one.suffix),
        key=lambda one: _names(store, one, keys),
    )
    recipes = {f"{_plan_of(one)}.recipe" for one in (kept, gone)}
    assert recipes <= set(os.listdir(answers))
    (answers / ("0" * 64)).write_bytes(b"garbage")
    (answers / ".half.1.1").touch()
    store_json(answers / ("1" * 64), "ready", 2, {"0": 1})
    store_json(answers / ("2" * 64), "ready", 2, ["../FORMAT", "", [], []])
    shutil.rmtree(tmp_path / "a")
    told = _prune(store, dry_run=True, forget=(tmp_path / "a",))
    assert len(list(answers.iterdir())) == 8
    pruned = _prune(store, forget=(tmp_path / "a",))

    assert gone not in answers.iterdir()
    assert {path.name for path in answers.iterdir()} == {
        kept.name,
        f"{_plan_of(kept)}.recipe",
        ".half.1.1",
    }
    assert (told.answers, pruned.answers) == (5, 5)
    assert (told.plans, pruned.plans) == (1, 1)


def _names(store: Path, answer: Path, keys: dict[str, str]) -> bool:
    """Return whether an answer is of the plan with the first wheel."""
    return keys["one"] in (store / "plans" / _plan_of(answer)).read_text()


def _plan_of(answer: Path) -> str:
    [plan, *_] = load_json(answer, "ready", 2)
    return str(plan)


def test_clean_takes_all_answers(store: Path) -> None:
    pruned = clean(CleanRequest(store=store), Silent())

    assert pruned.answers == 4
    assert list((store / "ready").iterdir()) == []


def test_answers_are_counted(mvenv: Runner, store: Path) -> None:
    before = mvenv("du", "--json").value
    (store / "ready" / "large").write_bytes(bytes(10_000_000))
    after = mvenv("du", "--json").value

    assert after != before
    assert after["store"]["on_disk"] - before["store"]["on_disk"] > 9_000_000


def test_what_is_ready_is_not_pruned_before_it_is_linked(
    store: Path,
    mvenv: Runner,
    tmp_path: Path,
    wheels: dict[str, Path],
    write_pylock: PylockWriter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever recalls a plan uses the store already."""
    lock = write_pylock(wheels["one"], wheels["both"])
    lock.write_text(lock.read_text() + "\n")
    mvenv.create(tmp_path / "c", lock)
    shutil.rmtree(tmp_path / "c")
    busy: list[Busy] = []

    def recall(question: Question) -> Decision | None:
        decision = really(question)
        try:
            _prune(store, forget=(tmp_path / "c",), patience=0.1)
        except Busy as error:
            busy.append(error)
        return decision

    really = memory.recall
    monkeypatch.setattr("mvenv.creation.recall", recall)
    mvenv.create(tmp_path / "d", lock)

    assert len(busy) == 1


def test_a_lock_that_is_held_stays(
    store: Path, keys: dict[str, str], tmp_path: Path
) -> None:
    """Another would lock a new file of that name, and both think they are alone."""
    _vanish(store, tmp_path / "a")
    lock = store / "locks" / f"{keys['one']}.lock"
    with lock.open("rb+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        _prune(store)

    assert keys["one"] not in _keys(store)
    assert lock.exists()


class _Meanwhile(Silent):
    """Does something while prune looks at the entries."""

    def __init__(self, what: object) -> None:
        self._what = what

    def task(
        self, label: str, total: int | None, unit: Unit = Unit.BYTES
    ) -> AbstractContextManager[Task]:
        assert callable(self._what)
        self._what()
        return super().task(label, total, unit)


def test_who_comes_in_between_keeps_what_it_links(
    mvenv: Runner,
    store: Path,
    keys: dict[str, str],
    wheels: dict[str, Path],
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    _vanish(store, tmp_path / "a", tmp_path / "b")
    lock = write_pylock(wheels["one"])
    reporter = _Meanwhile(lambda: mvenv.create(tmp_path / "c", lock))
    pruned = prune(PruneRequest(store=store), reporter)

    assert _keys(store) == {keys["one"]}
    assert len(pruned.removed) == 2
    assert len(list(store.glob("plans/*"))) == 1


def test_a_record_damaged_in_between_stops_all(
    store: Path, keys: dict[str, str], tmp_path: Path
) -> None:
    _vanish(store, tmp_path / "a")
    reporter = _Meanwhile(lambda: (store / "envs/0123").write_bytes(b"garbage"))
    with pytest.raises(StoreError, match="cannot be read"):
        prune(PruneRequest(store=store), reporter)

    assert _keys(store) == set(keys.values())


def test_who_uses_the_store_is_waited_for(
    store: Path, keys: dict[str, str], tmp_path: Path
) -> None:
    _vanish(store, tmp_path / "a")
    with using(StoreLayout(store)), pytest.raises(Busy, match=str(os.getpid())):
        _prune(store, patience=0.1)
    assert _keys(store) == set(keys.values())
    _prune(store)

    assert keys["one"] not in _keys(store)


def test_no_environment_notices_an_emptied_store(store: Path, tmp_path: Path) -> None:
    before = tree_snapshot(tmp_path / "a")
    (store / "rescued/mine.txt").write_text("mine")
    said = clean(CleanRequest(store=store, dry_run=True), Silent())
    assert len(_keys(store)) == 3
    done = clean(CleanRequest(store=store), Silent())

    assert said.removed == done.removed
    assert len(done.removed) == 3
    assert _keys(store) == set()
    assert os.listdir(store / "trash") == []
    assert (store / "rescued/mine.txt").read_text() == "mine"
    assert len(roots(StoreLayout(store))) == 2
    assert tree_snapshot(tmp_path / "a") == before
    subprocess.run([tmp_path / "a/bin/python", "-c", "import one, both"], check=True)
    assert read_receipt(tmp_path / "a") is not None


def _free(folder: Path) -> int:
    os.sync()
    seen = os.statvfs(folder)
    return seen.f_bfree * seen.f_frsize


def _settled_free(folder: Path, wanted: int, slack: int) -> int:
    """Return the free bytes when the file system has done what it does later."""
    deadline = time.monotonic() + 15
    while abs((free := _free(folder)) - wanted) > slack:
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    return free


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("ext4", "hardlink"),
        ("ext4", "copy"),
        ("xfs", "reflink"),
        ("xfs", "hardlink"),
        ("btrfs", "reflink"),
        ("btrfs", "copy"),
        ("tmpfs", "hardlink"),
    ],
)
def test_what_is_said_to_come_back_comes_back(
    filesystems: Filesystems,
    make_wheel: WheelMaker,
    mvenv: Runner,
    write_pylock: PylockWriter,
    kind: str,
    mode: str,
) -> None:
    folder = filesystems.folder(kind)
    store = folder / "store"
    sizes = {"gone": 3, "rest": 5, "live": 2}
    for name, size in sizes.items():
        files: dict[str, str | bytes] = {
            f"{name}/big.bin": os.urandom(size << 20),
            **{f"{name}/m{n}.py": f"x = {n}\n" * 300 for n in range(50)},
        }
        wheel = make_wheel(name, files=files)
        lock = write_pylock(wheel)
        mvenv.create(folder / name, lock, "--link-mode", mode, store=store)
    # Its environment is deleted; another is too, but a file of it lives on elsewhere.
    [kept] = (folder / "rest").glob("lib/*/site-packages/rest/big.bin")
    os.rename(kept, folder / "kept.bin")
    for name in ("gone", "rest"):
        shutil.rmtree(folder / name)
    _prune(store)
    _age_marks(store, 8)
    # XFS still deletes what was deleted just now.
    _free(folder)
    time.sleep(0.5)
    before = _free(folder)
    pruned = _prune(store)

    assert len(pruned.removed) == 2
    assert pruned.exact
    # btrfs gives back room of its own records too, in pieces of 16 kB.
    slack = (1 << 20) if kind == "btrfs" else 128 << 10
    came = _settled_free(folder, before + pruned.bytes, slack) - before
    assert abs(came - pruned.bytes) <= slack, (came, pruned.bytes)
    expected = 8 if mode == "copy" else 3
    # And blocks of bytecode, by the file system.
    assert pruned.bytes >> 20 in {expected, expected + 1}
