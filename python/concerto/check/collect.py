"""Who is declared: names, types of fields and signatures. Bodies come later, so the order of declarations does not matter."""

from __future__ import annotations

from concerto.check import builtins
from concerto.check import types as t
from concerto.check.checked import (
    EnumInfo,
    FieldInfo,
    ManifestFacts,
    StructInfo,
    VariantInfo,
)
from concerto.check.checker import Checker
from concerto.check.connections import check_connection
from concerto.check.constants import declared_constant
from concerto.check.decorators import (
    check_deprecated,
    read_decorators,
    read_deprecated,
    warn_deprecated,
)
from concerto.check.defaults import read_defaults
from concerto.check.exposed import check_exposed
from concerto.check.function_decorators import LAYERS, read_function_decorators
from concerto.check.functions import declare_function
from concerto.check.generics import apply, check_declared, scope, type_params, wrong_count
from concerto.check.habits import type_hint
from concerto.check.impls import (
    BUILT_IN_TRAITS,
    declare_built_in,
    declare_trait,
    read_impl,
    read_trait,
)
from concerto.check.manifest import check_manifest, check_overlays
from concerto.check.memories import KIND as MEMORY
from concerto.check.memories import declare_memory
from concerto.check.models import check_model
from concerto.check.modules import hides_library
from concerto.check.outside import KINDS, check_outside
from concerto.check.pipelines import declare_pipeline
from concerto.check.schemas import Owner, check_schemas, read_fields, read_struct
from concerto.check.std_types import collection_type
from concerto.check.stores import declare_store
from concerto.check.testing import DECORATORS
from concerto.check.tools import check_hooks, declare_tool
from concerto.check.traits import is_key
from concerto.check.types import Type
from concerto.diagnostics.model import Label
from concerto.source import Span
from concerto.syntax import ast

_FORMS: dict[type[ast.Declaration], str] = {
    ast.Store: "a store",
}


def collect(checker: Checker, manifest: ManifestFacts | None = None) -> list[ast.Statement]:
    """Fills the tables of the checker; gives the top-level statements."""
    top: list[ast.Statement] = []
    declared: dict[str, Span] = {}
    named: list[ast.Declaration] = []
    for item in checker.module.items:
        if isinstance(item, ast.Statement):
            top.append(item)
        elif _declare(checker, item, declared):
            named.append(item)
    declare_built_in(checker)
    for item in named:
        _types(checker, item)
    for item in named:
        _bounds(checker, item)
    # Defaults of fields may name constants and variants.
    for item in sorted(named, key=_reading_order):
        _signatures(checker, item)
    read_defaults(checker)
    if manifest:
        check_manifest(checker, manifest)
    for item in named:
        if isinstance(item, ast.Connect):
            check_connection(checker, item)
    if manifest:
        check_overlays(checker, manifest)
    for item in named:
        check_outside(checker, item)
    for item in named:
        if isinstance(item, ast.Model):
            check_model(checker, item)
    for impl in checker.impls:
        if impl.model in checker.models:
            checker.models[impl.model].methods |= impl.methods
    check_hooks(checker)
    check_declared(checker)
    check_schemas(checker)
    check_exposed(checker, named)
    read_function_decorators(checker)
    return top


def _reading_order(item: ast.Declaration) -> int:
    """What may need others to be read comes behind them."""
    order = {ast.Enum: 0, ast.Const: 2, ast.Impl: 3, ast.Tool: 3}
    return order.get(type(item), 1)


def _declare(checker: Checker, item: ast.Declaration, declared: dict[str, Span]) -> bool:
    """Makes a name known; gives whether the declaration counts, as one with a name of the language does not."""
    _decorators(checker, item)
    form = None if _is_known_store(item) else _FORMS.get(type(item))
    if form:
        checker.not_yet(form, _head(item))
        name = getattr(item, "name", None)
        if name:
            checker.refused.add(name.text)
        return True
    name = getattr(item, "name", None)
    if name is None or isinstance(item, ast.Connect):
        return True
    short = name.text.rpartition("::")[2]
    is_trait = isinstance(item, ast.Trait) and short in BUILT_IN_TRAITS
    if is_trait or builtins.is_reserved_type(short):
        what = "trait" if is_trait else "type"
        checker.report("E2003", f"`{short}` is a built-in {what}", name, "choose another name")
        return False
    if short in builtins.PRELUDE or hides_library(short, item):
        help_ = "here it stands for yours; choose another name to use both"
        checker.report("W2005", f"`{short}` hides what is always there", name, help_)
    if name.text in declared:
        related = (Label(declared[name.text], "declared here first"),)
        checker.report("E2004", f"`{name}` is declared twice", name, related=related)
    declared.setdefault(name.text, name.span)
    is_memory = isinstance(item, ast.Store) and item.kind == "memory"
    kind = MEMORY if is_memory else KINDS.get(type(item))
    if kind:
        checker.outside.setdefault(name.text, kind)
    return True


def _is_known_store(item: ast.Declaration) -> bool:
    return isinstance(item, ast.Store) and item.kind in ("hashmap", "memory")


def _decorators(checker: Checker, item: ast.Declaration) -> None:
    """Those of functions are read when all signatures are known, those of tests, schemas, structs and models with what they decorate."""
    said = read_deprecated(item.decorators)
    name = getattr(item, "name", None)
    if said is not None and name is not None:
        checker.deprecated[name.text] = said
    if (
        isinstance(
            item,
            ast.Schema | ast.Struct | ast.Model | ast.Tool | ast.Mcp | ast.Agent | ast.Pipeline,
        )
        or type(item) in _FORMS
    ):
        return
    of_function = (*LAYERS, *DECORATORS) if isinstance(item, ast.Function) else ()
    allowed = frozenset(("deprecated", *of_function))
    for decorator in read_decorators(checker, item.decorators, allowed):
        if decorator.name.text == "deprecated":
            check_deprecated(checker, decorator)


def _head(item: ast.Declaration) -> ast.Node | Span:
    name: ast.Name | None = getattr(item, "name", None)
    return name or Span(item.span.start, min(item.span.end, item.span.start + 4))


def _types(checker: Checker, item: ast.Declaration) -> None:
    """Names of types first, since their fields may refer to one another."""
    match item:
        case ast.Struct() | ast.Schema():
            origin = "schema" if isinstance(item, ast.Schema) else "struct"
            checker.structs.setdefault(
                item.name.text, StructInfo(item.name.text, origin, [], item.name.span, item.doc)
            )
        case ast.Enum():
            checker.enums.setdefault(item.name.text, EnumInfo(item.name.text, [], item.name.span))
        case ast.TypeAlias():
            checker.aliases.setdefault(item.name.text, item)
        case ast.Const():
            checker.pending_constants.setdefault(item.name.text, item)
        case ast.Trait():
            declare_trait(checker, item)
        case _:
            pass


def _bounds(checker: Checker, item: ast.Declaration) -> None:
    """Type parameters of types, whose bounds may name any trait."""
    match item:
        case ast.Struct() | ast.Schema():
            struct = checker.structs[item.name.text]
            if struct.span == item.name.span:
                struct.type_params = type_params(checker, item.type_params)
        case ast.Enum():
            enum = checker.enums[item.name.text]
            if enum.span == item.name.span:
                enum.type_params = type_params(checker, item.type_params)
        case _:
            pass


def _signatures(checker: Checker, item: ast.Declaration) -> None:
    match item:
        case ast.Struct() | ast.Schema():
            info = checker.structs.get(item.name.text)
            if info and info.span == item.name.span:
                with scope(checker, {param.name: param for param in info.type_params}):
                    read_struct(checker, item, info)
        case ast.Enum():
            enum = checker.enums[item.name.text]
            if enum.span == item.name.span:
                with scope(checker, {param.name: param for param in enum.type_params}):
                    _variants(checker, item, enum)
        case ast.Pipeline():
            if item.name.text not in checker.pipelines:
                declare_pipeline(checker, item)
        case ast.Function():
            declare_function(checker, item)
        case ast.Trait() if item.name.text in checker.traits:
            read_trait(checker, item)
        case ast.Impl():
            read_impl(checker, item)
        case ast.Tool():
            declare_tool(checker, item)
        case ast.TypeAlias():
            params = type_params(checker, item.type_params)
            checker.resolving.append(item.name.text)
            with scope(checker, {param.name: param for param in params}):
                written_type(checker, item.type)
            checker.resolving.pop()
        case ast.Store(kind="hashmap"):
            declare_store(checker, item)
        case ast.Store(kind="memory"):
            declare_memory(checker, item)
        case ast.Const():
            declared_constant(checker, item.name.text)
        case _:
            pass


def _variants(checker: Checker, item: ast.Enum, enum: EnumInfo) -> None:
    """The variants of an enum; E2004 for a second one of a name."""
    first: dict[str, Span] = {}
    for variant in item.variants:
        name = variant.name
        if name.text in first:
            related = (Label(first[name.text], "first here"),)
            message = f"the variant `{name}` is declared twice"
            checker.report("E2004", message, name, related=related)
            continue
        first[name.text] = name.span
        enum.variants.append(read_variant(checker, variant, enum))


def read_variant(checker: Checker, variant: ast.Variant, enum: EnumInfo) -> VariantInfo:
    """A variant of an enum, whose types are read in the scope of its type parameters."""
    name = variant.name.text
    if variant.items is not None:
        types = [written_type(checker, item) for item in variant.items]
        fields = [FieldInfo(str(index), type_) for index, type_ in enumerate(types)]
        return VariantInfo(name, "tuple", fields)
    if variant.fields is not None:
        of = Owner(f"{enum.name}::{name}", "variant", enum.type_params)
        return VariantInfo(name, "struct", read_fields(checker, variant.fields, of))
    return VariantInfo(name, "unit", [])


def written_type(checker: Checker, node: ast.TypeExpr) -> Type:
    """The type that a written type means; unknown names are reported once."""
    match node:
        case ast.NilType():
            return t.NIL
        case ast.LiteralType(value=value):
            return t.Literals((value,))
        case ast.TupleType(items=items):
            return t.Tuple(tuple(written_type(checker, item) for item in items))
        case ast.FunctionType(params=params, result=result):
            types = tuple(written_type(checker, param) for param in params)
            return t.Function(types, written_type(checker, result) if result else t.NIL)
        case ast.UnionType(members=members):
            return t.union([written_type(checker, member) for member in members])
        case ast.NamedType():
            return _named(checker, node)
        case _:
            raise AssertionError(node)


def _named(checker: Checker, node: ast.NamedType) -> Type:
    name = str(node.path)
    warn_deprecated(checker, name, node.path)
    if name in checker.opaque:
        if node.args:
            wrong_count(checker, name, 0, len(node.args), node)
        return checker.opaque[name]
    collection = collection_type(checker, name)
    args = [written_type(checker, arg) for arg in node.args]
    if collection and len(args) == 1:
        if collection == "Set" and not is_key(checker, args[0]):
            checker.report("E3036", f"`{t.show(args[0])}` cannot be in a set", node.args[0])
        return t.Collection(collection, args[0])
    if name in checker.tools:
        message = f"`{name}` is a tool, no type of values"
        checker.report("E2002", message, node.path, "call its methods by its name")
        return t.UNKNOWN
    if name in checker.outside:
        checker.not_yet(f"{checker.outside[name]} as a type", node)
        return t.UNKNOWN
    wanted = 1 if collection else _arguments_of(checker, name)
    if wanted is None:
        _unknown_type(checker, node, name)
        return t.UNKNOWN
    if len(args) != wanted:
        wrong_count(checker, name, wanted, len(args), node)
        # What a Result holds is clear, so that `?` and `throw` are no further mistakes.
        return t.Result(args[0], t.UNKNOWN) if name == "Result" and len(args) == 1 else t.UNKNOWN
    if name in builtins.GENERIC:
        if name in ("Map", "HashMap") and not is_key(checker, args[0]):
            help_ = f"write `{t.show(args[0])}: Hash`" if isinstance(args[0], t.Opaque) else None
            message = f"`{t.show(args[0])}` cannot be a map key"
            checker.report("E3036", message, node.args[0], help_)
        return builtins.generic(name, args)
    if name in checker.structs:
        origin = checker.structs[name].origin
        return apply(checker, t.Struct(name, origin, tuple(args)), node)
    if name in checker.enums:
        return apply(checker, t.Enum(name, tuple(args)), node)
    if name in checker.aliases:
        return _alias(checker, name, args)
    return builtins.TYPES[name]


def _arguments_of(checker: Checker, name: str) -> int | None:
    """How many arguments a type takes; None if there is no such type."""
    if name in builtins.GENERIC:
        return builtins.GENERIC[name]
    for table in (checker.structs, checker.enums, checker.aliases):
        if name in table:
            return len(table[name].type_params)
    return 0 if name in builtins.TYPES else None


def _unknown_type(checker: Checker, node: ast.NamedType, name: str) -> None:
    """E2002, and E3016 for a trait."""
    if name in checker.traits:
        help_ = f"write `<T: {name}>` and use `T`"
        checker.report("E3016", f"`{name}` is a trait, no type of values", node.path, help_)
    elif name not in checker.refused:
        names = [
            *checker.opaque,
            *builtins.GENERIC,
            *builtins.TYPES,
            *checker.structs,
            *checker.enums,
            *checker.aliases,
        ]
        hint = type_hint(name) or checker.hint(name, names, node.path)
        if name == "Self":
            hint = "it stands for the type of an `impl` or trait"
        elif name in builtins.COLLECTIONS:
            hint = f"write `use std::collections::{name};`"
        checker.report("E2002", f"there is no type `{name}`", node.path, hint)


def _alias(checker: Checker, name: str, args: list[Type]) -> Type:
    alias = checker.aliases[name]
    if name in checker.resolving:
        circle = " -> ".join([*checker.resolving[checker.resolving.index(name) :], name])
        if not checker.circular & set(checker.resolving):
            # Where the circle closes.
            last = checker.aliases[checker.resolving[-1]].name
            checker.report("E2005", f"the aliases form a circle: {circle}", last)
        checker.circular.update(checker.resolving)
        return t.UNKNOWN
    params = (param.name.text for param in alias.type_params)
    checker.resolving.append(name)
    kept, checker.opaque = checker.opaque, dict(zip(params, args, strict=True))
    try:
        return written_type(checker, alias.type)
    finally:
        checker.opaque = kept
        checker.resolving.pop()
