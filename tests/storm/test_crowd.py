"""Sixteen at once on one store: nobody fails, nobody waits in vain, all verifies.

Rounds of mixed commands, each a process of its own, all begun at the same moment.
``MVENV_FULL_FAULTS=1`` plays 20 rounds on each link mode.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adopt.installing import pip, run, site_of
from kit.lockfiles import PylockWriter
from kit.never import expected_in
from kit.wheels import WheelMaker
from mvenv.store.entries import WheelStore
from mvenv.store.layout import StoreLayout
from mvenv.store.listing import all_keys
from mvenv.store.registry import roots

_FULL = os.environ.get("MVENV_FULL_FAULTS") == "1"
_ROUNDS = 20 if _FULL else 3
_SEED = int(os.environ.get("MVENV_STORM_SEED", "16"))
_CROWD = 16
_STARTING = Path(__file__).with_name("starting.py")
_WHEELS = 10
_LEAST_FILES = 30


@dataclass
class Crowd:
    """A store, its environments, and who works on them at once."""

    base: Path
    locks: list[Path]
    adoptable: Path
    """An environment that pip made, to be copied."""
    mode: str
    random: random.Random
    process: subprocess.Popen[str]
    made: list[Path] = field(default_factory=list)
    adopted: list[Path] = field(default_factory=list)
    number: int = 0

    @property
    def store(self) -> Path:
        """Return the one store of all."""
        return self.base / "store"

    def at_once(self, *commands: tuple[str | Path, ...]) -> list[str]:
        """Run commands at once, which must all succeed; return what they printed."""
        words = [
            [*map(str, command), "--store", str(self.store)] for command in commands
        ]
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        answers = json.loads(self.process.stdout.readline())
        failed = [
            f"{' '.join(command)}\n→ {code} after {took:.1f} s\n{said}"
            for command, (code, said, took) in zip(words, answers, strict=True)
            if code not in allowed(command, words) or "Traceback" in said
        ]
        assert not failed, "\n".join(failed)
        return [said for _, said, _ in answers]

    def new_folder(self, kind: str) -> Path:
        """Return a place where nothing is yet."""
        self.number += 1
        return self.base / f"{kind}{self.number}"

    def creation(self, folder: Path, *options: str) -> tuple[str | Path, ...]:
        """Return the command that makes an environment."""
        lock = self.random.choice(self.locks)
        mode = ("--link-mode", self.mode)
        return ("create", folder, "--from", lock, "--offline", *mode, *options)

    def begin(self) -> None:
        """Make the environments that the first round works on."""
        self.made = [self.new_folder("made") for _ in range(6)]
        self.at_once(*(self.creation(folder) for folder in self.made))

    def play(self) -> None:
        """Let sixteen do what people and machines do, all at the same moment."""
        new = [self.new_folder("made") for _ in range(3)]
        taken = [self.new_folder("adopted") for _ in range(2)]
        for folder in taken:
            relocate(self.adoptable, folder)
        one, two, three, *_ = self.random.sample(self.made, 6)
        old = self.random.choice([*self.adopted, *taken])
        lock = self.random.choice(self.locks)
        commands: list[tuple[str | Path, ...]] = [
            *(self.creation(folder) for folder in new),
            self.creation(one, "--clear"),
            ("sync", two, "--from", lock, "--offline"),
            ("sync", two, "--offline"),
            ("adopt", taken[0]),
            ("adopt", *taken),
            ("adopt", old, three),
            ("edit", three, "crowd0"),
            ("edit", three, "--undo"),
            ("doctor", "--all", "--offline"),
            (
                "doctor",
                "--full",
                "--fix",
                "--offline",
                *self.random.sample(self.made, 2),
            ),
            ("doctor", "--check", "--all", "--offline"),
            ("store", "prune"),
            self.random.choice(
                [
                    ("store", "prune", "--max-size", "1"),
                    ("store", "verify"),
                    ("doctor", "--check", "--full", "--offline", two, three),
                    ("store", "clean", "--yes"),
                    ("list",),
                    ("du",),
                    ("store", "list"),
                ]
            ),
        ]
        assert len(commands) == _CROWD
        self.random.shuffle(commands)
        self.at_once(*commands)
        self.made += new
        self.adopted += taken

    def leave(self) -> None:
        """Remove some environments, as their users do, so that some is to be pruned."""
        for environments in (self.made, self.adopted):
            for folder in self.random.sample(environments, len(environments) // 3):
                environments.remove(folder)
                shutil.rmtree(folder)
        gone = [
            root.path
            for root in roots(StoreLayout(self.store))
            if not Path(root.path).exists()
        ]
        forgotten = [word for path in gone for word in ("--forget", path)]
        self.at_once(("store", "prune", *forgotten), ("doctor", "--all", "--offline"))
        # What was made from an emptied store shares nothing with what was there before.
        self.at_once(("adopt", *self.made, *self.adopted))
        self.at_once(("doctor", "--check", "--all", "--offline"))

    def check(self) -> None:
        """Fail where a command or a look of our own finds anything wrong."""
        for words in (
            ("doctor", "--full", "--check", "--all", "--offline", "--json"),
            ("store", "verify", "--json"),
        ):
            [said] = self.at_once(words)
            value = json.loads(said)
            assert value.get("findings", []) == []
        assert list(self.wrong()) == []
        for name in ("tmp", "trash", "rescued"):
            assert os.listdir(self.store / name) == [], name

    def wrong(self) -> Iterator[str]:
        """Yield what is wrong with any file of the store or an environment."""
        store = WheelStore(StoreLayout(self.store))
        keys = set(all_keys(store.layout))
        for key in keys:
            wheel = store.find(key)
            if wheel is None or store.verify(wheel):
                yield f"{key}: not what its manifest says"
        known: Counter[str] = Counter()
        for root in roots(store.layout):
            known[root.path] += 1
            lost = set(root.wheels) - keys
            if lost:
                yield f"{root.path}: {len(lost)} wheels are not stored"
        for folder in (*self.made, *self.adopted):
            if known[str(folder)] != 1:
                yield f"{folder}: {known[str(folder)]} times on record"
            yield from self.wrong_in(folder)
            yield from leftovers(folder)

    def wrong_in(self, folder: Path) -> Iterator[str]:
        """Yield the files of an environment that are not what its plan says."""
        expected = expected_in(folder, self.store)
        if len(expected) < _LEAST_FILES:
            yield f"{folder}: only {len(expected)} files are known"
        for path, right in expected.items():
            place = Path(path)
            if not place.is_file():
                yield f"{path}: gone"
            elif hashlib.sha256(place.read_bytes()).hexdigest() != right.sha256:
                yield f"{path}: changed"


def allowed(command: list[str], beside: list[list[str]]) -> set[int]:
    """Return the exit codes that are right: all do what they were asked for.

    But who only looks while a store that was emptied is filled again finds it so.
    """
    emptied = any(one[:2] == ["store", "clean"] for one in beside)
    return {0, 1} if emptied and "--check" in command else {0}


def leftovers(folder: Path) -> Iterator[str]:
    """Yield what no run may leave in an environment, or beside it."""
    for path in folder.rglob(".mvenv-*"):
        yield f"{path}: left over"
    for path in folder.parent.glob(".mvenv-*"):
        yield f"{path}: left over"


def relocate(template: Path, folder: Path) -> None:
    """Make ``folder`` what pip would have made there."""
    shutil.copytree(template, folder, symlinks=True)
    for path in (folder / "pyvenv.cfg", *(folder / "bin").iterdir()):
        content = b"" if path.is_symlink() else path.read_bytes()
        here = content.replace(os.fsencode(template), os.fsencode(folder))
        if here != content:
            path.write_bytes(here)


@pytest.fixture
def locks(
    make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> list[Path]:
    """Return locks that have the first wheel, and some of the others."""
    wheels = [
        make_wheel(
            f"crowd{number}",
            files={
                f"crowd{number}/__init__.py": f"number = {number}\n",
                f"crowd{number}/big.bin": bytes([number]) * (1 << 20),
                **{
                    f"crowd{number}/part{part}.py": f"x = {number * part}\n" * 300
                    for part in range(1, 12)
                },
            },
            entry_points=f"[console_scripts]\ncrowd{number} = crowd{number}:main\n",
        )
        for number in range(_WHEELS)
    ]
    chosen = [
        {0, *((start + step) % _WHEELS for step in range(5))} for start in range(6)
    ]
    return [
        write_pylock(
            *(wheels[number] for number in sorted(numbers)),
            path=tmp_path / f"pylock.{place}.toml",
        )
        for place, numbers in enumerate(chosen)
    ]


@pytest.fixture
def adoptable(locks: list[Path], make_wheel: WheelMaker, tmp_path: Path) -> Path:
    """Return an environment that pip made, also of a wheel that no lock has."""
    assert locks
    make_wheel("stranger", files={"stranger.py": "strange = True\n" * 400})
    folder = tmp_path / "template"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    links = ("--no-index", "--find-links", make_wheel.folder)
    pip(folder, "install", *links, "crowd0", "crowd3", "stranger")
    assert site_of(folder).joinpath("stranger.py").exists()
    return folder


@pytest.fixture
def starter() -> Iterator[subprocess.Popen[str]]:
    """Return the process that starts others at once."""
    with subprocess.Popen(
        [sys.executable, str(_STARTING)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["hardlink", *(["copy"] if _FULL else [])])
def test_sixteen_at_once(
    mode: str,
    locks: list[Path],
    adoptable: Path,
    starter: subprocess.Popen[str],
    tmp_path: Path,
) -> None:
    base = tmp_path / "crowd"
    base.mkdir()
    crowd = Crowd(
        base=base,
        locks=locks,
        adoptable=adoptable,
        mode=mode,
        random=random.Random(_SEED),  # noqa: S311  a choice that can be repeated
        process=starter,
    )
    crowd.begin()
    for _ in range(_ROUNDS):
        crowd.play()
        crowd.leave()
    crowd.check()
