"""Methods, `?` and parts of values whose type is only known at run time: tests of the type, then what that type does."""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.called import AnyCase, CallAny
from concerto.check.checked import FunctionInfo, Raise
from concerto.lower.functions import Builder, Label
from concerto.lower.places import place_keys, taken
from concerto.syntax import ast


def lower_any_method(builder: Builder, node: ast.Call, call: CallAny, target: int) -> None:
    """The receiver and the arguments once, then one way for each type that has the method."""
    from concerto.lower.exprs import lower_into, lower_window

    if any(case.mutates for case in call.cases):
        keys = place_keys(builder, call.receiver)
        args = lower_window(builder, call.args)
        with taken(builder, call.receiver, keys) as receiver:
            _cases(builder, node, call, receiver, args, target)
        return
    receiver = builder.temporary()
    lower_into(builder, call.receiver, receiver)
    args = lower_window(builder, call.args)
    _cases(builder, node, call, receiver, args, target)


def _cases(
    builder: Builder, node: ast.Call, call: CallAny, receiver: int, args: int, target: int
) -> None:
    done, holds = Label(), builder.temporary()
    for case in call.cases:
        following = Label()
        builder.emit("is_type", holds, receiver, builder.type(case.receiver))
        builder.emit("jump_unless", holds, following)
        kept = builder.next
        _one(builder, node, case, receiver, args, target)
        builder.next = kept
        builder.emit("jump", done)
        builder.place(following)
    first = builder.temporary(2)
    builder.emit("copy", first, receiver)
    builder.emit("const", first + 1, builder.tables.constant(call.name))
    builder.emit("native", target, "any.no_method", first, 2, at=node)
    builder.place(done)


def _one(
    builder: Builder, node: ast.Call, case: AnyCase, receiver: int, args: int, target: int
) -> None:
    """The method of one type, on arguments of the types that it wants."""
    count = len(case.params)
    first = builder.temporary(count + (not case.mutates))
    own = first + (not case.mutates)
    if not case.mutates:
        builder.emit("copy", first, receiver)
    for position, param in enumerate(case.params):
        builder.emit("copy", own + position, args + position)
        if t.resolve(param) != t.ANY:
            type_ = builder.type(param)
            builder.emit("check_type", own + position, own + position, type_, at=node)
    if isinstance(case.does, FunctionInfo) and case.does.direct is not None:
        kind, name = case.does.direct
        builder.emit(kind, target, name, first, count + 1, at=node)
    elif isinstance(case.does, FunctionInfo):
        index = builder.function(case.does, ())
        builder.emit("call", target, index, first, count + 1, at=node)
    elif case.mutates:
        builder.emit("native_mut", target, case.does, receiver, first, count, at=node)
    else:
        builder.emit("native", target, case.does, first, count + 1, at=node)


def lower_any_question(
    builder: Builder, node: ast.Try, subject: int, place: Raise, target: int
) -> None:
    """`x?`: the value in an `Ok` or `Some`, an error on its way, any other value as it is."""
    from concerto.lower.tries import unwrap

    end, holds = Label(), builder.temporary()
    absent = place.absent or place
    for type_, where in ((t.Result(t.ANY, t.ANY), place), (t.Option(t.ANY), absent)):
        following = Label()
        builder.emit("is_type", holds, subject, builder.type(type_))
        builder.emit("jump_unless", holds, following)
        unwrap(builder, subject, target, where, node, is_option=isinstance(type_, t.Option))
        builder.emit("jump", end)
        builder.place(following)
    builder.emit("move", target, subject)
    builder.place(end)
