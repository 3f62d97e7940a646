"""Calls to code: functions, natives, models, and the prelude."""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.checked import (
    CallBuiltin,
    CallFunction,
    CallLibrary,
    CallModel,
    CallNative,
    CallRecord,
    CallStream,
    CallTest,
    CallValue,
    CallVariant,
    ParseSchema,
)
from concerto.lower.closures import lower_value_call
from concerto.lower.functions import Builder
from concerto.lower.testing import lower_test_call
from concerto.syntax import ast


def lower_call(builder: Builder, node: ast.Call, target: int) -> None:
    """Puts the result of a call into a register."""
    from concerto.lower.exprs import lower, lower_into, lower_window
    from concerto.lower.literals import load_constant, load_record

    match builder.facts.calls[id(node)]:
        case CallFunction(function, args):
            first = builder.temporary(len(args))
            order = sorted(
                (i for i, arg in enumerate(args) if arg is not None),
                key=lambda i: args[i].span.start,  # type: ignore[union-attr]  # evaluated as written
            )
            for position in order:
                argument = args[position]
                assert argument is not None
                lower_into(builder, argument, first + position)
            for position, (argument, param) in enumerate(zip(args, function.params, strict=True)):
                if argument is None:
                    load_constant(builder, param.default, param.type, first + position)
            # The callee's registers begin at the window, above everything that is in use.
            builder.emit("call", target, function.index, first, len(args), at=node)
        case CallVariant(enum, variant, args):
            type_ = builder.tables.type(t.Enum(enum.name))
            builder.emit("variant", target, type_, variant, lower_window(builder, args), len(args))
        case CallNative(native, receiver, args, mutates):
            _native(builder, node, native, receiver, args, mutates, target)
        case CallLibrary():
            _library(builder, node, builder.facts.calls[id(node)], target)
        case CallValue():
            lower_value_call(builder, node, builder.facts.calls[id(node)], target)
        case CallModel():
            _model(builder, node, builder.facts.calls[id(node)], target)
        case CallStream(instruction, stream):
            subject = lower(builder, stream)
            if instruction == "stream_close":
                builder.emit(instruction, subject, at=node)
                builder.emit("nil", target)
            else:
                builder.emit(instruction, target, subject, at=node)
        case CallTest():
            lower_test_call(builder, node, builder.facts.calls[id(node)], target)
        case CallRecord(type_, fields):
            load_record(builder, type_, fields, target)
        case ParseSchema(schema, value, of_response):
            text = lower(builder, value)
            if of_response:
                whole, text = text, builder.temporary()
                builder.emit("field", text, whole, 0)
            builder.emit("parse_schema", target, builder.tables.schema(schema), text, at=node)
        case CallBuiltin(name, args):
            _builtin(builder, node, name, args, target)
        case other:
            raise AssertionError(other)


def _model(builder: Builder, node: ast.Call, call: CallModel, target: int) -> None:
    from concerto.lower.exprs import lower_into

    model, prompt = builder.temporary(), builder.temporary()
    lower_into(builder, call.model, model)
    lower_into(builder, call.input, prompt)
    if call.retry_message is not None:
        parts = builder.temporary(2)
        builder.emit("move", parts, model)
        lower_into(builder, call.retry_message, parts + 1)
        builder.emit("native", model, "model.with_retry_message", parts, 2)
    if call.schema is not None:
        schema = builder.tables.schema(call.schema)
        builder.emit(call.method, target, model, schema, prompt, at=node)
    else:
        builder.emit(call.method, target, model, prompt, at=node)


def _library(builder: Builder, node: ast.Call, call: CallLibrary, target: int) -> None:
    from concerto.lower.exprs import lower_window
    from concerto.lower.places import place_keys, taken

    index = builder.tables.library(call.function)
    count = len(call.args) + 1
    if not call.changes:
        first = lower_window(builder, (call.receiver, *call.args))
        builder.emit("call", target, index, first, count, at=node)
        return
    keys = place_keys(builder, call.receiver)
    args = lower_window(builder, call.args)
    with taken(builder, call.receiver, keys) as register:
        first = builder.temporary(count)
        builder.emit("copy", first, register)
        for position in range(len(call.args)):
            builder.emit("move", first + 1 + position, args + position)
        builder.emit("call", register, index, first, count, at=node)
        if call.has_value:
            pair = builder.temporary()
            builder.emit("move", pair, register)
            builder.emit("tuple_field", register, pair, 0)
            builder.emit("tuple_field", target, pair, 1)
    if not call.has_value:
        builder.emit("nil", target)


def _native(
    builder: Builder,
    node: ast.Call,
    native: str,
    receiver: ast.Expr | None,
    args: tuple[ast.Expr, ...],
    mutates: bool,
    target: int,
) -> None:
    from concerto.lower.exprs import lower_window
    from concerto.lower.places import place_keys, taken

    assert receiver is not None
    if not mutates:
        parts = (receiver, *args)
        builder.emit("native", target, native, lower_window(builder, parts), len(parts), at=node)
        return
    keys = place_keys(builder, receiver)
    first = lower_window(builder, args)
    with taken(builder, receiver, keys) as register:
        builder.emit("native_mut", target, native, register, first, len(args), at=node)


def _builtin(
    builder: Builder, node: ast.Call, name: str, args: tuple[ast.Expr, ...], target: int
) -> None:
    from concerto.lower.exprs import lower, lower_into
    from concerto.lower.tries import lower_env

    match name:
        case "emit":
            channel = lower(builder, args[0])
            payload = builder.temporary()
            if len(args) > 1:
                lower_into(builder, args[1], payload)
            else:
                builder.emit("nil", payload)
            builder.emit("emit", channel, payload, at=node)
            builder.emit("nil", target)
        case "print" | "println":
            _print(builder, node, args, name == "println")
            builder.emit("nil", target)
        case "env":
            place = builder.facts.raises[id(node)]
            lower_env(builder, lower(builder, args[0]), target, place, node)
        case "len":
            builder.emit("len", target, lower(builder, args[0]))
        case "typeof":
            first = builder.temporary()
            lower_into(builder, args[0], first)
            builder.emit("native", target, "any.typeof", first, 1)
        case "panic":
            builder.emit("panic", lower(builder, args[0]), at=node)
        case "assert":
            first = builder.temporary(2)
            lower_into(builder, args[0], first)
            if len(args) > 1:
                lower_into(builder, args[1], first + 1)
            else:
                source = builder.tables.checked.source.text
                text = source[args[0].span.start : args[0].span.end]
                builder.emit("const", first + 1, builder.tables.constant(text))
            builder.emit("native", target, "core.assert", first, 2, at=node)
        case "assert_eq" | "assert_ne":
            from concerto.lower.exprs import lower_window

            parts = lower_window(builder, args)
            builder.emit("native", target, f"core.{name}", parts, 2, at=node)
        case "Some" | "Ok" | "Err":
            inner = builder.temporary()
            lower_into(builder, args[0], inner)
            builder.emit(name.lower(), target, inner)
        case _:
            raise AssertionError(name)


def _print(builder: Builder, node: ast.Call, args: tuple[ast.Expr, ...], newline: bool) -> None:
    """Display forms joined by one space."""
    from concerto.lower.exprs import lower_into

    count = max(2 * len(args) - 1, 0)
    first = builder.temporary(count)
    for position in range(count):
        if position % 2:
            builder.emit("const", first + position, builder.tables.constant(" "))
        else:
            lower_into(builder, args[position // 2], first + position)
    text = builder.temporary()
    builder.emit("concat", text, first, count)
    builder.emit("print", text, int(newline), at=node)
