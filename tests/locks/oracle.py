"""Write what `poetry export` says for each lock here: the judge of our selection.

Run by hand, with an interpreter that has Poetry and its export plugin::

    python tests/locks/oracle.py [NAME...]

For each folder, `expected.json` gets one answer per combination of groups and
extras: the lines of ``requirements.txt``, each stored once. A line's marker is left
as it is: whoever reads it evaluates it for an interpreter. The locks themselves are
what `poetry lock` writes for the pyproject.toml beside them, but for `sources`, which
is written by hand.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cleo.io.buffered_io import BufferedIO  # type: ignore[import-not-found, unused-ignore] # rarely installed
from poetry.factory import Factory  # type: ignore[import-not-found, unused-ignore] # rarely installed
from poetry_plugin_export.exporter import Exporter  # type: ignore[import-not-found, unused-ignore] # rarely installed

HERE = Path(__file__).parent
MOST = 64
"""Combinations asked for per lock; when there are more, a sample that never changes."""


def subsets(names: list[str]) -> Iterator[tuple[str, ...]]:
    for size in range(len(names) + 1):
        yield from itertools.combinations(names, size)


def combinations(
    groups: list[str], extras: list[str]
) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    # No group at all is nothing that `poetry install` can be asked for.
    chosen = [g for g in subsets(groups) if g]
    every = list(itertools.product(chosen, subsets(extras)))
    if len(every) <= MOST:
        return every
    # The plain install, and everything, are always among them.
    ends = [(("main",), ()), (tuple(groups), tuple(extras))]
    rest = [pair for pair in every if pair not in ends]
    sample = random.Random(0).sample(rest, MOST - len(ends))  # noqa: S311 - no secret
    return ends + sample


def ask(folder: Path) -> dict[str, Any]:
    poetry = Factory().create_poetry(folder)
    groups = sorted(poetry.package.dependency_group_names(include_optional=True))
    extras = sorted(poetry.package.extras)
    lines: dict[str, int] = {}
    answers = []
    for some_groups, some_extras in combinations(groups, extras):
        exporter = Exporter(poetry, BufferedIO())
        exporter.only_groups(list(some_groups))
        exporter.with_extras(list(some_extras))
        exporter.with_hashes(False)
        exporter.with_urls(False)
        output = BufferedIO()
        exporter.export("requirements.txt", folder, output)
        text = [line for line in output.fetch_output().splitlines() if line]
        answers.append(
            {
                "groups": some_groups,
                "extras": some_extras,
                "lines": [lines.setdefault(line, len(lines)) for line in text],
            }
        )
    default = sorted(
        group
        for group in groups
        if not poetry.package.dependency_group(group).is_optional()
    )
    return {
        "groups": groups,
        "default-groups": default,
        "extras": extras,
        "lines": list(lines),
        "answers": answers,
    }


def main() -> None:
    names = sys.argv[1:] or sorted(p.parent.name for p in HERE.glob("*/poetry.lock"))
    for name in names:
        said = ask(HERE / name)
        answers = ",\n".join(json.dumps(answer) for answer in said.pop("answers"))
        lines = ",\n".join(json.dumps(line) for line in said.pop("lines"))
        head = json.dumps(said)[:-1]
        (HERE / name / "expected.json").write_text(
            f'{head}, "lines": [\n{lines}\n], "answers": [\n{answers}\n]}}\n',
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
