"""Declarations."""

from __future__ import annotations

from dataclasses import field

from concerto.records import record
from concerto.source import Span
from concerto.syntax.ast.expr import Argument, Block, Expr
from concerto.syntax.ast.node import Name, Node, Path
from concerto.syntax.ast.stmt import Statement
from concerto.syntax.ast.type_expr import TypeExpr


@record(kw_only=True)
class Decorator(Node):
    """`@name(args)`."""

    name: Name
    args: tuple[Argument, ...]


@record(kw_only=True)
class Declaration(Node):
    """Base of declarations. `doc` is the text of the doc comment before it."""

    decorators: tuple[Decorator, ...] = ()
    is_pub: bool = False
    doc: str | None = field(default=None, compare=False)


@record(kw_only=True)
class TypeParam(Node):
    """`T: A + B`."""

    name: Name
    bounds: tuple[TypeExpr, ...]


@record(kw_only=True)
class Param(Node):
    """`mut name: T = e`; a receiver has the name `self` and no type."""

    name: Name
    type: TypeExpr | None
    default: Expr | None
    is_mut: bool


@record(kw_only=True)
class Function(Declaration):
    """`fn f<T>(a: A) -> R { }`; the body is None where a `;` stands instead."""

    name: Name
    type_params: tuple[TypeParam, ...]
    params: tuple[Param, ...]
    result: TypeExpr | None
    body: Block | None
    is_async: bool


@record(kw_only=True)
class Field(Node):
    """A field of a struct, schema or variant."""

    decorators: tuple[Decorator, ...]
    is_pub: bool
    name: Name
    is_optional: bool
    type: TypeExpr
    default: Expr | None
    doc: str | None = field(default=None, compare=False)


@record(kw_only=True)
class Struct(Declaration):
    """`struct S { .. }`."""

    name: Name
    type_params: tuple[TypeParam, ...]
    fields: tuple[Field, ...]


@record(kw_only=True)
class Schema(Declaration):
    """`schema S { .. }`."""

    name: Name
    type_params: tuple[TypeParam, ...]
    fields: tuple[Field, ...]


@record(kw_only=True)
class Variant(Node):
    """`V`, `V(A, B)` or `V { a: A }`: of the last two at most one is not None."""

    name: Name
    items: tuple[TypeExpr, ...] | None
    fields: tuple[Field, ...] | None


@record(kw_only=True)
class Enum(Declaration):
    """`enum E { .. }`."""

    name: Name
    type_params: tuple[TypeParam, ...]
    variants: tuple[Variant, ...]


@record(kw_only=True)
class Trait(Declaration):
    """`trait T { .. }`."""

    name: Name
    type_params: tuple[TypeParam, ...]
    methods: tuple[Function, ...]


@record(kw_only=True)
class Impl(Declaration):
    """`impl T { }` or `impl Trait for T { }`."""

    type_params: tuple[TypeParam, ...]
    trait: TypeExpr | None
    type: TypeExpr
    methods: tuple[Function, ...]


@record(kw_only=True)
class UseTree(Node):
    """`a::b as c`, `a::*`, `a::{..}`."""

    path: Path
    alias: Name | None
    is_glob: bool
    group: tuple[UseTree, ...] | None


@record(kw_only=True)
class Use(Declaration):
    """`use tree;`."""

    tree: UseTree


@record(kw_only=True)
class Mod(Declaration):
    """`mod m;` or `mod m { .. }`."""

    name: Name
    items: tuple[Declaration | Statement, ...] | None


@record(kw_only=True)
class Const(Declaration):
    """`const N: T = e;`."""

    name: Name
    type: TypeExpr
    value: Expr


@record(kw_only=True)
class TypeAlias(Declaration):
    """`type A<T> = B;`."""

    name: Name
    type_params: tuple[TypeParam, ...]
    type: TypeExpr


@record(kw_only=True)
class ConfigField(Node):
    """`key: value` in a block of settings; `is_plain` is false for a quoted key with an escape or interpolation."""

    key: Name
    value: Expr
    is_plain: bool = True


@record(kw_only=True)
class Connect(Declaration):
    """`connect c { .. }`."""

    name: Name
    fields: tuple[ConfigField, ...]


@record(kw_only=True)
class Model(Declaration):
    """`model M { .. }`."""

    name: Name
    fields: tuple[ConfigField, ...]


@record(kw_only=True)
class Agent(Declaration):
    """`agent A { .. }`."""

    name: Name
    fields: tuple[ConfigField, ...]


@record(kw_only=True)
class ToolState(Node):
    """`name: T = e` in a tool."""

    name: Name
    type: TypeExpr
    value: Expr


@record(kw_only=True)
class Tool(Declaration):
    """`tool T impl Trait { .. }`."""

    name: Name
    trait: TypeExpr | None
    fields: tuple[ConfigField | ToolState, ...]
    methods: tuple[Function, ...]


@record(kw_only=True)
class Mcp(Declaration):
    """`mcp M { .. }`."""

    name: Name
    fields: tuple[ConfigField, ...]
    methods: tuple[Function, ...]


@record(kw_only=True)
class Stage(Node):
    """`stage s(x: A) -> B { .. }`."""

    decorators: tuple[Decorator, ...]
    name: Name
    params: tuple[Param, ...]
    result: TypeExpr | None
    body: Block


@record(kw_only=True)
class Pipeline(Declaration):
    """`pipeline P(x: A) -> B { stages }`."""

    name: Name
    param: Param | None
    result: TypeExpr | None
    stages: tuple[Stage, ...]


@record(kw_only=True)
class Store(Declaration):
    """`hashmap h: T = e;`, `ledger`, `memory`; `kind` is the keyword."""

    kind: str
    name: Name
    type: TypeExpr
    value: Expr


@record(kw_only=True)
class Module(Node):
    """A file: declarations and top-level statements, in order."""

    items: tuple[Declaration | Statement, ...]
    doc: str | None = field(default=None, compare=False)
    #: Words in what could not be read: nothing is to be said about them.
    lost: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    #: Identities of the expressions that stand in parentheses.
    grouped: frozenset[int] = field(default=frozenset(), compare=False, repr=False)
    #: Where something could not be read.
    damaged: tuple[Span, ...] = field(default=(), compare=False, repr=False)
