"""Expressions."""

from __future__ import annotations

from typing import Any

from concerto.source import Span
from concerto.syntax import ast
from concerto.syntax.grammar.rules import (
    comma_list,
    many_rules,
    name_at,
    place,
    rule,
    same,
    span_of,
)

comma_list("args", "arg")
comma_list("exprs", "expr")
comma_list("field_values", "field_value")
comma_list("entries", "entry")
comma_list("arms", "arm")
comma_list("handlers", "handler")
many_rules("closure_params", "closure_param", " COMMA ")

_BINARY = [
    "PIPE",
    "QQ",
    "OROR",
    "ANDAND",
    "EQ",
    "NE",
    "LT",
    "GT",
    "LE",
    "GE",
    "DOTDOT",
    "DOTDOTEQ",
    "PLUS",
    "MINUS",
    "STAR",
    "SLASH",
    "PERCENT",
]
_ASSIGNING = ["ASSIGN", "ADDEQ", "SUBEQ", "MULEQ", "DIVEQ", "MODEQ"]


@rule(*(f"expr : expr {kind} expr" for kind in _BINARY))
def binary(_parser: Any, p: Any) -> ast.Binary:
    return ast.Binary(span=span_of(p), op=p[1], left=p[0], right=p[2])


@rule(*(f"expr : expr {kind} expr" for kind in _ASSIGNING))
def assign(_parser: Any, p: Any) -> ast.Assign:
    return ast.Assign(span=span_of(p), op=p[1][:-1], place=p[0], value=p[2])


@rule("expr : expr DOTDOT_OPEN", "expr : DOTDOT_OPEN")
def open_end(_parser: Any, p: Any) -> ast.OpenRange:
    start = p[0] if len(p) == 2 else None
    return ast.OpenRange(span=span_of(p), start=start, end=None, inclusive=False)


@rule("expr : DOTDOT expr", "expr : DOTDOTEQ expr")
def open_start(_parser: Any, p: Any) -> ast.OpenRange:
    return ast.OpenRange(span=span_of(p), start=None, end=p.expr, inclusive=p[0] == "..=")


@rule("expr : MINUS expr %prec UNARY", "expr : NOT expr %prec UNARY")
def unary(_parser: Any, p: Any) -> ast.Expr:
    operand = p.expr
    is_number = isinstance(operand, ast.Literal) and type(operand.value) in (int, float)
    if p[0] == "-" and is_number and operand.span.start == place(p, 0).end:
        return ast.Literal(span=span_of(p), value=-operand.value)
    return ast.Unary(span=span_of(p), op=p[0], operand=operand)


@rule("expr : AWAIT expr", "expr : expr DOT AWAIT")
def await_(_parser: Any, p: Any) -> ast.Await:
    return ast.Await(span=span_of(p), operand=p.expr)


@rule("expr : SPAWN expr %prec AWAIT")
def spawn(_parser: Any, p: Any) -> ast.Spawn:
    return ast.Spawn(span=span_of(p), operand=p.expr)


@rule("expr : expr AS type_atom")
def cast(_parser: Any, p: Any) -> ast.Cast:
    return ast.Cast(span=span_of(p), operand=p.expr, type=p.type_atom)


@rule("expr : expr QUEST")
def try_(_parser: Any, p: Any) -> ast.Try:
    return ast.Try(span=span_of(p), operand=p.expr)


@rule("expr : expr DOT IDENT")
def field_access(_parser: Any, p: Any) -> ast.FieldAccess:
    return ast.FieldAccess(span=span_of(p), object=p[0], name=name_at(p, 2))


@rule("expr : expr DOT INT")
def tuple_access(_parser: Any, p: Any) -> ast.TupleAccess:
    return ast.TupleAccess(span=span_of(p), object=p[0], index=p[2])


@rule("expr : expr LBRACKET expr RBRACKET")
def index(_parser: Any, p: Any) -> ast.Index:
    return ast.Index(span=span_of(p), object=p[0], index=p[2])


@rule("expr : expr LPAREN args RPAREN")
def call(_parser: Any, p: Any) -> ast.Call:
    return ast.Call(span=span_of(p), callee=p[0], type_args=(), args=p[2])


@rule("expr : expr LANGLE opt_types RANGLE LPAREN args RPAREN")
def generic_call(_parser: Any, p: Any) -> ast.Call:
    return ast.Call(span=span_of(p), callee=p[0], type_args=p[2], args=p[5])


@rule("arg : expr", "arg : IDENT COLON expr")
def argument(_parser: Any, p: Any) -> ast.Argument:
    name = name_at(p, 0) if len(p) == 3 else None
    return ast.Argument(span=span_of(p), name=name, value=p[-1])


@rule("expr : RETURN %prec LOWEST", "expr : RETURN expr %prec LOWEST")
def return_(_parser: Any, p: Any) -> ast.Return:
    return ast.Return(span=span_of(p), value=p[1] if len(p) == 2 else None)


@rule("expr : THROW expr %prec LOWEST")
def throw(_parser: Any, p: Any) -> ast.Throw:
    return ast.Throw(span=span_of(p), value=p.expr)


@rule("expr : BREAK %prec LOWEST", "expr : BREAK expr %prec LOWEST")
def break_(_parser: Any, p: Any) -> ast.Break:
    return ast.Break(span=span_of(p), label=None, value=p[1] if len(p) == 2 else None)


@rule("expr : BREAK LABEL %prec LOWEST", "expr : BREAK LABEL expr %prec LOWEST")
def break_label(_parser: Any, p: Any) -> ast.Break:
    value = p[2] if len(p) == 3 else None
    return ast.Break(span=span_of(p), label=name_at(p, 1), value=value)


@rule("expr : CONTINUE", "expr : CONTINUE LABEL")
def continue_(_parser: Any, p: Any) -> ast.Continue:
    return ast.Continue(span=span_of(p), label=name_at(p, 1) if len(p) == 2 else None)


@rule(
    "expr : closure_head expr %prec LOWEST",
    "expr : closure_head ARROW type block",
)
def closure(_parser: Any, p: Any) -> ast.Closure:
    params, start = p.closure_head
    typed = len(p) == 4
    body = p.block if typed else p.expr
    return ast.Closure(
        span=Span(start, body.span.end),
        params=params,
        result=p.type if typed else None,
        body=body,
        is_async=False,
    )


@rule("expr : ASYNC_CLOSURE closure_head expr %prec LOWEST")
def async_closure(_parser: Any, p: Any) -> ast.Closure:
    params, _ = p.closure_head
    return ast.Closure(
        span=Span(p.start, p.expr.span.end), params=params, result=None, body=p.expr, is_async=True
    )


@rule("closure_head : BAR closure_params BAR", "closure_head : OROR")
def closure_head(_parser: Any, p: Any) -> tuple[tuple[ast.ClosureParam, ...], int]:
    return tuple(p[1]) if len(p) == 3 else (), p.start


@rule(
    "closure_param : opt_mut pattern_atom", "closure_param : opt_mut pattern_atom COLON type_atom"
)
def closure_param(_parser: Any, p: Any) -> ast.ClosureParam:
    type_ = p[3] if len(p) == 4 else None
    return ast.ClosureParam(span=span_of(p), pattern=p[1], type=type_, is_mut=p[0])


same(
    "expr : primary",
    "primary : istring",
    "primary : block",
    "primary : if_expr",
    "primary : match_expr",
    "primary : loop_expr",
    "primary : try_expr",
    "primary : listen_expr",
)


@rule("primary : INT", "primary : FLOAT", "primary : STRING")
def literal(_parser: Any, p: Any) -> ast.Literal:
    return ast.Literal(span=span_of(p), value=p[0])


@rule("primary : TRUE", "primary : FALSE", "primary : NIL")
def word(_parser: Any, p: Any) -> ast.Literal:
    return ast.Literal(span=span_of(p), value={"true": True, "false": False, "nil": None}[p[0]])


@rule("primary : SELF")
def self_(_parser: Any, p: Any) -> ast.SelfExpr:
    return ast.SelfExpr(span=span_of(p))


@rule("istring : ISTART expr istring_parts IEND")
def istring(_parser: Any, p: Any) -> ast.Interpolated:
    pieces = (p.ISTART, *(text for text, _ in p.istring_parts), p.IEND)
    values = (p.expr, *(value for _, value in p.istring_parts))
    return ast.Interpolated(span=span_of(p), pieces=pieces, values=values)


@rule("istring_parts : ")
def no_parts(_parser: Any, _p: Any) -> list[tuple[str, ast.Expr]]:
    return []


@rule("istring_parts : istring_parts IMID expr")
def more_parts(_parser: Any, p: Any) -> list[tuple[str, ast.Expr]]:
    parts: list[tuple[str, ast.Expr]] = p.istring_parts
    parts.append((p.IMID, p.expr))
    return parts


@rule("primary : path")
def path(_parser: Any, p: Any) -> ast.PathExpr:
    return ast.PathExpr(span=span_of(p), path=p[0])


@rule("primary : path LBRACE_STRUCT field_values RBRACE")
def struct(_parser: Any, p: Any) -> ast.StructLiteral:
    return ast.StructLiteral(span=span_of(p), path=p.path, fields=p.field_values)


@rule("field_value : IDENT", "field_value : IDENT COLON expr")
def field_value(_parser: Any, p: Any) -> ast.FieldValue:
    value = p[2] if len(p) == 3 else None
    return ast.FieldValue(span=span_of(p), name=name_at(p, 0), value=value)


@rule("primary : LPAREN RPAREN", "primary : LPAREN expr COMMA exprs RPAREN")
def tuple_(_parser: Any, p: Any) -> ast.TupleLiteral:
    items = (p.expr, *p.exprs) if len(p) == 5 else ()
    return ast.TupleLiteral(span=span_of(p), items=items)


@rule("primary : LPAREN expr RPAREN")
def grouped(parser: Any, p: Any) -> ast.Expr:
    inner: ast.Expr = p.expr
    parser.notes.parenthesised.add(id(inner))
    return inner


@rule("primary : LBRACKET exprs RBRACKET")
def array(_parser: Any, p: Any) -> ast.ArrayLiteral:
    return ast.ArrayLiteral(span=span_of(p), items=p[1])


@rule("primary : LBRACE_MAP entries RBRACE")
def map_(_parser: Any, p: Any) -> ast.MapLiteral:
    return ast.MapLiteral(span=span_of(p), entries=p[1])


@rule("entry : expr COLON expr")
def entry(_parser: Any, p: Any) -> ast.Entry:
    return ast.Entry(span=span_of(p), key=p[0], value=p[2])


@rule(
    "if_expr : IF expr body",
    "if_expr : IF expr body ELSE block",
    "if_expr : IF expr body ELSE if_expr",
)
def if_(_parser: Any, p: Any) -> ast.If:
    other = p[4] if len(p) == 5 else None
    return ast.If(span=span_of(p), condition=p.expr, then=p.body, other=other)


@rule("match_expr : MATCH expr LBRACE_BODY arms RBRACE")
def match_(_parser: Any, p: Any) -> ast.Match:
    return ast.Match(span=span_of(p), subject=p.expr, arms=p.arms)


@rule("arm : pattern FATARROW expr", "arm : pattern IF expr FATARROW expr")
def arm(_parser: Any, p: Any) -> ast.Arm:
    guard = p[2] if len(p) == 5 else None
    return ast.Arm(span=span_of(p), pattern=p.pattern, guard=guard, body=p[len(p) - 1])


@rule("primary : LABEL COLON loop_expr")
def labelled(_parser: Any, p: Any) -> ast.Expr:
    loop: ast.Loop | ast.While | ast.For = p.loop_expr
    fields = {name: getattr(loop, name) for name in loop.__dataclass_fields__}
    return type(loop)(**{**fields, "label": name_at(p, 0), "span": span_of(p)})


@rule("loop_expr : LOOP block")
def loop(_parser: Any, p: Any) -> ast.Loop:
    return ast.Loop(span=span_of(p), label=None, body=p.block)


@rule("loop_expr : WHILE expr body")
def while_(_parser: Any, p: Any) -> ast.While:
    return ast.While(span=span_of(p), label=None, condition=p.expr, body=p.body)


@rule("loop_expr : FOR pattern IN expr body")
def for_(_parser: Any, p: Any) -> ast.For:
    return ast.For(
        span=span_of(p), label=None, pattern=p.pattern, iterable=p.expr, body=p.body, parallel=None
    )


@rule(
    "loop_expr : PARALLEL FOR pattern IN expr body",
    "loop_expr : PARALLEL LPAREN args RPAREN FOR pattern IN expr body",
)
def parallel_for(_parser: Any, p: Any) -> ast.For:
    return ast.For(
        span=span_of(p),
        label=None,
        pattern=p.pattern,
        iterable=p.expr,
        body=p.body,
        parallel=p.args if len(p) == 9 else (),
    )


@rule("try_expr : TRY block catches")
def try_catch(_parser: Any, p: Any) -> ast.TryCatch:
    return ast.TryCatch(span=span_of(p), body=p.block, catches=tuple(p.catches))


@rule("catches : ")
def no_catches(_parser: Any, _p: Any) -> list[ast.Catch]:
    return []


@rule(
    "catches : catches CATCH block",
    "catches : catches CATCH type_atom block",
    "catches : catches CATCH type_atom LPAREN IDENT RPAREN block",
)
def more_catches(_parser: Any, p: Any) -> list[ast.Catch]:
    catches: list[ast.Catch] = p.catches
    span = Span(place(p, 1).start, p.block.span.end)
    type_ = p[2] if len(p) > 3 else None
    name = name_at(p, 4) if len(p) == 7 else None
    catches.append(ast.Catch(span=span, type=type_, name=name, body=p.block))
    return catches


@rule("listen_expr : LISTEN expr LBRACE_BODY handlers RBRACE")
def listen(_parser: Any, p: Any) -> ast.Listen:
    return ast.Listen(span=span_of(p), subject=p.expr, handlers=p.handlers)


@rule("handler : STRING FATARROW expr")
def handler(_parser: Any, p: Any) -> ast.Handler:
    return ast.Handler(span=span_of(p), channel=p.STRING, body=p.expr)
