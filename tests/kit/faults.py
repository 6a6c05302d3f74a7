"""A small but complete `mvenv create`, and what must hold whatever was done to it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from kit.lockfiles import PylockWriter
from kit.snapshots import Entry, tree_snapshot
from kit.strace import Call, Injection, Strace
from kit.wheels import WheelMaker
from mvenv.env.receipt import BUILDING, FOLDER, PLAN, read_receipt
from mvenv.hashes import digest_bytes, sha256_file
from mvenv.plan.record import load_plan
from mvenv.store.entries import WheelStore
from mvenv.store.layout import StoreKey, StoreLayout
from mvenv.store.registry import roots
from mvenv.store.runs import sweep

_Point = TypeVar("_Point")

__all__ = [
    "ERRORS",
    "NOT_FIRED",
    "SCENARIOS",
    "Scenario",
    "Stage",
    "errors_for",
    "spread",
]

_ONE_THREAD = Path(__file__).parents[1] / "faults" / "one_thread.py"
_SEVERAL = _ONE_THREAD.with_name("several_processes.py")
_EXISTS = 17
_FAMILIES = range(10, 19)
"""Exit codes of families of errors, see `mvenv.errors`."""
_FOLDED = {0o444: 0o644, 0o555: 0o755}
"""The seal: there or not, by link mode."""
_STAMP = re.compile(r"mtime_ns=\d+")
_REMOVING = frozenset({"unlink", "unlinkat", "rmdir"})
_FILLED = {"lost+found"}
"""What does not count: tests fill disks there."""
_SPACE = ("ENOSPC", "EIO", "EDQUOT")
_DENIED = ("EACCES", "EROFS")
_NEVER_SILENT = frozenset({"fsync", "link", "linkat", "syncfs"})
"""A full or failing disk is no reason to do it in another way."""

ERRORS = {
    "mkdir": (*_SPACE, *_DENIED),
    "mkdirat": (*_SPACE, *_DENIED),
    "link": (*_SPACE, "EMLINK", "EPERM", "EXDEV"),
    "linkat": (*_SPACE, "EMLINK", "EPERM", "EXDEV"),
    "symlink": _SPACE,
    "symlinkat": _SPACE,
    "rename": (*_SPACE, *_DENIED),
    "renameat": (*_SPACE, *_DENIED),
    "renameat2": (*_SPACE, "EINVAL"),
    "unlink": ("EIO", *_DENIED),
    "unlinkat": ("EIO", *_DENIED),
    "rmdir": ("EIO", *_DENIED),
    "write": _SPACE,
    "openat": (*_SPACE, "EMFILE", *_DENIED),
    "chmod": ("EIO", "EPERM"),
    "fchmod": ("EIO", "EPERM"),
    "fchmodat": ("EIO", "EPERM"),
    "utimensat": ("EIO", "ENOSPC", "EPERM"),
    "ftruncate": _SPACE,
    "fsync": _SPACE,
    "syncfs": _SPACE,
    "ioctl": _SPACE,
    "flock": ("ENOLCK", "EIO"),
    "close": _SPACE,
}
"""What each call may be answered with; ``close`` by network file systems."""
_ERRORS_OF_READING = ("EIO", "EMFILE", "EACCES")

NOT_FIRED = "the injection did not fire"


def errors_for(call: Call) -> tuple[str, ...]:
    """Return the errors that make sense for a call."""
    if call.reads:
        return _ERRORS_OF_READING if call.name == "openat" else ("EIO",)
    return ERRORS[call.name]


def spread(points: Sequence[_Point], count: int) -> list[_Point]:
    """Return ``count`` of ``points``, evenly spaced; the same in every run.

    All of them with MVENV_FULL_FAULTS=1.
    """
    if os.environ.get("MVENV_FULL_FAULTS") == "1" or count >= len(points):
        return list(points)
    return [points[index * len(points) // count] for index in range(count)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is there before `mvenv create`, and in which way it has to be made."""

    name: str
    interpreter_known: bool = True
    """The store knows it; else there is no store at all."""
    stored: bool = True
    """All wheels but one are in the store."""
    whole_store: bool = True
    """And that one too."""
    old: bool = False
    """An environment of older wheels is there, to be cleared."""
    mount: bool = False
    """The environment's folder is a mount point, so it is filled in place."""
    exchange: bool = True
    """The file system can exchange two names; else it is filled in place too."""

    several: bool = False
    """Several processes fill it; calls are those of the first."""

    @property
    def in_place(self) -> bool:
        """Return whether a half-built environment may stand under its name."""
        return self.mount or not self.exchange


SCENARIOS = {
    one.name: one
    for one in (
        Scenario(name="cold", interpreter_known=False, stored=False),
        Scenario(name="fetch", stored=False),
        Scenario(name="warm"),
        Scenario(name="several", several=True),
        Scenario(name="clear", whole_store=False, old=True),
        Scenario(name="in-place", mount=True),
        Scenario(name="in-place-clear", old=True, exchange=False),
    )
}


@dataclass(slots=True)
class Stage:
    """One scenario that can be set up again and again, at the same paths."""

    scenario: Scenario
    base: Path
    environment: Path
    """Where the environment is made; for a mount point, what is mounted."""
    trace: Strace
    inputs: Path
    new: dict[str, Entry] = field(default_factory=dict)
    old: dict[str, Entry] = field(default_factory=dict)
    done: int = 0
    """Injections so far."""

    @classmethod
    def build(
        cls,
        scenario: Scenario,
        base: Path,
        *,
        mount: Path | None = None,
    ) -> Stage:
        """Make everything and look at what an undisturbed run makes."""
        inputs = base / "inputs"
        (base / "logs").mkdir(parents=True)
        stage = cls(
            scenario=scenario,
            base=base,
            environment=mount or base / "case" / "project" / ".venv",
            inputs=inputs,
            trace=Strace(
                base / "logs",
                _surroundings(base),
                cwd=Path("/"),
                also=() if scenario.exchange else ("renameat2:error=EINVAL",),
            ),
        )
        _make_inputs(inputs)
        stage._make_template()
        stage.reset()
        made = stage.trace.run(stage.command())
        assert made.returncode == 0, made.output
        stage.new = stage._installed()
        stage._check_new()
        return stage

    @property
    def store(self) -> Path:
        """Return the store's folder."""
        return self.base / "case" / "store"

    def command(
        self, lockfile: str = "new", *, threads: bool = False, clear: bool | None = None
    ) -> list[str]:
        """Return the command; ``threads`` leaves the work to its threads."""
        start = ["-m", "mvenv"] if threads else [str(_ONE_THREAD)]
        start = [str(_SEVERAL)] if self.scenario.several else start
        clear = self.scenario.old if clear is None else clear
        return [
            sys.executable,
            *start,
            "create",
            str(self.environment),
            "--from",
            str(self.inputs / f"pylock.{lockfile}.toml"),
            "--store",
            str(self.store),
            # What is compiled depends on the moment at which its source came.
            "--no-bytecode",
            *(["--clear"] if clear else []),
        ]

    def calls(self, *, threads: bool = False, follow: bool = False) -> list[Call]:
        """Return the calls of an undisturbed run that concern the scenario's files.

        ``threads`` leaves the work to threads, ``follow`` traces these too.
        """
        self.reset()
        command = self.command(threads=threads or follow)
        return self.trace.calls(command, self.base, self.environment, follow=follow)

    def reset(self) -> None:
        """Set the scenario up again."""
        case = self.base / "case"
        shutil.rmtree(case, ignore_errors=True)
        # Keeps hard links and stamps.
        _copy(self.base / "template", case)
        if self.scenario.mount:
            _empty(self.environment)

    def _make_template(self) -> None:
        """Make what the scenario begins with, by mvenv itself."""
        scenario = self.scenario
        case = self.base / "case"
        (case / "project").mkdir(parents=True)
        (case / "tmp").mkdir()
        made: list[list[str]] = []
        if scenario.interpreter_known:
            made += [self.command("most", clear=False)]
        if scenario.stored and scenario.whole_store:
            made += [self.command("new", clear=True)]
        if scenario.old:
            made += [self.command("old", clear=True)]
        for command in made:
            done = self.trace.run(command)
            assert done.returncode == 0, done.output
        if scenario.old:
            (self.environment / "mine.txt").write_text("of the user\n")
            self.old = tree_snapshot(self.environment)
        elif made:
            _empty(self.environment)
            _empty(self.store / "envs")
            if not scenario.mount:
                self.environment.rmdir()
        if made and not scenario.stored:
            _empty(self.store / "wheels")
        _copy(case, self.base / "template")

    # What must hold

    def kill(self, call: Call, *, follow: bool = False) -> list[str]:
        """Kill a run at a call and return what is wrong then, or after another run."""
        self.reset()
        self.done += 1
        command = self.command(threads=follow)
        killed = self.trace.signal(command, call, "SIGKILL", follow=follow)
        if not killed.fired:
            return [NOT_FIRED]
        standing = self.standing()
        wrong = [] if standing in self._allowed() | {"new"} else [standing]
        return [*wrong, *self.check_store(), *self.again(standing)]

    def interrupt(self, call: Call, signal: str, code: int) -> list[str]:
        """Signal a run at a call; it must clean up and exit with ``code``."""
        self.reset()
        self.done += 1
        ended = self.trace.signal(self.command(threads=True), call, signal)
        if not ended.fired:
            return [NOT_FIRED]
        wrong = [] if ended.returncode == code else [f"exit {ended.returncode}"]
        wrong += _unkind(ended)
        standing = self.standing()
        wrong += [] if standing in self._allowed() | {"new"} else [standing]
        wrong += self.leftovers()
        return [*wrong, *self.check_store(), *self.again(standing)]

    def fail(self, call: Call, error: str, *, follow: bool = False) -> list[str]:
        """Fail a call and return what is wrong then, or after another run."""
        self.reset()
        self.done += 1
        command = self.command(threads=follow)
        ended = self.trace.fail(command, call, error, follow=follow)
        if not ended.fired:
            return [NOT_FIRED]
        standing = self.standing()
        wrong = [*self.judge(ended, standing), *self.check_store()]
        if ended.returncode == 0 and call.name in _NEVER_SILENT and error in _SPACE:
            wrong.append("silent success")
        if not (call.name in _REMOVING or call.reads):
            # What cannot be removed now is swept by the next run.
            wrong += self.leftovers()
        return [*wrong, *self.again(standing)]

    def judge(self, ended: Injection, standing: str) -> list[str]:
        """Return what is wrong with how a failed or finished run ended."""
        if ended.returncode == 0:
            return [] if standing == "new" else [f"exit 0 and {standing}"]
        wrong = _unkind(ended)
        if ended.returncode not in _FAMILIES:
            wrong.append(f"exit {ended.returncode}: {ended.output[-2000:]}")
        if standing not in self._allowed():
            wrong.append(f"exit {ended.returncode} and {standing}: {ended.output}")
        return wrong

    def _allowed(self) -> frozenset[str]:
        """Return what may stand after a run that did not come to its end."""
        beginning = "old" if self.scenario.old else "absent"
        return frozenset({beginning, *(["building"] * self.scenario.in_place)})

    def again(self, standing: str) -> list[str]:
        """Run the same command undisturbed; return what is wrong after it."""
        # Who is killed leaves what `tempfile` made to the system.
        _empty(self.base / "case" / "tmp")
        again = self.trace.run(self.command())
        made_before = standing == "new" and not self.scenario.old
        expected = _EXISTS if made_before else 0
        wrong = []
        if again.returncode != expected:
            wrong.append(f"the second run: exit {again.returncode}: {again.output}")
        standing = self.standing()
        if standing != "new":
            wrong.append(f"the second run: {standing}")
        self._sweep()
        return [*wrong, *self.check_store(), *self.leftovers()]

    def _sweep(self) -> None:
        """Do what the next run does that takes something in, an hour later."""
        layout = StoreLayout(self.store)
        for path in (*self.store.glob(".*"), *self.store.glob("*/.*")):
            if path.is_file():
                os.utime(path, (time.time() - 7200,) * 2)
        os.utime(layout.tmp)
        sweep(layout)

    def standing(self) -> str:
        """Return what stands under the environment's name: a word, or what is wrong."""
        folder = self.environment
        if not os.path.lexists(folder) or set(os.listdir(folder)) <= _FILLED:
            return "absent"
        begun = list(tree_snapshot(folder)) == [FOLDER]
        if begun or (folder / BUILDING).exists():
            return "building"
        if self.old and tree_snapshot(folder) == self.old:
            return "old"
        try:
            self._check_new()
        except AssertionError as error:
            return f"torn: {error}"
        return "new"

    def _installed(self) -> dict[str, Entry]:
        """Return what was installed, but for what differs from run to run."""
        found = tree_snapshot(self.environment)
        if PLAN in found:
            found[PLAN] = found[PLAN]._replace(sha256=self._plan_but_for_stamps())
        return {
            path: entry._replace(mode=_FOLDED.get(entry.mode, entry.mode))
            for path, entry in found.items()
            if path != ".mvenv/receipt" and path.split("/")[0] not in _FILLED
        }

    def _plan_but_for_stamps(self) -> str:
        """Return a digest of the plan without the stamps, which tell when."""
        content = (self.environment / PLAN).read_bytes()
        plan = load_plan(content, StoreLayout(self.store))
        assert plan is not None, f"`{PLAN}` cannot be read"
        return digest_bytes(_STAMP.sub("", repr(plan)).encode()).sha256

    def _check_new(self) -> None:
        """Check that the whole new environment stands, with all that belongs to it."""
        present = self._installed()
        differing = sorted(
            path
            for path in present.keys() | self.new.keys()
            if present.get(path) != self.new.get(path)
        )
        assert not differing, f"not as it should be: {differing}"
        receipt = read_receipt(self.environment)
        assert receipt is not None, "no receipt"
        assert receipt.path == str(self.environment)
        for path, sha256, size, *_ in receipt.generated:
            file = self.environment / path
            assert (sha256_file(file), file.stat().st_size) == (sha256, size), path
        layout = StoreLayout(self.store)
        known = {root.id: root for root in roots(layout)}
        wheels = {one.wheel for one in receipt.distributions}
        assert receipt.id in known, "not in the registry"
        assert wheels == set(known[receipt.id].wheels)
        self._check_stamps(wheels)

    def _check_stamps(self, wheels: Iterable[str | None]) -> None:
        """Check that files of wheels have the mtime that the store has put down."""
        site = next((self.environment / "lib").glob("python*/site-packages"))
        store = WheelStore(StoreLayout(self.store))
        for key in wheels:
            wheel = store.find(StoreKey(str(key)))
            assert wheel is not None, f"`{key}` is not in the store"
            for file in wheel.manifest.files:
                path = site / file.path
                if path.exists() and path.name != "RECORD":
                    assert path.stat().st_mtime_ns == file.mtime_ns, path

    def check_store(self) -> list[str]:
        """Return what is wrong with the store's entries: all must be whole."""
        wrong = []
        store = WheelStore(StoreLayout(self.store))
        for entry in sorted(self.store.glob("wheels/*/*")):
            key = StoreKey(entry.name)
            names = set(os.listdir(entry)) - {"synced", "seen", "bytecode"}
            wheel = store.find(key)
            if wheel is None or names != {"MANIFEST", "tree"}:
                wrong.append(f"torn entry {key}: {sorted(names)}")
                continue
            files = {
                path
                for path, seen in tree_snapshot(wheel.tree).items()
                if seen.type != "folder"
            }
            faults = store.verify(wheel)
            if faults or files != {file.path for file in wheel.manifest.files}:
                wrong.append(f"torn entry {key}: {faults}, {sorted(files)}")
        return wrong

    def leftovers(self) -> list[str]:
        """Return what no run may leave: scratch folders, temporary files."""
        case = self.base / "case"
        found = [
            *(p for p in (case / "project").iterdir() if p.name != ".venv"),
            # Not the file with which `tempfile` tries a folder.
            *(path for path in (case / "tmp").iterdir() if path.is_dir()),
            *(p for p in case.iterdir() if p.name not in {"project", "tmp", "store"}),
            *self.store.glob("tmp/*"),
            *self.store.glob("trash/*"),
            *self.store.glob("rescued/*"),
            *(p for p in self.store.glob(".*") if p.name != ".gitignore"),
            *(p for p in self.store.glob("*/.*") if p.parent.name != "tmp"),
        ]
        return [f"left over: {path.relative_to(case)}" for path in found]


def _unkind(ended: Injection) -> list[str]:
    kind = "Traceback" not in ended.output and "Exception ignored" not in ended.output
    return [] if kind else [f"a traceback: {ended.output}"]


def _empty(folder: Path) -> None:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def _surroundings(base: Path) -> dict[str, str]:
    kept = {
        name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ
    }
    return {
        **kept,
        "HOME": str(base),
        "TMPDIR": str(base / "case" / "tmp"),
        # One order of everything, in each run.
        "PYTHONHASHSEED": "0",
    }


def _make_inputs(folder: Path) -> None:
    """Make wheels with everything special in them, and three lockfiles."""
    make = WheelMaker(folder=folder)
    write = PylockWriter(folder=folder)
    old = [make("alpha", "0.9"), make("gone", files={"gone/a.py": "gone = 1\n"})]
    new = [
        make(
            "alpha",
            files={
                "alpha/__init__.py": "def main(): return 0\n",
                "alpha/empty.py": "",
                "alpha/data.bin": b"0123456789abcdef" * 700,
                "alpha.pth": "import sys\n",
                "alpha-1.0.data/scripts/alpha-tool": "#!python\nprint('tool')\n",
                "alpha-1.0.data/data/share/alpha/notes.txt": "notes\n",
            },
            entry_points="[console_scripts]\nalpha = alpha:main\n",
        ),
        make("ns-one", files={"ns/one/__init__.py": "one = 1\n"}),
        make("ns-two", files={"ns/two/__init__.py": "two = 2\n"}),
    ]
    last = make("zeta", files={"zeta.py": "z = 1\n"})
    write(*old, path=folder / "pylock.old.toml")
    write(*new, path=folder / "pylock.most.toml")
    write(*new, last, path=folder / "pylock.new.toml")
