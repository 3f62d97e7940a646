"""Patterns to code: tests that jump away, then bindings that copy."""

from __future__ import annotations

from typing import Any

from concerto.check import types as t
from concerto.check.checked import ConstantName, Local, ReplyPattern, TypePattern, UnitVariant
from concerto.lower.functions import Builder, Label
from concerto.source import Span
from concerto.syntax import ast
from concerto.syntax.walk import children

#: The field of a built-in error that tells its variants apart.
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
            elif isinstance(unit, ConstantName):
                _test_constant(builder, unit, subject, otherwise)
        case ast.LiteralPattern(value=value):
            _test_literal(builder, value, subject, otherwise)
        case ast.RangePattern(start=start, end=end, inclusive=inclusive):
            _test_type(builder, pattern, subject, otherwise)
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
        case ast.TuplePattern(items=()):
            _test_literal(builder, None, subject, otherwise)
        case ast.TuplePattern(items=items):
            _test_type(builder, pattern, subject, otherwise)
            for position, item in enumerate(items):
                if not _always(builder, item):
                    part = builder.temporary()
                    builder.emit("tuple_field", part, subject, position)
                    test_pattern(builder, item, part, otherwise)
        case ast.ArrayPattern(items=items):
            _test_type(builder, pattern, subject, otherwise)
            _test_array(builder, items, subject, otherwise)
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
    return isinstance(pattern, ast.PathPattern) and isinstance(
        builder.facts.patterns.get(id(pattern)), Local | None
    )


def _test_type(builder: Builder, pattern: ast.Pattern, subject: int, otherwise: Label) -> None:
    """Jumps if a value of a union or of `Any` is not of the type that the pattern is for."""
    found = builder.facts.patterns.get(id(pattern))
    if isinstance(found, TypePattern) and found.type is not None:
        holds = builder.temporary()
        builder.emit("is_type", holds, subject, builder.type(found.type))
        builder.emit("jump_unless", holds, otherwise)


def _test_constant(
    builder: Builder, constant: ConstantName, subject: int, otherwise: Label
) -> None:
    from concerto.lower.literals import load_constant

    wanted, holds = builder.temporary(), builder.temporary()
    load_constant(builder, constant.value, constant.type, wanted)
    builder.emit("eq", holds, subject, wanted)
    builder.emit("jump_unless", holds, otherwise)


def _test_array(
    builder: Builder, items: tuple[ast.Pattern, ...], subject: int, otherwise: Label
) -> None:
    """The length, then the elements from the start and from the end."""
    is_open = any(isinstance(item, ast.RestPattern) for item in items)
    length, wanted, holds = (builder.temporary() for _ in range(3))
    builder.emit("len", length, subject)
    builder.emit("int", wanted, len(items) - is_open)
    builder.emit("le" if is_open else "eq_int", holds, wanted, length)
    builder.emit("jump_unless", holds, otherwise)
    for item, at in _elements(items):
        if not _always(builder, item) and not isinstance(item, ast.RestPattern):
            part = _element(builder, subject, at, item)
            test_pattern(builder, item, part, otherwise)


def _elements(items: tuple[ast.Pattern, ...]) -> list[tuple[ast.Pattern, int]]:
    """Each pattern with its place in the array: from the start, or, negative, from the end. A rest has the place where it begins."""
    rest = next(
        (n for n, item in enumerate(items) if isinstance(item, ast.RestPattern)), len(items)
    )
    return [(item, n if n <= rest else n - len(items)) for n, item in enumerate(items)]


def _element(builder: Builder, subject: int, at: int, node: ast.Node) -> int:
    """An element of an array that has it."""
    part, index = builder.temporary(), builder.temporary()
    _place(builder, subject, at, index)
    builder.emit("index_array", part, subject, index, at=node)
    return part


def _place(builder: Builder, subject: int, at: int, index: int) -> None:
    if at >= 0:
        builder.emit("int", index, at)
    else:
        builder.emit("len", index, subject)
        builder.emit("add_int_imm", index, index, at, at=Span(0, 0))


def _rest(builder: Builder, subject: int, items: tuple[ast.Pattern, ...], start: int) -> int:
    """The elements that the other patterns of an array leave."""
    part, range_, first, end = (builder.temporary() for _ in range(4))
    builder.emit("int", first, start)
    builder.emit("len", end, subject)
    builder.emit("add_int_imm", end, end, start + 1 - len(items), at=Span(0, 0))
    builder.emit("range", range_, first, end)
    builder.emit("slice_array", part, subject, range_, at=Span(0, 0))
    return part


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
    if unit.type is None and unit.may_be_other:
        _test_literal(builder, None, subject, otherwise)
    elif unit.type is None:
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
    pattern: ast.VariantPattern,
    path: str,
    items: tuple[ast.Pattern, ...],
    subject: int,
    otherwise: Label,
) -> None:
    holds = builder.temporary()
    if path in ("Some", "Ok", "Err"):
        if isinstance(builder.facts.patterns.get(id(pattern)), ReplyPattern):
            builder.emit("is_type", holds, subject, builder.type(t.Result(t.ANY, t.ANY)))
            builder.emit("jump_if" if path == "Ok" else "jump_unless", holds, otherwise)
        else:
            _test_type(builder, pattern, subject, otherwise)
            builder.emit("is_some" if path == "Some" else "is_ok", holds, subject)
            builder.emit("jump_if" if path == "Err" else "jump_unless", holds, otherwise)
        if not _always(builder, items[0]):
            test_pattern(builder, items[0], _inside(builder, pattern, subject), otherwise)
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


def _inside(builder: Builder, pattern: ast.VariantPattern, subject: int) -> int:
    """The value that `Some`, `Ok` or `Err` of a pattern has inside; a good reply is that value itself."""
    known = builder.facts.patterns.get(id(pattern))
    is_reply = isinstance(known, ReplyPattern) and str(pattern.path) == "Ok"
    return subject if is_reply else _payload(builder, subject)


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
        case ast.VariantPattern():
            _bind_variant(builder, pattern, subject)
        case ast.StructPattern():
            _bind_struct(builder, pattern, subject)
        case ast.TuplePattern(items=items):
            for position, item in enumerate(items):
                if names_of(builder, item):
                    part = builder.temporary()
                    builder.emit("tuple_field", part, subject, position)
                    bind_pattern(builder, item, part)
        case ast.ArrayPattern(items=items):
            _bind_array(builder, items, subject)
        case ast.OrPattern(options=options):
            _bind_alternatives(builder, options, subject)
        case _:
            pass


def _bind_variant(builder: Builder, pattern: ast.VariantPattern, subject: int) -> None:
    for position, item in enumerate(pattern.items):
        if not names_of(builder, item):
            continue
        if str(pattern.path) in ("Some", "Ok", "Err"):
            part = _inside(builder, pattern, subject)
        else:
            part = builder.temporary()
            builder.emit("variant_field", part, subject, position)
        bind_pattern(builder, item, part)


def _bind_struct(builder: Builder, pattern: ast.StructPattern, subject: int) -> None:
    found = builder.facts.patterns.get(id(pattern))
    read = "variant_field" if isinstance(found, UnitVariant) else "field"
    for field in pattern.fields:
        local = builder.facts.patterns.get(id(field))
        if field.pattern is not None and not names_of(builder, field.pattern):
            continue
        part = builder.temporary()
        builder.emit(read, part, subject, builder.facts.fields[id(field)])
        if isinstance(local, Local):
            builder.registers[id(local)] = part
            builder.locals.append(local)
        elif field.pattern is not None:
            bind_pattern(builder, field.pattern, part)


def _bind_array(builder: Builder, items: tuple[ast.Pattern, ...], subject: int) -> None:
    for item, at in _elements(items):
        local = builder.facts.patterns.get(id(item))
        if isinstance(item, ast.RestPattern):
            if isinstance(local, Local):
                part = _rest(builder, subject, items, at)
                builder.emit("copy", builder.local(local), part)
        elif names_of(builder, item):
            bind_pattern(builder, item, _element(builder, subject, at, item))


def _bind_alternatives(builder: Builder, options: tuple[ast.Pattern, ...], subject: int) -> None:
    """One of the alternatives is known to match: the first that does puts its parts where all of them put theirs."""
    names = names_of(builder, options[0])
    if not names:
        return
    places = {id(local): builder.local(local) for local in names}
    kept, done = builder.next, Label()
    for option in options:
        following = Label()
        if option is not options[-1]:
            test_pattern(builder, option, subject, following)
        bind_pattern(builder, option, subject)
        for local in names:
            builder.emit("copy", places[id(local)], builder.registers[id(local)])
        if option is not options[-1]:
            builder.emit("jump", done)
            builder.place(following)
        builder.next = kept
    builder.registers.update(places)
    builder.place(done)


def names_of(builder: Builder, pattern: ast.Node) -> list[Local]:
    """The variables that a pattern binds; alternatives bind the same ones."""
    found: list[Local] = []
    pending: list[ast.Node] = [pattern]
    while pending:
        node = pending.pop()
        local = builder.facts.patterns.get(id(node))
        if isinstance(local, Local):
            found.append(local)
        pending.extend(node.options[:1] if isinstance(node, ast.OrPattern) else children(node))
    return found
