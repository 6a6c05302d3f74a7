"""Values: what `dataclasses` and `typing` make, without the price of importing them.

To type checkers `dataclass` and `NamedTuple` are those of the standard library, and the
classes behave alike. But `dataclasses` comes with `inspect`, `ast` and `re`, and
compiles a text for each class: together longer than it takes to make a small
environment. Here the methods are plain ones. `dataclasses` takes these classes for its
own (`dataclasses.replace`, `dataclasses.asdict`). For the modules of the warm path.
"""

from __future__ import annotations

from _operator import itemgetter

try:
    from _collections import (  # type: ignore[import-not-found]  # C
        _tuplegetter as _place_of,
    )
except ImportError:  # as `collections.namedtuple` has it

    def _place_of(at: int, doc: str) -> property:
        """Return a property of what stands at ``at``."""
        return property(itemgetter(at), doc=doc)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from dataclasses import Field, asdict, dataclass, field, replace
    from typing import Any, NamedTuple, Protocol

__all__ = ["NamedTuple", "Protocol", "asdict", "dataclass", "field", "replace"]


class _Nothing:
    """No default."""


class _Default:
    """What makes the value of a field that is not given."""

    __slots__ = ("factory",)

    def __init__(self, *, default_factory: Callable[[], Any]) -> None:
        self.factory = default_factory


class _Described:
    """Describes a class to `dataclasses`, when that asks."""

    __slots__ = ("_frozen", "_kw_only")

    def __init__(self, *, frozen: bool, kw_only: bool) -> None:
        self._frozen, self._kw_only = frozen, kw_only

    def __get__(self, _value: object, owner: Any) -> dict[str, Field[Any]]:
        import dataclasses

        fields = []
        for name, default in zip(owner.__slots__, owner._field_defaults, strict=True):
            told: Any = dataclasses.field()
            if isinstance(default, _Default):
                told = dataclasses.field(default_factory=default.factory)
            elif default is not _Nothing:
                told = dataclasses.field(default=default)
            fields.append((name, owner.__annotations__[name], told))
        twin: Any = dataclasses.make_dataclass(
            owner.__name__, fields, frozen=self._frozen, kw_only=self._kw_only
        )
        described: dict[str, Field[Any]] = twin.__dataclass_fields__
        return described


def _dataclass(
    *,
    frozen: bool = False,
    slots: bool = False,
    kw_only: bool = False,
    repr: bool = True,  # noqa: A002  the word of `dataclasses`
) -> Callable[[type], type]:
    """Make a class a dataclass with slots; of nothing but its own fields."""

    def make(cls: type) -> type:
        if not slots or cls.__bases__ != (object,) or hasattr(cls, "__post_init__"):
            raise TypeError("only with slots, without bases and `__post_init__`")
        names = tuple(cls.__annotations__)
        body = {**cls.__dict__}
        defaults = tuple(body.pop(name, _Nothing) for name in names)
        for name in ("__dict__", "__weakref__"):
            body.pop(name, None)
        made: Any = type(
            cls.__name__,
            (),
            {
                "__dataclass_fields__": _Described(frozen=frozen, kw_only=kw_only),
                "__match_args__": () if kw_only else names,
                "__slots__": names,
                "_field_defaults": defaults,
                **(_FROZEN if frozen else _CHANGEABLE),
                **({"__repr__": _show} if repr else {}),
                **body,
                "__qualname__": cls.__qualname__,
            },
        )
        made.__init__ = _initialiser(made, names, defaults, kw_only=kw_only)
        return made  # type: ignore[no-any-return]  # a class made here

    return make


def _initialiser(
    cls: Any, names: tuple[str, ...], defaults: tuple[Any, ...], *, kw_only: bool
) -> Callable[..., None]:
    # What a slot is set by: `__setattr__` of a frozen class refuses.
    rows = [
        (name, vars(cls)[name].__set__, default)
        for name, default in zip(names, defaults, strict=True)
    ]
    known = frozenset(names)

    def initialise(self: Any, /, *values: Any, **given: Any) -> None:
        if values:
            if (
                kw_only
                or len(values) > len(names)
                or known & given.keys() & {*names[: len(values)]}
            ):
                raise TypeError(f"wrong arguments for {cls.__qualname__}")
            given.update(zip(names, values, strict=False))
        for name, put, default in rows:
            if name in given:
                put(self, given[name])
            elif default is _Nothing:
                raise TypeError(f"{cls.__qualname__} needs `{name}`")
            elif isinstance(default, _Default):
                put(self, default.factory())
            else:
                put(self, default)
        if not known.issuperset(given):
            raise TypeError(f"{cls.__qualname__} has no {given.keys() - known}")

    return initialise


def _told(value: Any) -> tuple[Any, ...]:
    return tuple([getattr(value, name) for name in value.__slots__])


def _show(value: Any) -> str:
    said = ", ".join(f"{name}={getattr(value, name)!r}" for name in value.__slots__)
    return f"{type(value).__qualname__}({said})"


def _equal(value: Any, other: object) -> bool:
    same = type(value) is type(other)
    return _told(value) == _told(other) if same else NotImplemented


def _hash(value: Any) -> int:
    return hash(_told(value))


def _refuse(_value: object, name: str, *_: object) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot change field {name!r}")


def _restore(value: Any, told: Iterable[Any]) -> None:
    """Take what `_told` gave: for `copy` and `pickle`."""
    for name, one in zip(value.__slots__, told, strict=True):
        object.__setattr__(value, name, one)


_CHANGEABLE = {"__eq__": _equal, "__hash__": None}
_FROZEN = {
    "__eq__": _equal,
    "__hash__": _hash,
    "__setattr__": _refuse,
    "__delattr__": _refuse,
    "__getstate__": _told,
    "__setstate__": _restore,
}


def _asdict(value: Any) -> dict[str, Any]:
    """Return the fields by name, and those of dataclasses in them."""
    return {name: _plain(getattr(value, name)) for name in value.__slots__}


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind is tuple or kind is list:
        return kind([_plain(one) for one in value])
    if kind is dict:
        return {key: _plain(one) for key, one in value.items()}
    return _asdict(value) if "__dataclass_fields__" in vars(kind) else value


def _replace(value: Any, /, **changes: Any) -> Any:
    """Return a dataclass with some fields changed."""
    fields = {name: getattr(value, name) for name in value.__slots__}
    return type(value)(**{**fields, **changes})


class _Named(type):
    """Makes a class of named tuples from its annotations."""

    def __new__(cls, name: str, bases: Any, body: dict[str, Any]) -> _Named:
        names = tuple(body["__annotations__"]) if bases else ()
        defaults = {one: body.pop(one) for one in names if one in body}
        made: Any = super().__new__(
            cls,
            name,
            bases or (tuple,),
            {
                **{one: _place_of(at, one) for at, one in enumerate(names)},
                "__slots__": (),
                "__match_args__": names,
                "_fields": names,
                "_field_defaults": defaults,
                **body,
            },
        )
        return made  # type: ignore[no-any-return]  # a class made here


class _NamedTuple(metaclass=_Named):
    """A tuple whose places have names."""

    _fields: tuple[str, ...]
    _field_defaults: dict[str, Any]

    def __new__(cls, /, *values: Any, **given: Any) -> Any:
        if given or len(values) != len(cls._fields):
            values += tuple(cls._rest(cls._fields[len(values) :], given))
            if given or len(values) != len(cls._fields):
                raise TypeError(f"wrong arguments for {cls.__qualname__}")
        return tuple.__new__(cls, values)  # type: ignore[type-var]  # a tuple really

    @classmethod
    def _rest(cls, names: Iterable[str], given: dict[str, Any]) -> Iterator[Any]:
        for name in names:
            if name not in given and name not in cls._field_defaults:
                raise TypeError(f"{cls.__qualname__} needs `{name}`")
            yield given.pop(name) if name in given else cls._field_defaults[name]

    @classmethod
    def _make(cls, values: Iterable[Any]) -> Any:
        return cls(*values)

    def _replace(self: Any, /, **changes: Any) -> Any:
        made = type(self)(*map(changes.pop, self._fields, self))
        if changes:
            raise ValueError(f"no such fields: {list(changes)}")
        return made

    def _asdict(self: Any) -> dict[str, Any]:
        return dict(zip(self._fields, self, strict=True))

    def __getnewargs__(self: Any) -> tuple[Any, ...]:
        return tuple(self)

    def __repr__(self: Any) -> str:
        said = ", ".join(f"{name}={one!r}" for name, one in self._asdict().items())
        return f"{type(self).__name__}({said})"


if not TYPE_CHECKING:

    class Protocol:
        """Of use to type checkers only."""

        __slots__ = ()

    NamedTuple = _NamedTuple
    asdict, dataclass, field, replace = _asdict, _dataclass, _Default, _replace
