"""A command killed at each of its calls: the old or the new bytes, and a second run."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kit.strace import Call, Strace
from mvenv.hashes import sha256_file
from mvenv.store.entries import WheelStore
from mvenv.store.layout import StoreLayout, store_key
from mvenv.store.names import BYTECODE

__all__ = ["World"]

_ONE_THREAD = Path(__file__).parents[1] / "faults" / "one_thread.py"
_OWN = ".mvenv/"
"""What mvenv keeps for itself in an environment: its words differ from run to run."""
_STORE_OWN = frozenset(
    {"tmp", "trash", "locks", "rescued", "envs", "large", "plans", "ready", "scrub"}
)

_ANY = frozenset({"MANIFEST", "synced", "seen", ".lock"})
"""What differs from run to run: stamps, moments."""

_TEMPORARY = re.compile(r"\..+\.\d+\.\d+")
"""A record that a killed writer left; swept when an hour old."""

Content = dict[str, str]
"""Paths below the world, and what is there: a hash, ``folder``, or a link's target."""


@dataclass(slots=True)
class World:
    """Environments and a store in one folder, set up again and again at one place."""

    base: Path
    command: Sequence[str]
    """What is killed; ``{world}`` stands for the world's folder."""
    code: int = 0
    """How it ends undisturbed."""
    again: int = 0
    """How it ends when it was run already."""
    toggles: bool = False
    """Run when it was done, it undoes: a rollback of a rollback."""
    before: Content = field(default_factory=dict)
    after: Content = field(default_factory=dict)
    fired: int = 0
    """Kills that came in time: what is done by the clock differs from run to run."""
    user: frozenset[str] = frozenset()
    """Hashes of what the user wrote."""

    @property
    def place(self) -> Path:
        """Return the world's folder."""
        return self.base / "world"

    @property
    def store(self) -> Path:
        """Return its store."""
        return self.place / "store"

    def mvenv(self, *arguments: str | Path) -> None:
        """Run a command that sets the world up; it has to work."""
        done = self._run([str(argument) for argument in arguments])
        assert done.returncode == 0, done.stdout + done.stderr

    def set_up(self, prepare: Callable[[World], frozenset[str]]) -> list[Call]:
        """Make the world, and return the calls of an undisturbed run.

        ``prepare`` returns the hashes of what it wrote as a user.
        """
        self.place.mkdir(parents=True)
        (self.base / "logs").mkdir()
        self.user = prepare(self)
        shutil.rmtree(self.base / "template", ignore_errors=True)
        _copy(self.place, self.base / "template")
        self.before = self.content()
        assert self.lost() == frozenset()
        done = self._run(self._words())
        assert done.returncode == self.code, done.stdout + done.stderr
        self.after = self.content()
        assert self.lost() == frozenset()
        self.reset()
        trace = self._trace()
        calls = trace.calls(self._command(), self.place, codes=frozenset({self.code}))
        return [call for call in calls if not call.reads]

    def reset(self) -> None:
        """Set the world up again, with all its links and stamps."""
        shutil.rmtree(self.place)
        _copy(self.base / "template", self.place)

    def kill(self, call: Call) -> list[str]:
        """Kill a run at a call; return what is wrong then, or after another run."""
        self.reset()
        killed = self._trace().signal(self._command(), call, "SIGKILL")
        self.fired += killed.fired
        done_already = self.content() == self.after
        wrong = [*self._neither_old_nor_new(), *self._torn()]
        wrong += [f"lost: {sha256}" for sha256 in self.lost()]
        done = self._run(self._words())
        if done.returncode not in {self.code, self.again}:
            said = done.stdout + done.stderr
            wrong.append(f"the second run: exit {done.returncode}: {said}")
        content = self.content()
        # When all files are there, only its own records say whether it had ended.
        undone = self.toggles and done_already and content == self.before
        end = self.before if undone else self.after
        wrong += [
            f"after the second run: {path}"
            for path in content.keys() | end.keys()
            if content.get(path) != end.get(path)
        ]
        return wrong + [f"lost: {sha256}" for sha256 in self.lost()]

    def content(self) -> Content:
        """Return what is in the world, but for what mvenv keeps for itself."""
        found = {}
        for path in sorted(self.place.rglob("*")):
            below = str(path.relative_to(self.place))
            parts = below.split("/")
            if f"/{_OWN}" in f"{below}/" or (
                parts[0] == "store" and (parts[1:2] or [""])[0] in _STORE_OWN
            ):
                continue
            if path.name in _ANY or _TEMPORARY.fullmatch(path.name):
                continue
            if "__pycache__" not in parts and BYTECODE not in parts:
                found[below] = _content(path)
        return found

    def lost(self) -> frozenset[str]:
        """Return the user's contents that are nowhere any more."""
        present = set()
        for path in self.place.rglob("*"):
            if stat.S_ISREG(path.lstat().st_mode):
                present.add(sha256_file(path))
        return self.user - present

    def _neither_old_nor_new(self) -> Iterator[str]:
        content = self.content()
        for path in self.before.keys() | self.after.keys() | content.keys():
            name = path.rpartition("/")[2]
            if name.endswith("~") or name.startswith("."):
                # Not under its name yet.
                continue
            seen = content.get(path)
            allowed = {self.before.get(path), self.after.get(path)}
            if "folder" in allowed and len(allowed) > 1:
                # No system can put a folder over a file at once.
                allowed.add(None)
            if seen not in allowed:
                yield f"{path} is {seen or 'gone'}"

    def _torn(self) -> Iterator[str]:
        """Give the entries that the store would use and that are not whole."""
        store = WheelStore(StoreLayout(self.store))
        for entry in sorted(self.store.glob("wheels/*/*")):
            wheel = store.find(store_key(entry.name))
            damaged = f"store/wheels/{entry.parent.name}/{entry.name}"
            if wheel is None or self._is_as_before(damaged):
                continue
            if any(fault.content for fault in store.verify(wheel)):
                yield f"torn entry: {entry.name}"

    def _is_as_before(self, prefix: str) -> bool:
        now, then = (
            {
                path: what
                for path, what in content.items()
                if prefix in path and not path.endswith("~")
            }
            for content in (self.content(), self.before)
        )
        return now == then

    def _words(self) -> list[str]:
        return [word.replace("{world}", str(self.place)) for word in self.command]

    def _command(self) -> list[str]:
        return [sys.executable, str(_ONE_THREAD), *self._words()]

    def _run(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mvenv", *words],
            env=self._environ(),
            cwd=self.base,
            capture_output=True,
            text=True,
            check=False,
        )

    def _trace(self) -> Strace:
        return Strace(self.base / "logs", self._environ(), cwd=self.base)

    def _environ(self) -> dict[str, str]:
        kept = ("PATH", "PYTHONPATH")
        (self.base / "tmp").mkdir(exist_ok=True)
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "HOME": str(self.base),
            "TMPDIR": str(self.base / "tmp"),
            "MVENV_STORE": str(self.store),
            "PYTHONHASHSEED": "0",
        }


def _content(path: Path) -> str:
    if path.is_symlink():
        return f"-> {os.readlink(path)}"
    if path.name == "RECORD" and path.is_file():
        # What is compiled is another one for each moment at which a wheel comes in.
        rows = path.read_bytes().splitlines(keepends=True)
        lasting = b"".join(row for row in rows if b".pyc," not in row)
        return hashlib.sha256(lasting).hexdigest()
    return "folder" if path.is_dir() else sha256_file(path)


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
