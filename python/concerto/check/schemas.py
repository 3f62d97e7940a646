"""Schemas and structs: their fields, what decorators change of them, and which types JSON can carry (rules SC-1 to SC-18)."""

from __future__ import annotations

from typing import Any

from concerto.check import types as t
from concerto.check.checked import FieldInfo, StructInfo
from concerto.check.checker import Checker
from concerto.check.decorators import check_deprecated, read_decorators, text_argument
from concerto.check.defaults import PendingDefault, file_default
from concerto.check.generics import LONGEST, inside
from concerto.check.limits import LIMITS, read_limit
from concerto.check.types import Type
from concerto.diagnostics.model import Label
from concerto.records import record
from concerto.source import Span
from concerto.syntax import ast

_SCHEMA = frozenset(("describe", "validate", "strict", "partial", "coerce", "deprecated"))
_STRUCT_FIELD = frozenset(("describe", "json")) | LIMITS
_SCHEMA_FIELD = _STRUCT_FIELD | {"partial", "coerce"}


@record()
class _Modes:
    """What the decorators of a schema say about each of its fields."""

    partial: bool = False
    coerce: bool = False


@record()
class Owner:
    """What fields belong to: a `struct`, a `schema` or a `variant`."""

    name: str
    origin: str
    type_params: tuple[t.Opaque, ...]


def read_struct(checker: Checker, node: ast.Struct | ast.Schema, info: StructInfo) -> None:
    """Fills in what a declaration says."""
    is_schema = info.origin == "schema"
    allowed = _SCHEMA if is_schema else frozenset(("deprecated",))
    found = read_decorators(checker, node.decorators, allowed)
    names = {decorator.name.text for decorator in found}
    info.strict = "strict" in names
    for decorator in found:
        if decorator.name.text == "describe":
            info.doc = text_argument(checker, decorator) or info.doc
        elif decorator.name.text == "deprecated":
            check_deprecated(checker, decorator)
    modes = _Modes("partial" in names, "coerce" in names)
    of = Owner(info.name, info.origin, info.type_params)
    info.fields.extend(read_fields(checker, node.fields, of, modes))


def read_fields(
    checker: Checker, fields: tuple[ast.Field, ...], of: Owner, modes: _Modes | None = None
) -> list[FieldInfo]:
    """The fields of a struct, schema or variant."""
    found: list[FieldInfo] = []
    names: dict[str, Span] = {}
    json_names: dict[str, Span] = {}
    for field in fields:
        name = field.name.text
        if name in names:
            related = (Label(names[name], "first here"),)
            message = f"the field `{name}` is declared twice"
            checker.report("E2004", message, field.name, related=related)
            continue
        names[name] = field.name.span
        info = _field(checker, field, of, modes or _Modes())
        if info.json_name in json_names:
            related = (Label(json_names[info.json_name], "first here"),)
            message = f"two fields have the name `{info.json_name}` in JSON"
            checker.report("E2004", message, field.name, related=related)
        json_names.setdefault(info.json_name, field.name.span)
        found.append(info)
    return found


def _field(checker: Checker, field: ast.Field, of: Owner, modes: _Modes) -> FieldInfo:
    from concerto.check.collect import written_type

    allowed = {"schema": _SCHEMA_FIELD, "struct": _STRUCT_FIELD}.get(of.origin, frozenset())
    decorators = read_decorators(checker, field.decorators, allowed)
    own = {decorator.name.text for decorator in decorators}
    type_ = written_type(checker, field.type)
    if field.is_optional and isinstance(t.resolve(type_), t.Option):
        if of.origin == "schema":
            help_ = f"write `{field.name}: {t.show(type_)}`"
            checker.report("W4014", f"`{field.name}` is optional twice", field.name, help_)
    elif field.is_optional:
        type_ = t.Option(type_)
    is_partial = modes.partial or "partial" in own
    if is_partial and field.default is None and not isinstance(t.resolve(type_), t.Option):
        type_ = t.Option(type_)
    info = FieldInfo(field.name.text, type_, isinstance(t.resolve(type_), t.Option), doc=field.doc)
    info.coerce = modes.coerce or "coerce" in own
    info.is_pub, info.span = field.is_pub, field.name.span
    for decorator in decorators:
        match decorator.name.text:
            case "describe":
                info.doc = text_argument(checker, decorator) or info.doc
            case "json":
                info.json = text_argument(checker, decorator)
            case limit if limit in LIMITS:
                read_limit(checker, decorator, type_, info.checks)
    if field.default is not None:
        info.has_default = True
        is_schema = of.origin == "schema"
        pending = PendingDefault(
            field.default, info, of.name, (), of.type_params, dict(checker.opaque), is_schema
        )
        file_default(checker, pending)
    return info


def check_schemas(checker: Checker) -> None:
    """The rules that need all fields of all types."""
    for item in checker.module.items:
        info = checker.structs.get(item.name.text) if isinstance(item, ast.Schema) else None
        if info is not None and isinstance(item, ast.Schema):
            check_fields(checker, item, info)
    check_recursion(checker)


def check_fields(checker: Checker, item: ast.Schema, info: StructInfo) -> None:
    """E4035."""
    fields = {field.name: field for field in info.fields}
    for node in item.fields:
        field = fields.get(node.name.text)
        bad = inexpressible(checker, field.type) if field else None
        if bad is not None:
            message = f"`{t.show(bad)}` cannot be expressed as JSON Schema"
            checker.report("E4035", message, node.type)


def inexpressible(checker: Checker, type_: Type, *, into_schemas: bool = False) -> Type | None:
    """A type inside that no JSON Schema expresses (SC-8). Schemas report their own fields, so they are looked into only on request."""
    seen: set[Type] = set()

    def find(type_: Type) -> Type | None:
        type_ = t.resolve(type_)
        match type_:
            case t.Simple(name):
                known = ("String", "Int", "Float", "Bool", "Nil", "Any", "?")
                return None if name in known else type_
            case t.Literals():
                return None
            case t.Map(key, value):
                return find(value) if t.resolve(key) in (t.STRING, t.UNKNOWN) else type_
            case t.Array() | t.Option() | t.Tuple() | t.Union():
                return _first(find, t.parts(type_))
            case t.Struct(_, "struct" | "schema" as origin):
                if type_ in seen or (origin == "schema" and not into_schemas):
                    return None
                seen.add(type_)
                return _first(find, inside(checker, type_))
            case t.Enum():
                if type_ in seen:
                    return None
                seen.add(type_)
                return _first(find, inside(checker, type_))
            case t.Opaque():
                # What stands for it is checked where it is given.
                return None
            case _:
                return type_

    return find(type_)


def _first(find: Any, types: Any) -> Type | None:
    found: Type | None = next((bad for bad in map(find, types) if bad is not None), None)
    return found


def check_recursion(checker: Checker) -> None:
    """E4039, E3013: a type that contains itself without an Option, Array or Map between has no end."""

    def direct(type_: Type) -> list[t.Struct]:
        type_ = t.resolve(type_)
        if isinstance(type_, t.Tuple | t.Union):
            return [struct for inner in t.parts(type_) for struct in direct(inner)]
        is_declared = isinstance(type_, t.Struct) and type_.name in checker.structs
        return [type_] if isinstance(type_, t.Struct) and is_declared else []

    circles: dict[t.Struct, set[Type]] = {}
    for name, info in checker.structs.items():
        itself = t.Struct(name, info.origin, info.type_params)
        seen: set[Type] = set()
        pending = [inner for type_ in inside(checker, itself) for inner in direct(type_)]
        while pending:
            here = pending.pop()
            if here not in seen and len(t.show(here)) < LONGEST:
                seen.add(here)
                pending.extend(i for type_ in inside(checker, here) for i in direct(type_))
        # One message for each circle, at its first type.
        if itself in seen and not any(
            itself in others and first in seen for first, others in circles.items()
        ):
            circles[itself] = seen
            code = "E4039" if info.origin == "schema" else "E3013"
            help_ = "put an `Option`, `Array` or `Map` between"
            checker.report(code, f"`{t.show(itself)}` contains itself", info.span, help_)
