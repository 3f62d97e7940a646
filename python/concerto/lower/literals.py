"""Literals, constants and records to code."""

from __future__ import annotations

import math
from typing import Any

from concerto.check import types as t
from concerto.check.checked import FieldInfo, UnitVariant, struct_info
from concerto.check.literals import field_value
from concerto.check.types import Type
from concerto.check.values import MapConstant, OptionConstant, StructConstant, VariantDefault
from concerto.lower.functions import SMALL_INT, Builder
from concerto.syntax import ast


def lower_literal(builder: Builder, value: Any, type_: Type, target: int) -> None:
    """A literal as a value of a type."""
    inner = t.resolve(type_.item) if isinstance(type_, t.Option) else type_
    match value:
        case None:
            builder.emit("nil", target)
        case bool():
            builder.emit("bool", target, int(value))
        case int() if t.FLOAT in (type_, inner):
            builder.emit("const", target, builder.tables.constant(float(value)))
        case int() if -SMALL_INT <= value < SMALL_INT:
            builder.emit("int", target, value)
        case _:
            builder.emit("const", target, builder.tables.constant(value))


def load_constant(builder: Builder, value: Any, type_: Type, target: int) -> None:
    """A constant of the program, converted to a type."""
    type_ = t.resolve(type_)
    if isinstance(value, VariantDefault) and not isinstance(type_, t.Option):
        enum = type_ if isinstance(type_, t.Enum) else t.Enum(value.enum or "")
        builder.emit("variant", target, builder.type(enum), value.variant, builder.next, 0)
    elif isinstance(value, float) and not math.isfinite(value) and type_ == t.FLOAT:
        _not_finite(builder, value, target)
    elif isinstance(value, list):
        item = type_.item if isinstance(type_, t.Array) else t.ANY
        first = builder.temporary(len(value))
        for position, each in enumerate(value):
            load_constant(builder, each, item, first + position)
        builder.emit("array", target, first, len(value))
    elif isinstance(value, MapConstant | StructConstant | tuple) and not isinstance(
        type_, t.Option
    ):
        _load_composite(builder, value, type_, target)
    elif isinstance(value, OptionConstant):
        _load_option(builder, value, type_.item if isinstance(type_, t.Option) else t.ANY, target)
    elif isinstance(type_, t.Option):
        inner = OptionConstant(() if value is None else (value,))
        _load_option(builder, inner, type_.item, target)
    else:
        lower_literal(builder, value, type_, target)


def _load_option(builder: Builder, value: OptionConstant, item: Type, target: int) -> None:
    if not value.items:
        builder.emit("none", target)
        return
    load_constant(builder, value.items[0], item, target)
    builder.emit("some", target, target)


def _load_composite(
    builder: Builder,
    value: MapConstant | StructConstant | tuple[Any, ...],
    type_: Type,
    target: int,
) -> None:
    kept = builder.next
    parts: list[tuple[Any, Type]]
    match value:
        case MapConstant(entries):
            key, item = (type_.key, type_.value) if isinstance(type_, t.Map) else (t.ANY, t.ANY)
            parts = [part for k, v in entries for part in ((k, key), (v, item))]
        case StructConstant(name=name, fields=fields):
            info = struct_info(builder.tables.checked.structs, name)
            assert info is not None
            parts = [(each, f.type) for each, f in zip(fields, info.fields, strict=True)]
        case items:
            types = type_.items if isinstance(type_, t.Tuple) else (t.ANY,) * len(items)
            parts = list(zip(items, types, strict=True))
    first = builder.temporary(len(parts))
    for position, (each, part) in enumerate(parts, first):
        load_constant(builder, each, part, position)
    match value:
        case MapConstant(entries):
            builder.emit("map", target, first, len(entries))
        case StructConstant(name=name, origin=origin):
            struct = builder.type(t.Struct(name, origin))
            builder.emit("struct", target, struct, first, len(parts))
        case _:
            builder.emit("tuple", target, first, len(parts))
    builder.next = kept


def _not_finite(builder: Builder, value: float, target: int) -> None:
    """JSON has no such numbers, so they are computed: 1 / 0 and 0 / 0."""
    kept = builder.next
    zero = builder.temporary()
    builder.emit("const", zero, builder.tables.constant(0.0))
    builder.emit("const", target, builder.tables.constant(0.0 if math.isnan(value) else 1.0))
    builder.emit("div_float", target, target, zero)
    if value < 0:
        builder.emit("neg_float", target, target)
    builder.next = kept


def load_record(
    builder: Builder, type_: Type, fields: tuple[ast.Expr | str | int | None, ...], target: int
) -> None:
    """A built-in record; a field is an expression, a constant text, the register of a value, or None."""
    from concerto.lower.exprs import lower_into

    kept = builder.next
    first = builder.temporary(len(fields))
    for position, field in enumerate(fields, first):
        match field:
            case None:
                builder.emit("none", position)
            case str():
                builder.emit("const", position, builder.tables.constant(field))
            case int():
                builder.emit("move", position, field)
            case _:
                lower_into(builder, field, position)
    builder.emit("struct", target, builder.type(type_), first, len(fields))
    builder.next = kept


def lower_interpolated(
    builder: Builder,
    node: ast.Expr,
    pieces: tuple[str, ...],
    values: tuple[ast.Expr, ...],
    target: int,
) -> None:
    """A string with values in it: one concatenation."""
    from concerto.lower.exprs import lower_into

    parts: list[str | ast.Expr] = [pieces[0]]
    for value, piece in zip(values, pieces[1:], strict=True):
        parts += [value, piece]
    parts = [part for part in parts if part != ""]
    first = builder.temporary(len(parts))
    for position, part in enumerate(parts):
        if isinstance(part, str):
            builder.emit("const", first + position, builder.tables.constant(part))
        else:
            lower_into(builder, part, first + position)
    builder.emit("concat", target, first, len(parts), at=node)


def lower_struct(builder: Builder, node: ast.StructLiteral, target: int) -> None:
    """A struct literal: given fields as written, then the others."""
    from concerto.lower.exprs import lower_into

    found = t.resolve(builder.facts.types[id(node)])
    fields = _declared_fields(builder, node, found)
    given: dict[str, ast.Expr] = {}
    for field in node.fields:
        given[field.name.text] = builder.facts.names.get(id(field)) or field_value(field)
    first = builder.temporary(len(fields))
    # Values are evaluated in written order, defaults after them.
    order = {field.name: position for position, field in enumerate(fields)}
    for name, value in given.items():
        lower_into(builder, value, first + order[name])
    for each in fields:
        if each.name not in given:
            if each.computed is not None:
                assert isinstance(found, t.Struct | t.Enum)
                index = builder.function(each.computed, found.args)
                builder.emit("call", first + order[each.name], index, builder.next, 0, at=node)
            elif each.has_default:
                load_constant(builder, each.default, each.type, first + order[each.name])
            else:
                builder.emit("none", first + order[each.name])
    if isinstance(found, t.Enum):
        unit = builder.facts.names[id(node)]
        builder.emit("variant", target, builder.type(found), unit.variant, first, len(fields))
    else:
        builder.emit("struct", target, builder.type(found), first, len(fields))


def _declared_fields(builder: Builder, node: ast.StructLiteral, found: Type) -> list[FieldInfo]:
    checked = builder.tables.checked
    if isinstance(found, t.Enum):
        unit = builder.facts.names[id(node)]
        assert isinstance(unit, UnitVariant)
        return checked.enums[found.name].fields_of(unit.variant, found)
    assert isinstance(found, t.Struct)
    info = struct_info(checked.structs, found.name)
    assert info is not None
    return info.fields_of(found)
