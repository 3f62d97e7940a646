"""Expressions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from concerto.records import record
from concerto.syntax.ast.node import Name, Node, Path
from concerto.syntax.ast.pattern import Pattern
from concerto.syntax.ast.type_expr import TypeExpr

if TYPE_CHECKING:
    from concerto.syntax.ast.stmt import Statement


@record(kw_only=True)
class Expr(Node):
    """Base of expressions."""


@record(kw_only=True)
class Literal(Expr):
    """A number, string without interpolation, truth value or nil."""

    value: int | float | str | bool | None


@record(kw_only=True)
class Interpolated(Expr):
    """`"a${x}b"`: pieces and values alternate, a piece first and last."""

    pieces: tuple[str, ...]
    values: tuple[Expr, ...]


@record(kw_only=True)
class PathExpr(Expr):
    """`x`, `E::V`, `m::f`."""

    path: Path


@record(kw_only=True)
class SelfExpr(Expr):
    """`self`."""


@record(kw_only=True)
class Binary(Expr):
    """`left op right`, ranges and `??` included; the span covers both operands."""

    op: str
    left: Expr
    right: Expr


@record(kw_only=True)
class OpenRange(Expr):
    """`a..`, `..b`, `..=b` or `..`."""

    start: Expr | None
    end: Expr | None
    inclusive: bool


@record(kw_only=True)
class Unary(Expr):
    """`-x` or `!x`."""

    op: str
    operand: Expr


@record(kw_only=True)
class Assign(Expr):
    """`place = value` or `place op= value`; `op` is empty or the operator."""

    op: str
    place: Expr
    value: Expr


@record(kw_only=True)
class Await(Expr):
    """`await x` or `x.await`."""

    operand: Expr


@record(kw_only=True)
class Spawn(Expr):
    """`spawn x`."""

    operand: Expr


@record(kw_only=True)
class Cast(Expr):
    """`x as T`."""

    operand: Expr
    type: TypeExpr


@record(kw_only=True)
class Try(Expr):
    """`x?`."""

    operand: Expr


@record(kw_only=True)
class FieldAccess(Expr):
    """`x.name`."""

    object: Expr
    name: Name


@record(kw_only=True)
class TupleAccess(Expr):
    """`x.0`."""

    object: Expr
    index: int


@record(kw_only=True)
class Index(Expr):
    """`x[i]`."""

    object: Expr
    index: Expr


@record(kw_only=True)
class Argument(Node):
    """`value` or `name: value`."""

    name: Name | None
    value: Expr


@record(kw_only=True)
class Call(Expr):
    """`f(a)`, `x.m<T>(a)`."""

    callee: Expr
    type_args: tuple[TypeExpr, ...]
    args: tuple[Argument, ...]


@record(kw_only=True)
class Return(Expr):
    """`return x`."""

    value: Expr | None


@record(kw_only=True)
class Throw(Expr):
    """`throw x`."""

    value: Expr


@record(kw_only=True)
class Break(Expr):
    """`break 'label x`."""

    label: Name | None
    value: Expr | None


@record(kw_only=True)
class Continue(Expr):
    """`continue 'label`."""

    label: Name | None


@record(kw_only=True)
class ClosureParam(Node):
    """A parameter of a closure."""

    pattern: Pattern
    type: TypeExpr | None
    is_mut: bool


@record(kw_only=True)
class Closure(Expr):
    """`|x| e`, `|x| -> T { .. }`, `async |x| e`."""

    params: tuple[ClosureParam, ...]
    result: TypeExpr | None
    body: Expr
    is_async: bool


@record(kw_only=True)
class FieldValue(Node):
    """`name: value` or `name` in a struct literal."""

    name: Name
    value: Expr | None


@record(kw_only=True)
class StructLiteral(Expr):
    """`S { a: 1, b }`."""

    path: Path
    fields: tuple[FieldValue, ...]


@record(kw_only=True)
class TupleLiteral(Expr):
    """`(a, b)`, `(a,)`, `()`."""

    items: tuple[Expr, ...]


@record(kw_only=True)
class ArrayLiteral(Expr):
    """`[a, b]`."""

    items: tuple[Expr, ...]


@record(kw_only=True)
class Entry(Node):
    """`key: value` in a map."""

    key: Expr
    value: Expr


@record(kw_only=True)
class MapLiteral(Expr):
    """`{ "a": 1 }`."""

    entries: tuple[Entry, ...]


@record(kw_only=True)
class Block(Expr):
    """`{ stmts tail }`; without a tail its value is nil."""

    statements: tuple[Statement, ...]
    tail: Expr | None


@record(kw_only=True)
class If(Expr):
    """`if c { } else { }`; the other branch is a block or another `if`."""

    condition: Expr
    then: Block
    other: Expr | None


@record(kw_only=True)
class Arm(Node):
    """`pattern if guard => body`."""

    pattern: Pattern
    guard: Expr | None
    body: Expr


@record(kw_only=True)
class Match(Expr):
    """`match x { arms }`."""

    subject: Expr
    arms: tuple[Arm, ...]


@record(kw_only=True)
class Loop(Expr):
    """`loop { }`."""

    label: Name | None
    body: Block


@record(kw_only=True)
class While(Expr):
    """`while c { }`."""

    label: Name | None
    condition: Expr
    body: Block


@record(kw_only=True)
class For(Expr):
    """`for p in x { }`; `parallel` holds the arguments of a parallel loop, else None."""

    label: Name | None
    pattern: Pattern
    iterable: Expr
    body: Block
    parallel: tuple[Argument, ...] | None


@record(kw_only=True)
class Catch(Node):
    """`catch T(e) { }`."""

    type: TypeExpr | None
    name: Name | None
    body: Block


@record(kw_only=True)
class TryCatch(Expr):
    """`try { } catch { }`."""

    body: Block
    catches: tuple[Catch, ...]


@record(kw_only=True)
class Handler(Node):
    """`"channel" => closure`."""

    channel: str
    body: Expr


@record(kw_only=True)
class Listen(Expr):
    """`listen x { handlers }`."""

    subject: Expr
    handlers: tuple[Handler, ...]
