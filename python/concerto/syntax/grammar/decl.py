"""Declarations and the program."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from concerto.source import Span
from concerto.syntax import ast
from concerto.syntax.grammar.rules import (
    comma_list,
    many_rules,
    name_at,
    optional,
    place,
    rule,
    same,
    span_of,
)

comma_list("dec_args", "dec_arg")
comma_list("params", "param")
comma_list("fields", "field")
comma_list("variants", "variant")
comma_list("uses", "use_tree")
comma_list("config_fields", "cfield")
comma_list("type_params", "type_param")
many_rules("bounds", "type_atom", " PLUS ")
optional("opt_async", "ASYNC", take=None)
optional("is_pub", "PUB", take=None)
optional("opt_quest", "QUEST", take=None)
optional("result", "ARROW type", take=1)
optional("trait_of_tool", "IMPL type_atom", take=1)


@rule("program : items")
def program(parser: Any, p: Any) -> ast.Module:
    items = tuple(p.items)
    return ast.Module(span=Span(0, parser.length), items=items, doc=parser.docs.module)


@rule("items : ", "methods : ", "decorators : ", "stages : ", "tool_items : ")
def nothing(_parser: Any, _p: Any) -> list[Any]:
    return []


@rule(
    "items : items declaration",
    "items : items base_stmt",
    "methods : methods method",
    "decorators : decorators decorator",
    "stages : stages stage",
    "tool_items : tool_items method",
)
def one_more(_parser: Any, p: Any) -> list[Any]:
    items: list[Any] = p[0]
    if p[1] is not None:  # a lone `;` is nothing
        items.append(p[1])
    return items


@rule("tool_items : tool_items tool_field COMMA")
def one_more_field(_parser: Any, p: Any) -> list[Any]:
    items: list[Any] = p[0]
    items.append(p[1])
    return items


def doc_of(parser: Any, span: Span) -> str | None:
    """The doc comment before something that can have one."""
    parser.notes.documented.add(span.start)
    found: str | None = parser.docs.before.get(span.start)
    return found


@rule("declaration : decorators is_pub core", "method : decorators is_pub function")
def declaration(parser: Any, p: Any) -> ast.Declaration:
    """Adds what stands before a declaration: decorators, `pub` and the doc comment."""
    span = span_of(p)
    doc = doc_of(parser, span)
    decorators = tuple(p.decorators)
    core: ast.Declaration = p[2]
    return replace(core, span=span, decorators=decorators, is_pub=p.is_pub, doc=doc)


same(
    "core : function",
    "core : struct",
    "core : enum",
    "core : trait",
    "core : impl",
    "core : use",
    "core : mod",
    "core : const",
    "core : alias",
    "core : store",
    "core : configured",
    "core : tool",
    "core : mcp",
    "core : pipeline",
    "dec_arg : arg",
    "tool_field : cfield",
)


@rule("decorator : AT IDENT", "decorator : AT IDENT LPAREN dec_args RPAREN")
def decorator(_parser: Any, p: Any) -> ast.Decorator:
    args = p.dec_args if len(p) == 5 else ()
    return ast.Decorator(span=span_of(p), name=name_at(p, 1), args=args)


@rule("dec_arg : FN LPAREN params RPAREN result block")
def anonymous_function(_parser: Any, p: Any) -> ast.Argument:
    params = tuple(
        ast.ClosureParam(
            span=param.span,
            pattern=ast.PathPattern(
                span=param.name.span, path=ast.Path(span=param.name.span, names=(param.name,))
            ),
            type=param.type,
            is_mut=param.is_mut,
        )
        for param in p.params
    )
    span = span_of(p)
    function = ast.Closure(span=span, params=params, result=p.result, body=p.block, is_async=False)
    return ast.Argument(span=span, name=None, value=function)


@rule("opt_type_params : ")
def no_type_params(_parser: Any, _p: Any) -> tuple[ast.TypeParam, ...]:
    return ()


@rule("opt_type_params : LANGLE type_params RANGLE")
def type_params(_parser: Any, p: Any) -> tuple[ast.TypeParam, ...]:
    found: tuple[ast.TypeParam, ...] = p.type_params
    return found


@rule("type_param : IDENT", "type_param : IDENT COLON bounds")
def type_param(_parser: Any, p: Any) -> ast.TypeParam:
    bounds = tuple(p[2]) if len(p) == 3 else ()
    return ast.TypeParam(span=span_of(p), name=name_at(p, 0), bounds=bounds)


@rule("function : opt_async FN IDENT opt_type_params LPAREN params RPAREN result block")
def function(_parser: Any, p: Any) -> ast.Function:
    return _function(p, p.block)


@rule("function : opt_async FN IDENT opt_type_params LPAREN params RPAREN result SEMI")
def signature(_parser: Any, p: Any) -> ast.Function:
    return _function(p, None)


def _function(p: Any, body: ast.Block | None) -> ast.Function:
    return ast.Function(
        span=span_of(p),
        name=name_at(p, 2),
        type_params=p.opt_type_params,
        params=p.params,
        result=p.result,
        body=body,
        is_async=p.opt_async,
    )


@rule("param : SELF", "param : MUT SELF")
def receiver(_parser: Any, p: Any) -> ast.Param:
    name = ast.Name(span=place(p, len(p) - 1), text="self")
    return ast.Param(span=span_of(p), name=name, type=None, default=None, is_mut=len(p) == 2)


@rule("param : opt_mut IDENT opt_type opt_value")
def param(_parser: Any, p: Any) -> ast.Param:
    return ast.Param(span=span_of(p), name=name_at(p, 1), type=p[2], default=p[3], is_mut=p[0])


@rule("struct : STRUCT IDENT opt_type_params LBRACE fields RBRACE")
def struct(_parser: Any, p: Any) -> ast.Struct:
    return ast.Struct(
        span=span_of(p), name=name_at(p, 1), type_params=p.opt_type_params, fields=p.fields
    )


@rule("core : SCHEMA IDENT opt_type_params LBRACE fields RBRACE")
def schema(_parser: Any, p: Any) -> ast.Schema:
    return ast.Schema(
        span=span_of(p), name=name_at(p, 1), type_params=p.opt_type_params, fields=p.fields
    )


@rule("field : decorators is_pub IDENT opt_quest COLON type opt_value")
def field(parser: Any, p: Any) -> ast.Field:
    span = span_of(p)
    return ast.Field(
        span=span,
        decorators=tuple(p[0]),
        is_pub=p[1],
        name=name_at(p, 2),
        is_optional=p[3],
        type=p[5],
        default=p[6],
        doc=doc_of(parser, span),
    )


@rule("enum : ENUM IDENT opt_type_params LBRACE variants RBRACE")
def enum(_parser: Any, p: Any) -> ast.Enum:
    return ast.Enum(
        span=span_of(p), name=name_at(p, 1), type_params=p.opt_type_params, variants=p.variants
    )


@rule("variant : IDENT", "variant : IDENT LPAREN opt_types RPAREN")
def variant(parser: Any, p: Any) -> ast.Variant:
    doc_of(parser, span_of(p))
    items = p.opt_types if len(p) == 4 else None
    return ast.Variant(span=span_of(p), name=name_at(p, 0), items=items, fields=None)


@rule("variant : IDENT LBRACE_STRUCT fields RBRACE")
def struct_variant(parser: Any, p: Any) -> ast.Variant:
    doc_of(parser, span_of(p))
    return ast.Variant(span=span_of(p), name=name_at(p, 0), items=None, fields=p.fields)


@rule("trait : TRAIT IDENT opt_type_params LBRACE methods RBRACE")
def trait(_parser: Any, p: Any) -> ast.Trait:
    return ast.Trait(
        span=span_of(p),
        name=name_at(p, 1),
        type_params=p.opt_type_params,
        methods=tuple(p.methods),
    )


@rule(
    "impl : IMPL opt_type_params type_atom LBRACE methods RBRACE",
    "impl : IMPL opt_type_params type_atom FOR type_atom LBRACE methods RBRACE",
)
def impl(_parser: Any, p: Any) -> ast.Impl:
    of_trait = len(p) == 8
    return ast.Impl(
        span=span_of(p),
        type_params=p.opt_type_params,
        trait=p[2] if of_trait else None,
        type=p[4] if of_trait else p[2],
        methods=tuple(p.methods),
    )


@rule("use : USE use_tree SEMI")
def use(_parser: Any, p: Any) -> ast.Use:
    return ast.Use(span=span_of(p), tree=p.use_tree)


@rule("use_tree : path", "use_tree : path AS IDENT")
def use_tree(_parser: Any, p: Any) -> ast.UseTree:
    alias = name_at(p, 2) if len(p) == 3 else None
    return ast.UseTree(span=span_of(p), path=p[0], alias=alias, is_glob=False, group=None)


@rule("use_tree : path COLONCOLON STAR")
def use_all(_parser: Any, p: Any) -> ast.UseTree:
    return ast.UseTree(span=span_of(p), path=p[0], alias=None, is_glob=True, group=None)


@rule("use_tree : path COLONCOLON LBRACE uses RBRACE")
def use_group(_parser: Any, p: Any) -> ast.UseTree:
    return ast.UseTree(span=span_of(p), path=p[0], alias=None, is_glob=False, group=p.uses)


@rule("mod : MOD IDENT SEMI", "mod : MOD IDENT LBRACE items RBRACE")
def mod(_parser: Any, p: Any) -> ast.Mod:
    # Statements are read, so that E1019 can say what is wrong with them.
    items = tuple(p.items) if len(p) == 5 else None
    return ast.Mod(span=span_of(p), name=name_at(p, 1), items=items)


@rule("const : CONST IDENT COLON type ASSIGN expr SEMI")
def const(_parser: Any, p: Any) -> ast.Const:
    return ast.Const(span=span_of(p), name=name_at(p, 1), type=p.type, value=p.expr)


@rule("alias : TYPE IDENT opt_type_params ASSIGN type SEMI")
def alias(_parser: Any, p: Any) -> ast.TypeAlias:
    return ast.TypeAlias(
        span=span_of(p), name=name_at(p, 1), type_params=p.opt_type_params, type=p.type
    )


@rule(
    "store : HASHMAP IDENT COLON type ASSIGN expr SEMI",
    "store : LEDGER IDENT COLON type ASSIGN expr SEMI",
    "store : MEMORY IDENT COLON type ASSIGN expr SEMI",
)
def store(_parser: Any, p: Any) -> ast.Store:
    return ast.Store(span=span_of(p), kind=p[0], name=name_at(p, 1), type=p.type, value=p.expr)


@rule("config : LBRACE config_fields RBRACE")
def config(_parser: Any, p: Any) -> tuple[ast.ConfigField, ...]:
    fields: tuple[ast.ConfigField, ...] = p.config_fields
    return fields


@rule("cfield : IDENT COLON expr", "cfield : STRING COLON expr")
def config_field(parser: Any, p: Any) -> ast.ConfigField:
    doc_of(parser, span_of(p))
    key = name_at(p, 0)
    # A quoted key is plain if nothing in it was an escape.
    quoted = parser.text[key.span.end - 1] in '"#'
    plain = not quoted or "\\" not in parser.text[key.span.start : key.span.end]
    return ast.ConfigField(span=span_of(p), key=key, value=p.expr, is_plain=plain)


@rule("cfield : istring COLON expr")
def computed_key(_parser: Any, p: Any) -> ast.ConfigField:
    key = ast.Name(span=p.istring.span, text="".join(p.istring.pieces))
    return ast.ConfigField(span=span_of(p), key=key, value=p.expr, is_plain=False)


@rule(
    "configured : CONNECT IDENT config",
    "configured : MODEL IDENT config",
    "configured : AGENT IDENT config",
)
def configured(_parser: Any, p: Any) -> ast.Declaration:
    kind = {"connect": ast.Connect, "model": ast.Model, "agent": ast.Agent}[p[0]]
    return kind(span=span_of(p), name=name_at(p, 1), fields=p.config)


@rule("tool_field : STATE COLON type ASSIGN expr")
def tool_state(parser: Any, p: Any) -> ast.ToolState:
    doc_of(parser, span_of(p))
    return ast.ToolState(span=span_of(p), name=name_at(p, 0), type=p.type, value=p.expr)


@rule(
    "tool : TOOL IDENT trait_of_tool LBRACE tool_items RBRACE",
    "tool : TOOL IDENT trait_of_tool LBRACE tool_items tool_field RBRACE",
)
def tool(_parser: Any, p: Any) -> ast.Tool:
    items = [*p.tool_items, *([p.tool_field] if len(p) == 7 else [])]
    return ast.Tool(
        span=span_of(p),
        name=name_at(p, 1),
        trait=p.trait_of_tool,
        fields=tuple(i for i in items if not isinstance(i, ast.Function)),
        methods=tuple(i for i in items if isinstance(i, ast.Function)),
    )


@rule(
    "mcp : MCP IDENT LBRACE tool_items RBRACE",
    "mcp : MCP IDENT LBRACE tool_items tool_field RBRACE",
)
def mcp(_parser: Any, p: Any) -> ast.Mcp:
    items = [*p.tool_items, *([p.tool_field] if len(p) == 6 else [])]
    return ast.Mcp(
        span=span_of(p),
        name=name_at(p, 1),
        fields=tuple(i for i in items if not isinstance(i, ast.Function)),
        methods=tuple(i for i in items if isinstance(i, ast.Function)),
    )


@rule("opt_input : ")
def no_input(_parser: Any, _p: Any) -> None:
    return None


@rule("opt_input : LPAREN param RPAREN", "opt_input : LPAREN param COMMA RPAREN")
def pipeline_input(_parser: Any, p: Any) -> ast.Param:
    found: ast.Param = p.param
    return found


@rule("pipeline : PIPELINE IDENT opt_input result LBRACE stages RBRACE")
def pipeline(_parser: Any, p: Any) -> ast.Pipeline:
    return ast.Pipeline(
        span=span_of(p),
        name=name_at(p, 1),
        param=p.opt_input,
        result=p.result,
        stages=tuple(p.stages),
    )


@rule("stage : decorators STAGE IDENT LPAREN params RPAREN result block")
def stage(parser: Any, p: Any) -> ast.Stage:
    doc_of(parser, span_of(p))
    return ast.Stage(
        span=span_of(p),
        decorators=tuple(p.decorators),
        name=name_at(p, 2),
        params=p.params,
        result=p.result,
        body=p.block,
    )
