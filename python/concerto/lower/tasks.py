"""Futures, tasks and parallel forms to code: elements are hidden functions without parameters, which give `Ok` or the error that leaves them."""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.called import CallFunction
from concerto.check.checked import ElementInfo, FormInfo
from concerto.lower.emits import lower_ask
from concerto.lower.functions import Builder, finish_function
from concerto.lower.tries import unwrap
from concerto.syntax import ast


def lower_task(builder: Builder, node: ast.Await | ast.Spawn, target: int) -> None:
    """`await x` and `spawn x`"""
    from concerto.lower.exprs import lower_into

    if isinstance(node, ast.Spawn):
        element = builder.facts.forms[id(node)].elements[0]
        function = builder.temporary()
        _function(builder, element, function, is_spawned=True)
        builder.emit("spawn", target, function, at=node)
    elif id(node) in builder.facts.forms:
        lower_form(builder, node, target)
    elif id(node) in builder.facts.asks:
        lower_ask(builder, node, builder.facts.asks[id(node)], target)
    else:
        lower_into(builder, node.operand, target)


def lower_awaited(builder: Builder, node: ast.Expr, target: int) -> None:
    """A value, or what comes out of it if it is a future or a task."""
    from concerto.lower.calls import lower_call
    from concerto.lower.exprs import lower_value

    if isinstance(builder.facts.calls.get(id(node)), CallFunction):
        assert isinstance(node, ast.Call)
        lower_call(builder, node, target, awaited=True)
        return
    lower_value(builder, node, target)
    found = _plain_type(builder, node)
    if builder.reachable() and (isinstance(found, t.Future | t.Task) or found == t.ANY):
        builder.emit("await", target, target, at=node)


def _plain_type(builder: Builder, node: ast.Expr) -> t.Type:
    return t.resolve(builder.facts.types[id(node)])


def lower_form(builder: Builder, node: ast.Expr, target: int) -> None:
    """`await (a, b)`, `race(..)` and `first_ok(..)`."""
    info = builder.facts.forms[id(node)]
    first = builder.temporary(len(info.elements))
    for position, element in enumerate(info.elements, first):
        _function(builder, element, position)
    subject = builder.temporary()
    builder.emit("join", subject, info.form, first, len(info.elements), at=node)
    _take(builder, info, subject, target, node)


def lower_parallel(builder: Builder, node: ast.For, target: int) -> None:
    """`parallel for`"""
    from concerto.lower.exprs import lower_into

    info = builder.facts.forms[id(node)]
    first = builder.temporary(3)
    lower_into(builder, node.iterable, first + 1)
    if info.most is not None:
        lower_into(builder, info.most, first + 2)
    else:
        models = builder.temporary(len(info.models))
        for position, model in enumerate(info.models, models):
            builder.emit("model", position, builder.tables.models[model])
        builder.emit("fan_out", first + 2, models, len(info.models))
    match _plain_type(builder, node.iterable):
        case t.Map():
            builder.emit("native", first + 1, "map.entries", first + 1, 1)
        case t.Simple("Range"):
            builder.emit("native", first + 1, "range.to_array", first + 1, 1, at=node.iterable)
        case t.Simple("Any"):
            builder.emit("native", first + 1, "any.items", first + 1, 1, at=node.iterable)
        case _:
            pass
    _function(builder, info.elements[0], first)
    subject = builder.temporary()
    builder.emit("join_each", subject, info.form, first, 3, at=node)
    _take(builder, info, subject, target, node)


def _take(builder: Builder, info: FormInfo, subject: int, target: int, node: ast.Expr) -> None:
    """The value of a form; an error that left an element goes where it goes."""
    if info.place is None:
        builder.emit("payload", target, subject)
    else:
        unwrap(builder, subject, target, info.place, node)


def _function(
    builder: Builder, element: ElementInfo, target: int, *, is_spawned: bool = False
) -> None:
    """An element as a function value with copies of the variables that it captures."""
    from concerto.lower.exprs import convert, lower_into, lower_unused
    from concerto.lower.patterns import bind_pattern

    tables = builder.tables
    index = tables.reserve()
    inner = Builder(tables, builder.file)
    params = []
    item = 0
    if element.pattern is not None:
        item = inner.temporary()
        params.append({"name": "$0", "type": tables.type(t.ANY), "default": None})
    for _, own in element.captures:
        inner.local(own)
    if element.pattern is not None:
        bind_pattern(inner, element.pattern, item)
    result = inner.temporary()
    if element.is_discarded:
        lower_unused(inner, element.node)
        if inner.reachable():
            inner.emit("nil", result)
    else:
        lower_into(inner, element.node, result)
    if inner.reachable():
        convert(inner, element.steps, element.type, result, element.node)
        if not is_spawned or element.wraps:
            inner.emit("ok", result, result)
        inner.emit("return", result)
    tables.hidden[index] = finish_function(
        inner, "task", element.node.span, False, None, params, t.ANY
    )
    values = builder.temporary(len(element.captures))
    for position, (outer, _) in enumerate(element.captures, values):
        builder.emit("copy", position, builder.registers[id(outer)])
    builder.emit("closure", target, tables.first_hidden + index, values, len(element.captures))
