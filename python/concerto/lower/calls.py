"""Calls to code: functions, natives, models, and the prelude."""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.called import (
    CallAny,
    CallBuiltin,
    CallContext,
    CallEffect,
    CallEmit,
    CallFunction,
    CallJoin,
    CallLibrary,
    CallModel,
    CallNative,
    CallPipeline,
    CallRecord,
    CallReply,
    CallStream,
    CallTask,
    CallTest,
    CallTool,
    CallValue,
    CallVariant,
    CallWithTools,
    ParseAs,
    ParseSchema,
)
from concerto.check.types import Type
from concerto.lower.closures import lower_value_call
from concerto.lower.dynamic import lower_any_method
from concerto.lower.emits import lower_emit, lower_reply_method
from concerto.lower.functions import Builder, Label
from concerto.lower.pipelines import lower_pipeline_call
from concerto.lower.tasks import lower_form
from concerto.lower.testing import lower_test_call
from concerto.lower.tools import lower_tool_call, lower_with_tools
from concerto.syntax import ast


def lower_call(builder: Builder, node: ast.Call, target: int, *, awaited: bool = False) -> None:
    """Puts the result of a call into a register. An `awaited` call of an async function needs no future."""
    from concerto.lower.exprs import lower, lower_window
    from concerto.lower.literals import load_record

    if id(node) in builder.facts.forms:
        lower_form(builder, node, target)
        return
    match builder.facts.calls[id(node)]:
        case CallFunction(function) as call if function.changes:
            index = builder.function(function, call.type_args)
            has_value = t.resolve(function.result) != t.NIL
            _changing(builder, node, call, index, has_value, target)
        case CallFunction(function, args, type_args) as call:
            first = builder.temporary(len(args))
            _arguments(builder, node, call, first)
            # The callee's registers begin at the window, above everything that is in use.
            index = builder.function(function, type_args)
            name = "future" if function.is_async and not awaited else "call"
            builder.emit(name, target, index, first, len(args), at=node)
        case CallVariant(enum, variant, args):
            type_ = builder.type(enum)
            builder.emit("variant", target, type_, variant, lower_window(builder, args), len(args))
        case CallNative(native, receiver, args, mutates):
            _native(builder, node, native, receiver, args, mutates, target)
        case CallContext(result, note):
            _context(builder, result, note, target)
        case CallEffect(effect, args):
            first = lower_window(builder, args)
            builder.emit("effect", target, effect, first, len(args), at=node)
        case CallJoin(form, parts):
            builder.emit("join_each", target, form, lower_window(builder, parts), 3, at=node)
        case CallLibrary():
            _library(builder, node, builder.facts.calls[id(node)], target)
        case CallAny():
            lower_any_method(builder, node, builder.facts.calls[id(node)], target)
        case CallValue():
            lower_value_call(builder, node, builder.facts.calls[id(node)], target)
        case CallModel():
            _model(builder, node, builder.facts.calls[id(node)], target)
        case CallWithTools() as call:
            lower_with_tools(builder, call, target)
        case CallTool() as call:
            lower_tool_call(builder, node, call, target)
        case CallStream(instruction, stream):
            subject = lower(builder, stream)
            if instruction == "stream_close":
                builder.emit(instruction, subject, at=node)
                builder.emit("nil", target)
            else:
                builder.emit(instruction, target, subject, at=node)
        case CallTask(instruction, task):
            subject = lower(builder, task)
            if instruction == "cancel":
                builder.emit(instruction, subject, at=node)
                builder.emit("nil", target)
            else:
                builder.emit(instruction, target, subject, at=node)
        case CallPipeline():
            lower_pipeline_call(builder, node, builder.facts.calls[id(node)], target)
        case CallTest():
            lower_test_call(builder, node, builder.facts.calls[id(node)], target)
        case CallRecord(type_, fields):
            load_record(builder, type_, fields, target)
        case ParseSchema(schema, value, of_response):
            text = lower(builder, value)
            if of_response:
                whole, text = text, builder.temporary()
                builder.emit("field", text, whole, 0)
            index = builder.tables.schema(builder.concrete(schema))
            builder.emit("parse_schema", target, index, text, at=node)
        case ParseAs(type_, value):
            _parse_as(builder, node, type_, value, target)
        case CallEmit():
            lower_emit(builder, node, builder.facts.calls[id(node)], target)
        case CallReply():
            lower_reply_method(builder, node, builder.facts.calls[id(node)], target)
        case CallBuiltin(name, args):
            _builtin(builder, node, name, args, target)
        case other:
            raise AssertionError(other)


def _arguments(
    builder: Builder, node: ast.Call, call: CallFunction | CallLibrary, first: int
) -> None:
    """Puts arguments into a window, evaluated as written, then the defaults."""
    _given(builder, call.args, first)
    _defaults(builder, node, call, first)


def _given(builder: Builder, args: tuple[ast.Expr | None, ...], first: int) -> None:
    """Puts arguments into a window, evaluated as written; None stands for a default."""
    from concerto.lower.exprs import lower_into

    given = [(arg, place) for place, arg in enumerate(args, first) if arg is not None]
    for arg, place in sorted(given, key=lambda each: each[0].span.start):
        lower_into(builder, arg, place)


def _defaults(
    builder: Builder, node: ast.Call, call: CallFunction | CallLibrary, first: int
) -> None:
    """Puts the defaults into a window that has the given arguments: each may look at those before it."""
    from concerto.lower.literals import load_constant

    args = call.type_args if isinstance(call, CallFunction) else ()
    for at, (value, param) in enumerate(zip(call.args, call.function.params, strict=True)):
        if value is not None:
            continue
        if param.computed is None:
            load_constant(builder, param.default, param.type, first + at)
            continue
        kept = builder.next
        window = builder.temporary(at)
        for earlier in range(at):
            builder.emit("copy", window + earlier, first + earlier)
        index = builder.function(param.computed, args)
        builder.emit("call", first + at, index, window, at, at=node)
        builder.next = kept


def _changing(
    builder: Builder,
    node: ast.Call,
    call: CallFunction | CallLibrary,
    index: int,
    has_value: bool,
    target: int,
) -> None:
    """A method that changes its receiver: the place is taken, changed by the call, and put back."""
    from concerto.lower.places import place_keys, taken

    receiver, count = call.args[0], len(call.args)
    assert receiver is not None
    keys = place_keys(builder, receiver)
    args = builder.temporary(count - 1)
    _given(builder, call.args[1:], args)
    with taken(builder, receiver, keys) as register:
        first = builder.temporary(count)
        builder.emit("copy", first, register)
        for position, arg in enumerate(call.args[1:], 1):
            if arg is not None:
                builder.emit("move", first + position, args + position - 1)
        _defaults(builder, node, call, first)
        builder.emit("call", register, index, first, count, at=node)
        if has_value:
            pair = builder.temporary()
            builder.emit("move", pair, register)
            builder.emit("tuple_field", register, pair, 0)
            builder.emit("tuple_field", target, pair, 1)
    if not has_value:
        builder.emit("nil", target)


def _context(builder: Builder, result: ast.Expr, note: ast.Expr, target: int) -> None:
    """The note is looked at only on an error."""
    from concerto.lower.exprs import lower_into

    end = Label()
    parts = builder.temporary(2)
    lower_into(builder, result, target)
    builder.emit("is_ok", parts, target)
    builder.emit("jump_if", parts, end)
    builder.emit("move", parts, target)
    lower_into(builder, note, parts + 1)
    builder.emit("native", target, "result.context", parts, 2)
    builder.place(end)


def _parse_as(builder: Builder, node: ast.Call, type_: Type, value: ast.Expr, target: int) -> None:
    """Text that is no JSON says where; JSON that does not fit, which of its parts."""
    from concerto.lower.exprs import lower_into

    end = Label()
    text = builder.temporary()
    lower_into(builder, value, text)
    first = builder.temporary()
    builder.emit("copy", first, text)
    builder.emit("native", target, "json.parse", first, 1, at=node)
    builder.emit("is_ok", first, target)
    builder.emit("jump_unless", first, end)
    builder.emit(
        "parse_schema", first, builder.tables.schema(builder.concrete(type_)), text, at=node
    )
    builder.emit("native", target, "json.schema_error", first, 1)
    builder.place(end)


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
        schema = builder.tables.schema(builder.concrete(call.schema))
        builder.emit(call.method, target, model, schema, prompt, at=node)
    else:
        builder.emit(call.method, target, model, prompt, at=node)


def _library(builder: Builder, node: ast.Call, call: CallLibrary, target: int) -> None:
    function, count = call.function, len(call.args)
    if function.direct is not None:
        # Nothing but a native or an effect: done where the program asks, so that a panic points there.
        kind, name = function.direct
        first = builder.temporary(count)
        _arguments(builder, node, call, first)
        builder.emit(kind, target, name, first, count, at=node)
        return
    index = builder.function(function, ())
    if call.changes:
        _changing(builder, node, call, index, call.has_value, target)
        return
    first = builder.temporary(count)
    _arguments(builder, node, call, first)
    builder.emit("call", target, index, first, count, at=node)


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

    if receiver is None or not mutates:
        parts = args if receiver is None else (receiver, *args)
        builder.emit("native", target, native, lower_window(builder, parts), len(parts), at=node)
        return
    keys = place_keys(builder, receiver)
    first = lower_window(builder, args)
    with taken(builder, receiver, keys) as register:
        builder.emit("native_mut", target, native, register, first, len(args), at=node)


def _builtin(
    builder: Builder, node: ast.Call, name: str, args: tuple[ast.Expr, ...], target: int
) -> None:
    from concerto.lower.exprs import lower, lower_into, lower_window
    from concerto.lower.tries import lower_env

    match name:
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
            if len(args) > 1:
                first = lower_window(builder, args)
            else:
                first = builder.temporary(2)
                lower_into(builder, args[0], first)
                source = builder.tables.checked.source.text
                text = source[args[0].span.start : args[0].span.end]
                builder.emit("const", first + 1, builder.tables.constant(text))
            builder.emit("native", target, "core.assert", first, 2, at=node)
        case "assert_eq" | "assert_ne":
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
    builder.emit("concat", text, first, count, at=node)
    builder.emit("print", text, int(newline), at=node)
