"""Conditions and ranges of Pythons against poetry-core's reading of them.

``poetry_core_oracle.py`` asked it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker

from mvenv.lockfiles.conditions import ALWAYS, NEVER, translate
from mvenv.lockfiles.python_versions import parse_python_versions

SAID: dict[str, Any] = json.loads(
    Path(__file__).with_name("poetry_core.json").read_text(encoding="utf-8")
)
_EXTRA = re.compile(r"extra (==|!=) (\"[^\"]*\"|'[^']*')")


def holds(condition: str, environment: dict[str, str], extras: list[str]) -> bool:
    text = translate(condition)
    if text in {ALWAYS, NEVER}:
        return text == ALWAYS
    values: dict[str, str | frozenset[str]] = {
        **environment,
        "extras": frozenset(extras),
    }
    return Marker(text).evaluate(values, context="lock_file")


def test_conditions_mean_the_same() -> None:
    """As given, as Poetry writes it, and with the operands of `extra` turned."""
    for given, written, environment, extras, verdict in SAID["conditions"]:
        turned = _EXTRA.sub(r"\2 \1 extra", given)

        for text in (given, written, turned):
            assert holds(text, environment, extras) == verdict, text


@pytest.mark.parametrize(
    ("condition", "extras", "verdict"),
    [
        ('"a" in extra', ["a"], True),
        ('"a" not in extra', ["a"], False),
        ('extra in "a b"', ["b"], True),
        ('extra in "a,b"', ["c"], False),
        ('extra not in "a b"', ["c"], True),
        ('extra not in "a b"', ["a"], False),
        ("extra == 'A_b'", ["a-b"], True),
        ("extra === 'a'", ["a"], True),
        ("'linux' in sys_platform", [], True),
        ("python_full_version in '3.11 3.12'", [], True),
        ("python_full_version not in '3.12.3, 3.12.4'", [], False),
        ("'linux' not in sys_platform or extra == 'a'", [], False),
    ],
)
def test_further_ways_to_name_extras(
    condition: str, extras: list[str], *, verdict: bool
) -> None:
    """Poetry never writes these, and knows only some."""
    environment = {"sys_platform": "linux", "python_full_version": "3.12.4"}

    assert holds(condition, environment, extras) == verdict


def test_ranges_of_pythons_mean_the_same() -> None:
    for text, allowed in SAID["ranges"].items():
        ranges = parse_python_versions(text)
        ours = [
            version
            for version in SAID["pythons"]
            if any(one.contains(version, prereleases=True) for one in ranges)
        ]

        assert ours == allowed, text


@pytest.mark.parametrize("text", ["", "abc", "^", "3.9 or so", "~=", "^3.x", ">=3 ||"])
def test_what_is_not_a_range(text: str) -> None:
    with pytest.raises(ValueError, match="not a range of Python versions"):
        parse_python_versions(text)
