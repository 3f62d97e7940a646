"""Patterns to code: tests that jump away, then bindings that copy."""

from __future__ import annotations

from typing import Any

from concerto.check.checked import Local, TypePattern, UnitVariant
from concerto.lower.functions import Builder, Label
from concerto.syntax import ast

#: The field of `LlmError` that tells its variants apart.
_KIND_FIELD = 1


def test_pattern(builder: Builder, pattern: ast.Pattern, subject: int, otherwise: Label) -> None:
    """Jumps if the value does not match."""
    kept = builder.next
    match pattern:
        case ast.PathPattern():
            unit = builder.facts.patterns.get(id(pattern))
            if isinstance(unit, UnitVariant):
                _test_unit(builder, unit, subject, otherwise)
            elif isinstance(unit, TypePattern):
                _test_error(builder, unit, subject, otherwise)
        case ast.LiteralPattern(value=value):
            _test_literal(builder, value, subject, otherwise)
        case ast.RangePattern(start=start, end=end, inclusive=inclusive):
            bound, holds = builder.temporary(), builder.temporary()
            _load(builder, start, bound)
            builder.emit("le", holds, bound, subject)
            builder.emit("jump_unless", holds, otherwise)
            _load(builder, end, bound)
            builder.emit("le" if inclusive else "lt", holds, subject, bound)
            builder.emit("jump_unless", holds, otherwise)
        case ast.BindPattern(inner=inner):
            test_pattern(builder, inner, subject, otherwise)
        case ast.VariantPattern(path=path, items=items):
            _test_variant(builder, pattern, str(path), items, subject, otherwise)
        case ast.StructPattern():
            _test_struct(builder, pattern, subject, otherwise)
        case ast.TuplePattern(items=items):
            for position, item in enumerate(items):
                if not _always(builder, item):
                    part = builder.temporary()
                    builder.emit("tuple_field", part, subject, position)
                    test_pattern(builder, item, part, otherwise)
        case ast.OrPattern(options=options):
            matched = Label()
            for option in options[:-1]:
                following = Label()
                test_pattern(builder, option, subject, following)
                builder.emit("jump", matched)
                builder.place(following)
            test_pattern(builder, options[-1], subject, otherwise)
            builder.place(matched)
        case _:
            raise AssertionError(pattern)
    builder.next = kept


def _always(builder: Builder, pattern: ast.Pattern) -> bool:
    return isinstance(pattern, ast.PathPattern) and not isinstance(
        builder.facts.patterns.get(id(pattern)), UnitVariant | TypePattern
    )


def _load(builder: Builder, value: Any, register: int) -> None:
    match value:
        case None:
            builder.emit("nil", register)
        case bool():
            builder.emit("bool", register, int(value))
        case int() if -(2**31) <= value < 2**31:
            builder.emit("int", register, value)
        case _:
            builder.emit("const", register, builder.tables.constant(value))


def _test_literal(builder: Builder, value: Any, subject: int, otherwise: Label) -> None:
    wanted, holds = builder.temporary(), builder.temporary()
    _load(builder, value, wanted)
    builder.emit("eq", holds, subject, wanted)
    builder.emit("jump_unless", holds, otherwise)


def _test_unit(builder: Builder, unit: UnitVariant, subject: int, otherwise: Label) -> None:
    holds = builder.temporary()
    if unit.type is None:
        builder.emit("is_some", holds, subject)
        builder.emit("jump_if", holds, otherwise)
    else:
        _test_enum(builder, unit, subject, otherwise)
        builder.emit("is_variant", holds, subject, unit.variant)
        builder.emit("jump_unless", holds, otherwise)


def _test_enum(builder: Builder, unit: UnitVariant, subject: int, otherwise: Label) -> None:
    """Jumps if a value of a union is none of the enum."""
    if unit.may_be_other and unit.type is not None:
        holds = builder.temporary()
        type_ = builder.type(unit.type)
        builder.emit("is_type", holds, subject, type_)
        builder.emit("jump_unless", holds, otherwise)


def _test_variant(
    builder: Builder,
    pattern: ast.Pattern,
    path: str,
    items: tuple[ast.Pattern, ...],
    subject: int,
    otherwise: Label,
) -> None:
    holds = builder.temporary()
    if path in ("Some", "Ok", "Err"):
        builder.emit("is_some" if path == "Some" else "is_ok", holds, subject)
        builder.emit("jump_if" if path == "Err" else "jump_unless", holds, otherwise)
        if not _always(builder, items[0]):
            test_pattern(builder, items[0], _payload(builder, subject), otherwise)
        return
    unit = builder.facts.patterns[id(pattern)]
    _test_enum(builder, unit, subject, otherwise)
    builder.emit("is_variant", holds, subject, unit.variant)
    builder.emit("jump_unless", holds, otherwise)
    for position, item in enumerate(items):
        if not _always(builder, item):
            part = builder.temporary()
            builder.emit("variant_field", part, subject, position)
            test_pattern(builder, item, part, otherwise)


def _payload(builder: Builder, subject: int) -> int:
    """The value inside, with the subject left whole."""
    part = builder.temporary()
    builder.emit("copy", part, subject)
    builder.emit("payload", part, part)
    return part


def _test_error(builder: Builder, found: TypePattern, subject: int, otherwise: Label) -> None:
    if found.type is not None:
        holds = builder.temporary()
        builder.emit("is_type", holds, subject, builder.type(found.type))
        builder.emit("jump_unless", holds, otherwise)
    if found.kind is not None:
        kind = builder.temporary()
        builder.emit("field", kind, subject, _KIND_FIELD)
        _test_literal(builder, found.kind, kind, otherwise)


def _test_struct(
    builder: Builder, pattern: ast.StructPattern, subject: int, otherwise: Label
) -> None:
    found = builder.facts.patterns.get(id(pattern))
    read = "field"
    holds = builder.temporary()
    if isinstance(found, UnitVariant):
        _test_enum(builder, found, subject, otherwise)
        builder.emit("is_variant", holds, subject, found.variant)
        builder.emit("jump_unless", holds, otherwise)
        read = "variant_field"
    elif isinstance(found, TypePattern):
        _test_error(builder, found, subject, otherwise)
    for field in pattern.fields:
        if field.pattern is not None and not _always(builder, field.pattern):
            part = builder.temporary()
            builder.emit(read, part, subject, builder.facts.fields[id(field)])
            test_pattern(builder, field.pattern, part, otherwise)


def bind_pattern(builder: Builder, pattern: ast.Pattern, subject: int) -> None:
    """Puts the parts that a pattern names into registers of their own; they stay until their block ends."""
    match pattern:
        case ast.PathPattern():
            local = builder.facts.patterns.get(id(pattern))
            if isinstance(local, Local):
                builder.emit("copy", builder.local(local), subject)
        case ast.BindPattern(inner=inner):
            local = builder.facts.patterns[id(pattern)]
            builder.emit("copy", builder.local(local), subject)
            bind_pattern(builder, inner, subject)
        case ast.VariantPattern(path=path, items=items):
            if not any(_binds(builder, item) for item in items):
                return
            if str(path) in ("Some", "Ok", "Err"):
                bind_pattern(builder, items[0], _payload(builder, subject))
                return
            for position, item in enumerate(items):
                part = builder.temporary()
                builder.emit("variant_field", part, subject, position)
                bind_pattern(builder, item, part)
        case ast.StructPattern(fields=fields):
            found = builder.facts.patterns.get(id(pattern))
            read = "variant_field" if isinstance(found, UnitVariant) else "field"
            for field in fields:
                part = builder.temporary()
                builder.emit(read, part, subject, builder.facts.fields[id(field)])
                local = builder.facts.patterns.get(id(field))
                if isinstance(local, Local):
                    builder.registers[id(local)] = part
                    builder.locals.append(local)
                elif field.pattern is not None:
                    bind_pattern(builder, field.pattern, part)
        case ast.TuplePattern(items=items):
            for position, item in enumerate(items):
                part = builder.temporary()
                builder.emit("tuple_field", part, subject, position)
                bind_pattern(builder, item, part)
        case _:
            pass


def _binds(builder: Builder, pattern: ast.Pattern) -> bool:
    match pattern:
        case ast.PathPattern() | ast.BindPattern():
            return isinstance(builder.facts.patterns.get(id(pattern)), Local)
        case ast.VariantPattern(items=items) | ast.TuplePattern(items=items):
            return any(_binds(builder, item) for item in items)
        case ast.StructPattern():
            return True
        case _:
            return False
