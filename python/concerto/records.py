"""Immutable values that cost nothing before they are used. A leaf.

The tree, the types and the facts of the check are some 150 classes. `dataclass` writes six methods for each of them when it is made, which was a third of
what a check of a short program took; most of them no program uses at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]:
    """Makes a class what `dataclass(frozen=True, slots=True)` makes of it, but for two things.

    Its methods are written when they are first called; and that nothing is assigned to a field is seen by the type checker alone, so that making a
    value costs half as much.
    """

    def make(class_: type[T]) -> type[T]:
        own = vars(class_)
        made: Any = dataclass(slots=True, kw_only=kw_only, init=False, repr=False, eq=False)(class_)
        for name, text in _METHODS.items():
            if name not in own:
                setattr(made, name, _written_later(made, name, text))
        if "__repr__" not in own:
            made.__repr__ = _shown
        return made  # type: ignore[no-any-return]  # the class

    return make


def _written_later(made: Any, name: str, text: Callable[[list[Field[Any]]], str]) -> Any:
    """A method that puts the real one in its place when it is first called."""

    def method(self: Any, *args: Any, **named: Any) -> Any:
        found = fields(made)
        scope: dict[str, Any] = {f"_{each.name}": each.default for each in found}
        exec(text(list(found)), scope)
        setattr(made, name, scope[name])
        return scope[name](self, *args, **named)

    return method


def _init(found: list[Field[Any]]) -> str:
    plain = [each for each in found if not each.kw_only]
    named = [each for each in found if each.kw_only]
    taken = ", ".join(["self", *map(_taken, plain), *(["*"] if named else []), *map(_taken, named)])
    lines = [f" self.{each.name} = {each.name}" for each in found]
    return "\n".join([f"def __init__({taken}):", *lines, " pass"])


def _taken(each: Field[Any]) -> str:
    return each.name if each.default is MISSING else f"{each.name}=_{each.name}"


def _eq(found: list[Field[Any]]) -> str:
    mine, other = _compared("self", found), _compared("other", found)
    return (
        "def __eq__(self, other):\n"
        f" return {mine} == {other} if other.__class__ is self.__class__ else NotImplemented"
    )


def _hash(found: list[Field[Any]]) -> str:
    return f"def __hash__(self):\n return hash({_compared('self', found)})"


def _compared(owner: str, found: list[Field[Any]]) -> str:
    return "(" + "".join(f"{owner}.{each.name}, " for each in found if each.compare) + ")"


_METHODS = {"__init__": _init, "__eq__": _eq, "__hash__": _hash}


def _shown(self: Any) -> str:
    parts = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
    return f"{type(self).__qualname__}({', '.join(parts)})"
