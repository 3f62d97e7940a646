"""Conditions, `if` and `match`."""

from __future__ import annotations

from collections.abc import Iterator

from concerto.check import types as t
from concerto.check.bodies import Body
from concerto.check.coverage import can_match, missing_forms
from concerto.check.emits import REPLY_RESULT, subject_type
from concerto.check.forms import Form, form_of, reply_form
from concerto.check.patterns import bind, is_misread_variant
from concerto.check.types import Type
from concerto.syntax import ast


def condition(body: Body, node: ast.Expr) -> None:
    """E3003, unless the expression is a Bool."""
    from concerto.check.exprs import check_expr

    if isinstance(node, ast.Assign) and not node.op:
        check_expr(body, node.place, None)
        check_expr(body, node.value, None)
        body.checker.facts.types[id(node)] = t.UNKNOWN
        body.checker.report("E3003", "an assignment is no condition", node, "write `==`")
        return
    found = t.resolve(check_expr(body, node, None))
    if found == t.ANY:
        body.checker.facts.steps[id(node)] = (("check",), t.BOOL)
    elif found not in (t.BOOL, t.UNKNOWN, t.NEVER):
        message = f"a condition must be Bool, found `{t.show(found)}`"
        holds, _ = as_truth(found) or ("compare it, such as `x != 0` or `!s.is_empty()`", "")
        body.checker.report("E3003", message, node, holds)


def as_truth(found: Type) -> tuple[str, str] | None:
    """How a value of a type becomes a condition, and what is written where others negate it."""
    match found:
        case t.Option():
            return "write `.is_some()`, or `match` on it to have its value", "write `.is_none()`"
        case t.Result():
            return "write `.is_ok()`, or `match` on it to have its value", "write `.is_err()`"
        case t.Array() | t.Map() | t.Collection() | t.Simple("String"):
            return "write `!x.is_empty()`", "write `.is_empty()`"
        case t.Simple("Int" | "Float"):
            return "compare it: `x != 0`", "compare it: `x == 0`"
        case _:
            return None


def result_of(node: ast.Expr) -> ast.Expr:
    """Where to point for the value of a block: at its tail."""
    while isinstance(node, ast.Block) and node.tail is not None:
        node = node.tail
    return node


def results_of(node: ast.Expr) -> Iterator[ast.Expr]:
    """The expressions of which one gives the value: the tails of blocks, branches, arms and clauses, else the expression itself."""
    match node:
        case ast.Block(tail=None):
            pass
        case ast.Block(tail=ast.Expr() as tail):
            yield from results_of(tail)
        case ast.If(then=then, other=other):
            yield from results_of(then)
            if other is not None:
                yield from results_of(other)
        case ast.Match(arms=arms):
            for arm in arms:
                yield from results_of(arm.body)
        case ast.TryCatch(body=body, catches=catches) if catches:
            for part in (body, *(clause.body for clause in catches)):
                yield from results_of(part)
        case _:
            yield node


def _branches(body: Body, nodes: list[ast.Expr], expected: Type | None, discarded: bool) -> Type:
    """The common type of branches."""
    from concerto.check.exprs import check_expr

    types = [check_expr(body, node, expected, discarded=discarded) for node in nodes]
    if discarded:
        return t.NEVER if all(t.resolve(type_) == t.NEVER for type_ in types) else t.NIL
    if expected is not None:
        never = all(t.resolve(type_) == t.NEVER for type_ in types)
        return t.NEVER if never else t.UNKNOWN if t.UNKNOWN in types else expected
    found: Type = t.NEVER
    for node, type_ in zip(nodes, types, strict=True):
        joined = t.join(found, type_)
        if joined is None:
            message = f"the branches are `{t.show(found)}` and `{t.show(type_)}`"
            body.checker.report("E3008", message, result_of(node), "give all branches one type")
            return t.UNKNOWN
        found = joined
    for node, type_ in zip(nodes, types, strict=True):
        steps = t.assign(type_, found)
        if steps:
            body.checker.facts.steps[id(result_of(node))] = (steps, found)
    return found


def check_if(body: Body, node: ast.If, expected: Type | None, discarded: bool) -> Type:
    """The type of an `if`; without `else` it is Nil."""
    from concerto.check.exprs import check_expr
    from concerto.check.lints import check_dropped

    condition(body, node.condition)
    if node.other is None:
        if expected is not None and t.resolve(expected) not in (t.NIL, t.ANY, t.UNKNOWN):
            if node is body.tail:
                message = f"a path ends without a value: expected `{t.show(expected)}`"
                body.checker.report("E3031", message, node, "add an `else`")
            else:
                body.checker.mismatch(expected, t.NIL, node, "add an `else`")
        check_expr(body, node.then, None, discarded=True)
        check_dropped(body, node.then)
        return t.UNKNOWN if expected is not None and t.resolve(expected) != t.NIL else t.NIL
    return _branches(body, [node.then, node.other], expected, discarded)


def check_match(body: Body, node: ast.Match, expected: Type | None, discarded: bool) -> Type:
    """The type of a `match`: E3029 if a value matches no arm, W3009 for arms that can never match."""
    from concerto.check.exprs import check_expr

    subject = t.resolve(check_expr(body, node.subject, None))
    if isinstance(subject, t.Var):
        # Nothing told its type before: it is Any.
        subject.bound = t.ANY
        subject = t.ANY
    subject = subject_type(body, node.subject, subject)
    is_reply = subject == t.REPLY
    covered = REPLY_RESULT if is_reply else subject
    taken: list[Form] = []
    is_sound, misread = subject != t.UNKNOWN, False
    types: list[tuple[ast.Expr, Type]] = []
    for arm in node.arms:
        body.scopes.append({})
        is_sound = bind(body, arm.pattern, subject) and is_sound
        if is_sound:
            form = form_of(body, arm.pattern)
            form = reply_form(form) if is_reply else form
            # A name that was taken for a variant was reported.
            misread = misread or is_misread_variant(body, arm.pattern)
            if not misread and not can_match(body, taken, form, covered):
                message, help_ = "this arm can never match", "earlier arms take all its values"
                body.checker.report("W3009", message, arm.pattern, help_)
            taken += [form] if arm.guard is None else []
        if arm.guard is not None:
            condition(body, arm.guard)
        types.append((arm.body, check_expr(body, arm.body, expected, discarded=discarded)))
        body.scopes.pop()
    if is_sound:
        _check_covered(body, node.subject, taken, covered, is_open=is_reply or subject == t.ANY)
    return join_arms(body, types, expected, discarded)


def _check_covered(
    body: Body, node: ast.Expr, taken: list[Form], subject: Type, *, is_open: bool
) -> None:
    missing = missing_forms(body, taken, subject)
    if not missing:
        return
    if is_open:
        message = "the value may match no arm, which panics"
        body.checker.report("W3008", message, node, "add an arm `_ => ..`")
        return
    shown = ", ".join(f"`{each}`" for each in missing)
    help_ = f"add an arm, such as `{missing[0]} => ..`"
    body.checker.report("E3029", f"the match does not cover {shown}", node, help_)


def join_arms(
    body: Body, arms: list[tuple[ast.Expr, Type]], expected: Type | None, discarded: bool
) -> Type:
    """The common type of arms."""
    never = all(t.resolve(type_) == t.NEVER for _, type_ in arms)
    if discarded or expected is not None:
        return t.NEVER if never and arms else t.NIL if discarded or expected is None else expected
    found: Type = t.NEVER
    for node, type_ in arms:
        joined = t.join(found, type_)
        if joined is None:
            message = f"the arms are `{t.show(found)}` and `{t.show(type_)}`"
            body.checker.report("E3008", message, result_of(node), "give all arms one type")
            return t.UNKNOWN
        found = joined
    for node, type_ in arms:
        steps = t.assign(type_, found)
        if steps:
            body.checker.facts.steps[id(result_of(node))] = (steps, found)
    return found
