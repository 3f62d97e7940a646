"""Types as they are written."""

from __future__ import annotations

from concerto.records import record
from concerto.syntax.ast.node import Node, Path


@record(kw_only=True)
class TypeExpr(Node):
    """Base of written types."""


@record(kw_only=True)
class NamedType(TypeExpr):
    """`Int`, `a::B`, `Array<T>`."""

    path: Path
    args: tuple[TypeExpr, ...] = ()


@record(kw_only=True)
class LiteralType(TypeExpr):
    """`"low"`."""

    value: str


@record(kw_only=True)
class NilType(TypeExpr):
    """`nil` or `()`."""


@record(kw_only=True)
class TupleType(TypeExpr):
    """`(A, B)`, `(A,)`."""

    items: tuple[TypeExpr, ...]


@record(kw_only=True)
class FunctionType(TypeExpr):
    """`fn(A, B) -> R`; without `->` the result is None here."""

    params: tuple[TypeExpr, ...]
    result: TypeExpr | None


@record(kw_only=True)
class UnionType(TypeExpr):
    """`A | B`, at least two members."""

    members: tuple[TypeExpr, ...]
