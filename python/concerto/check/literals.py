"""Literals of values, structs and collections."""

from __future__ import annotations

from concerto.check import methods
from concerto.check import types as t
from concerto.check.bodies import Body, Bound
from concerto.check.checked import (
    FieldInfo,
    FunctionInfo,
    StructInfo,
    UnitVariant,
    Use,
    struct_info,
)
from concerto.check.decorators import warn_deprecated
from concerto.check.generics import written_struct
from concerto.check.lints import check_keys
from concerto.check.traits import is_key
from concerto.check.types import Type
from concerto.check.variants import Variant, find_variant, unknown_variant, variant_help
from concerto.diagnostics.model import did_you_mean
from concerto.syntax import ast, foreign


def check_literal(value: object, expected: Type | None) -> Type:
    """The type of a literal, which an expected Float, Option or literal type decides."""
    wanted = t.resolve(expected) if expected is not None else None
    if isinstance(wanted, t.Option):
        wanted = t.resolve(wanted.item)
    match value:
        case bool():
            return t.BOOL
        case int():
            return t.FLOAT if wanted == t.FLOAT else t.INT
        case float():
            return t.FLOAT
        case str():
            return t.Literals((value,)) if isinstance(wanted, t.Literals) else t.STRING
        case _:
            return t.NIL


def check_struct(body: Body, node: ast.StructLiteral, expected: Type | None) -> Type:
    """The type of a struct literal or of a variant with named fields: each field once, none missing, none unknown."""
    checker, name = body.checker, str(node.path)
    warn_deprecated(checker, node.path.names[0].text, node.path)
    variant = find_variant(checker, node.path, expected)
    if variant is not None:
        return _variant(body, node, variant)
    found = methods.named_type(checker, name) if len(node.path.names) == 1 else None
    info = struct_info(checker.structs, found.name) if isinstance(found, t.Struct) else None
    if info is None or not isinstance(found, t.Struct):
        _unknown_struct(body, node, found)
        return t.UNKNOWN
    if info.type_params and undecided_args(found):
        found = written_struct(found.name, expected) or found
    _fields(body, node, info.fields_of(found), info.name, found.args, info)
    return found


def undecided_args(type_: t.Struct) -> bool:
    """Whether a path left type arguments open, which `Self` and aliases do not."""
    return any(isinstance(t.resolve(arg), t.Var) for arg in type_.args)


def _unknown_struct(body: Body, node: ast.StructLiteral, found: Type | None) -> None:
    from concerto.check.exprs import check_expr

    checker, path = body.checker, node.path
    for field in node.fields:
        if field.value is not None:
            check_expr(body, field.value, None)
    if found is not None and found != t.UNKNOWN:
        message = f"`{t.show(found)}` is no struct"
        checker.report("E3009", message, path, "only structs and schemas are written like this")
    elif found is None and isinstance(methods.named_type(checker, path.names[0].text), t.Enum):
        unknown_variant(checker, path)
    elif found is None and path.names[0].text not in checker.refused:
        word = str(path)
        if word in foreign.BEGIN:
            checker.report("E1008", f"there is no `{word}`", path, foreign.BEGIN[word])
            return
        help_ = checker.hint(word, checker.structs, path) or variant_help(checker, word)
        checker.report("E2002", f"there is no struct `{word}`", path, help_)


def _variant(body: Body, node: ast.StructLiteral, variant: Variant) -> Type:
    facts = body.checker.facts
    if variant.form != "struct":
        parts = "" if variant.form == "unit" else "(..)"
        message = f"`{node.path}` has no named fields"
        body.checker.report("E3032", message, node.path, f"write `{node.path}{parts}`")
    declared = variant.fields if variant.form == "struct" else []
    _fields(body, node, declared, str(node.path), variant.type.args)
    facts.names[id(node)] = UnitVariant(variant.type, variant.number)
    return variant.type


def _fields(
    body: Body,
    node: ast.StructLiteral,
    declared: list[FieldInfo],
    name: str,
    args: tuple[Type, ...] = (),
    info: StructInfo | None = None,
) -> None:
    """E2004, E3011, E3012. `args` are the type arguments of what the fields belong to."""
    from concerto.check.exprs import check_expr

    checker = body.checker
    fields = {field.name: field for field in declared}
    given: set[str] = set()
    for field in node.fields:
        word = field.name.text
        if word in given:
            checker.report("E2004", f"the field `{word}` is given twice", field.name)
        given.add(word)
        wanted = fields[word].type if word in fields else None
        if wanted is not None and info is not None:
            checker.may_see(info, fields[word], field.name)
        if wanted is None and fields:
            help_ = did_you_mean(word, list(fields))
            checker.report("E3011", f"`{name}` has no field `{word}`", field.name, help_)
        value = field_value(field)
        checker.facts.names[id(field)] = value
        check_expr(body, value, wanted)
    taken = [f.computed for f in declared if f.computed is not None and f.name not in given]
    take_defaults(body, node, taken, args)
    missing = [
        f.name for f in declared if f.name not in given and not f.has_default and not f.optional
    ]
    # A field that does not exist may be meant for one that is missing.
    if missing and all(field.name.text in fields for field in node.fields):
        names = ", ".join(f"`{each}`" for each in missing)
        checker.report("E3012", f"`{name}` lacks {names}", node.path, f"add `{missing[0]}: ..`")


def take_defaults(
    body: Body, node: ast.Expr, computed: list[FunctionInfo], args: tuple[Type, ...]
) -> None:
    """Notes the functions that compute the defaults which a call or a literal takes, with their type arguments."""
    if computed:
        body.checker.facts.computed[id(node)] = tuple(computed)
    for function in computed if args else ():
        body.demands.use(Use(function, args, node))


def field_value(field: ast.FieldValue) -> ast.Expr:
    """The value of a field; `S { a }` is `S { a: a }`."""
    if field.value is not None:
        return field.value
    path = ast.Path(span=field.name.span, names=(field.name,))
    return ast.PathExpr(span=field.name.span, path=path)


def check_tuple(body: Body, items: tuple[ast.Expr, ...], expected: Type | None) -> Type:
    """The type of a tuple literal."""
    from concerto.check.exprs import check_expr

    wanted = t.resolve(expected) if expected is not None else None
    fits = isinstance(wanted, t.Tuple) and len(wanted.items) == len(items)
    return t.Tuple(
        tuple(
            check_expr(
                body, item, wanted.items[i] if fits and isinstance(wanted, t.Tuple) else None
            )
            for i, item in enumerate(items)
        )
    )


def check_array(body: Body, node: ast.ArrayLiteral, expected: Type | None) -> Type:
    """The type of an array literal, whose elements have one type."""
    from concerto.check.exprs import check_expr

    wanted = t.resolve(expected) if expected is not None else None
    if isinstance(wanted, t.Option):
        wanted = t.resolve(wanted.item)
    if isinstance(wanted, t.Array) and not isinstance(t.resolve(wanted.item), t.Var):
        for item in node.items:
            check_expr(body, item, wanted.item)
        return wanted
    found: Type = t.Var()
    if not node.items and wanted != t.ANY:
        body.note_empty(node, found)
    inside = t.ANY if wanted == t.ANY else None
    types = [check_expr(body, item, inside) for item in node.items]
    for item, type_ in zip(node.items, types, strict=True):
        _storable(body, item, type_)
    if wanted == t.ANY:
        return t.Array(t.ANY)
    for item, type_ in zip(node.items, types, strict=True):
        joined = t.join(found, type_)
        if joined is None:
            message = f"the elements are `{t.show(found)}` and `{t.show(type_)}`"
            body.checker.report("E3006", message, item, "elements of an array have one type")
            return t.UNKNOWN
        found = joined
    for item, type_ in zip(node.items, types, strict=True):
        steps = t.assign(type_, found)
        if steps:
            body.checker.facts.steps[id(item)] = (steps, found)
    return t.Array(found)


def _storable(body: Body, node: ast.Expr, found: Type) -> None:
    if t.resolve(found) == t.STREAM:
        body.checker.report("E4033", "a stream cannot be stored", node, "read it where it is")


def check_map(body: Body, node: ast.MapLiteral, expected: Type | None) -> Type:
    """The type of a map literal."""
    from concerto.check.exprs import check_expr

    wanted = t.resolve(expected) if expected is not None else None
    check_keys(body, node)
    if isinstance(wanted, t.Map):
        for entry in node.entries:
            check_expr(body, entry.key, wanted.key)
            check_expr(body, entry.value, wanted.value)
        return wanted
    # Where anything goes, values need no common type (6.5): none is converted.
    inside = t.ANY if wanted == t.ANY else None
    key: Type = t.Var()
    value: Type = inside or t.Var()
    if not node.entries and wanted != t.ANY:
        body.note_empty(node, value)
        # What its keys are, later statements say.
        body.demands.bounds.append(Bound(key, t.TraitRef("Hash"), node, "Map"))
    for entry in node.entries:
        found_key = check_expr(body, entry.key, None)
        joined = t.join(key, found_key)
        if joined is None or not is_key(body.checker, joined):
            message = f"`{t.show(found_key)}` cannot be a key of this map"
            body.checker.report("E3036", message, entry.key)
            joined = t.UNKNOWN
        key = joined
        found = check_expr(body, entry.value, inside)
        _storable(body, entry.value, found)
        # Values of different types make a map of Any.
        value = t.join(value, found) or t.ANY
    for entry in node.entries:
        for part, joined in ((entry.key, key), (entry.value, value)):
            steps = t.assign(body.checker.facts.types[id(part)], joined)
            if steps:
                body.checker.facts.steps[id(part)] = (steps, joined)
    return t.Map(key, value)
