"""Our dataclasses and named tuples behave like those of the standard library."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvenv import values
from mvenv.values import NamedTuple, dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """All that a frozen one of ours has."""

    number: int
    names: tuple[str, ...] = ()
    inner: Changeable | None = None

    @property
    def doubled(self) -> int:
        """Return a value that is no field."""
        return 2 * self.number


@dataclass(slots=True)
class Changeable:
    """With a factory, and positions."""

    number: int
    found: list[int] = field(default_factory=list)


class Row(NamedTuple):
    """With a default, and a method."""

    path: str
    size: int
    mode: int = 0o644

    def shown(self) -> str:
        """Return something made of them."""
        return f"{self.path} {self.size}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TheirFrozen:
    """The same, as the standard library makes it."""

    number: int
    names: tuple[str, ...] = ()
    inner: Any = None


@dataclasses.dataclass(slots=True)
class TheirChangeable:
    """The same, as the standard library makes it."""

    number: int
    found: list[int] = dataclasses.field(default_factory=list)


class TheirRow(typing.NamedTuple):
    """The same, as the standard library makes it."""

    path: str
    size: int
    mode: int = 0o644


PAIRS = [
    (Frozen, TheirFrozen),
    (Changeable, TheirChangeable),
    (Row, TheirRow),
]
each_pair = pytest.mark.parametrize(("ours", "theirs"), PAIRS)

ARGUMENTS = st.dictionaries(
    st.sampled_from(["number", "names", "found", "path", "size", "mode", "other"]),
    st.integers() | st.text() | st.lists(st.integers()).map(tuple),
    max_size=4,
)


def outcome(cls: Any, *positions: Any, **given_: Any) -> tuple[str, Any]:
    """Return what making it comes to, its own name left out."""
    try:
        made = cls(*positions, **given_)
    except TypeError:
        return "refused", None
    return repr(made).replace(cls.__name__, "X"), hashed(made)


def hashed(made: Any) -> bool:
    try:
        hash(made)
    except TypeError:
        return False
    return True


@each_pair
@given(positions=st.lists(st.integers(), max_size=4), arguments=ARGUMENTS)
def test_made_or_refused_alike(
    ours: Any, theirs: Any, positions: list[Any], arguments: dict[str, Any]
) -> None:
    assert outcome(ours, *positions, **arguments) == outcome(
        theirs, *positions, **arguments
    )


def test_equal_by_fields_and_class() -> None:
    assert Frozen(number=1) == Frozen(number=1, names=())
    assert Frozen(number=1) != Frozen(number=2)
    other: Any = Changeable(1)
    assert Frozen(number=1) != other
    assert len({Frozen(number=1), Frozen(number=1)}) == 1
    assert Changeable(1) == Changeable(1, [])
    assert Row("a", 1) == ("a", 1, 0o644)


def test_a_frozen_one_stays_as_it_is() -> None:
    made: Any = Frozen(number=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.number = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del made.number
    with pytest.raises(AttributeError):
        made.other = 1
    assert made.doubled == 2


def test_factories_make_a_new_one_each_time() -> None:
    one, other = Changeable(1), Changeable(1)
    one.found.append(1)
    one.number = 3

    assert (one.number, one.found, other.found) == (3, [1], [])


@pytest.mark.parametrize(
    "made", [Frozen(number=1, names=("a",)), Changeable(1, [2]), Row("a", 1)]
)
def test_copied_and_pickled(made: Any) -> None:
    assert copy.copy(made) == made
    assert copy.deepcopy(made) == made
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301  our own bytes


def test_dataclasses_takes_them_for_its_own() -> None:
    made = Frozen(number=1, inner=Changeable(2))

    assert dataclasses.is_dataclass(made)
    assert [one.name for one in dataclasses.fields(Frozen)] == [
        "number",
        "names",
        "inner",
    ]
    assert dataclasses.replace(made, number=3) == values.replace(made, number=3)
    assert dataclasses.replace(made, number=3).number == 3
    assert dataclasses.replace(Changeable(1), number=4).number == 4
    told = {"number": 1, "names": (), "inner": {"number": 2, "found": []}}
    assert dataclasses.asdict(made) == values.asdict(made) == told


def test_asdict_goes_into_what_holds_values() -> None:
    made: Any = Changeable(1, [Changeable(2), {"a": (Changeable(3), Row("b", 4))}])  # type: ignore[list-item]  # any list

    assert values.asdict(made) == dataclasses.asdict(made)


def test_what_is_not_ours_to_make_is_refused() -> None:
    with pytest.raises(TypeError):

        @dataclass(frozen=True)
        class _WithoutSlots:
            number: int

    with pytest.raises(TypeError):

        @dataclass(slots=True)
        class _WithBase(Changeable):
            more: int = 0


def test_named_tuples_are_tuples() -> None:
    row = Row("a", 1)
    path, size, mode = row

    assert (path, size, mode) == (row.path, row.size, row.mode) == ("a", 1, 0o644)
    assert row._replace(size=2) == Row("a", 2)
    assert row._asdict() == {"path": "a", "size": 1, "mode": 0o644}
    assert Row._make(["b", 2, 3]) == Row("b", 2, 3)
    assert Row._fields == ("path", "size", "mode")
    assert row.shown() == "a 1"
    with pytest.raises(ValueError, match="other"):
        row._replace(other=1)  # type: ignore[call-arg]  # the point
    with pytest.raises(AttributeError):
        row.path = "b"  # type: ignore[misc]  # the point


def test_they_match_by_position_where_they_take_positions() -> None:
    match Row("a", 1):
        case Row(path, size):
            assert (path, size) == ("a", 1)
    assert Frozen.__match_args__ == ()
    assert Changeable.__match_args__ == ("number", "found")
