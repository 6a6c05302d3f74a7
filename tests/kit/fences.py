"""The examples of README and the documentation: fenced blocks, and how they are run.

A comment above a fence says how it is run, in the page itself and unseen by readers::

    <!-- example: fresh slow -->

- ``fresh``: in a new project, and not in the one that the examples above have changed;
- ``slow``, ``index``: only in tests with these markers;
- ``nowhere``: not at all. The tests have a list of these, with reasons.

A second kind is run before the next example, as if it stood there (one line of shell)::

    <!-- before: rm -r .venv -->
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MARKS", "Fence", "read_fences"]

MARKS = frozenset({"fresh", "slow", "index", "nowhere"})
_OPEN = re.compile(r"^( *)(`{3,}|~{3,}|:{3,})(.*)$")
_COMMENT = re.compile(r"^ *<!-- (example|before): (.*) -->$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """A fenced block."""

    page: Path
    line: int
    """Of its first line, the one with the language."""
    language: str
    text: str
    marks: frozenset[str] = frozenset()
    before: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return where it is."""
        return f"{self.page.name}:{self.line}"


def read_fences(page: Path) -> Iterator[Fence]:
    """Return the fences of a page in their order; ValueError for what is not clear."""
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), 1))
    marks: frozenset[str] = frozenset()
    before: list[str] = []
    for number, line in lines:
        comment, opening = _COMMENT.match(line), _OPEN.match(line)
        if comment and comment[1] == "before":
            before.append(comment[2])
        elif comment:
            marks = frozenset(comment[2].split())
            if not marks <= MARKS:
                raise ValueError(f"{page.name}:{number}: what is {marks - MARKS}?")
        elif opening:
            indent, fence, language = opening.groups()
            body = []
            for _, inner in lines:
                if inner.strip() == fence:
                    break
                body.append(inner.removeprefix(indent))
            else:
                raise ValueError(f"{page.name}:{number}: a fence without an end")
            yield Fence(
                page=page,
                line=number,
                language=language.strip(),
                text="".join(f"{one}\n" for one in body),
                marks=marks,
                before=tuple(before),
            )
            marks, before = frozenset(), []
        elif line.strip() and (marks or before):
            raise ValueError(f"{page.name}:{number}: no fence after what is said of it")
