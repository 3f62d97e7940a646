"""Loops, and what leaves them or the function."""

from __future__ import annotations

from typing import Any

from concerto.check import builtins
from concerto.check import types as t
from concerto.check.bodies import Body, LoopState, unknown_label
from concerto.check.branches import condition
from concerto.check.operators import check_span
from concerto.check.patterns import bind_whole
from concerto.check.tries import check_throw
from concerto.check.types import Type
from concerto.syntax import ast


def check_loop(
    body: Body, node: ast.Loop | ast.While | ast.For, expected: Type | None, discarded: bool
) -> Type:
    """The type of a loop: what `break` gives of a `loop`, Nil of the others."""
    from concerto.check.exprs import check_expr

    if isinstance(node, ast.For) and node.parallel is not None:
        from concerto.check.tasks import check_parallel

        return check_parallel(body, node, expected, discarded)
    label = node.label.text if node.label else None
    wanted = None if discarded else expected
    state = LoopState(label, isinstance(node, ast.Loop), wanted)
    body.scopes.append({})
    match node:
        case ast.While():
            condition(body, node.condition)
        case ast.For():
            found = t.resolve(check_span(body, node.iterable))
            item = item_type(body, node, found)
            before = len(body.checker.diagnostics)
            bind_whole(body, node.pattern, item)
            if isinstance(node.pattern, ast.TuplePattern) and len(node.pattern.items) == 2:
                help_ = "write `.enumerate()` behind the array for `(index, value)`"
                body.checker.add_help(before, "E3001", help_)
        case _:
            pass
    body.loops.append(state)
    check_expr(body, node.body, None, discarded=True)
    body.loops.pop()
    body.scopes.pop()
    if not isinstance(node, ast.Loop):
        return t.NIL
    for value in state.values:
        found = body.checker.facts.steps.get(
            id(value), (None, body.checker.facts.types[id(value)])
        )[1]
        steps = t.assign(t.resolve(found), state.value)
        if steps and id(value) not in body.checker.facts.steps:
            body.checker.facts.steps[id(value)] = (steps, state.value)
    return state.value if state.breaks else t.NEVER


def item_type(body: Body, node: ast.For, found: Type) -> Type:
    """The type of what a loop gets in each turn out of a value of type `found`."""
    checker = body.checker
    item: Type = t.UNKNOWN
    match found:
        case t.Array(inner):
            item = inner
        case t.Simple("Range"):
            item = t.INT
        case t.Collection("Set" | "Queue", inner):
            item = inner
        case t.Collection():
            message = f"`{t.show(found)}` is not iterable"
            checker.report("E3024", message, node.iterable, "use `.to_array()`: bottom to top")
        case t.Map(key, value) | t.Store(key, value):
            item = t.Tuple((key, value))
            if not isinstance(node.pattern, ast.TuplePattern):
                checker.report(
                    "E3024",
                    "a map has pairs",
                    node.pattern,
                    "write `for (key, value) in ..`, or use `.keys()`",
                )
                item = t.UNKNOWN
        case t.Simple("Stream"):
            item = builtins.CHUNK
            checker.facts.raises[id(node)] = body.raising(
                builtins.LLM_ERROR, node.iterable, what="the loop", implicit=True
            )
        case t.Result(ok, _) if t.resolve(ok) == t.STREAM:
            checker.report("E4034", "the stream may have failed to open", node.iterable, "add `?`")
        case t.Simple("String") | t.Literals():
            checker.report(
                "E3024", "a String is not iterable", node.iterable, "use `.chars()` or `.lines()`"
            )
        case t.Simple("Any"):
            pair = node.pattern
            parts = len(pair.items) if isinstance(pair, ast.TuplePattern) else None
            # Whether it is a tuple of so many parts is checked in each turn.
            item = t.ANY if parts is None else t.Tuple((t.ANY,) * parts)
        case t.Simple("?"):
            pass
        case _:
            help_ = None
            if isinstance(found, t.Result | t.Option):
                help_ = "take the value out first: add `?`, or match on it"
            elif found == t.INT:
                help_ = "write `0..n`"
            checker.report("E3024", f"`{t.show(found)}` is not iterable", node.iterable, help_)
    return item


def check_leave(body: Body, node: Any) -> Type:
    """The type of `return`, `throw`, `break` and `continue`, which never go on."""
    from concerto.check.exprs import check_expr

    checker = body.checker
    match node:
        case ast.Return(value=value):
            if body.is_task:
                _across_task(body, "return", node)
                if value is not None:
                    check_expr(body, value, None)
                return t.NEVER
            if body.at_top:
                checker.report("E2013", "`return` outside of a function", node)
            result = t.resolve(body.result)
            if value is None:
                if result not in (t.NIL, t.UNKNOWN) and not body.is_entry:
                    checker.mismatch(result, t.NIL, node, "write `return ..` with a value")
            else:
                before = len(checker.diagnostics)
                check_expr(body, value, None if body.at_top else result)
                if result == t.NIL:
                    help_ = (
                        "leave the value out, or write the type of the result: `fn f(..) -> Type`"
                    )
                    checker.add_help(before, "E3001", help_)
        case ast.Throw():
            check_throw(body, node)
        case ast.Break() | ast.Continue():
            _leave_loop(body, node)
    return t.NEVER


def _across_task(body: Body, word: str, node: ast.Expr) -> None:
    help_ = "let the task end with a value that says it"
    body.checker.report("E3038", f"`{word}` cannot leave a task", node, help_)


def _leaves_task(body: Body, label: ast.Name | None) -> bool:
    """Whether the loop that is meant stands outside of the task."""
    if label is None:
        return not body.loops
    here: Body | None = body
    while here is not None:
        if any(loop.label == label.text for loop in here.loops):
            return here is not body
        if here.label == label.text:
            return True
        here = here.outer if here.is_task else None
    return False


def _leave_loop(body: Body, node: ast.Break | ast.Continue) -> None:
    from concerto.check.exprs import check_expr

    word = "break" if isinstance(node, ast.Break) else "continue"
    if body.is_task and _leaves_task(body, node.label):
        _across_task(body, word, node)
        return
    if not body.loops:
        body.checker.report("E2013", f"`{word}` outside of a loop", node)
        return
    loop = body.loops[-1]
    if node.label is not None:
        named = [each for each in body.loops if each.label == node.label.text]
        if not named:
            unknown_label(body, node.label)
            return
        loop = named[-1]
    if isinstance(node, ast.Continue):
        return
    if node.value is not None and not loop.takes_value:
        body.checker.report(
            "E3023", "`break` with a value outside of `loop`", node, "only `loop` has a value"
        )
        check_expr(body, node.value, None)
        return
    value: Type = t.NIL
    if node.value is not None:
        value = check_expr(body, node.value, loop.expected)
        if loop.expected is not None and t.resolve(value) not in (t.NEVER, t.UNKNOWN):
            value = loop.expected
    joined = t.join(loop.value, value) if loop.breaks else value
    if joined is None:
        message = f"the values of the loop are `{t.show(loop.value)}` and `{t.show(value)}`"
        body.checker.report("E3008", message, node)
        joined = t.UNKNOWN
    loop.value, loop.breaks = joined, True
    if node.value is not None:
        loop.values.append(node.value)
