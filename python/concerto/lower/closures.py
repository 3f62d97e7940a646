"""Closures and function values to code: hidden functions whose frames hold the arguments first, then what was captured."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from concerto.check import types as t
from concerto.check.called import CallValue
from concerto.check.checked import FunctionInfo, FunctionName, Local, VariantFunction
from concerto.lower.coverage import cover
from concerto.lower.functions import Builder, finish_function, type_of
from concerto.source import Span
from concerto.syntax import ast

if TYPE_CHECKING:
    pass


def lower_closure(builder: Builder, node: ast.Closure, target: int) -> None:
    """A function value with copies of the variables that it captures."""
    from concerto.lower.exprs import lower_into, lower_unused
    from concerto.lower.patterns import bind_pattern

    tables = builder.tables
    info = builder.facts.closures[id(node)]
    index = tables.reserve()
    inner = Builder(tables, builder.file, builder.meaning)
    first = inner.temporary(len(info.params))
    for _, own in info.captures:
        inner.local(own)
    for position, param in enumerate(node.params, first):
        local = builder.facts.patterns.get(id(param.pattern))
        if isinstance(param.pattern, ast.PathPattern) and isinstance(local, Local):
            inner.registers[id(local)] = position
            inner.locals.append(local)
        else:
            bind_pattern(inner, param.pattern, position)
    cover(inner, node.body)
    if t.resolve(info.result) == t.NIL:
        lower_unused(inner, node.body)
        if inner.reachable():
            inner.emit("return_nil")
    else:
        result = inner.temporary()
        lower_into(inner, node.body, result)
        if inner.reachable():
            inner.emit("return", result)
    params = [_param(inner, number, type_) for number, type_ in enumerate(info.params)]
    if node.is_async:
        # The body has all values as its arguments; the closure makes a future of them.
        captured = [local.type for _, local in info.captures]
        all_params = [
            _param(inner, number, type_) for number, type_ in enumerate([*info.params, *captured])
        ]
        code = finish_function(inner, "closure", node.span, False, None, all_params, info.result)
        tables.hidden[index] = code
        index = _maker(builder, tables.first_hidden + index, node.span, params, len(all_params))
    else:
        tables.hidden[index] = finish_function(
            inner, "closure", node.span, False, None, params, info.result
        )
    values = builder.temporary(len(info.captures))
    for position, (outer, _) in enumerate(info.captures, values):
        builder.emit("copy", position, builder.registers[id(outer)])
    number = tables.first_hidden + index
    builder.emit("closure", target, number, values, len(info.captures))


def _param(builder: Builder, number: int, type_: t.Type) -> dict[str, Any]:
    return {"name": f"${number}", "type": builder.type(type_), "default": None}


def _maker(
    builder: Builder, body: int, span: Span, params: list[dict[str, Any]], count: int
) -> int:
    """A function whose call makes a future of its arguments and what it captured, `count` values in all."""
    index = builder.tables.reserve()
    inner = Builder(builder.tables, builder.file)
    first = inner.temporary(count)
    result = inner.temporary()
    inner.emit("future", result, body, first, count)
    inner.emit("return", result)
    builder.tables.hidden[index] = finish_function(
        inner, "closure", span, False, None, params, t.ANY
    )
    return index


def lower_function_name(builder: Builder, name: FunctionName, target: int) -> None:
    """A function that captures nothing."""
    function = name.function
    if isinstance(function, FunctionInfo):
        index = builder.function(function, name.type_args)
        if function.is_async:
            assert function.node is not None
            meaning = t.meaning(function.type_params, name.type_args)
            params = [
                _param(builder, number, t.substitute(param.type, meaning))
                for number, param in enumerate(function.params)
            ]
            maker = _maker(builder, index, function.node.span, params, len(params))
            index = builder.tables.first_hidden + maker
        builder.emit("closure", target, index, builder.next, 0)
        return
    enum = builder.concrete(function.type)
    assert isinstance(enum, t.Enum)
    made = replace(function, type=enum)
    index = builder.tables.first_hidden + _variant_function(builder, made)
    builder.emit("closure", target, index, builder.next, 0)


def _variant_function(builder: Builder, function: VariantFunction) -> int:
    tables = builder.tables
    if function in tables.variant_functions:
        return tables.variant_functions[function]
    index = tables.variant_functions[function] = tables.reserve()
    enum = function.type
    info = tables.checked.enums[enum.name]
    variant = info.variants[function.variant]
    inner = Builder(tables)
    first = inner.temporary(function.parts)
    result = inner.temporary()
    type_ = tables.type(enum)
    inner.emit("variant", result, type_, function.variant, first, function.parts)
    inner.emit("return", result)
    params = [
        {"name": field.name, "type": tables.type(field.type), "default": None}
        for field in info.fields_of(function.variant, enum)
    ]
    tables.hidden[index] = finish_function(
        inner, variant.name, info.span, False, None, params, enum
    )
    return index


def lower_value_call(builder: Builder, node: ast.Call, call: CallValue, target: int) -> None:
    """A call of a function value: the callee first, then the arguments."""
    from concerto.lower.exprs import lower_into, lower_window

    callee = builder.temporary()
    lower_into(builder, call.callee, callee)
    first = lower_window(builder, call.args)
    type_ = type_of(builder, call.callee)
    name = "call_any" if type_ == t.ANY else "call_value"
    builder.emit(name, target, callee, first, len(call.args), at=node)
    if isinstance(type_, t.Function) and t.resolve(type_.result) == t.NIL:
        # A function with any result may stand where one without is wanted: its value goes nowhere.
        builder.emit("nil", target)
