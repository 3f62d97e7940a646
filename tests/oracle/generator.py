"""Well-typed programs by chance: what is known while one is being written.

A generator asks `pick(n)` for a number below `n` for each decision; 0 is always the simplest, so that a property test can make failing programs smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from concerto.check import types as t
from concerto.check.types import Type

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Variable:
    name: str
    type: Type
    is_mut: bool = False


@dataclass(frozen=True, slots=True)
class Callable_:
    """A function that may be called."""

    name: str
    params: tuple[Type, ...]
    result: Type


@dataclass(frozen=True, slots=True)
class VariantShape:
    name: str
    form: str
    fields: tuple[tuple[str, Type], ...]


@dataclass(slots=True)
class Generator:
    pick: Callable[[int], int]
    size: int = 150
    """How many more nodes the program may have, about."""
    structs: dict[str, tuple[tuple[str, Type], ...]] = field(default_factory=dict)
    enums: dict[str, tuple[VariantShape, ...]] = field(default_factory=dict)
    functions: list[Callable_] = field(default_factory=list)
    async_functions: list[Callable_] = field(default_factory=list)
    scope: list[Variable] = field(default_factory=list)
    result: Type = t.NIL
    is_main: bool = False
    is_try: bool = False
    is_top: bool = False
    is_task: bool = False
    has_models: bool = False
    has_generics: bool = False
    loops: list[str] = field(default_factory=list)
    """Labels of the loops around; empty for a loop without one."""
    names: int = 0

    def chance(self, of: int) -> bool:
        """True once in `of` times; false is simpler."""
        return self.pick(of) == of - 1

    def one(self, options: list[T] | tuple[T, ...]) -> T:
        return options[self.pick(len(options))]

    def name(self, letter: str = "v") -> str:
        """A new name, or now and then one that shadows an old one."""
        if letter == "v" and self.scope and self.chance(12):
            return self.one(self.scope).name
        self.names += 1
        return f"{letter}{self.names}"

    def visible(self) -> list[Variable]:
        """Variables that are not shadowed, the newest first."""
        seen: dict[str, Variable] = {}
        for variable in reversed(self.scope):
            seen.setdefault(variable.name, variable)
        return list(seen.values())

    def reads(self) -> Iterator[tuple[str, Type]]:
        """Variables, their fields and parts."""
        for variable in self.visible():
            yield variable.name, variable.type
            yield from self.parts(variable.name, variable.type)

    def parts(self, text: str, type_: Type) -> Iterator[tuple[str, Type]]:
        """Parts that are there whatever the value is."""
        match type_:
            case t.Struct(name) if name in self.structs:
                for own, inner in self.structs[name]:
                    yield f"{text}.{own}", inner
            case t.Tuple(items):
                for at, inner in enumerate(items):
                    yield f"{text}.{at}", inner

    # Types

    def simple(self) -> Type:
        return self.one((t.INT, t.STRING, t.BOOL, t.FLOAT))

    def key(self) -> Type:
        keys: list[Type] = [t.STRING, t.INT, t.BOOL]
        keys += [
            t.Enum(name)
            for name, variants in self.enums.items()
            if all(v.form == "unit" for v in variants)
        ]
        keys.append(t.Tuple((t.INT, t.STRING)))
        return self.one(keys)

    def type(self, depth: int = 2) -> Type:
        """Any type whose values can be compared and shown."""
        if depth == 0 or not self.chance(2):
            return self.simple()
        inner = depth - 1
        match self.pick(8):
            case 0:
                return t.Array(self.type(inner))
            case 1:
                return t.Option(self.flat(inner))
            case 2:
                return t.Map(self.key(), self.type(inner))
            case 3:
                return t.Tuple(tuple(self.type(inner) for _ in range(1 + self.pick(3))))
            case 4 | 7 if self.structs:
                return t.Struct(self.one(list(self.structs)), "struct")
            case 5 | 7 if self.enums:
                return t.Enum(self.one(list(self.enums)))
            case 6:
                return t.Result(self.type(inner), self.one((t.STRING, t.INT)))
            case _:
                return t.Array(self.simple())

    def flat(self, depth: int) -> Type:
        """A type that is no Option: `T` is wrapped one level."""
        found = self.type(depth)
        return found.item if isinstance(found, t.Option) else found


def is_ordered(type_: Type) -> bool:
    match type_:
        case t.Array(item):
            return is_ordered(item)
        case t.Tuple(items):
            return all(map(is_ordered, items))
        case _:
            return type_ in (t.INT, t.FLOAT, t.STRING, t.BOOL)
