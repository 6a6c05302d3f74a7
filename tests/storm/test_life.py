"""Environments live: made, edited, broken, moved, killed over, pruned and healed.

Whatever is done in whatever order, none of the rules of `kit.never` is broken, and at
the end ``doctor --full --fix`` heals, or tells truthfully what it cannot.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kit.never import Watch, expected_in, is_true_record
from mvenv.cli import run
from mvenv.cli.commands import command
from mvenv.link.modes import LinkMode, LinkPolicy
from mvenv.selftest import SelfTestRequest, new_scene
from mvenv.selftest.catalogue import KINDS
from mvenv.selftest.looking import digests_below
from mvenv.selftest.model import Damage, Reach
from mvenv.selftest.rounds import treat
from mvenv.selftest.scene import NoRoom, Scene

_FULL = os.environ.get("MVENV_FULL_FAULTS") == "1"
_EXAMPLES = 200 if _FULL else 8
_STEPS = 20 if _FULL else 8
_STOPPED = Path(__file__).with_name("stopped.py")
_FAULTS = [kind for kind in KINDS if kind.reach is Reach.FILE and not kind.needs_root]
_MOST_CALLS = 120
_FINE = {0, 1}
_KILLED = -9

fault = st.sampled_from(_FAULTS)
calls = st.integers(1, _MOST_CALLS)


def has(name: str) -> bool:
    """Return whether there is such a command."""
    return name in command.list_commands(click.Context(command))


class Life(RuleBasedStateMachine):
    """What can happen to environments; what mvenv does is watched."""

    base: Path
    policy: LinkPolicy
    number = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).number += 1
        folder = self.base / f"life{self.number}"
        request = SelfTestRequest(
            folder=folder,
            rounds=1,
            seed=1,
            python=None,
            environ=dict(os.environ),
            modules=1,
        )
        self.scene: Scene = new_scene(folder, self.policy, request)
        self.scene.set_up()
        self.mode: LinkMode = self.scene.mode
        self.kept: list[tuple[str, Damage]] = []
        self.moved = 0
        self.lost = False

    def teardown(self) -> None:
        """Heal at the end, and see whether what is said then is true."""
        try:
            self.end()
        finally:
            shutil.rmtree(self.scene.folder, ignore_errors=True)

    def end(self) -> None:
        """Let doctor heal everything, and compare with a look of our own."""
        self.mvenv("doctor", "--full", "--fix", "--all", "--offline", *self.places)
        watch = self.watch()
        watch.begin()
        code = self.run(
            "doctor", "--full", "--check", "--all", "--offline", *self.places
        )
        watch.ended(code=code, read_only=True)
        broken = list(watch.broken())

        assert not broken, broken
        if code == 0:
            wrong = set(self.wrong()) - self.left_with_an_edit()
            assert not wrong, wrong

    def left_with_an_edit(self) -> set[str]:
        """Return what is told as edited in one alone, where that can have come to be.

        When the store's file is gone, nothing knows any more that it was another name.
        """
        if not self.lost:
            return set()
        outcomes = treat(self.scene, check=True).outcomes
        return {
            str(one.finding.where / (one.finding.path or ""))
            for one in outcomes
            if one.finding.code == "F10"
        }

    def wrong(self) -> Iterator[str]:
        """Yield the files that are wrong, and not by a user's own hand."""
        meant = [
            str(place)
            for _, damage in self.kept
            if not damage.heals
            for place in (*damage.places, *damage.done)
        ]
        for environment in self.environments:
            expected = expected_in(environment, self.scene.layout.root)
            for path, right in expected.items():
                mine = any(f"{path}/".startswith(f"{place}/") for place in meant)
                known = os.path.isfile(path) and digests_below(Path(path))
                if mine or known == {right.sha256}:
                    continue
                if not known or not is_true_record(path, expected):
                    yield path

    @property
    def environments(self) -> list[Path]:
        """Return all that are there."""
        other = sorted((self.scene.folder / "other").glob("*"))
        return [one for one in (*self.scene.environments, *other) if one.exists()]

    @property
    def places(self) -> list[str]:
        """Return them as arguments."""
        return [str(one) for one in self.environments]

    def watch(self) -> Watch:
        """Return what watches everything."""
        return Watch(
            environments=tuple(self.environments),
            stores=(self.scene.layout.root,),
            bystanders=(self.scene.bystander, self.scene.outside),
        )

    def run(self, *words: str) -> int:
        """Run a command in this process; return its exit code."""
        return run([*words, "--store", str(self.scene.layout.root), "--quiet"])

    def mvenv(self, *words: str, read_only: bool = False) -> int:
        """Run a command under watch."""
        watch = self.watch()
        watch.begin()
        code = self.run(*words)
        watch.ended(code=code, read_only=read_only)
        broken = list(watch.broken())

        assert code in _FINE, (words, code)
        assert not broken, (words, broken)
        return code

    @rule(kind=fault)
    def something_breaks(self, kind: object) -> None:
        """Damage something."""
        chosen = next(one for one in _FAULTS if one is kind)
        if self.mode in chosen.modes and self.scene.environment.exists():
            try:
                damage = chosen.inject(self.scene)
            except (NoRoom, FileNotFoundError, NotADirectoryError, StopIteration):
                return
            self.kept += [(digest, damage) for digest in damage.kept]
            if not damage.heals:
                self.kept.append(("", damage))

    @rule()
    def doctor_looks(self) -> None:
        """Look; nothing may be written."""
        self.mvenv("doctor", "--check", "--offline", *self.places, read_only=True)

    @rule(fix=st.booleans(), full=st.booleans())
    def doctor_heals(self, *, fix: bool, full: bool) -> None:
        """Heal."""
        options = [*(["--fix"] if fix else []), *(["--full"] if full else [])]
        self.mvenv("doctor", "--offline", *options, *self.places)

    @rule(after=calls)
    def doctor_is_killed(self, after: int) -> None:
        """Kill a heal at some call."""
        self.killed(after, "doctor", "--full", "--fix", "--offline", *self.places)

    @precondition(lambda _: has("sync"))
    @rule(after=st.one_of(st.none(), calls))
    def sync(self, after: int | None) -> None:
        """Bring an environment to its lock."""
        if not (self.scene.environment / "pyvenv.cfg").exists():
            return
        lock = str(self.scene.lockfile)
        words = ("sync", str(self.scene.environment), "--from", lock, "--offline")
        if after is None:
            self.may_refuse(*words)
        else:
            self.killed(after, *words)

    @precondition(lambda _: has("adopt"))
    @rule(after=st.one_of(st.none(), calls))
    def adopt(self, after: int | None) -> None:
        """Share with the store what it can be shared of."""
        words = ("adopt", *self.places)
        if after is None:
            self.may_refuse(*words)
        else:
            self.killed(after, *words)

    @precondition(lambda _: has("store"))
    @rule()
    def prune(self) -> None:
        """Prune what nobody needs."""
        self.may_refuse("store", "prune")

    @rule()
    def interpreter_is_upgraded(self) -> None:
        """Give the interpreter another time."""
        real = self.scene.folder / "python" / "bin"
        for program in real.iterdir():
            seen = program.stat()
            os.utime(program, ns=(seen.st_atime_ns, seen.st_mtime_ns + 10**9))

    @rule()
    def environment_is_moved(self) -> None:
        """Rename the sibling."""
        if self.scene.sibling.exists():
            self.moved += 1
            place = self.scene.folder / "other" / f"moved{self.moved}"
            place.parent.mkdir(exist_ok=True)
            self.scene.sibling.rename(place)

    @rule()
    def stored_wheel_is_lost(self) -> None:
        """Remove a wheel from the store by hand."""
        found = sorted(self.scene.layout.root.glob("wheels/*/*"))
        if found:
            shutil.rmtree(random.Random(len(found)).choice(found))  # noqa: S311  a pick
            self.lost = True

    @rule()
    def another_is_made(self) -> None:
        """Create one more environment."""
        place = self.scene.folder / "other" / "made"
        if not place.exists():
            place.parent.mkdir(exist_ok=True)
            lock = str(self.scene.lockfile)
            self.may_refuse("create", str(place), "--from", lock, "--offline")

    def may_refuse(self, *words: str) -> None:
        """Run a command that may find things too broken for it."""
        watch = self.watch()
        watch.begin()
        code = self.run(*words)
        self.ended(watch, words[0], code=code)
        broken = list(watch.broken())

        assert not broken, (words, broken)

    @staticmethod
    def ended(watch: Watch, name: str, *, code: int = 0, killed: bool = False) -> None:
        """Tell what kind of command it was."""
        watch.ended(
            code=code,
            killed=killed,
            prunes=name == "store",
            shares=name == "adopt",
            installs=name == "sync",
        )

    def killed(self, after: int, *words: str) -> None:
        """Run a command in a process that is killed at its nth change."""
        watch = self.watch()
        watch.begin()
        done = subprocess.run(
            [
                sys.executable,
                str(_STOPPED),
                str(after),
                *words,
                "--store",
                str(self.scene.layout.root),
            ],
            check=False,
            capture_output=True,
            text=True,
        )
        self.ended(watch, words[0], killed=True)
        broken = list(watch.broken())

        assert "Traceback" not in done.stderr, done.stderr
        assert not broken, (after, words, broken)


@pytest.mark.slow
@pytest.mark.parametrize("policy", [LinkPolicy.HARDLINK, LinkPolicy.COPY])
def test_life(tmp_path: Path, policy: LinkPolicy) -> None:
    machine = type("Life", (Life,), {"base": tmp_path, "policy": policy})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=_EXAMPLES,
            stateful_step_count=_STEPS,
            deadline=None,
            # Shrinking and explaining run every step again, for minutes.
            phases=(Phase.reuse, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )
