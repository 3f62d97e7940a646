"""Statements with tasks: parallel forms, spawned blocks and futures, over work whose order is known."""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.types import Type, show

from tests.oracle.expressions import expr, known
from tests.oracle.generator import Generator, Variable


def tasks(g: Generator, depth: int) -> list[str]:
    """One statement or a few."""
    made = g.one((_all, _each, _race, _first_ok, _spawn, _future))
    return made(g, depth)


def _element(g: Generator, type_: Type, depth: int, bound: tuple[Variable, ...] = ()) -> str:
    """Something to evaluate in a task of its own: it sees copies of the variables around."""
    from tests.oracle.statements import statements

    futures = [f for f in g.async_functions if f.result == type_]
    if futures and g.chance(2):
        called = g.one(futures)
        return f"{called.name}({', '.join(expr(g, param, 0) for param in called.params)})"
    outside = g.loops, g.is_task, g.scope
    g.loops, g.is_task = [], True
    g.scope = [*(Variable(v.name, v.type) for v in g.scope), *bound]
    inside = statements(g, g.pick(3), max(depth - 1, 0), "")
    value = known(g, type_, depth)
    g.loops, g.is_task, g.scope = outside
    return f"{{ {' '.join(inside)} {value} }}"


def _all(g: Generator, depth: int) -> list[str]:
    types = tuple(g.type(1) for _ in range(2 + g.pick(2)))
    elements = ", ".join(_element(g, type_, depth) for type_ in types)
    name = g.name()
    g.scope.append(Variable(name, t.Tuple(types)))
    return [f"let {name}: {show(t.Tuple(types))} = await ({elements});", f'emit("all", {name});']


def _each(g: Generator, depth: int) -> list[str]:
    item, type_ = g.type(1), g.type(1)
    items, one = known(g, t.Array(item), depth), g.name("p")
    element = _element(g, type_, depth, (Variable(one, item),))
    body = element if element.startswith("{") else f"{{ {element} }}"
    most = g.one(("", "(max: 1)", "(max: 2)", "(max: 3)"))
    name = g.name()
    g.scope.append(Variable(name, t.Array(type_)))
    line = f"let {name}: {show(t.Array(type_))} = parallel{most} for {one} in {items} {body};"
    return [line, f'emit("each", {name});']


def _race(g: Generator, depth: int) -> list[str]:
    type_ = g.type(1)
    elements = ", ".join(_element(g, type_, depth) for _ in range(1 + g.pick(3)))
    name = g.name()
    g.scope.append(Variable(name, type_))
    return [f"let {name}: {show(type_)} = race({elements});", f'emit("race", {name});']


def _first_ok(g: Generator, depth: int) -> list[str]:
    type_ = t.Result(g.type(1), t.STRING)
    elements = ", ".join(_element(g, type_, depth) for _ in range(1 + g.pick(3)))
    whole = t.Result(type_.ok, t.Array(t.STRING))
    name = g.name()
    g.scope.append(Variable(name, whole))
    return [f"let {name}: {show(whole)} = first_ok({elements});", f'emit("first", {name});']


def _spawn(g: Generator, depth: int) -> list[str]:
    type_ = g.type(1)
    outside = g.result, g.is_main, g.is_try
    # `?` would leave the block.
    g.result, g.is_main, g.is_try = t.NIL, False, False
    element = _element(g, type_, depth)
    g.result, g.is_main, g.is_try = outside
    name = g.name("t")
    lines = [f"let {name} = spawn {element};", f'emit("done", {name}.is_done());']
    match g.pick(3):
        case 0:
            lines.append(f'emit("task", {name}.result());')
        case 1:
            lines += [f"{name}.cancel();", f'emit("gone", {name}.result());']
        case _:
            lines.append(f'emit("id", [{name}.id()]);')
    return lines


def _future(g: Generator, depth: int) -> list[str]:
    """A future that is awaited twice, or by two tasks."""
    if not g.async_functions:
        return _all(g, depth)
    called = g.one(g.async_functions)
    args = ", ".join(expr(g, param, depth) for param in called.params)
    name = g.name("u")
    return [
        f"let {name} = {called.name}({args});",
        f'emit("future", await ({name}, {name}));',
        f'emit("again", race({name}, {name}));',
    ]
