"""Poetry's conditions in PEP 751's terms.

Poetry writes ``extra == "x"`` and evaluates it against the set of chosen extras; it
splits the right side of ``in``. Lockfile markers say ``"x" in extras`` and compare
with ``in`` by substring. What a condition means must survive the change, whatever
its nesting and the order of its operands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from packaging.markers import InvalidMarker, Marker
from packaging.utils import NormalizedName, canonicalize_name

if TYPE_CHECKING:
    from packaging._parser import MarkerItem, MarkerList

__all__ = ["ALWAYS", "NEVER", "group_condition", "translate"]

ALWAYS = "*"
"""What Poetry writes, or leaves out, where a condition always holds."""
NEVER = "<empty>"
"""What Poetry writes where a condition never holds."""

_SEPARATORS = re.compile(r"[ ,|]+")  # as poetry-core's markers split a list
_VERSIONS = frozenset({"python_version", "python_full_version", "platform_release"})


@lru_cache(maxsize=4096)
def translate(condition: str) -> str:
    """Return ``condition`` in PEP 751's terms; `ALWAYS` and `NEVER` stay as they are.

    Raises `ValueError` where it is not a marker.
    """
    condition = condition.strip()
    if condition in {"", ALWAYS}:
        return ALWAYS
    if condition == NEVER:
        return NEVER
    try:
        marker = Marker(condition)
    except InvalidMarker:
        raise ValueError(f"`{condition}` is not a marker") from None
    # The tree has no public door; a test compares what comes out with Poetry.
    return _render(marker._markers)  # noqa: SLF001 - see above


def group_condition(conditions: Mapping[NormalizedName, str]) -> Marker | None:
    """Return when a distribution is wanted, given a condition for each group.

    The conditions are as `translate` returns them. `None`: never.
    """
    groups: dict[str, list[NormalizedName]] = {}
    for group, condition in conditions.items():
        if condition != NEVER:
            groups.setdefault(condition, []).append(group)
    choices = []
    for condition, names in groups.items():
        wanted = _any(f'"{name}" in dependency_groups' for name in names)
        choices.append(
            wanted if condition == ALWAYS else f"({wanted}) and ({condition})"
        )
    return Marker(" or ".join(f"({choice})" for choice in choices)) if choices else None


def _render(node: MarkerList | MarkerItem | str | object) -> str:
    if isinstance(node, str):
        return node
    if isinstance(node, tuple):
        return _render_item(node)
    if isinstance(node, list):
        return "(" + " ".join(_render(part) for part in node) + ")"
    raise TypeError(f"a marker has no {node!r}")


def _render_item(item: MarkerItem) -> str:
    from packaging._parser import Variable

    left, op, right = item
    operator = op.value
    if isinstance(left, Variable) and isinstance(right, Variable):
        return f"{left.value} {operator} {right.value}"
    # `"x" in y` asks for a part of y; `y in "x z"`, for y among x and z.
    turned = isinstance(right, Variable)
    name, value = (right.value, left.value) if turned else (left.value, right.value)
    if name == "extra":
        return _render_extra(operator, value, turned=turned)
    if operator in {"in", "not in"} and not turned:
        return _render_list(name, operator, value)
    return " ".join(part.serialize() for part in item)


def _render_extra(operator: str, value: str, *, turned: bool) -> str:
    if operator in {"in", "not in"} and not turned:
        names = [name for name in _SEPARATORS.split(value) if name]
    elif operator in {"==", "===", "!=", "in", "not in"}:
        names = [value]
    else:
        raise ValueError(f"`extra {operator}` has no meaning")
    tests = [f"{_quote(canonicalize_name(name))} in extras" for name in names]
    if operator in {"!=", "not in"}:
        return _all(test.replace(" in extras", " not in extras") for test in tests)
    return _any(tests)


def _render_list(name: str, operator: str, value: str) -> str:
    """Return `name in "a b"` as equalities, as Poetry understands it."""
    sign = "==" if operator == "in" else "!="
    values = [one for one in _SEPARATORS.split(value) if one]
    if name in _VERSIONS:
        values = [one if one.count(".") > 1 else f"{one}.*" for one in values]
    tests = [f"{name} {sign} {_quote(one)}" for one in values]
    return _any(tests) if operator == "in" else _all(tests)


def _quote(value: str) -> str:
    return f'"{value}"' if '"' not in value else f"'{value}'"


def _any(tests: Iterable[str]) -> str:
    return "(" + " or ".join(tests) + ")"


def _all(tests: Iterable[str]) -> str:
    return "(" + " and ".join(tests) + ")"
