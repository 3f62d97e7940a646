"""W2008: types in public signatures that the readers of the signature may not use (language reference 12.3)."""

from __future__ import annotations

from concerto.check.checker import Checker
from concerto.diagnostics.model import Label
from concerto.syntax import ast
from concerto.syntax.walk import children

_TYPES = (ast.Struct, ast.Schema, ast.Enum, ast.TypeAlias, ast.Trait)


def check_exposed(checker: Checker, items: list[ast.Declaration]) -> None:
    """Warns of private types of a module in what it makes public.

    Who calls the entry file is a host, which knows a schema by its JSON.
    """
    private = {
        item.name.text: item
        for item in items
        if isinstance(item, _TYPES)
        and not item.is_pub
        and not (isinstance(item, ast.Schema) and not item.name.text.rpartition("::")[0])
    }
    if not private:
        return
    for item in items:
        for type_ in _signature(item) if item.is_pub else ():
            found = private.get(str(type_.path))
            if found is not None:
                name = found.name.text.rpartition("::")[2]
                label = Label(found.name.span, "declared here without `pub`")
                message = f"the private type `{name}` stands in a public signature"
                checker.report("W2008", message, type_, f"write `pub` before `{name}`", (label,))


def _signature(node: ast.Declaration) -> list[ast.NamedType]:
    """The types that a declaration shows to others."""
    written: list[ast.TypeExpr | None] = []
    match node:
        case ast.Function(params=params, result=result):
            written = [*(param.type for param in params), result]
        case ast.Struct(fields=fields):
            written = [each.type for each in fields if each.is_pub]
        case ast.Schema(fields=fields):
            written = [each.type for each in fields]
        case ast.Enum(variants=variants):
            for variant in variants:
                written += [*(variant.items or ()), *(f.type for f in variant.fields or ())]
        case ast.Const(type=type_) | ast.TypeAlias(type=type_):
            written = [type_]
    return [named for each in written if each is not None for named in _named(each)]


def _named(node: ast.TypeExpr) -> list[ast.NamedType]:
    inside = [each for each in children(node) if isinstance(each, ast.TypeExpr)]
    found = [named for each in inside for named in _named(each)]
    return [node, *found] if isinstance(node, ast.NamedType) else found
