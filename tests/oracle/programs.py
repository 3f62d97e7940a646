"""Whole programs."""

from __future__ import annotations

from collections.abc import Callable

from concerto.check import types as t
from concerto.check.types import Type, show

from tests.oracle.expressions import expr, literal
from tests.oracle.generator import Callable_, Generator, Variable, VariantShape
from tests.oracle.generic import DECLARATIONS
from tests.oracle.statements import statements

MODELS = """connect own { provider: "ollama" }
model M { provider: own, base: "small" }
schema Reply { word: String, count: Int, share: Float, sure: Bool, kind: "x" | "y", parts: Array<String>, maybe?: Int }
"""

STRUCT_VARIANTS = True


def program(pick: Callable[[int], int]) -> tuple[str, str | None]:
    """The text of a program, and the function to call (None: `main`)."""
    g = Generator(pick)
    parts: list[str] = []
    g.has_models = g.chance(4)
    if g.has_models:
        parts.append(MODELS)
    # Those with models are left as they are, so that each of their instructions stays likely.
    g.has_generics = not g.has_models and g.chance(3)
    if g.has_generics:
        parts.append(DECLARATIONS)
    parts += [_struct(g) for _ in range(g.pick(3))]
    parts += [_enum(g) for _ in range(g.pick(3))]
    parts += [_function(g) for _ in range(g.pick(3))]
    if g.chance(4):
        parts.append(_recursive(g))
    entry = "go" if g.chance(2) else None
    if entry is None and g.chance(4):
        g.is_main, g.is_top, g.result = True, True, t.NIL
        parts += statements(g, 3, 2, "")
        g.scope.clear()
        g.is_top = False
    parts.append(_entry(g, entry))
    return "\n".join(parts) + "\n", entry


def _struct(g: Generator) -> str:
    name = g.name("S")
    fields: list[tuple[str, Type]] = []
    lines = []
    for _ in range(1 + g.pick(3)):
        if g.chance(4):
            type_ = g.simple()
            fields.append((g.name("d").replace("d", "f") + "d", type_))
            lines.append(f"{fields[-1][0]}: {show(type_)} = {_default(g, type_)}")
        else:
            fields.append((g.name("f"), g.type(2)))
            lines.append(f"{fields[-1][0]}: {show(fields[-1][1])}")
    g.structs[name] = tuple(fields)
    return f"struct {name} {{ {', '.join(lines)} }}"


def _default(g: Generator, type_: Type) -> str:
    text = literal(g, type_, 0)
    return text if not text.startswith("(") else literal_simple(type_)


def literal_simple(type_: Type) -> str:
    return {t.INT: "4", t.FLOAT: "0.5", t.STRING: '"d"', t.BOOL: "true"}[type_]  # type: ignore[index]


def _enum(g: Generator) -> str:
    name = g.name("E")
    shapes = []
    for _ in range(1 + g.pick(3)):
        form = g.one(("unit", "tuple", "struct") if STRUCT_VARIANTS else ("unit", "tuple"))
        count = 0 if form == "unit" else 1 + g.pick(2)
        fields = tuple((g.name("f"), g.type(1)) for _ in range(count))
        shapes.append(VariantShape(g.name("V"), form, fields))
    g.enums[name] = tuple(shapes)
    return f"enum {name} {{ {', '.join(map(_shape, shapes))} }}"


def _shape(shape: VariantShape) -> str:
    match shape.form:
        case "unit":
            return shape.name
        case "tuple":
            return f"{shape.name}({', '.join(show(type_) for _, type_ in shape.fields)})"
        case _:
            fields = ", ".join(f"{name}: {show(type_)}" for name, type_ in shape.fields)
            return f"{shape.name} {{ {fields} }}"


def _function(g: Generator) -> str:
    name = g.name("f")
    params = tuple(g.type(2) for _ in range(g.pick(4)))
    result = g.one((t.NIL, g.type(2), t.Result(g.type(1), t.STRING), t.Option(g.flat(1))))
    g.scope = [Variable(g.name("p"), param) for param in params]
    written = ", ".join(f"{v.name}: {show(v.type)}" for v in g.scope)
    is_async = g.chance(3)
    head = "async fn" if is_async else "fn"
    text = _body(g, f"{head} {name}({written}){_arrow(result)}", result, 2)
    (g.async_functions if is_async else g.functions).append(Callable_(name, params, result))
    return text


def _recursive(g: Generator) -> str:
    """A function that calls itself a few times; beyond that it ends."""
    name = g.name("r")
    result = g.type(1)
    g.scope, g.result, g.is_main = [Variable("n", t.INT)], result, False
    base, other = expr(g, result, 1), expr(g, result, 1)
    g.scope.clear()
    again = f"{name}(n - 1)" if not g.chance(4) else f"{{ let deep = {name}(n - 1); deep }}"
    g.functions.append(Callable_(name, (t.INT,), result))
    limit = "if n <= 0 || n > 50" if not g.chance(10) else "if n == 0"
    return f"fn {name}(n: Int){_arrow(result)} {{ {limit} {{ return {base}; }} if n == 2 {{ return {other}; }} {again} }}"


def _entry(g: Generator, entry: str | None) -> str:
    result: Type = (
        t.NIL if entry is None else g.one((t.NIL, g.type(2), t.Result(g.type(2), t.STRING)))
    )
    g.scope = []
    g.is_main = entry is None
    head = "fn main()" if entry is None else f"pub fn {entry}(){_arrow(result)}"
    return _body(g, head, result, 9)


def _body(g: Generator, head: str, result: Type, count: int) -> str:
    g.result = result
    g.size = 30 if count == 2 else 60
    lines = statements(g, 1 + g.pick(count), 2, "    ")
    if result != t.NIL:
        lines.append("    " + expr(g, result, 2))
    g.scope = []
    return head + " {\n" + "\n".join(lines) + "\n}"


def _arrow(result: Type) -> str:
    return "" if result == t.NIL else f" -> {show(result)}"
