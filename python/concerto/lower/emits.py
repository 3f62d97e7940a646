"""`emit` and asks to code: `ask` gives a Result, of which the place takes what it expects."""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.called import CallEmit, CallReply
from concerto.check.checked import AskInfo
from concerto.lower.functions import Builder, Label
from concerto.syntax import ast


def lower_emit(builder: Builder, node: ast.Call, call: CallEmit, target: int) -> None:
    """`emit` that asks nothing."""
    channel, payload = _message(builder, node, call)
    builder.emit("emit", channel, payload, at=node)
    builder.emit("nil", target)


def _message(builder: Builder, node: ast.Call, call: CallEmit) -> tuple[int, int]:
    """Registers of channel and payload, evaluated as written; what is judged is so when both are there."""
    from concerto.lower.exprs import lower_into

    channel, payload = builder.temporary(), builder.temporary()
    places = {id(call.channel): channel, id(call.payload): payload}
    for each in sorted(filter(None, (call.channel, call.payload)), key=lambda n: n.span.start):
        lower_into(builder, each, places[id(each)])
    if call.payload is None:
        builder.emit("nil", payload)
    if call.fit is not None:
        builder.emit("fit", payload, payload, builder.type(call.fit), at=node)
    return channel, payload


def lower_ask(builder: Builder, node: ast.Await, info: AskInfo, target: int) -> None:
    """`await emit(..)`"""
    call = builder.facts.calls[id(info.call)]
    channel, payload = _message(builder, info.call, call)
    subject = builder.temporary()
    builder.emit("ask", subject, channel, payload, builder.type(info.reply), at=node)
    if info.form == "value":
        builder.emit("native", target, "emit.unwrap", subject, 1, at=node)
    elif info.form == "result":
        builder.emit("move", target, subject)
        _convert(builder, node, info, target)
    else:
        failed, end = Label(), Label()
        builder.emit("unwrap_or_jump", target, subject, failed)
        builder.emit("jump", end)
        builder.place(failed)
        builder.emit("move", target, subject)
        builder.place(end)


def _convert(builder: Builder, node: ast.Await, info: AskInfo, target: int) -> None:
    """The error as the Result has it that is expected."""
    from concerto.lower.exprs import convert

    if not info.steps and info.convert is None:
        return
    holds, error, end = builder.temporary(), builder.temporary(), Label()
    builder.emit("is_ok", holds, target)
    builder.emit("jump_if", holds, end)
    builder.emit("move", error, target)
    builder.emit("payload", error, error)
    if info.convert is not None:
        index = builder.function(info.convert.function, info.convert.args)
        builder.emit("call", error, index, error, 1, at=node)
    elif info.error is not None:
        convert(builder, info.steps, info.error, error, node)
    builder.emit("err", target, error)
    builder.place(end)


def as_result(builder: Builder, register: int) -> None:
    """A reply that no type was expected of as the Result that it stands for."""
    holds, end = builder.temporary(), Label()
    builder.emit("is_type", holds, register, builder.type(t.Result(t.ANY, t.ANY)))
    builder.emit("jump_if", holds, end)
    builder.emit("ok", register, register)
    builder.place(end)


def lower_reply_method(builder: Builder, node: ast.Call, call: CallReply, target: int) -> None:
    """`is_ok`, `is_err`, `unwrap` and `unwrap_or` of a reply."""
    from concerto.lower.exprs import lower_window

    parts = (call.reply, *call.args)
    first = lower_window(builder, parts)
    as_result(builder, first)
    builder.emit("native", target, call.native, first, len(parts), at=node)
