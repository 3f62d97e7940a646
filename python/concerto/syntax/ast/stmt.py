"""Statements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from concerto.records import record
from concerto.syntax.ast.expr import Expr
from concerto.syntax.ast.node import Name, Node
from concerto.syntax.ast.pattern import Pattern
from concerto.syntax.ast.type_expr import TypeExpr

if TYPE_CHECKING:
    from concerto.syntax.ast.decl import ConfigField


@record(kw_only=True)
class Statement(Node):
    """Base of statements."""


@record(kw_only=True)
class Let(Statement):
    """`let mut p: T = e;`."""

    is_mut: bool
    pattern: Pattern
    type: TypeExpr | None
    value: Expr | None


@record(kw_only=True)
class ExprStatement(Statement):
    """`e;`."""

    value: Expr


@record(kw_only=True)
class Mock(Statement):
    """`mock M { .. }`."""

    name: Name
    fields: tuple[ConfigField, ...]


@record(kw_only=True)
class LocalConst(Statement):
    """`const N: T = e;` in a block."""

    name: Name
    type: TypeExpr
    value: Expr
