"""Expressions and statements to code.

`lower_into` puts a value into a given register; `lower` gives a register that holds it, which for a variable is its own. What an instruction consumes is
lowered into a fresh register, so a variable keeps its value; the liveness pass takes back the copies that nobody needs.
"""

from __future__ import annotations

from typing import Any

from concerto.check import builtins
from concerto.check import types as t
from concerto.check.checked import (
    ConstantName,
    FunctionName,
    Local,
    ModelName,
    UnitVariant,
    VariantDefault,
    struct_info,
)
from concerto.check.exprs import field_value
from concerto.check.types import Steps, Type
from concerto.lower.calls import lower_call
from concerto.lower.closures import lower_closure, lower_function_name
from concerto.lower.functions import SMALL_INT, Builder, Label, LoopTarget
from concerto.lower.patterns import bind_pattern, test_pattern
from concerto.lower.places import lower_assign
from concerto.lower.tries import close_streams, lower_question, lower_try, raise_error, unwrap
from concerto.syntax import ast

_INT_OPS = {"+": "add_int", "-": "sub_int", "*": "mul_int", "/": "div_int", "%": "rem_int"}
_FLOAT_OPS = {
    "+": "add_float",
    "-": "sub_float",
    "*": "mul_float",
    "/": "div_float",
    "%": "rem_float",
}


def type_of(builder: Builder, node: ast.Expr) -> Type:
    """The type of an expression after its conversion."""
    converted = builder.facts.steps.get(id(node))
    return t.resolve(converted[1] if converted else builder.facts.types[id(node)])


def lower(builder: Builder, node: ast.Expr) -> int:
    """A register that holds the value: that of a variable if the expression is one, else a fresh one."""
    if isinstance(node, ast.PathExpr) and id(node) not in builder.facts.steps:
        name = builder.facts.names.get(id(node))
        if isinstance(name, Local):
            return builder.registers[id(name)]
    target = builder.temporary()
    lower_into(builder, node, target)
    return target


def lower_operands(builder: Builder, left: ast.Expr, right: ast.Expr) -> tuple[int, int]:
    """Registers of two operands; the left one is copied if the right one could change it."""
    first = lower(builder, left)
    if isinstance(left, ast.PathExpr) and not _is_plain(right):
        kept = builder.temporary()
        builder.emit("copy", kept, first)
        first = kept
    return first, lower(builder, right)


def _is_plain(node: ast.Expr) -> bool:
    """Whether evaluating it changes no variable."""
    match node:
        case ast.Literal() | ast.PathExpr():
            return True
        case (
            ast.FieldAccess(object=inner) | ast.TupleAccess(object=inner) | ast.Unary(operand=inner)
        ):
            return _is_plain(inner)
        case ast.Binary(left=left, right=right) | ast.Index(object=left, index=right):
            return _is_plain(left) and _is_plain(right)
        case ast.Call(args=args, callee=callee):
            plain_callee = isinstance(callee, ast.PathExpr)
            return plain_callee and all(_is_plain(arg.value) for arg in args)
        case _:
            return False


def lower_into(builder: Builder, node: ast.Expr, target: int) -> None:
    """Puts the value of an expression, converted as its place wants it, into a register."""
    kept = builder.next
    _value(builder, node, target)
    converted = builder.facts.steps.get(id(node))
    if converted and builder.reachable():
        convert(builder, converted[0], converted[1], target, node)
    builder.next = kept


def convert(builder: Builder, steps: Steps, wanted: Type, target: int, node: ast.Node) -> None:
    """Applies conversions to a register."""
    for step in steps:
        match step:
            case "int_to_float":
                builder.emit("int_to_float", target, target)
            case "some":
                builder.emit("some", target, target)
            case "none":
                builder.emit("none", target)
            case "message":
                builder.emit("field", target, target, 0)
            case "prompt":
                load_record(builder, builtins.PROMPT, (target, None, None, None), target)
            case "check":
                inner = wanted.item if "some" in steps and isinstance(wanted, t.Option) else wanted
                builder.emit("check_type", target, target, builder.tables.type(inner), at=node)
            case _:
                raise AssertionError(step)


def lower_unused(builder: Builder, node: ast.Expr) -> None:
    """Evaluates an expression whose value nobody wants."""
    kept = builder.next
    match node:
        case ast.Block(statements=statements, tail=tail):
            first = len(builder.locals)
            lower_statements(builder, statements)
            if tail is not None and builder.reachable():
                lower_unused(builder, tail)
            _drop_streams(builder, first)
        case ast.If():
            _if(builder, node, None)
        case ast.Match():
            _match(builder, node, None)
        case ast.TryCatch(catches=catches) if catches:
            lower_try(builder, node, None)
        case ast.While() | ast.For():
            _loop(builder, node, None)
        case ast.Assign():
            lower_assign(builder, node)
        case _:
            _discard(builder, node)
    builder.next = kept


def _discard(builder: Builder, node: ast.Expr) -> None:
    value = builder.temporary()
    lower_into(builder, node, value)
    if not builder.reachable():
        return
    place = builder.facts.discards.get(id(node))
    if place is not None:
        unwrap(builder, value, builder.temporary(), place, node)
    elif holds_stream(type_of(builder, node)):
        builder.emit("drop", value)


def _drop_streams(builder: Builder, first: int) -> None:
    """At the end of a block its streams have no owner any more (S-9)."""
    if builder.reachable():
        for local in builder.locals[first:]:
            if holds_stream(local.type):
                builder.emit("drop", builder.registers[id(local)])


def holds_stream(type_: Type) -> bool:
    """Whether a value keeps a connection open as long as somebody holds it."""
    type_ = t.resolve(type_)
    return type_ == t.STREAM or any(holds_stream(part) for part in t.parts(type_))


def lower_statements(builder: Builder, statements: tuple[ast.Statement, ...]) -> None:
    """Statements in order; what follows a statement that never ends is left out."""
    for statement in statements:
        if not builder.reachable():
            return
        match statement:
            case ast.Let(pattern=pattern, value=value):
                _let(builder, pattern, value)
            case ast.ExprStatement(value=value):
                lower_unused(builder, value)
            case _:
                raise AssertionError(statement)


def _let(builder: Builder, pattern: ast.Pattern, value: ast.Expr | None) -> None:
    local = builder.facts.patterns.get(id(pattern))
    if isinstance(local, Local) and isinstance(pattern, ast.PathPattern):
        if value is None:
            builder.emit("nil", builder.local(local))
            return
        # The initialiser does not see the new variable, which may shadow one that it reads.
        register = builder.temporary()
        lower_into(builder, value, register)
        builder.registers[id(local)] = register
        builder.locals.append(local)
        return
    if value is None:
        return
    subject = builder.temporary()
    lower_into(builder, value, subject)
    bind_pattern(builder, pattern, subject)


def _value(builder: Builder, node: ast.Expr, target: int) -> None:
    match node:
        case ast.Literal(value=value):
            _literal(builder, value, t.resolve(builder.facts.types[id(node)]), target)
        case ast.Interpolated(pieces=pieces, values=values):
            _interpolated(builder, pieces, values, target)
        case ast.PathExpr():
            _path(builder, node, target)
        case ast.Binary():
            _binary(builder, node, target)
        case ast.Unary(op=op, operand=operand):
            inner = lower(builder, operand)
            number = "neg_float" if type_of(builder, operand) == t.FLOAT else "neg_int"
            builder.emit("not" if op == "!" else number, target, inner, at=node)
        case ast.Assign():
            lower_assign(builder, node)
            builder.emit("nil", target)
        case ast.Try():
            lower_question(builder, node, target)
        case ast.TryCatch():
            lower_try(builder, node, target)
        case ast.FieldAccess(object=object_):
            builder.emit("field", target, lower(builder, object_), builder.facts.fields[id(node)])
        case ast.TupleAccess(object=object_):
            builder.emit(
                "tuple_field", target, lower(builder, object_), builder.facts.fields[id(node)]
            )
        case ast.Index():
            _index(builder, node, target)
        case ast.Call():
            lower_call(builder, node, target)
        case ast.StructLiteral():
            _struct(builder, node, target)
        case ast.TupleLiteral(items=()):
            builder.emit("nil", target)
        case ast.TupleLiteral(items=items):
            builder.emit("tuple", target, lower_window(builder, items), len(items))
        case ast.ArrayLiteral(items=items):
            builder.emit("array", target, lower_window(builder, items), len(items))
        case ast.MapLiteral(entries=entries):
            parts = tuple(part for entry in entries for part in (entry.key, entry.value))
            builder.emit("map", target, lower_window(builder, parts), len(entries))
        case ast.Block(statements=statements, tail=tail):
            first = len(builder.locals)
            lower_statements(builder, statements)
            if tail is None:
                builder.emit("nil", target)
            else:
                lower_into(builder, tail, target)
            _drop_streams(builder, first)
        case ast.If():
            _if(builder, node, target)
        case ast.Match():
            _match(builder, node, target)
        case ast.Loop() | ast.While() | ast.For():
            _loop(builder, node, target)
        case ast.Return() | ast.Throw() | ast.Break() | ast.Continue():
            _leave(builder, node)
        case ast.Cast(operand=operand):
            _cast(builder, node, operand, target)
        case ast.Closure():
            lower_closure(builder, node, target)
        case ast.OpenRange():
            _open_range(builder, node, target)
        case _:
            raise AssertionError(node)


def lower_window(builder: Builder, nodes: tuple[ast.Expr, ...]) -> int:
    """Values in registers side by side, to be consumed."""
    first = builder.temporary(len(nodes))
    for position, node in enumerate(nodes):
        lower_into(builder, node, first + position)
    return first


def _literal(builder: Builder, value: Any, type_: Type, target: int) -> None:
    inner = t.resolve(type_.item) if isinstance(type_, t.Option) else type_
    match value:
        case None:
            builder.emit("nil", target)
        case bool():
            builder.emit("bool", target, int(value))
        case int() if t.FLOAT in (type_, inner):
            builder.emit("const", target, builder.tables.constant(float(value)))
        case int() if -SMALL_INT <= value < SMALL_INT:
            builder.emit("int", target, value)
        case _:
            builder.emit("const", target, builder.tables.constant(value))


def load_constant(builder: Builder, value: Any, type_: Type, target: int) -> None:
    """A constant of the program, converted to a type."""
    type_ = t.resolve(type_)
    if isinstance(value, VariantDefault) and not isinstance(type_, t.Option):
        enum = builder.tables.type(t.Enum(value.enum))
        builder.emit("variant", target, enum, value.variant, builder.next, 0)
    elif isinstance(value, list):
        item = type_.item if isinstance(type_, t.Array) else t.ANY
        first = builder.temporary(len(value))
        for position, each in enumerate(value):
            load_constant(builder, each, item, first + position)
        builder.emit("array", target, first, len(value))
    elif isinstance(type_, t.Option):
        if value is None:
            builder.emit("none", target)
        else:
            load_constant(builder, value, type_.item, target)
            builder.emit("some", target, target)
    else:
        _literal(builder, value, type_, target)


def load_record(
    builder: Builder, type_: Type, fields: tuple[ast.Expr | str | int | None, ...], target: int
) -> None:
    """A built-in record; a field is an expression, a constant text, the register of a value, or None."""
    kept = builder.next
    first = builder.temporary(len(fields))
    for position, field in enumerate(fields, first):
        match field:
            case None:
                builder.emit("none", position)
            case str():
                builder.emit("const", position, builder.tables.constant(field))
            case int():
                builder.emit("move", position, field)
            case _:
                lower_into(builder, field, position)
    builder.emit("struct", target, builder.tables.type(type_), first, len(fields))
    builder.next = kept


def _interpolated(
    builder: Builder, pieces: tuple[str, ...], values: tuple[ast.Expr, ...], target: int
) -> None:
    parts: list[str | ast.Expr] = [pieces[0]]
    for value, piece in zip(values, pieces[1:], strict=True):
        parts += [value, piece]
    parts = [part for part in parts if part != ""]
    first = builder.temporary(len(parts))
    for position, part in enumerate(parts):
        if isinstance(part, str):
            builder.emit("const", first + position, builder.tables.constant(part))
        else:
            lower_into(builder, part, first + position)
    builder.emit("concat", target, first, len(parts))


def _path(builder: Builder, node: ast.PathExpr, target: int) -> None:
    match builder.facts.names[id(node)]:
        case Local() as local:
            builder.emit("copy", target, builder.registers[id(local)])
        case ConstantName(type_, value):
            load_constant(builder, value, type_, target)
        case FunctionName():
            lower_function_name(builder, builder.facts.names[id(node)], target)
        case ModelName(model):
            builder.emit("model", target, builder.tables.models[model])
        case UnitVariant(enum=None):
            builder.emit("none", target)
        case UnitVariant(enum=enum, variant=variant):
            assert enum is not None
            builder.emit(
                "variant", target, builder.tables.type(t.Enum(enum.name)), variant, builder.next, 0
            )
        case other:
            raise AssertionError(other)


def _binary(builder: Builder, node: ast.Binary, target: int) -> None:
    op = node.op
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
    if op == "+" and left_type not in (t.INT, t.FLOAT):
        parts = _chain(node)
        builder.emit("concat", target, lower_window(builder, parts), len(parts))
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
    other, end = Label(), Label()
    option = builder.temporary()
    lower_into(builder, node.left, option)
    builder.emit("unwrap_or_jump", target, option, other)
    if isinstance(t.resolve(builder.facts.types[id(node)]), t.Option) and isinstance(
        type_of(builder, node.right), t.Option
    ):
        builder.emit("some", target, target)
    builder.emit("jump", end)
    builder.place(other)
    lower_into(builder, node.right, target)
    builder.place(end)


def _index(builder: Builder, node: ast.Index, target: int) -> None:
    object_type = type_of(builder, node.object)
    if isinstance(object_type, t.Tuple):
        builder.emit(
            "tuple_field", target, lower(builder, node.object), builder.facts.fields[id(node)]
        )
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


def _open_range(builder: Builder, node: ast.OpenRange, target: int) -> None:
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


def _struct(builder: Builder, node: ast.StructLiteral, target: int) -> None:
    found = t.resolve(builder.facts.types[id(node)])
    assert isinstance(found, t.Struct)
    info = struct_info(builder.tables.checked.structs, found.name)
    assert info is not None
    given: dict[str, ast.Expr] = {}
    for field in node.fields:
        given[field.name.text] = builder.facts.names.get(id(field)) or field_value(field)
    first = builder.temporary(len(info.fields))
    # Values are evaluated in written order, defaults after them.
    order = {field.name: position for position, field in enumerate(info.fields)}
    for name, value in given.items():
        lower_into(builder, value, first + order[name])
    for each in info.fields:
        if each.name not in given:
            if each.has_default:
                load_constant(builder, each.default, each.type, first + order[each.name])
            else:
                builder.emit("none", first + order[each.name])
    type_ = builder.tables.type(t.Struct(info.name, info.origin))
    builder.emit("struct", target, type_, first, len(info.fields))


def lower_condition(builder: Builder, node: ast.Expr, otherwise: Label) -> None:
    """Jumps if the condition does not hold."""
    kept = builder.next
    if isinstance(node, ast.Binary) and node.op == "&&":
        lower_condition(builder, node.left, otherwise)
        lower_condition(builder, node.right, otherwise)
    else:
        builder.emit("jump_unless", lower(builder, node), otherwise)
    builder.next = kept


def _branch(builder: Builder, node: ast.Expr, target: int | None) -> None:
    if target is None:
        lower_unused(builder, node)
    else:
        lower_into(builder, node, target)


def _if(builder: Builder, node: ast.If, target: int | None) -> None:
    other, end = Label(), Label()
    lower_condition(builder, node.condition, other)
    if node.other is None:
        lower_unused(builder, node.then)
        builder.place(other)
        if target is not None:
            builder.emit("nil", target)
        return
    _branch(builder, node.then, target)
    if builder.reachable():
        builder.emit("jump", end)
    builder.place(other)
    _branch(builder, node.other, target)
    builder.place(end)


def _match(builder: Builder, node: ast.Match, target: int | None) -> None:
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
        _branch(builder, arm.body, target)
        if builder.reachable():
            builder.emit("jump", end)
        builder.place(following)
        builder.next = kept
    builder.emit("no_match", at=node)
    builder.place(end)


def _loop(builder: Builder, node: ast.Loop | ast.While | ast.For, target: int | None) -> None:
    label = node.label.text if node.label else None
    is_stream = isinstance(node, ast.For) and type_of(builder, node.iterable) == t.STREAM
    depth = len(builder.streams) + int(is_stream)
    loop = LoopTarget(label, target if isinstance(node, ast.Loop) else None, depth)
    builder.loops.append(loop)
    match node:
        case ast.While():
            builder.place(loop.again)
            lower_condition(builder, node.condition, loop.end)
            lower_unused(builder, node.body)
            builder.emit("jump", loop.again)
        case ast.For():
            _for(builder, node, loop)
        case ast.Loop():
            builder.place(loop.again)
            lower_unused(builder, node.body)
            builder.emit("jump", loop.again)
    builder.place(loop.end)
    builder.loops.pop()
    if target is not None and not isinstance(node, ast.Loop):
        builder.emit("nil", target)


def _for(builder: Builder, node: ast.For, loop: LoopTarget) -> None:
    found = type_of(builder, node.iterable)
    if found == t.RANGE:
        _for_range(builder, node, loop)
        return
    subject = builder.temporary()
    lower_into(builder, node.iterable, subject)
    if found == t.STREAM:
        _for_stream(builder, node, loop, subject)
        return
    index = builder.temporary()
    builder.emit("int", index, 0)
    pair = builder.temporary(2) if isinstance(found, t.Map) else 0
    item = pair if isinstance(found, t.Map) else builder.temporary()
    builder.place(loop.again)
    builder.emit(
        "map_next" if isinstance(found, t.Map) else "array_next", item, subject, index, loop.end
    )
    if isinstance(found, t.Map):
        assert isinstance(node.pattern, ast.TuplePattern)
        for position, part in enumerate(node.pattern.items):
            bind_pattern(builder, part, pair + position)
    else:
        bind_pattern(builder, node.pattern, item)
    lower_unused(builder, node.body)
    builder.emit("jump", loop.again)


def _for_range(builder: Builder, node: ast.For, loop: LoopTarget) -> None:
    range_ = node.iterable
    bounds = builder.temporary(2)
    if isinstance(range_, ast.Binary) and range_.op == "..":
        lower_into(builder, range_.left, bounds)
        lower_into(builder, range_.right, bounds + 1)
    else:
        subject = builder.temporary()
        lower_into(builder, range_, subject)
        builder.emit("range_bounds", bounds, subject)
    item = builder.temporary()
    builder.place(loop.again)
    builder.emit("range_next", item, bounds, bounds + 1, loop.end)
    bind_pattern(builder, node.pattern, item)
    lower_unused(builder, node.body)
    builder.emit("jump", loop.again)


def _for_stream(builder: Builder, node: ast.For, loop: LoopTarget, stream: int) -> None:
    failed, done = Label(), Label()
    item = builder.temporary()
    builder.place(loop.again)
    builder.emit("stream_next", item, stream, done, failed, at=node.iterable)
    bind_pattern(builder, node.pattern, item)
    builder.streams.append(stream)
    lower_unused(builder, node.body)
    builder.streams.pop()
    builder.emit("jump", loop.again)
    builder.place(failed)
    raise_error(builder, builder.facts.raises[id(node)], item, node.iterable)
    # `break` comes here: it closes the stream.
    builder.place(loop.end)
    builder.emit("stream_close", stream)
    loop.end = Label()
    builder.place(done)


def _leave(builder: Builder, node: ast.Expr) -> None:
    match node:
        case ast.Return(value=None):
            close_streams(builder, 0)
            builder.emit("return_nil")
        case ast.Return(value=ast.Expr() as value):
            result = builder.temporary()
            lower_into(builder, value, result)
            close_streams(builder, 0)
            builder.emit("return", result)
        case ast.Throw(value=value):
            error = builder.temporary()
            lower_into(builder, value, error)
            raise_error(builder, builder.facts.raises[id(node)], error, node)
        case ast.Break(label=label, value=value):
            loop = _target_loop(builder, label)
            if loop.value is not None:
                if value is not None:
                    lower_into(builder, value, loop.value)
                else:
                    builder.emit("nil", loop.value)
            elif value is not None:
                lower_unused(builder, value)
            close_streams(builder, loop.depth)
            builder.emit("jump", loop.end)
        case ast.Continue(label=label):
            loop = _target_loop(builder, label)
            close_streams(builder, loop.depth)
            builder.emit("jump", loop.again)
        case _:
            raise AssertionError(node)


def _target_loop(builder: Builder, label: ast.Name | None) -> LoopTarget:
    if label is None:
        return builder.loops[-1]
    return next(loop for loop in reversed(builder.loops) if loop.label == label.text)


def _cast(builder: Builder, node: ast.Cast, operand: ast.Expr, target: int) -> None:
    lower_into(builder, operand, target)
    source, wanted = type_of(builder, operand), t.resolve(builder.facts.types[id(node)])
    if (source, wanted) == (t.INT, t.FLOAT):
        builder.emit("int_to_float", target, target)
    elif (source, wanted) == (t.FLOAT, t.INT):
        builder.emit("float_to_int", target, target, at=node)
    elif (source == t.ANY and wanted != t.ANY) or (
        isinstance(source, t.Union) and source != wanted
    ):
        builder.emit("check_type", target, target, builder.tables.type(wanted), at=node)


__all__ = ["builtins", "lower", "lower_into", "lower_statements", "lower_unused", "lower_window"]
