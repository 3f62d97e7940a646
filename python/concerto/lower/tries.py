"""Errors to jumps: `?`, raises, and `try` with its clauses."""

from __future__ import annotations

from concerto.check import builtins
from concerto.check import types as t
from concerto.check.checked import CaughtBy, Raise
from concerto.check.types import Type
from concerto.lower.coverage import CATCH, NO_ERROR, cover
from concerto.lower.functions import Builder, Label, TryTarget
from concerto.syntax import ast

_MESSAGE, _KIND = 0, 1  # fields of every built-in error


def lower_question(builder: Builder, node: ast.Try, target: int) -> None:
    """`x?`"""
    from concerto.lower.dynamic import lower_any_question
    from concerto.lower.emits import as_result
    from concerto.lower.exprs import lower_into
    from concerto.lower.functions import type_of

    subject = builder.temporary()
    lower_into(builder, node.operand, subject)
    found = type_of(builder, node.operand)
    if id(node) in builder.facts.replies:
        as_result(builder, subject)
    elif found == t.ANY:
        lower_any_question(builder, node, subject, builder.facts.raises[id(node)], target)
        return
    is_option = isinstance(found, t.Option)
    unwrap(builder, subject, target, builder.facts.raises[id(node)], node, is_option=is_option)


def unwrap(
    builder: Builder,
    subject: int,
    target: int,
    place: Raise,
    node: ast.Node,
    *,
    is_option: bool = False,
) -> None:
    """The value inside of a Result or an Option; an error goes where it goes."""
    failed, end = Label(), Label()
    builder.emit("unwrap_or_jump", target, subject, failed)
    builder.emit("jump", end)
    builder.place(failed)
    if place.to == "none":
        close_streams(builder, 0)
        builder.emit("none", subject)
        builder.give_back(subject)
    else:
        if is_option:
            _none_error(builder, subject)
        else:
            builder.emit("payload", subject, subject)
        raise_error(builder, place, subject, node)
    builder.place(end)


def lower_env(builder: Builder, name: int, target: int, place: Raise, node: ast.Call) -> None:
    """`env(..)`; before `??` a variable that is not set is None, and only that."""
    subject = builder.temporary()
    builder.emit("env", subject, name, at=node)
    if place.to != "unset":
        unwrap(builder, subject, target, place, node)
        return
    assert place.otherwise is not None
    failed, broken, end = Label(), Label(), Label()
    builder.emit("unwrap_or_jump", target, subject, failed)
    builder.emit("some", target, target)
    builder.emit("jump", end)
    builder.place(failed)
    builder.emit("payload", subject, subject)
    kind, missing = builder.temporary(), builder.temporary()
    builder.emit("field", kind, subject, _KIND)
    builder.emit("const", missing, builder.tables.constant("missing"))
    builder.emit("eq", kind, kind, missing)
    builder.emit("jump_unless", kind, broken)
    builder.emit("none", target)
    builder.emit("jump", end)
    builder.place(broken)
    raise_error(builder, place.otherwise, subject, node)
    builder.place(end)


def _none_error(builder: Builder, target: int) -> None:
    parts = builder.temporary(2)
    builder.emit("const", parts + _MESSAGE, builder.tables.constant("value is None"))
    builder.emit("const", parts + _KIND, builder.tables.constant("none"))
    builder.emit("struct", target, builder.type(builtins.NONE_ERROR), parts, 2)


def raise_error(builder: Builder, place: Raise, error: int, node: ast.Node) -> None:
    """Sends an error where it goes."""
    from concerto.lower.exprs import convert

    match place.to:
        case "catch":
            target = builder.tries[-1]
            target.used = True
            close_streams(builder, target.depth)
            builder.emit("move", target.error, error)
            builder.emit("jump", target.handler)
        case "fail":
            builder.emit("fail", error, at=node)
        case "leave":
            final: Raise | None = place
            while final is not None and final.to == "leave":
                final = final.otherwise
            if final is not None and final.wanted is not None:
                convert(builder, final.steps, final.wanted, error, node)
            close_streams(builder, 0)
            builder.emit("err", error, error)
            builder.emit("return", error)
        case "return":
            if place.convert is not None:
                index = builder.function(place.convert.function, place.convert.args)
                value = builder.temporary()
                builder.emit("move", value, error)
                builder.emit("call", error, index, value, 1, at=node)
            elif place.wanted is not None:
                convert(builder, place.steps, place.wanted, error, node)
            close_streams(builder, 0)
            builder.emit("err", error, error)
            builder.give_back(error, is_error=True)
        case other:
            raise AssertionError(other)


def close_streams(builder: Builder, depth: int) -> None:
    """Closes the streams of the loops that control leaves, innermost first (S-9)."""
    for stream in reversed(builder.streams[depth:]):
        builder.emit("stream_close", stream)


def lower_try(builder: Builder, node: ast.TryCatch, target: int | None) -> None:
    """`try { } catch ..`; without clauses its value is a Result."""
    from concerto.lower.exprs import lower_into, lower_unused

    def branch(block: ast.Block) -> None:
        if target is None:
            lower_unused(builder, block)
        else:
            lower_into(builder, block, target)

    info = builder.facts.tries[id(node)]
    error, end = builder.temporary(), Label()
    here = TryTarget(error, len(builder.streams))
    builder.tries.append(here)
    branch(node.body)
    builder.tries.pop()
    cover(builder, node, NO_ERROR)
    if not node.catches and target is not None and builder.reachable():
        builder.emit("ok", target, target)
    if not here.used:
        return
    if builder.reachable():
        builder.emit("jump", end)
    builder.place(here.handler)
    if not node.catches and target is not None:
        builder.emit("err", target, error)
    for clause in info.catches:
        kept, following = builder.next, Label()
        if clause.test is not None:
            _test(builder, clause.test, error, following)
        if clause.local is not None:
            builder.emit("copy", builder.local(clause.local), error)
        cover(builder, clause.body, CATCH)
        branch(clause.body)
        if builder.reachable():
            builder.emit("jump", end)
        builder.place(following)
        builder.next = kept
    if node.catches and not (info.catches and any(c.test is None for c in info.catches)):
        _raise_again(builder, info.rest, error, node)
    builder.place(end)


def _test(builder: Builder, test: CaughtBy, error: int, otherwise: Label) -> None:
    """Jumps if a clause does not take the error."""
    holds = builder.temporary()
    if not isinstance(test, tuple):
        assert test is not None
        builder.tables.errors[builder.concrete(test)] = None
        builder.emit("is_type", holds, error, builder.type(test))
        builder.emit("jump_unless", holds, otherwise)
        return
    kind, word, matched = builder.temporary(), builder.temporary(), Label()
    if builtins.TIMEOUT_ERROR.name in test:
        builder.emit("is_type", holds, error, builder.type(builtins.TIMEOUT_ERROR))
        builder.emit("jump_if", holds, matched)
    builder.emit("is_type", holds, error, builder.type(builtins.LLM_ERROR))
    builder.emit("jump_unless", holds, otherwise)
    builder.emit("field", kind, error, _KIND)
    for each in test:
        if each == builtins.TIMEOUT_ERROR.name:
            continue
        builder.emit("const", word, builder.tables.constant(each))
        builder.emit("eq", holds, kind, word)
        builder.emit("jump_if", holds, matched)
    builder.emit("jump", otherwise)
    builder.place(matched)


def _raise_again(
    builder: Builder, rest: tuple[tuple[Type, Raise], ...], error: int, node: ast.Node
) -> None:
    """What no clause took: each type by its own conversion."""
    for type_, place in rest[:-1]:
        following = Label()
        holds = builder.temporary()
        builder.emit("is_type", holds, error, builder.type(type_))
        builder.emit("jump_unless", holds, following)
        raise_error(builder, place, error, node)
        builder.place(following)
    if rest:
        raise_error(builder, rest[-1][1], error, node)
    else:
        # The clauses together take everything that the checker lets through.
        builder.emit("fail", error, at=node)
