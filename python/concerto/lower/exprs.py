"""Expressions and statements to code.

`lower_into` puts a value into a given register; `lower` gives a register that holds it, which for a variable is its own. What an instruction consumes is
lowered into a fresh register, so a variable keeps its value; the liveness pass takes back the copies that nobody needs.
"""

from __future__ import annotations

from concerto.check import builtins
from concerto.check import types as t
from concerto.check.checked import (
    ConstantName,
    FunctionName,
    Local,
    ModelName,
    PipelineName,
    StoreName,
    UnitVariant,
)
from concerto.check.types import Steps, Type
from concerto.lower.branches import lower_if, lower_match
from concerto.lower.calls import lower_call
from concerto.lower.closures import lower_closure, lower_function_name
from concerto.lower.coverage import cover
from concerto.lower.errors import load_error_part
from concerto.lower.functions import Builder, type_of
from concerto.lower.literals import (
    load_constant,
    load_record,
    lower_interpolated,
    lower_literal,
    lower_struct,
)
from concerto.lower.loops import lower_leave, lower_loop
from concerto.lower.operators import (
    lower_binary,
    lower_cast,
    lower_dynamic,
    lower_index,
    lower_open_range,
)
from concerto.lower.patterns import bind_pattern
from concerto.lower.pipelines import lower_pipeline_value
from concerto.lower.places import lower_assign
from concerto.lower.tasks import lower_awaited, lower_task
from concerto.lower.testing import lower_mock
from concerto.lower.tries import lower_question, lower_try, unwrap
from concerto.syntax import ast


def lower(builder: Builder, node: ast.Expr) -> int:
    """A register that holds the value: that of a variable if the expression is one, else a fresh one."""
    facts = builder.facts
    is_name = isinstance(node, ast.PathExpr | ast.SelfExpr)
    if is_name and id(node) not in facts.steps and id(node) not in facts.awaits:
        name = facts.names.get(id(node))
        if isinstance(name, Local):
            return builder.registers[id(name)]
    target = builder.temporary()
    lower_into(builder, node, target)
    return target


def lower_operands(builder: Builder, left: ast.Expr, right: ast.Expr) -> tuple[int, int]:
    """Registers of two operands; the left one is copied if the right one could change it."""
    first = lower(builder, left)
    if isinstance(left, ast.PathExpr | ast.SelfExpr) and not _is_plain(right):
        kept = builder.temporary()
        builder.emit("copy", kept, first)
        first = kept
    return first, lower(builder, right)


def _is_plain(node: ast.Expr) -> bool:
    """Whether evaluating it changes no variable."""
    match node:
        case ast.Literal() | ast.PathExpr() | ast.SelfExpr():
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
    if id(node) in builder.facts.awaits:
        lower_awaited(builder, node, target)
    else:
        lower_value(builder, node, target)
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
            case "error_message":
                load_error_part(builder, "message", target, target, node)
            case "prompt":
                load_record(builder, builtins.PROMPT, (target, None, None, None), target)
            case "check":
                inner = wanted.item if "some" in steps and isinstance(wanted, t.Option) else wanted
                builder.emit("check_type", target, target, builder.type(inner), at=node)
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
                cover(builder, tail)
                lower_unused(builder, tail)
            _drop_streams(builder, first)
        case ast.If():
            lower_if(builder, node, None)
        case ast.Match():
            lower_match(builder, node, None)
        case ast.TryCatch(catches=catches) if catches:
            lower_try(builder, node, None)
        case ast.While() | ast.For():
            lower_loop(builder, node, None)
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
        cover(builder, statement)
        match statement:
            case ast.Let(pattern=pattern, value=value):
                _let(builder, pattern, value)
            case ast.ExprStatement(value=value):
                lower_unused(builder, value)
            case ast.LocalConst():
                pass  # its uses hold the value
            case ast.Mock():
                lower_mock(builder, statement)
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


def _field(builder: Builder, node: ast.FieldAccess, target: int) -> None:
    of = type_of(builder, node.object)
    if of == t.ANY or isinstance(of, t.Union):
        lower_dynamic(builder, "any.field", (node.object, node.name.text), target, node)
    elif of == t.ERROR:
        load_error_part(builder, node.name.text, lower(builder, node.object), target, node)
    else:
        subject = lower(builder, node.object)
        builder.emit("field", target, subject, builder.facts.fields[id(node)])


def lower_value(builder: Builder, node: ast.Expr, target: int) -> None:
    """Puts the value of an expression, as it is, into a register."""
    match node:
        case ast.Literal(value=value):
            lower_literal(builder, value, t.resolve(builder.facts.types[id(node)]), target)
        case ast.Interpolated(pieces=pieces, values=values):
            lower_interpolated(builder, node, pieces, values, target)
        case ast.PathExpr() | ast.SelfExpr():
            _path(builder, node, target)
        case ast.Binary():
            lower_binary(builder, node, target)
        case ast.Unary():
            _unary(builder, node, target)
        case ast.Assign():
            lower_assign(builder, node)
            builder.emit("nil", target)
        case ast.Try():
            lower_question(builder, node, target)
        case ast.TryCatch():
            lower_try(builder, node, target)
        case ast.FieldAccess():
            _field(builder, node, target)
        case ast.TupleAccess(object=object_, index=index):
            if type_of(builder, object_) == t.ANY:
                lower_dynamic(builder, "any.index", (object_, index), target, node)
            else:
                subject = lower(builder, object_)
                builder.emit("tuple_field", target, subject, builder.facts.fields[id(node)])
        case ast.Index():
            lower_index(builder, node, target)
        case ast.Call():
            lower_call(builder, node, target)
        case ast.Await() | ast.Spawn():
            lower_task(builder, node, target)
        case ast.StructLiteral():
            lower_struct(builder, node, target)
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
                cover(builder, tail)
                lower_into(builder, tail, target)
            _drop_streams(builder, first)
        case ast.If():
            lower_if(builder, node, target)
        case ast.Match():
            lower_match(builder, node, target)
        case ast.Loop() | ast.While() | ast.For():
            lower_loop(builder, node, target)
        case ast.Return() | ast.Throw() | ast.Break() | ast.Continue():
            lower_leave(builder, node)
        case ast.Cast(operand=operand):
            lower_cast(builder, node, operand, target)
        case ast.Closure():
            lower_closure(builder, node, target)
        case ast.OpenRange():
            lower_open_range(builder, node, target)
        case _:
            raise AssertionError(node)


def _unary(builder: Builder, node: ast.Unary, target: int) -> None:
    inner = lower(builder, node.operand)
    if node.op == "-" and type_of(builder, node.operand) == t.ANY:
        lower_dynamic(builder, "any.neg", (node.operand,), target, node)
        return
    number = "neg_float" if type_of(builder, node.operand) == t.FLOAT else "neg_int"
    builder.emit("not" if node.op == "!" else number, target, inner, at=node)


def lower_window(builder: Builder, nodes: tuple[ast.Expr, ...]) -> int:
    """Values in registers side by side, to be consumed; evaluated as they are written, which names may put in another order."""
    first = builder.temporary(len(nodes))
    places = enumerate(nodes, first)
    for place, node in sorted(places, key=lambda each: each[1].span.start):
        lower_into(builder, node, place)
    return first


def _path(builder: Builder, node: ast.PathExpr | ast.SelfExpr, target: int) -> None:
    match builder.facts.names[id(node)]:
        case Local() as local:
            builder.emit("copy", target, builder.registers[id(local)])
        case ConstantName(type_, value):
            load_constant(builder, value, type_, target)
        case FunctionName():
            lower_function_name(builder, builder.facts.names[id(node)], target)
        case PipelineName(pipeline):
            lower_pipeline_value(builder, pipeline, target)
        case ModelName(model):
            builder.emit("model", target, builder.tables.models[model])
        case StoreName(index):
            which = builder.temporary()
            builder.emit("int", which, index)
            builder.emit("effect", target, "store.open", which, 1, at=node)
        case UnitVariant(None):
            builder.emit("none", target)
        case UnitVariant(t.Enum() as enum, variant):
            builder.emit("variant", target, builder.type(enum), variant, builder.next, 0)
        case other:
            raise AssertionError(other)
