"""Operators, casts and indexing to code."""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.types import Type
from concerto.lower.functions import SMALL_INT, Builder, Label, type_of
from concerto.syntax import ast

_INT_OPS = {"+": "add_int", "-": "sub_int", "*": "mul_int", "/": "div_int", "%": "rem_int"}


_ANY_OPS = {
    "+": "any.add",
    "-": "any.sub",
    "*": "any.mul",
    "/": "any.div",
    "%": "any.rem",
    "<": "any.lt",
    ">": "any.lt",
    "<=": "any.le",
    ">=": "any.le",
}


_FLOAT_OPS = {
    "+": "add_float",
    "-": "sub_float",
    "*": "mul_float",
    "/": "div_float",
    "%": "rem_float",
}


def lower_binary(builder: Builder, node: ast.Binary, target: int) -> None:
    """A binary operation."""
    from concerto.lower.exprs import lower, lower_into, lower_operands, lower_window

    op = node.op
    if op == "|>":
        pipe = builder.facts.pipes[id(node)]
        lower_into(builder, node.left, builder.local(pipe.local))
        lower_into(builder, pipe.call, target)
        return
    if op in ("&&", "||"):
        end = Label()
        lower_into(builder, node.left, target)
        builder.emit("jump_unless" if op == "&&" else "jump_if", target, end)
        lower_into(builder, node.right, target)
        builder.place(end)
        return
    if op == "??":
        _coalesce(builder, node, target)
        return
    if op in ("..", "..="):
        left, right = lower_operands(builder, node.left, node.right)
        builder.emit("range" if op == ".." else "range_inclusive", target, left, right)
        return
    left_type, right_type = type_of(builder, node.left), type_of(builder, node.right)
    if t.ANY in (left_type, right_type) and op in _ANY_OPS:
        sides = (node.right, node.left) if op in (">", ">=") else (node.left, node.right)
        lower_dynamic(builder, _ANY_OPS[op], sides, target, node)
        return
    if op == "+" and left_type not in (t.INT, t.FLOAT):
        parts = _chain(node)
        builder.emit("concat", target, lower_window(builder, parts), len(parts), at=node)
        return
    if op in ("==", "!=", "<", ">", "<=", ">="):
        _comparison(builder, node, left_type, right_type, target)
        return
    small = (
        node.right.value
        if isinstance(node.right, ast.Literal) and type(node.right.value) is int
        else None
    )
    if left_type == t.INT and op in "+-" and small is not None and abs(small) < SMALL_INT:
        builder.emit(
            "add_int_imm",
            target,
            lower(builder, node.left),
            small if op == "+" else -small,
            at=node,
        )
        return
    left, right = lower_operands(builder, node.left, node.right)
    name = (_FLOAT_OPS if left_type == t.FLOAT else _INT_OPS)[op]
    builder.emit(name, target, left, right, at=node)


def lower_dynamic(
    builder: Builder,
    native: str,
    args: tuple[ast.Expr | str | int, ...],
    target: int,
    node: ast.Expr,
) -> None:
    """An operation on values whose type is only known at run time; texts and numbers are constants."""
    from concerto.lower.exprs import lower_into

    first = builder.temporary(len(args))
    # Operands are evaluated as written, whatever place they take.
    order = sorted(range(len(args)), key=lambda at: _start(args[at]))
    for position in order:
        match args[position]:
            case str() as text:
                builder.emit("const", first + position, builder.tables.constant(text))
            case int() as number:
                builder.emit("int", first + position, number)
            case ast.Expr() as value:
                lower_into(builder, value, first + position)
    builder.emit("native", target, native, first, len(args), at=node)


def _start(arg: ast.Expr | str | int) -> int:
    return arg.span.start if isinstance(arg, ast.Expr) else -1


def _chain(node: ast.Binary) -> tuple[ast.Expr, ...]:
    """The operands of a chain of `+` on texts, so that it is one concatenation."""
    parts: list[ast.Expr] = []
    here: ast.Expr = node
    while isinstance(here, ast.Binary) and here.op == "+":
        parts.append(here.right)
        here = here.left
    return (here, *reversed(parts))


def _comparison(
    builder: Builder, node: ast.Binary, left_type: Type, right_type: Type, target: int
) -> None:
    from concerto.lower.exprs import lower_operands

    left, right = lower_operands(builder, node.left, node.right)
    op = node.op
    if op in (">", ">="):
        left, right, op = right, left, {">": "<", ">=": "<="}[op]
    base = {"==": "eq", "!=": "eq", "<": "lt", "<=": "le"}[op]
    suffix = ""
    if left_type == right_type and left_type in (t.INT, t.FLOAT):
        suffix = "_int" if left_type == t.INT else "_float"
    builder.emit(base + suffix, target, left, right)
    if node.op == "!=":
        builder.emit("not", target, target)


def _coalesce(builder: Builder, node: ast.Binary, target: int) -> None:
    from concerto.lower.exprs import lower_into

    left = type_of(builder, node.left)
    if left not in (t.ANY, t.NIL) and not isinstance(left, t.Option):
        lower_into(builder, node.left, target)  # never nil, of which the check warns
        return
    other, end = Label(), Label()
    option = builder.temporary()
    lower_into(builder, node.left, option)
    if left == t.ANY:
        builder.emit("native", option, "any.option", option, 1)
    builder.emit("unwrap_or_jump", target, option, other)
    if isinstance(t.resolve(builder.facts.types[id(node)]), t.Option) and isinstance(
        type_of(builder, node.right), t.Option
    ):
        builder.emit("some", target, target)
    builder.emit("jump", end)
    builder.place(other)
    lower_into(builder, node.right, target)
    builder.place(end)


def lower_index(builder: Builder, node: ast.Index, target: int) -> None:
    """An element, a value of a map, a character, or a slice."""
    from concerto.lower.exprs import lower, lower_operands, lower_window

    object_type = type_of(builder, node.object)
    if isinstance(object_type, t.Tuple):
        builder.emit(
            "tuple_field", target, lower(builder, node.object), builder.facts.fields[id(node)]
        )
        return
    if object_type == t.ANY:
        lower_dynamic(builder, "any.index", (node.object, node.index), target, node)
        return
    if isinstance(object_type, t.Store):
        parts = lower_window(builder, (node.object, node.index))
        builder.emit("native", target, "store.at", parts, 2, at=node)
        return
    subject, at = lower_operands(builder, node.object, node.index)
    ranged = type_of(builder, node.index) == t.RANGE
    if isinstance(object_type, t.Array):
        name = "slice_array" if ranged else "index_array"
    elif isinstance(object_type, t.Map):
        name = "index_map"
    else:
        name = "slice_string" if ranged else "index_string"
    builder.emit(name, target, subject, at, at=node)


def lower_open_range(builder: Builder, node: ast.OpenRange, target: int) -> None:
    """A range with an open end, as an index takes it."""
    from concerto.lower.exprs import lower_into

    start, end = builder.temporary(), builder.temporary()
    if node.start is not None:
        lower_into(builder, node.start, start)
    else:
        builder.emit("int", start, 0)
    if node.end is not None:
        lower_into(builder, node.end, end)
    else:
        builder.emit("const", end, builder.tables.constant(2**63 - 1))
    builder.emit("range_inclusive" if node.inclusive else "range", target, start, end)


def lower_cast(builder: Builder, node: ast.Cast, operand: ast.Expr, target: int) -> None:
    """`x as T`."""
    from concerto.lower.exprs import lower_into

    lower_into(builder, operand, target)
    source, wanted = type_of(builder, operand), t.resolve(builder.facts.types[id(node)])
    if (source, wanted) == (t.INT, t.FLOAT):
        builder.emit("int_to_float", target, target)
    elif (source, wanted) == (t.FLOAT, t.INT):
        builder.emit("float_to_int", target, target, at=node)
    else:
        steps = t.assign(source, wanted)
        if steps is None or "check" in steps:
            builder.emit("cast_type", target, target, builder.type(wanted), at=node)
