"""A sync or rollback that is killed, anywhere: no name is torn, and it can go on.

All calls with MVENV_FULL_FAULTS=1; else some, evenly spread.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit.faults import spread
from kit.lockfiles import PylockWriter
from kit.snapshots import Entry, tree_snapshot
from kit.strace import Call, Strace
from kit.wheels import WheelMaker
from mvenv.env.generations import GENERATIONS, NEXT_PLAN, SYNCING
from mvenv.env.receipt import FOLDER, PLAN, read_receipt
from mvenv.hashes import digest_file
from mvenv.store.layout import StoreLayout
from mvenv.store.registry import roots

_ONE_THREAD = Path(__file__).parents[1] / "faults" / "one_thread.py"
_POINTS = 4
Snapshot = dict[str, Entry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """An environment of an old lock, set up again and again at the same path."""

    base: Path
    trace: Strace

    @property
    def environment(self) -> Path:
        """Return the environment's folder."""
        return self.base / "case" / "env"

    def command(self, *words: str) -> list[str]:
        """Return a command in one thread."""
        verb, *rest = words
        store = str(self.base / "case" / "store")
        start = [sys.executable, str(_ONE_THREAD), verb, str(self.environment)]
        return [*start, *rest, "--store", store]

    def sync(self, lock: str) -> list[str]:
        """Return the command that syncs to a lock."""
        return self.command("sync", "--from", self.lock(lock), "--exact")

    def lock(self, name: str) -> str:
        """Return the path of a lock."""
        return str(self.base / "inputs" / f"pylock.{name}.toml")

    def run(self, command: Sequence[str], code: int = 0) -> str:
        """Run a command, which has to end with ``code``."""
        done = self.trace.run(command)
        assert done.returncode == code, done.output
        return done.output

    def keep(self, name: str) -> None:
        """Keep the case under a name."""
        _copy(self.base / "case", self.base / name)

    def reset(self, name: str) -> None:
        """Set up a case that was kept."""
        shutil.rmtree(self.base / "case", ignore_errors=True)
        _copy(self.base / name, self.base / "case")

    def installed(self) -> Snapshot:
        """Return all that is in the environment but for our own folder."""
        found = tree_snapshot(self.environment)
        return {
            path: entry
            for path, entry in found.items()
            if path.split("/")[0] != FOLDER and not path.endswith(".mvenv-new~")
        }

    def check_whole(self) -> None:
        """Check that nothing is under way, left over, or untrue on record."""
        own = self.environment / FOLDER
        assert not (self.environment / SYNCING).exists()
        assert not (self.environment / NEXT_PLAN).exists()
        assert len(os.listdir(self.environment / GENERATIONS)) <= 1
        assert not (own / "rescued").exists(), list((own / "rescued").rglob("*"))
        assert set(os.listdir(own)) <= {"plan", "receipt", "generations"}
        assert not list(self.environment.rglob("*.mvenv-new~"))
        receipt = read_receipt(self.environment)
        assert receipt is not None
        assert digest_file(self.environment / PLAN).sha256 == receipt.plan
        for row in receipt.generated:
            file = self.environment / row.path
            assert digest_file(file).sha256 == row.sha256, row.path
            assert file.stat().st_mtime_ns == row.mtime_ns, row.path
        (root,) = roots(StoreLayout(self.base / "case" / "store"))
        assert (root.id, root.plan) == (receipt.id, receipt.plan)
        wheels = {one.wheel for one in receipt.distributions}
        assert wheels <= set(root.wheels)


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def _torn(found: Snapshot, old: Snapshot, new: Snapshot) -> list[str]:
    """Return the names that have neither the old nor the new bytes."""
    wrong = []
    for path in old.keys() | new.keys() | found.keys():
        was, will, now = old.get(path), new.get(path), found.get(path)
        if "__pycache__" in path:
            # Worth nothing: it is there again when the work is done.
            continue
        allowed: list[Entry | None] = [was, will]
        if was is not None and will is not None and was.type != will.type:
            allowed.append(None)
        elif will is not None and will.type == "folder":
            # Made when the first file in it comes.
            allowed.append(None)
        if now not in allowed:
            wrong.append(f"{path}: {now}")
    return sorted(wrong)


def _make_inputs(folder: Path) -> None:
    make, write = WheelMaker(folder=folder), PylockWriter(folder=folder)
    stays = make("stays", "1.0")
    old = make(
        "alpha",
        "1.0",
        {
            "alpha/__init__.py": "version = 1\n",
            "alpha/gone.py": "",
            "alpha/was_file": "a file\n",
            "alpha/was_folder/inner.txt": "inside\n",
            "alpha.pth": "import sys\n",
        },
        entry_points="[console_scripts]\nalpha = alpha:main\nbefore = alpha:main\n",
    )
    new = make(
        "alpha",
        "2.0",
        {
            "alpha/__init__.py": "version = 2\n",
            "alpha/was_file/inner.txt": "in a folder\n",
            "alpha/was_folder": "a file now\n",
            "alpha2.pth": "import os\n",
        },
        entry_points="[console_scripts]\nalpha = alpha:main\nbehind = alpha:main\n",
    )
    leaves = make("leaves", "1.0", {"leaves/deep/x.py": "x = 1\n"})
    make("extra", "3.0")
    write(old, stays, leaves, path=folder / "pylock.old.toml")
    write(new, stays, make("comes"), path=folder / "pylock.new.toml")
    write(make("alpha", "3.0"), stays, path=folder / "pylock.third.toml")


def _surroundings(base: Path) -> dict[str, str]:
    kept = {
        name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ
    }
    return {**kept, "HOME": str(base), "TMPDIR": str(base), "PYTHONHASHSEED": "0"}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Return a stage; before: an old environment with a distribution by hand."""
    base = tmp_path / "stage"
    (base / "case").mkdir(parents=True)
    (base / "logs").mkdir()
    _make_inputs(base / "inputs")
    trace = Strace(base / "logs", _surroundings(base), cwd=Path("/"))
    stage = Stage(base=base, trace=trace)
    # All wheels are in the store, which is what is not tried here.
    for lock in ("new", "third", "old"):
        shutil.rmtree(stage.environment, ignore_errors=True)
        for path in (base / "case" / "store" / "envs").glob("*"):
            path.unlink()
        stage.run(stage.command("create", "--from", stage.lock(lock)))
    _install_by_hand(stage)
    stage.keep("before")
    return stage


def _install_by_hand(stage: Stage) -> None:
    """Install as other tools do: copies, and a RECORD of them."""
    site = next(stage.environment.glob("lib/python3*/site-packages"))
    wheel = stage.base / "inputs" / "extra-3.0-py3-none-any.whl"
    subprocess.run(
        [sys.executable, "-m", "zipfile", "-e", str(wheel), str(site)], check=True
    )
    (site / "extra-3.0.dist-info" / "INSTALLER").write_text("hand\n")
    with (site / "extra-3.0.dist-info" / "RECORD").open("a") as stream:
        row = "sha256=TfL5SF6RnlQHGPT5Qq2Kq4M1R7FLh7pU6jEw2H6e3aE,5"
        stream.write(f"extra-3.0.dist-info/nothing,{row}\n")
    (site / "extra-3.0.dist-info" / "INSTALLER").unlink()


def _try_all(
    stage: Stage,
    start: str,
    command: list[str],
    judge: Callable[[Call], None],
) -> int:
    """Kill the command at calls, each time from ``start``; return at how many."""
    stage.reset(start)
    case = stage.base / "case"
    calls = [call for call in stage.trace.calls(command, case) if not call.reads]
    fired = 0
    for call in spread(calls, _POINTS):
        stage.reset(start)
        killed = stage.trace.signal(command, call, "SIGKILL")
        if killed.fired:
            judge(call)
            fired += 1
        else:
            # One more or one less call of a name in this run: it ended by itself.
            assert killed.returncode == 0, killed.output
    return fired


@pytest.fixture
def both(stage: Stage) -> tuple[Snapshot, Snapshot]:
    """Return what is installed before and after a sync that nobody disturbs."""
    old = stage.installed()
    stage.run(stage.sync("new"))
    stage.check_whole()
    new = stage.installed()
    stage.keep("after")
    return old, new


def test_the_same_sync_finishes(stage: Stage, both: tuple[Snapshot, Snapshot]) -> None:
    old, new = both
    begun = 0

    def judge(call: Call) -> None:
        nonlocal begun
        found = stage.installed()
        assert _torn(found, old, new) == [], call
        under_way = (stage.environment / SYNCING).exists()
        begun += under_way
        assert under_way or found in (old, new), call
        stage.run(stage.sync("new"))
        assert stage.installed() == new, call
        stage.check_whole()
        stage.run(stage.command("rollback"))
        assert stage.installed() == old, call
        stage.check_whole()

    assert _try_all(stage, "before", stage.sync("new"), judge) >= _POINTS - 1
    assert begun


def test_a_rollback_undoes_it(stage: Stage, both: tuple[Snapshot, Snapshot]) -> None:
    old, _ = both

    def judge(call: Call) -> None:
        if not (stage.environment / SYNCING).exists():
            return
        stage.run(stage.command("rollback"))
        assert stage.installed() == old, call
        stage.check_whole()

    _try_all(stage, "before", stage.sync("new"), judge)


def test_another_sync_goes_its_own_way(
    stage: Stage, both: tuple[Snapshot, Snapshot]
) -> None:
    old, _ = both
    stage.reset("before")
    stage.run(stage.sync("third"))
    third = stage.installed()

    def judge(call: Call) -> None:
        stage.run(stage.sync("third"))
        assert stage.installed() == third, call
        stage.check_whole()
        stage.run(stage.command("rollback"))
        if (stage.environment / SYNCING).exists():
            assert stage.installed() == old, call

    _try_all(stage, "before", stage.sync("new"), judge)


def test_the_same_rollback_finishes(
    stage: Stage, both: tuple[Snapshot, Snapshot]
) -> None:
    old, new = both

    def judge(call: Call) -> None:
        found = stage.installed()
        assert _torn(found, new, old) == [], call
        under_way = (stage.environment / SYNCING).exists()
        assert under_way or found in (old, new), call
        if under_way or found == new:
            stage.run(stage.command("rollback"))
        assert stage.installed() == old, call
        if under_way:
            stage.check_whole()
            stage.run(stage.command("rollback"))
            assert stage.installed() == new, call

    _try_all(stage, "after", stage.command("rollback"), judge)


def test_a_sync_after_a_killed_rollback(
    stage: Stage, both: tuple[Snapshot, Snapshot]
) -> None:
    _, new = both

    def judge(call: Call) -> None:
        stage.run(stage.sync("new"))
        assert stage.installed() == new, call
        stage.check_whole()

    _try_all(stage, "after", stage.command("rollback"), judge)


def test_an_undo_that_is_killed_is_done_again(
    stage: Stage, both: tuple[Snapshot, Snapshot]
) -> None:
    old, new = both
    stage.reset("before")
    calls = [
        call
        for call in stage.trace.calls(stage.sync("new"), stage.base / "case")
        if call.name in {"rename", "renameat"} and "/site-packages" in call.text
    ]
    stage.reset("before")
    middle = calls[len(calls) // 2]
    assert stage.trace.signal(stage.sync("new"), middle, "SIGKILL").fired
    assert (stage.environment / SYNCING).exists()
    stage.keep("half")

    def judge(call: Call) -> None:
        assert _torn(stage.installed(), old, new) == [], call
        if (stage.environment / SYNCING).exists():
            stage.run(stage.command("rollback"))
        assert stage.installed() == old, call
        stage.check_whole()

    _try_all(stage, "half", stage.command("rollback"), judge)


def test_a_full_disk_is_told_and_the_same_sync_finishes(
    stage: Stage, both: tuple[Snapshot, Snapshot]
) -> None:
    old, new = both
    stage.reset("before")
    calls = [
        call
        for call in stage.trace.calls(stage.sync("new"), stage.base / "case" / "env")
        if call.name in {"rename", "renameat", "linkat", "mkdir", "mkdirat", "write"}
    ]
    for call in spread(calls, _POINTS):
        stage.reset("before")
        ended = stage.trace.fail(stage.sync("new"), call, "ENOSPC")
        assert ended.fired, call
        assert ended.returncode == 18, (call, ended.output)
        assert "Traceback" not in ended.output
        assert _torn(stage.installed(), old, new) == [], call
        if (stage.environment / SYNCING).exists():
            assert "`mvenv rollback` goes back" in ended.output
        stage.run(stage.sync("new"))
        assert stage.installed() == new, call
        stage.check_whole()
