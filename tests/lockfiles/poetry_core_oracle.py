"""Write what poetry-core makes of conditions and ranges of Python versions.

Run by hand, with an interpreter that has Poetry::

    python tests/lockfiles/poetry_core_oracle.py

The answers go to ``poetry_core.json`` beside this file.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from poetry.core.constraints.version import Version, parse_constraint  # type: ignore[import-not-found, unused-ignore] # rarely installed
from poetry.core.version.markers import parse_marker  # type: ignore[import-not-found, unused-ignore] # rarely installed

CHOICE = random.Random(7)  # noqa: S311 - a sample that never changes, no secret
CONDITIONS = 400

EXTRAS = ["a", "b", "My.Extra", "x-y"]
SYSTEMS = (
    ("linux", "Linux", "posix", "x86_64"),
    ("darwin", "Darwin", "posix", "arm64"),
    ("win32", "Windows", "nt", "AMD64"),
)
RANGES = """
^3.9|^3|^3.9.1|~3.11|~3|~3.11.2|~=3.9|~=3.9.1|>=3.9|>=3.9,<4.0|>=3.9, <4.0|>=3.9 <4.0
>= 3.9, < 4.0|3.11|3.11.*|==3.11.*|*|3.*|!=3.10.0,>=3.9|>=3.9,!=3.10.*|=3.11.4|<4|<=3.12
>3.9|>3.9.5|^3.9,<3.12|v3.11.4|==3.12.4|^0.3|X|>=3.9,<3.13,
"""
UNIONS = [
    "~3.11 || ~3.12 || ^3.13",
    ">=3.8,<3.10 || >=3.11",
    "^3.9 || ^4.0",
    "^2.7||^3.6",
    "~2.7|~3.6",
]
PYTHONS = [
    *("0.3.1", "2.7.18", "3.0.1", "3.5.0", "3.6.15", "3.8.18", "3.9.0", "3.9.1"),
    *("3.9.5", "3.9.6", "3.10.0", "3.10.13", "3.11.0", "3.11.2", "3.11.4", "3.11.9"),
    *("3.12.0", "3.12.4", "3.13.0", "3.14.1", "4.0.0", "4.1.0"),
]


def quoted(value: str) -> str:
    return CHOICE.choice(['"{}"', "'{}'"]).format(value)


def comparison() -> str:
    """Return one comparison; half of them of `extra`.

    None like ``"linux" not in sys_platform``: two of them, and poetry-core 2.5 takes
    their conjunction for one that never holds.
    """
    equal, member = CHOICE.choice(["==", "!="]), CHOICE.choice(["in", "not in"])
    order = CHOICE.choice(["==", "!=", ">=", "<", "<=", ">"])
    version = quoted(CHOICE.choice(["3.9", "3.10", "3.11", "3.12"]))
    full = quoted(CHOICE.choice(["3.11.0a7", "3.10.2", "3.12.4"]))
    kinds = [
        f"python_version {order} {version}",
        f"python_full_version {order} {full}",
        f"sys_platform {equal} {quoted(CHOICE.choice(['linux', 'win32', 'darwin']))}",
        f"sys_platform {member} {quoted('linux darwin')}",
        f"python_version {member} {quoted('3.10 3.11')}",
        f"platform_machine {member} {quoted('x86_64, AMD64')}",
        f"platform_machine {member} {quoted('x86_64_v2')}",
        f"platform_system {equal} {quoted('Windows')}",
    ]
    extra = f"extra {equal} {quoted(CHOICE.choice(EXTRAS))}"
    return CHOICE.choice([extra, CHOICE.choice(kinds)])


def condition(depth: int) -> str:
    """Return a condition with parentheses up to ``depth``."""
    parts = []
    for _ in range(CHOICE.choice([1, 2, 2, 3]) if depth else 1):
        nested = depth and CHOICE.choice([True, False])
        part = condition(depth - 1) if nested else comparison()
        parts.append(CHOICE.choice([part, f"({part})"]))
    text = parts[0]
    for part in parts[1:]:
        text += f" {CHOICE.choice(['and', 'or'])} {part}"
    return text


def environment() -> dict[str, str]:
    python = CHOICE.choice(["3.9", "3.10", "3.11", "3.12", "3.13"])
    platform, system, os_name, machine = CHOICE.choice(SYSTEMS)
    return {
        "python_version": python,
        "python_full_version": f"{python}.4",
        "sys_platform": platform,
        "platform_system": system,
        "os_name": os_name,
        "platform_machine": machine,
    }


def main() -> None:
    conditions = []
    for _ in range(CONDITIONS):
        text = condition(CHOICE.choice([0, 1, 2, 3]))
        here = environment()
        extras = [one for one in ("a", "b", "my-extra", "x-y") if CHOICE.random() < 0.5]
        marker = parse_marker(text)
        holds = marker.validate({**here, "extra": set(extras)})
        # as it was given, and as Poetry would write it
        conditions.append([text, str(marker), here, extras, holds])
    texts = [one for line in RANGES.strip().splitlines() for one in line.split("|")]
    ranges = {
        text: [
            one for one in PYTHONS if parse_constraint(text).allows(Version.parse(one))
        ]
        for text in (*texts, *UNIONS)
    }
    lines = ",\n".join(json.dumps(one) for one in conditions)
    rows = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in ranges.items())
    Path(__file__).with_name("poetry_core.json").write_text(
        f'{{"conditions": [\n{lines}\n], "pythons": {json.dumps(PYTHONS)}, '
        f'"ranges": {{\n{rows}\n}}}}\n',
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
