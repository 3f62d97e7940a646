"""Patterns for a subject of a known type."""

from __future__ import annotations

from collections.abc import Callable

from concerto.check import types as t
from concerto.check.types import Type

from tests.oracle.generator import Generator, Variable, VariantShape

Bindings = list[Variable]


def match_arms(
    g: Generator, subject: Type, body: Callable[[], str], guard: Callable[[], str]
) -> str:
    """Arms of a match, the last of which always matches."""
    arms = []
    for _ in range(g.pick(4)):
        bindings: Bindings = []
        text = pattern(g, subject, 2, bindings)
        kept = len(g.scope)
        g.scope += bindings
        condition = f" if {guard()}" if g.chance(4) else ""
        arms.append(f"{text}{condition} => {body()}")
        del g.scope[kept:]
    last: Bindings = []
    name = g.one(("_", "name"))
    if name == "name":
        name = g.name("b")
        last.append(Variable(name, subject))
    g.scope += last
    arms.append(f"{name} => {body()}")
    del g.scope[len(g.scope) - len(last) :]
    return ", ".join(arms)


def pattern(g: Generator, subject: Type, depth: int, bindings: Bindings) -> str:
    """A pattern; the names that it binds are added to `bindings`."""
    kind = g.pick(6)
    if kind == 0 or depth == 0:
        return "_"
    if kind == 1:
        return _bound(g, subject, bindings)
    if kind == 2:
        # Both sides of `|` bind the same names: none, or one for the whole.
        bound: Bindings = []
        options = [shape_pattern(g, subject, 0, bound) for _ in range(2)]
        if bound:
            return "_"
        name = f"{_bound(g, subject, bindings)} @ " if g.chance(2) else ""
        return " | ".join(f"{name}{option}" for option in options)
    if kind == 3:
        name = g.name("b")
        inside = shape_pattern(g, subject, depth - 1, bindings)
        bindings.append(Variable(name, subject))
        return f"{name} @ {inside}"
    return shape_pattern(g, subject, depth - 1, bindings)


def _bound(g: Generator, subject: Type, bindings: Bindings) -> str:
    name = g.name("b")
    bindings.append(Variable(name, subject))
    return name


def shape_pattern(
    g: Generator, subject: Type, depth: int, bindings: Bindings, of: VariantShape | None = None
) -> str:
    """A pattern that looks inside; for an enum of a given variant."""

    def inner(type_: Type) -> str:
        return pattern(g, type_, depth, bindings)

    match subject:
        case t.INT:
            return g.one(("0", "1", "-1", "0..5", "1..=3", "-10..=-1", "7"))
        case t.FLOAT:
            return g.one(("0.0", "1.5", "-0.5", "0.0..2.0", "1.0..=1e10"))
        case t.STRING:
            return g.one(('""', '"a"', '"ab"', '"héllo"'))
        case t.BOOL:
            return g.one(("true", "false"))
        case t.Option(item):
            form = g.one(("None", "Some", "nil"))
            return f"Some({inner(item)})" if form == "Some" else form
        case t.Result(ok, err):
            return f"Ok({inner(ok)})" if g.chance(2) else f"Err({inner(err)})"
        case t.Tuple(items):
            inside = ", ".join(map(inner, items))
            return f"({inside},)" if len(items) == 1 else f"({inside})"
        case t.Array(item):
            parts = [inner(item) for _ in range(g.pick(3))]
            if g.chance(2):
                rest = ".."
                if g.chance(2):
                    name = g.name("b")
                    bindings.append(Variable(name, subject))
                    rest += name
                parts.insert(g.pick(len(parts) + 1), rest)
            return "[" + ", ".join(parts) + "]"
        case t.Struct(name):
            fields = [f"{own}: {inner(type_)}" for own, type_ in g.structs[name] if g.chance(2)]
            return f"{name} {{ " + ", ".join([*fields, ".."]) + " }"
        case t.Enum(name):
            shape = of or g.one(g.enums[name])
            path = f"{name}::{shape.name}"
            if shape.form == "unit":
                return path
            if shape.form == "tuple":
                return f"{path}(" + ", ".join(inner(type_) for _, type_ in shape.fields) + ")"
            fields = [f"{own}: {inner(type_)}" for own, type_ in shape.fields if g.chance(2)]
            return f"{path} {{ " + ", ".join([*fields, ".."]) + " }"
        case _:
            return "_"
