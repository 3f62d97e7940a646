"""Types and paths."""

from __future__ import annotations

from typing import Any

from concerto.syntax import ast
from concerto.syntax.grammar.rules import comma_list, many_rules, name_at, rule, same, span_of

comma_list("opt_types", "type")
many_rules("union_members", "type_atom", " BAR ", least=2)
same("type : type_atom %prec LOWEST")


@rule("path : IDENT")
def name(_parser: Any, p: Any) -> ast.Path:
    only = name_at(p, 0)
    return ast.Path(span=only.span, names=(only,))


@rule("path : path COLONCOLON IDENT")
def path(_parser: Any, p: Any) -> ast.Path:
    return ast.Path(span=span_of(p), names=(*p[0].names, name_at(p, 2)))


@rule("type : union_members %prec LOWEST")
def union(_parser: Any, p: Any) -> ast.UnionType:
    return ast.UnionType(span=span_of(p), members=tuple(p[0]))


@rule("type_atom : path %prec LOWEST")
def named(_parser: Any, p: Any) -> ast.NamedType:
    return ast.NamedType(span=span_of(p), path=p[0])


@rule("type_atom : path LANGLE opt_types RANGLE")
def applied(_parser: Any, p: Any) -> ast.NamedType:
    return ast.NamedType(span=span_of(p), path=p[0], args=p[2])


@rule("type_atom : STRING")
def literal(_parser: Any, p: Any) -> ast.LiteralType:
    return ast.LiteralType(span=span_of(p), value=p.STRING)


@rule("type_atom : NIL", "type_atom : LPAREN RPAREN")
def nil(_parser: Any, p: Any) -> ast.NilType:
    return ast.NilType(span=span_of(p))


@rule("type_atom : LPAREN type RPAREN")
def grouped(_parser: Any, p: Any) -> ast.TypeExpr:
    inner: ast.TypeExpr = p.type
    return inner


@rule("type_atom : LPAREN type COMMA opt_types RPAREN")
def tuple_(_parser: Any, p: Any) -> ast.TupleType:
    return ast.TupleType(span=span_of(p), items=(p.type, *p.opt_types))


@rule(
    "type_atom : FN LPAREN opt_types RPAREN",
    "type_atom : FN LPAREN opt_types RPAREN ARROW type_atom",
)
def function(_parser: Any, p: Any) -> ast.FunctionType:
    result = p[5] if len(p) > 4 else None
    return ast.FunctionType(span=span_of(p), params=p.opt_types, result=result)
