"""Our selection from real locks against what Poetry exports from them.

``tests/locks/oracle.py`` asked Poetry; here each of its lines is evaluated for an
interpreter, and what is left must be what we select.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from kit.targets import PYTHONS, SYSTEMS, make_target
from mvenv.lockfiles import read_lockfile
from mvenv.lockfiles.model import Lockfile
from mvenv.selection import DirectoryChoice, GroupOptions, select
from mvenv.target import Target

LOCKS = Path(__file__).parents[1] / "locks"
NAMES = sorted(path.parent.name for path in LOCKS.glob("*/expected.json"))
each_lock = pytest.mark.parametrize("name", NAMES)


class Answers:
    """What Poetry said of one lock."""

    def __init__(self, name: str) -> None:
        said = json.loads((LOCKS / name / "expected.json").read_text())
        self.lockfile = read_lockfile(LOCKS / name / "poetry.lock")
        self.groups: list[str] = said["groups"]
        self.default_groups: list[str] = said["default-groups"]
        self.extras: list[str] = said["extras"]
        self.answers: list[dict[str, Any]] = said["answers"]
        self.requirements = [Requirement(line) for line in said["lines"]]
        self._holding: dict[tuple[str, str], frozenset[int]] = {}

    def holding(self, target: Target) -> frozenset[int]:
        """Return which lines are for a target."""
        key = (target.version, target.platform)
        if key not in self._holding:
            self._holding[key] = frozenset(
                index
                for index, one in enumerate(self.requirements)
                if one.marker is None or one.marker.evaluate(dict(target.markers))
            )
        return self._holding[key]

    def expected(self, answer: dict[str, Any], target: Target) -> set[tuple[str, str]]:
        """Return names and versions that Poetry installs."""
        chosen = (
            self.requirements[i] for i in answer["lines"] if i in self.holding(target)
        )
        return {
            (canonicalize_name(one.name), str(one.specifier).removeprefix("=="))
            for one in chosen
        }

    def targets(self) -> list[Target]:
        """Return those that the lock is for."""
        pylock = self.lockfile.pylock
        pythons = [
            python
            for python in PYTHONS
            if (not pylock.requires_python or f"{python}.4" in pylock.requires_python)
            and (
                not pylock.environments
                or any(
                    one.evaluate(dict(make_target(python).markers))
                    for one in pylock.environments
                )
            )
        ]
        return [make_target(p, system) for p in pythons for system in SYSTEMS]


@cache
def answers_of(name: str) -> Answers:
    return Answers(name)


def ours(
    lockfile: Lockfile, target: Target, options: GroupOptions
) -> set[tuple[str, str]]:
    selection = select(lockfile, target, options)
    assert not any(
        isinstance(one.source, DirectoryChoice) for one in selection.distributions
    )
    return {(one.name, one.version or "") for one in selection.distributions}


def compare(answers: Answers, answer: dict[str, Any], target: Target) -> None:
    groups, extras = tuple(answer["groups"]), tuple(answer["extras"])
    default = set(answers.default_groups)
    expected = answers.expected(answer, target)
    only = GroupOptions(only=groups, extras=extras, no_root=True)
    beside = GroupOptions(
        with_groups=tuple(set(groups) - default),
        without=tuple(default - set(groups)),
        extras=extras,
        no_root=True,
    )

    assert ours(answers.lockfile, target, only) == expected
    assert ours(answers.lockfile, target, beside) == expected


@each_lock
def test_groups_and_extras_are_poetrys(name: str) -> None:
    answers = answers_of(name)

    assert sorted(answers.lockfile.groups) == answers.groups
    assert sorted(answers.lockfile.default_groups) == answers.default_groups
    assert sorted(answers.lockfile.extras) == answers.extras
    assert answers.lockfile.warnings == ()


@each_lock
def test_some_choices_are_poetrys(name: str) -> None:
    """A few choices for one target each, every target for one choice each."""
    answers = answers_of(name)
    targets = answers.targets()
    every = answers.answers

    for index, answer in enumerate(every[:: max(1, len(every) // 12)]):
        compare(answers, answer, targets[index % len(targets)])
    for index, target in enumerate(targets):
        compare(answers, every[-index % len(every)], target)


@pytest.mark.slow
@each_lock
def test_every_choice_for_every_target_is_poetrys(name: str) -> None:
    answers = answers_of(name)

    for target in answers.targets():
        for answer in answers.answers:
            compare(answers, answer, target)
