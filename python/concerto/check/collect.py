"""Who is declared: names, types of fields and signatures. Bodies come later, so the order of declarations does not matter."""

from __future__ import annotations

from concerto.check import builtins, testing
from concerto.check import types as t
from concerto.check.checked import (
    EnumInfo,
    FieldInfo,
    FunctionInfo,
    Local,
    ManifestFacts,
    ParamInfo,
    StructInfo,
    VariantInfo,
)
from concerto.check.checker import Checker
from concerto.check.connections import check_connection
from concerto.check.constants import constant_value
from concerto.check.decorators import read_decorators
from concerto.check.function_decorators import LAYERS, read_function_decorators
from concerto.check.generics import declare_generic, instance, read_generics
from concerto.check.manifest import check_manifest, check_overlays
from concerto.check.models import check_model
from concerto.check.schemas import check_schemas, read_fields, read_struct
from concerto.check.types import Type
from concerto.diagnostics.model import Label, did_you_mean
from concerto.source import Span
from concerto.syntax import ast

_FORMS = {
    ast.Trait: "a trait",
    ast.Impl: "an `impl` block",
    ast.Use: "an import",
    ast.Mod: "a module",
    ast.Agent: "an agent",
    ast.Tool: "a tool",
    ast.Mcp: "an MCP server",
    ast.Pipeline: "a pipeline",
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
        else:
            named.append(item)
            _declare(checker, item, declared)
    for item in named:
        _types(checker, item)
    # Defaults of fields may name constants and variants.
    for item in sorted(named, key=lambda item: isinstance(item, ast.Struct | ast.Schema)):
        _signatures(checker, item)
    if manifest:
        check_manifest(checker, manifest)
    for item in named:
        if isinstance(item, ast.Connect):
            check_connection(checker, item)
    if manifest:
        check_overlays(checker, manifest)
    for item in named:
        if isinstance(item, ast.Model):
            check_model(checker, item)
    read_generics(checker)
    check_schemas(checker)
    read_function_decorators(checker)
    return top


def _declare(checker: Checker, item: ast.Declaration, declared: dict[str, Span]) -> None:
    _decorators(checker, item)
    form = _FORMS.get(type(item))
    if form:
        checker.not_yet(form, _head(item))
        name = getattr(item, "name", None)
        checker.refused.update([name.text] if name else _imported(item))
        if isinstance(item, ast.Mod):
            for inner in item.items or ():
                if isinstance(inner, ast.Connect):
                    _not_module_scope(checker, inner)
        return
    name = getattr(item, "name", None)
    if name is None or isinstance(item, ast.Connect):
        return
    if (
        name.text in builtins.TYPES
        or name.text in builtins.GENERIC
        or name.text in ("Self", "Error")
    ):
        checker.report("E2003", f"`{name}` is a built-in type", name, "choose another name")
    if name.text in declared:
        related = (Label(declared[name.text], "declared here first"),)
        checker.report("E2004", f"`{name}` is declared twice", name, related=related)
    declared.setdefault(name.text, name.span)


def _decorators(checker: Checker, item: ast.Declaration) -> None:
    """Those of functions are read when all signatures are known, those of tests, schemas, structs and models with what they decorate."""
    if isinstance(item, ast.Schema | ast.Struct | ast.Model) or type(item) in _FORMS:
        return
    is_function = isinstance(item, ast.Function)
    allowed = frozenset((*LAYERS, *testing.DECORATORS) if is_function else ())
    read_decorators(checker, item.decorators, allowed)


def _head(item: ast.Declaration) -> ast.Node | Span:
    name: ast.Name | None = getattr(item, "name", None)
    return name or Span(item.span.start, min(item.span.end, item.span.start + 4))


def _imported(item: ast.Declaration) -> list[str]:
    if not isinstance(item, ast.Use):
        return []
    pending, names = [item.tree], []
    while pending:
        tree = pending.pop()
        pending.extend(tree.group or ())
        names.append((tree.alias or tree.path.names[-1]).text)
    return names


def _not_module_scope(checker: Checker, item: ast.Connect) -> None:
    checker.report(
        "E4001",
        "a connection is declared at module scope",
        item.name,
        "move it out of the module block",
    )


def _types(checker: Checker, item: ast.Declaration) -> None:
    """Names of types first, since their fields may refer to one another."""
    match item:
        case ast.Struct() | ast.Schema():
            origin = "schema" if isinstance(item, ast.Schema) else "struct"
            if item.type_params and isinstance(item, ast.Schema):
                declare_generic(checker, item)
                return
            if item.type_params:
                checker.not_yet("a generic type", item.name)
            checker.structs.setdefault(
                item.name.text, StructInfo(item.name.text, origin, [], item.name.span, item.doc)
            )
        case ast.Enum():
            if item.type_params:
                checker.not_yet("a generic type", item.name)
            checker.enums.setdefault(item.name.text, EnumInfo(item.name.text, [], item.name.span))
        case ast.TypeAlias():
            checker.aliases.setdefault(item.name.text, item)
        case _:
            pass


def _signatures(checker: Checker, item: ast.Declaration) -> None:
    match item:
        case ast.Struct() | ast.Schema():
            info = checker.structs.get(item.name.text)
            if info and info.span == item.name.span:
                read_struct(checker, item, info)
        case ast.Enum():
            enum = checker.enums[item.name.text]
            if enum.span == item.name.span:
                enum.variants.extend(_variant(checker, variant) for variant in item.variants)
        case ast.Function():
            declare_function(checker, item)
        case ast.TypeAlias():
            checker.resolving.append(item.name.text)
            written_type(checker, item.type)
            checker.resolving.pop()
        case ast.Const():
            type_ = written_type(checker, item.type)
            checker.constants[item.name.text] = (type_, constant_value(checker, item.value, type_))
        case _:
            pass


def _variant(checker: Checker, variant: ast.Variant) -> VariantInfo:
    name = variant.name.text
    if variant.items is not None:
        types = [written_type(checker, item) for item in variant.items]
        fields = [FieldInfo(str(index), type_) for index, type_ in enumerate(types)]
        return VariantInfo(name, "tuple", fields)
    if variant.fields is not None:
        return VariantInfo(name, "struct", read_fields(checker, variant.fields, "variant"))
    return VariantInfo(name, "unit", [])


def declare_function(checker: Checker, item: ast.Function) -> None:
    """The signature of a function."""
    if item.name.text in checker.functions:
        return
    if item.type_params:
        checker.not_yet("a generic function", item.name)
    if item.body is None:
        checker.report(
            "E1017", f"`{item.name}` has no body", item.name, "write `{ .. }` behind the signature"
        )
    params: list[ParamInfo] = []
    is_test = any(each.name.text == "test" for each in item.decorators)
    for param in item.params:
        if param.name.text == "self":
            if not is_test:  # which has no parameters at all
                checker.report("E2013", "`self` outside of a method", param)
            continue
        if any(other.name == param.name.text for other in params):
            checker.report("E2004", f"the parameter `{param.name}` is declared twice", param.name)
        type_: Type = t.UNKNOWN
        if param.type is None:
            checker.report(
                "E3030",
                f"the parameter `{param.name}` has no type",
                param,
                f"write `{param.name}: Type`",
            )
        else:
            type_ = written_type(checker, param.type)
        default = constant_value(checker, param.default, type_) if param.default else None
        local = Local(param.name.text, type_, param.name.span, param.is_mut, is_param=True)
        params.append(ParamInfo(param.name.text, type_, param.default is not None, default, local))
    result = written_type(checker, item.result) if item.result else t.NIL
    name = item.name.text
    if name == "main" and not is_test:
        fine = t.resolve(result) in (t.NIL, t.UNKNOWN) or isinstance(t.resolve(result), t.Result)
        if params:
            checker.report(
                "E2015",
                "`main` has no parameters",
                item.params[0],
                "let the host call another `pub fn`",
            )
        if not fine:
            checker.report(
                "E2015", "the result of `main` is nothing or a `Result`", item.result or item.name
            )
    test = testing.read_test(checker, item)
    index = len(checker.functions)
    function = FunctionInfo(name, params, result, item, item.is_pub, index, test=test)
    checker.functions[name] = function


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
            return _union(checker, members)
        case ast.NamedType():
            return _named(checker, node)
        case _:
            raise AssertionError(node)


def _union(checker: Checker, members: tuple[ast.TypeExpr, ...]) -> Type:
    """Without repetition, literals together; `Any | T` is Any, and `Nil | T` an Option."""
    types: list[Type] = []
    words: list[str] = []
    for member in members:
        type_ = t.resolve(written_type(checker, member))
        parts = type_.members if isinstance(type_, t.Union) else (type_,)
        for part in parts:
            if isinstance(part, t.Option):
                types += [t.NIL, t.resolve(part.item)]
            elif isinstance(part, t.Literals):
                words += [word for word in part.values if word not in words]
                # Their place is that of the first.
                types += [] if any(isinstance(each, t.Literals) for each in types) else [part]
            else:
                types.append(part)
    if t.UNKNOWN in types or t.ANY in types:
        return t.UNKNOWN if t.UNKNOWN in types else t.ANY
    whole = [t.Literals(tuple(words)) if isinstance(each, t.Literals) else each for each in types]
    rest = [each for each in dict.fromkeys(whole) if each != t.NIL]
    union = t.NIL if not rest else rest[0] if len(rest) == 1 else t.Union(tuple(rest))
    return t.Option(union) if t.NIL in whole and rest else union


def _named(checker: Checker, node: ast.NamedType) -> Type:
    name = str(node.path)
    if name in checker.opaque and not node.args:
        return checker.opaque[name]
    args = [written_type(checker, arg) for arg in node.args]
    generic = checker.generics.get(name)
    wanted = len(generic.type_params) if generic else builtins.GENERIC.get(name, 0)
    known = (
        name in builtins.GENERIC
        or name in builtins.TYPES
        or name in checker.structs
        or name in checker.enums
        or name in checker.aliases
        or name in checker.generics
    )
    if not known:
        if name not in checker.refused:
            names = [
                *builtins.GENERIC,
                *builtins.TYPES,
                *checker.structs,
                *checker.enums,
                *checker.aliases,
                *checker.generics,
            ]
            checker.report(
                "E2002", f"there is no type `{name}`", node.path, did_you_mean(name, names)
            )
        return t.UNKNOWN
    if len(args) != wanted:
        takes = (
            f"`{name}` takes {wanted} type argument{'s' if wanted != 1 else ''}, found {len(args)}"
        )
        checker.report("E3017", takes, node)
        return t.UNKNOWN
    if generic:
        return instance(checker, node, args)
    if name in builtins.GENERIC:
        if name == "Map" and not t.is_hashable(args[0]):
            checker.report("E3036", f"`{t.show(args[0])}` cannot be a map key", node.args[0])
        return builtins.generic(name, args)
    if name in checker.structs:
        return t.Struct(name, checker.structs[name].origin)
    if name in checker.enums:
        return t.Enum(name)
    if name in checker.aliases:
        alias = checker.aliases[name]
        if name in checker.resolving:
            circle = " -> ".join([*checker.resolving[checker.resolving.index(name) :], name])
            if not checker.circular & set(checker.resolving):
                # Where the circle closes.
                last = checker.aliases[checker.resolving[-1]].name
                checker.report("E2005", f"the aliases form a circle: {circle}", last)
            checker.circular.update(checker.resolving)
            return t.UNKNOWN
        checker.resolving.append(name)
        try:
            if alias.type_params:
                checker.not_yet("a generic alias", alias.name)
                return t.UNKNOWN
            return written_type(checker, alias.type)
        finally:
            checker.resolving.pop()
    return builtins.TYPES[name]
