"""Several processes fill one environment: whatever becomes of them, it is whole.

Or it is not there, and the same command makes it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.snapshots import Entry, tree_snapshot
from kit.wheels import WheelMaker

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="forks on Linux only"
)
PROGRAM = Path(__file__).with_name("working.py")
EVERY: list[int] = []
SYSTEM_FAULT = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Works:
    """Creates one environment again and again, and disturbs it."""

    mvenv: Runner
    environment: Path
    kept: Path
    lock: Path

    def __call__(
        self, who: str, what: str, at: list[int], name: tuple[str, ...] = ()
    ) -> list[dict[str, Any]]:
        """Return what became of each run."""
        settings = {
            "words": [*map(str, self._words()), "--store", str(self.mvenv.store)],
            "environment": str(self.environment),
            "kept": str(self.kept),
            "who": who,
            "what": what,
            "at": at,
            "name": name,
        }
        done = subprocess.run(
            [sys.executable, PROGRAM, json.dumps(settings)],
            capture_output=True,
            text=True,
            check=True,
        )
        runs: list[dict[str, Any]] = json.loads(done.stdout)
        assert all("Traceback" not in one["said"] for one in runs), runs
        return runs

    def _words(self) -> list[str | Path]:
        return ["create", self.environment, "--from", self.lock]

    def whole(self) -> dict[str, Entry]:
        """Return what an undisturbed run of one process makes."""
        outcome = self.mvenv(*self._words())
        assert outcome.code == 0, outcome.err
        found = installed(self.environment)
        shutil.rmtree(self.environment)
        # It is shared out for one process.
        for recipe in (self.mvenv.store / "ready").glob("*.recipe"):
            recipe.unlink()
        return found


def installed(environment: Path) -> dict[str, Entry]:
    """Return what is there, but for what is another in each run."""
    found = tree_snapshot(environment)
    del found[".mvenv/receipt"]
    return found


def contents(found: dict[str, Entry]) -> dict[str, str]:
    """Return what is in all of it, whether linked or copied."""
    return {path: entry.sha256 or entry.type for path, entry in found.items()}


@pytest.fixture
def works(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> Works:
    """Return an environment of three wheels whose plan and wheels are known."""
    wheels = [
        make_wheel(
            name,
            files={
                f"{name}/__init__.py": "def main(): pass\n",
                f"{name}/{name}.bin": name * 1000,
                f"{name}/empty.py": "",
                f"{name}/deep/er/one.py": "1\n",
                f"{name}/deep/templates/two.txt": "2\n",
                f"{name}.pth": "import sys\n",
            },
            entry_points=f"[console_scripts]\n{name} = {name}:main\n",
        )
        for name in ("alpha", "beta", "gamma")
    ]
    (tmp_path / "kept").mkdir()
    (tmp_path / "project").mkdir()
    return Works(
        mvenv=mvenv,
        environment=tmp_path / "project" / ".venv",
        kept=tmp_path / "kept",
        lock=write_pylock(*wheels),
    )


@pytest.mark.parametrize("what", ["SIGKILL", "ValueError"])
def test_what_a_worker_leaves_at_any_call_is_done_here(works: Works, what: str) -> None:
    whole = works.whole()
    *runs, last = works("worker", what, EVERY)

    assert len(runs) > 10
    assert last["workers"]
    for one in (*runs, last):
        assert (one["code"], one["beside"]) == (0, []), one
        assert installed(Path(one["kept"])) == whole


@pytest.mark.parametrize("what", ["ENOSPC", "EACCES"])
def test_what_fails_in_a_worker_fails_the_run(works: Works, what: str) -> None:
    whole = works.whole()
    *runs, _ = works("worker", what, EVERY)

    assert len(runs) > 10
    for one in runs:
        if one["code"] == 0:
            # What could not be linked was copied.
            assert contents(installed(Path(one["kept"]))) == contents(whole)
            continue
        assert one["code"] == SYSTEM_FAULT, one
        assert one["said"].startswith("error: cannot fill the environment"), one
        assert "kept" not in one
        assert one["beside"] == []
    assert [one for one in runs if one["code"]]
    assert works.whole() == whole


@pytest.mark.parametrize("what", ["EAGAIN", "ENOMEM"])
def test_what_cannot_be_forked_is_done_here(works: Works, what: str) -> None:
    whole = works.whole()
    runs = works("parent", what, [1, 2], ("fork",))

    assert [(one["code"], one["fired"]) for one in runs] == [(0, True)] * 2
    for one in runs:
        assert installed(Path(one["kept"])) == whole


@pytest.mark.parametrize(
    ("what", "code"), [("SIGKILL", -9), ("SIGTERM", 143), ("SIGINT", 130)]
)
def test_no_worker_outlives_who_started_it(works: Works, what: str, code: int) -> None:
    """`working.py` waits for all of them before it tells."""
    whole = works.whole()
    *runs, _ = works("parent", what, EVERY)

    assert len(runs) > 20
    assert [one for one in runs if one["workers"] and "kept" not in one]
    for one in runs:
        # What comes with the last calls comes too late.
        assert one["code"] == code or "kept" in one, one
        if "kept" in one:
            assert installed(Path(one["kept"])) == whole
        if what != "SIGKILL":
            assert one["beside"] == [], one
    assert works.whole() == whole
    assert list(works.environment.parent.iterdir()) == []


def test_a_full_inode_of_a_worker_is_renewed(works: Works) -> None:
    whole = works.whole()
    stored = sorted(works.mvenv.store.glob("wheels/*/*/tree/*/*.bin"))
    works.mvenv(*works._words())
    inodes = [path.stat().st_ino for path in stored]
    works.environment.rename(works.kept / "other")
    [run] = works("worker", "EMLINK", [1], ("link", "gamma.bin"))
    changed = [
        path.name
        for path, inode in zip(stored, inodes, strict=True)
        if path.stat().st_ino != inode
    ]

    if not run["fired"]:
        pytest.skip("it was the parent's part")
    assert run["code"] == 0, run
    assert changed == ["gamma.bin"]
    assert installed(Path(run["kept"])) == whole


@pytest.mark.parametrize("name", ["alpha", "beta", "gamma"])
def test_a_changed_file_of_a_worker_is_healed(works: Works, name: str) -> None:
    whole = works.whole()
    [stored] = works.mvenv.store.glob(f"wheels/*/*/tree/{name}/{name}.bin")
    stored.chmod(0o644)
    stored.write_bytes(b"edited")
    [run] = works("worker", "EAGAIN", [10**6])

    assert run["code"] == 0, run
    assert run["workers"]
    assert f"({name}/{name}.bin)" in run["said"]
    assert _undated(installed(Path(run["kept"]))) == _undated(whole)


def _undated(found: dict[str, Entry]) -> dict[str, Entry]:
    """Return what is the same for a wheel that was taken in at another moment."""
    dated = (".mvenv/plan", ".pyc", ".dist-info/RECORD")
    return {path: entry for path, entry in found.items() if not path.endswith(dated)}
