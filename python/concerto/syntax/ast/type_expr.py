"""Types as they are written."""

from __future__ import annotations

from dataclasses import dataclass

from concerto.syntax.ast.node import Node, Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeExpr(Node):
    """Base of written types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedType(TypeExpr):
    """`Int`, `a::B`, `Array<T>`."""

    path: Path
    args: tuple[TypeExpr, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteralType(TypeExpr):
    """`"low"`."""

    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NilType(TypeExpr):
    """`nil` or `()`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TupleType(TypeExpr):
    """`(A, B)`, `(A,)`."""

    items: tuple[TypeExpr, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionType(TypeExpr):
    """`fn(A, B) -> R`; without `->` the result is None here."""

    params: tuple[TypeExpr, ...]
    result: TypeExpr | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnionType(TypeExpr):
    """`A | B`, at least two members."""

    members: tuple[TypeExpr, ...]
