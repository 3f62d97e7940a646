"""Who is declared: names, types of fields and signatures. Bodies come later, so the order of declarations does not matter."""

from __future__ import annotations

from concerto.check import builtins
from concerto.check import types as t
from concerto.check.checked import (
    EnumInfo,
    FieldInfo,
    FunctionInfo,
    Local,
    ParamInfo,
    StructInfo,
    VariantInfo,
)
from concerto.check.checker import Checker
from concerto.check.connections import check_connection
from concerto.check.constants import constant_value
from concerto.check.models import check_model
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


def collect(checker: Checker) -> list[ast.Statement]:
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
    for item in named:
        _signatures(checker, item)
    for item in named:
        if isinstance(item, ast.Connect):
            check_connection(checker, item)
    for item in named:
        if isinstance(item, ast.Model):
            check_model(checker, item)
    _check_recursion(checker)
    return top


def _declare(checker: Checker, item: ast.Declaration, declared: dict[str, Span]) -> None:
    for decorator in item.decorators:
        checker.not_yet(f"the decorator `@{decorator.name}`", decorator)
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
            info = checker.structs[item.name.text]
            if info.span == item.name.span:
                info.fields.extend(_fields(checker, item.fields, info.origin))
        case ast.Enum():
            enum = checker.enums[item.name.text]
            if enum.span == item.name.span:
                enum.variants.extend(_variant(checker, variant) for variant in item.variants)
        case ast.Function():
            declare_function(checker, item)
        case ast.TypeAlias():
            written_type(checker, item.type)
        case ast.Const():
            type_ = written_type(checker, item.type)
            checker.constants[item.name.text] = (type_, constant_value(checker, item.value, type_))
        case _:
            pass


def _fields(checker: Checker, fields: tuple[ast.Field, ...], origin: str) -> list[FieldInfo]:
    found: list[FieldInfo] = []
    seen: dict[str, Span] = {}
    for field in fields:
        for decorator in field.decorators:
            checker.not_yet(f"the decorator `@{decorator.name}`", decorator)
        name = field.name.text
        if name in seen:
            related = (Label(seen[name], "first here"),)
            checker.report(
                "E2004", f"the field `{name}` is declared twice", field.name, related=related
            )
            continue
        seen[name] = field.name.span
        type_ = written_type(checker, field.type)
        if origin == "schema" and not _has_json_schema(type_):
            checker.report(
                "E4035", f"`{t.show(type_)}` cannot be expressed as JSON Schema", field.type
            )
        if field.is_optional and not isinstance(type_, t.Option):
            type_ = t.Option(type_)
        info = FieldInfo(name, type_, isinstance(type_, t.Option), doc=field.doc)
        if field.default is not None:
            info.has_default = True
            code = "E4036" if origin == "schema" else "E3001"
            info.default = constant_value(checker, field.default, type_, code)
        found.append(info)
    return found


def _has_json_schema(type_: Type) -> bool:
    type_ = t.resolve(type_)
    if type_ in (t.RANGE, t.STREAM, t.MODEL, t.NEVER):
        return False
    if isinstance(type_, t.Map) and t.resolve(type_.key) not in (t.STRING, t.UNKNOWN):
        return False
    return all(_has_json_schema(part) for part in t.parts(type_))


def _variant(checker: Checker, variant: ast.Variant) -> VariantInfo:
    name = variant.name.text
    if variant.items is not None:
        types = [written_type(checker, item) for item in variant.items]
        fields = [FieldInfo(str(index), type_) for index, type_ in enumerate(types)]
        return VariantInfo(name, "tuple", fields)
    if variant.fields is not None:
        return VariantInfo(name, "struct", _fields(checker, variant.fields, "struct"))
    return VariantInfo(name, "unit", [])


def declare_function(checker: Checker, item: ast.Function) -> None:
    """The signature of a function."""
    if item.name.text in checker.functions:
        return
    if item.type_params:
        checker.not_yet("a generic function", item.name)
    if item.is_async:
        checker.not_yet("an `async` function", item.name)
    if item.body is None:
        checker.report(
            "E1017", f"`{item.name}` has no body", item.name, "write `{ .. }` behind the signature"
        )
    params: list[ParamInfo] = []
    for param in item.params:
        if param.name.text == "self":
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
    if name == "main":
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
    function = FunctionInfo(name, params, result, item, item.is_pub, len(checker.functions))
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
            return _union(checker, node, members)
        case ast.NamedType():
            return _named(checker, node)
        case _:
            raise AssertionError(node)


def _union(checker: Checker, node: ast.TypeExpr, members: tuple[ast.TypeExpr, ...]) -> Type:
    types = [t.resolve(written_type(checker, member)) for member in members]
    if all(isinstance(type_, t.Literals) for type_ in types):
        values = [value for type_ in types for value in type_.values]  # type: ignore[union-attr]
        return t.Literals(tuple(dict.fromkeys(values)))
    if t.UNKNOWN in types:
        return t.UNKNOWN
    rest = [type_ for type_ in types if type_ != t.NIL]
    if len(rest) == 1 and len(rest) < len(types):
        return t.Option(rest[0])
    checker.not_yet("a union of other than literals", node)
    return t.UNKNOWN


def _named(checker: Checker, node: ast.NamedType) -> Type:
    name = str(node.path)
    if name in checker.opaque and not node.args:
        return checker.opaque[name]
    args = [written_type(checker, arg) for arg in node.args]
    wanted = builtins.GENERIC.get(name, 0)
    known = (
        name in builtins.GENERIC
        or name in builtins.TYPES
        or name in checker.structs
        or name in checker.enums
        or name in checker.aliases
    )
    if not known:
        if name not in checker.refused:
            names = [
                *builtins.GENERIC,
                *builtins.TYPES,
                *checker.structs,
                *checker.enums,
                *checker.aliases,
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
            checker.report("E2005", f"the aliases form a circle: {circle}", alias.name)
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


def _check_recursion(checker: Checker) -> None:
    """E3013: a struct that contains itself without an Option, Array or Map between has no end."""

    def direct(type_: Type) -> list[str]:
        type_ = t.resolve(type_)
        if isinstance(type_, t.Tuple):
            return [name for item in type_.items for name in direct(item)]
        return [type_.name] if isinstance(type_, t.Struct) and type_.name in checker.structs else []

    for name, info in checker.structs.items():
        seen: set[str] = set()
        pending = [inner for field in info.fields for inner in direct(field.type)]
        while pending:
            here = pending.pop()
            if here == name:
                checker.report(
                    "E3013",
                    f"`{name}` contains itself",
                    info.span,
                    "put an `Option` or `Array` between",
                )
                break
            if here not in seen:
                seen.add(here)
                pending.extend(i for f in checker.structs[here].fields for i in direct(f.type))
