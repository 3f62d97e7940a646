"""Patterns."""

from __future__ import annotations

from typing import Any

from concerto.syntax import ast
from concerto.syntax.grammar.rules import comma_list, many_rules, name_at, rule, same, span_of

comma_list("patterns", "pattern")
comma_list("field_patterns", "field_pattern")
many_rules("pattern_options", "pattern_atom", " BAR ", least=2)
same("pattern : pattern_atom", "number : INT", "number : FLOAT")


@rule("pattern : pattern_options")
def options(_parser: Any, p: Any) -> ast.OrPattern:
    return ast.OrPattern(span=span_of(p), options=tuple(p[0]))


@rule("pattern_atom : path")
def path(_parser: Any, p: Any) -> ast.PathPattern:
    return ast.PathPattern(span=span_of(p), path=p[0])


@rule("pattern_atom : IDENT AT pattern_atom")
def bind(_parser: Any, p: Any) -> ast.BindPattern:
    return ast.BindPattern(span=span_of(p), name=name_at(p, 0), inner=p.pattern_atom)


@rule("range_end : number", "range_end : MINUS number")
def range_end(_parser: Any, p: Any) -> int | float:
    return -p.number if len(p) == 2 else p.number  # type: ignore[no-any-return]  # SLY is untyped


@rule("pattern_atom : range_end DOTDOT range_end", "pattern_atom : range_end DOTDOTEQ range_end")
def range_(_parser: Any, p: Any) -> ast.RangePattern:
    return ast.RangePattern(
        span=span_of(p), start=p.range_end0, end=p.range_end1, inclusive=p[1] == "..="
    )


@rule("pattern_atom : number", "pattern_atom : MINUS number", "pattern_atom : STRING")
def plain(_parser: Any, p: Any) -> ast.LiteralPattern:
    value = -p[1] if len(p) == 2 else p[0]
    return ast.LiteralPattern(span=span_of(p), value=value)


@rule("pattern_atom : TRUE", "pattern_atom : FALSE", "pattern_atom : NIL")
def word(_parser: Any, p: Any) -> ast.LiteralPattern:
    return ast.LiteralPattern(
        span=span_of(p), value={"true": True, "false": False, "nil": None}[p[0]]
    )


@rule("pattern_atom : path LPAREN patterns RPAREN")
def variant(_parser: Any, p: Any) -> ast.VariantPattern:
    return ast.VariantPattern(span=span_of(p), path=p[0], items=p[2])


@rule("pattern_atom : path LBRACE_STRUCT field_patterns RBRACE")
def struct(parser: Any, p: Any) -> ast.StructPattern:
    fields = tuple(f for f in p.field_patterns if isinstance(f, ast.FieldPattern))
    rests = [f for f in p.field_patterns if isinstance(f, ast.RestPattern)]
    parser.notes.rests += [rest.span for rest in rests[1:]]
    return ast.StructPattern(span=span_of(p), path=p.path, fields=fields, has_rest=bool(rests))


@rule("field_pattern : IDENT", "field_pattern : IDENT COLON pattern")
def field(_parser: Any, p: Any) -> ast.FieldPattern:
    inner = p[2] if len(p) == 3 else None
    return ast.FieldPattern(span=span_of(p), name=name_at(p, 0), pattern=inner)


@rule("field_pattern : DOTDOT_OPEN")
def field_rest(_parser: Any, p: Any) -> ast.RestPattern:
    return ast.RestPattern(span=span_of(p), name=None)


@rule("pattern_atom : LPAREN RPAREN", "pattern_atom : LPAREN pattern COMMA patterns RPAREN")
def tuple_(_parser: Any, p: Any) -> ast.TuplePattern:
    items = (p.pattern, *p.patterns) if len(p) == 5 else ()
    return ast.TuplePattern(span=span_of(p), items=items)


@rule("pattern_atom : LPAREN pattern RPAREN")
def grouped(_parser: Any, p: Any) -> ast.Pattern:
    inner: ast.Pattern = p.pattern
    return inner


@rule("pattern_atom : LBRACKET patterns RBRACKET")
def array(_parser: Any, p: Any) -> ast.ArrayPattern:
    return ast.ArrayPattern(span=span_of(p), items=p.patterns)


@rule("pattern_atom : DOTDOT IDENT", "pattern_atom : DOTDOT_OPEN")
def rest(_parser: Any, p: Any) -> ast.RestPattern:
    return ast.RestPattern(span=span_of(p), name=name_at(p, 1) if len(p) == 2 else None)
