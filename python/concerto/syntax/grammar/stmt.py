"""Statements and blocks."""

from __future__ import annotations

from typing import Any

from concerto.syntax import ast
from concerto.syntax.grammar.rules import name_at, optional, place, rule, same, span_of

optional("opt_mut", "MUT", take=None)
optional("opt_type", "COLON type", take=1)
optional("opt_value", "ASSIGN expr", take=1)


@rule("block : LBRACE stmts RBRACE", "body : LBRACE_BODY stmts RBRACE")
def block(_parser: Any, p: Any) -> ast.Block:
    return _block(p, None)


@rule("block : LBRACE stmts expr RBRACE", "body : LBRACE_BODY stmts expr RBRACE")
def block_with_tail(_parser: Any, p: Any) -> ast.Block:
    return _block(p, p[2])


def _block(p: Any, tail: ast.Expr | None) -> ast.Block:
    return ast.Block(span=span_of(p), statements=tuple(p[1]), tail=tail)


@rule("stmts : ")
def no_statements(_parser: Any, _p: Any) -> list[ast.Statement]:
    return []


@rule("stmts : stmts stmt")
def more_statements(_parser: Any, p: Any) -> list[ast.Statement]:
    statements: list[ast.Statement] = p[0]
    if p[1] is not None:
        statements.append(p[1])
    return statements


same("stmt : base_stmt", "stmt : local_const")


@rule("base_stmt : SEMI")
def empty(parser: Any, p: Any) -> None:
    if p[0] == ";":
        parser.notes.semicolons.append(place(p, 0))


@rule("base_stmt : LET opt_mut pattern opt_type opt_value SEMI")
def let(_parser: Any, p: Any) -> ast.Let:
    return ast.Let(span=span_of(p), is_mut=p[1], pattern=p[2], type=p[3], value=p[4])


@rule("base_stmt : expr SEMI")
def expression(_parser: Any, p: Any) -> ast.ExprStatement:
    return ast.ExprStatement(span=span_of(p), value=p[0])


@rule("base_stmt : MOCK IDENT config")
def mock(_parser: Any, p: Any) -> ast.Mock:
    return ast.Mock(span=span_of(p), name=name_at(p, 1), fields=p.config)


@rule("local_const : CONST IDENT COLON type ASSIGN expr SEMI")
def local_const(_parser: Any, p: Any) -> ast.LocalConst:
    return ast.LocalConst(span=span_of(p), name=name_at(p, 1), type=p.type, value=p.expr)
