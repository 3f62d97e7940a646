"""Values of a Concerto program as a Python host sees them.

`Int`, `Float`, `Bool`, `String` and `Nil` are `int`, `float`, `bool`, `str` and `None`; arrays and tuples are `list` and `tuple`, maps are `dict`
in order of insertion, an `Option` is its value or `None`.
Queues and stacks are `list`, a set is an `OrderedSet`, which equals a `set` of the same values. What Python has no word for is defined here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


class Record(Mapping[str, Any]):
    """A struct, a schema value or a built-in record such as `Response`.

    Fields are read as attributes or as items, in declared order; `record._asdict()` gives a plain dictionary. Two records are equal
    if their types have the same name and their fields are equal. A record never changes.
    """

    __slots__ = ("_fields", "_type")

    _type: str
    _fields: dict[str, Any]

    def __init__(self, type_name: str, fields: dict[str, Any]) -> None:
        object.__setattr__(self, "_type", type_name)
        object.__setattr__(self, "_fields", fields)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self._fields[name]
        except KeyError:
            known = ", ".join(self._fields)
            raise AttributeError(f"`{self._type}` has no field `{name}`; it has: {known}") from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a `{self._type}` cannot be changed")

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Record):
            return self._type == other._type and self._fields == other._fields
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self._type, tuple(self._fields)))

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self._fields.items())
        return f"{self._type}({inside})"

    def __reduce__(self) -> tuple[type[Record], tuple[str, dict[str, Any]]]:
        return (Record, (self._type, self._fields))

    def _asdict(self) -> dict[str, Any]:
        """The fields as a dictionary; records inside become dictionaries too."""
        return {name: _plain(value) for name, value in self._fields.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value._asdict()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    return value


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant of an enum that carries data; a variant without data is its name as `str`."""

    name: str
    data: tuple[Any, ...] | dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ok:
    """A good `Result` inside another value; the result of a call is unwrapped instead."""

    value: Any


@dataclass(frozen=True, slots=True)
class Err:
    """A failed `Result` inside another value; a call that fails raises instead."""

    error: Any


class OrderedSet(frozenset[Any]):
    """A set that is iterated and shown in order of insertion."""

    _items: tuple[Any, ...]

    def __new__(cls, items: Iterable[Any]) -> OrderedSet:
        """A set of these values, each of which is there once."""
        kept = tuple(items)
        made = super().__new__(cls, kept)
        made._items = kept
        return made

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __repr__(self) -> str:
        return "{" + ", ".join(map(repr, self._items)) + "}" if self._items else "set()"

    def __reduce__(self) -> tuple[type[OrderedSet], tuple[tuple[Any, ...]]]:
        return (OrderedSet, (self._items,))
