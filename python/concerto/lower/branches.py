"""Conditions, `if` and `match` to code."""

from __future__ import annotations

from concerto.lower.coverage import ARM, ELSE, THEN, cover
from concerto.lower.functions import Builder, Label
from concerto.lower.patterns import bind_pattern, test_pattern
from concerto.syntax import ast


def lower_condition(builder: Builder, node: ast.Expr, otherwise: Label) -> None:
    """Jumps if the condition does not hold."""
    from concerto.lower.exprs import lower

    kept = builder.next
    if isinstance(node, ast.Binary) and node.op == "&&":
        lower_condition(builder, node.left, otherwise)
        lower_condition(builder, node.right, otherwise)
    else:
        builder.emit("jump_unless", lower(builder, node), otherwise)
    builder.next = kept


def _branch(builder: Builder, node: ast.Expr, target: int | None) -> None:
    from concerto.lower.exprs import lower_into, lower_unused

    if target is None:
        lower_unused(builder, node)
    else:
        lower_into(builder, node, target)


def lower_if(builder: Builder, node: ast.If, target: int | None) -> None:
    """An `if`; without a target nobody wants its value."""
    other, end = Label(), Label()
    lower_condition(builder, node.condition, other)
    cover(builder, node, THEN)
    _branch(builder, node.then, target if node.other else None)
    # What is measured has something to do where there is no `else`, too.
    if builder.reachable() and (node.other or builder.tables.points):
        builder.emit("jump", end)
    builder.place(other)
    cover(builder, node, ELSE)
    if node.other is not None:
        _branch(builder, node.other, target)
    builder.place(end)
    if node.other is None and target is not None:
        builder.emit("nil", target)


def lower_match(builder: Builder, node: ast.Match, target: int | None) -> None:
    """A `match`: arm after arm."""
    from concerto.lower.exprs import lower_into

    subject = builder.temporary()
    lower_into(builder, node.subject, subject)
    end = Label()
    for arm in node.arms:
        kept = builder.next
        following = Label()
        test_pattern(builder, arm.pattern, subject, following)
        bind_pattern(builder, arm.pattern, subject)
        if arm.guard is not None:
            lower_condition(builder, arm.guard, following)
        cover(builder, arm, ARM)
        cover(builder, arm.body)
        _branch(builder, arm.body, target)
        if builder.reachable():
            builder.emit("jump", end)
        builder.place(following)
        builder.next = kept
    builder.emit("no_match", at=node)
    builder.place(end)
