"""Patterns as trees of constructors, for the question what they cover."""

from __future__ import annotations

from typing import Any, TypeAlias

from concerto.check import builtins, methods
from concerto.check import types as t
from concerto.check.bodies import Body
from concerto.check.checked import ConstantName, Local, TypePattern, UnitVariant
from concerto.check.values import NONE
from concerto.records import record
from concerto.syntax import ast

#: Tells the constructors of a type apart: a kind, and what distinguishes it among its kind.
Head: TypeAlias = tuple[Any, ...]


@record()
class Ctor:
    """A constructor with forms for its parts."""

    head: Head
    parts: tuple[Form, ...] = ()


@record()
class Options:
    """One of several."""

    forms: tuple[Form, ...]


@record()
class Anything:
    """Every value."""


Form: TypeAlias = Ctor | Options | Anything
ANYTHING = Anything()


def array_head(before: int, after: int | None) -> Head:
    """An array of exactly so many elements, or with a rest between so many at its start and end."""
    return ("array", before, after)


def form_of(body: Body, pattern: ast.Pattern) -> Form:
    """The form of a pattern that was bound: what its names mean is on record."""
    known = body.checker.facts.patterns.get(id(pattern))
    match pattern:
        case ast.PathPattern():
            return _name(known)
        case ast.LiteralPattern(value=value):
            return literal_form(value)
        case ast.RangePattern(start=start, end=end, inclusive=inclusive):
            if isinstance(start, int) and isinstance(end, int):
                return Ctor(("int", start, end if inclusive else end - 1))
            return Ctor(("range", start, end, inclusive))
        case ast.BindPattern(inner=inner):
            return form_of(body, inner)
        case ast.VariantPattern(path=path, items=items):
            parts = tuple(form_of(body, item) for item in items)
            if isinstance(known, UnitVariant) and known.type is not None:
                return Ctor(("variant", known.type.name, known.variant), parts)
            return Ctor((str(path).lower(),), parts)
        case ast.StructPattern():
            return _struct(body, pattern, known)
        case ast.TuplePattern(items=()):
            return Ctor(("none",))
        case ast.TuplePattern(items=items):
            return Ctor(("tuple", len(items)), tuple(form_of(body, item) for item in items))
        case ast.ArrayPattern(items=items):
            return _array(body, items)
        case ast.RestPattern():
            return ANYTHING  # E1018
        case ast.OrPattern(options=options):
            return Options(tuple(form_of(body, option) for option in options))
        case _:
            raise AssertionError(pattern)


def literal_form(value: object) -> Form:
    """A literal; None is `nil`. A whole number is a range of one."""
    if value is None:
        return Ctor(("none",))
    if type(value) is int:
        return Ctor(("int", value, value))
    return Ctor(("literal", type(value), value))


def _name(known: object) -> Form:
    match known:
        case UnitVariant(type=None):
            return Ctor(("none",))
        case UnitVariant(type=t.Enum(name), variant=variant):
            return Ctor(("variant", name, variant))
        case ConstantName(value=value):
            value = None if value == NONE else value
            scalar = isinstance(value, bool | int | float | str) or value is None
            return literal_form(value) if scalar else Ctor(("constant", id(known)))
        case TypePattern(kind=str() as kind, error=error):
            return _kind(error, kind, (ANYTHING,) * len(builtins.records()[error][1]))
        case Local() | None:
            return ANYTHING
        case _:
            raise AssertionError(known)


def reply_form(form: Form) -> Form:
    """A pattern for a reply that no type was expected of: what is no `Err` is in an `Ok`."""
    match form:
        case Options(forms):
            return Options(tuple(map(reply_form, forms)))
        case Ctor((("ok" | "err"),)) | Anything():
            return form
        case _:
            return Ctor(("ok",), (form,))


def _kind(error: str, kind: str, parts: tuple[Form, ...]) -> Form:
    kinds = builtins.ERROR_KINDS[error]
    word = next(word for word, each in kinds.items() if each == kind)
    return Ctor(("kind", error, word), parts)


def _struct(body: Body, pattern: ast.StructPattern, known: object) -> Form:
    names, head = _fields(body, pattern, known)
    given = {field.name.text: field.pattern for field in pattern.fields}
    parts = tuple(
        form_of(body, inner) if (inner := given.get(name)) is not None else ANYTHING
        for name in names
    )
    if head[0] == "kind":
        return _kind(head[1], head[2], parts)
    if head[0] != "struct" or head[1] not in builtins.ERROR_KINDS:
        return Ctor(head, parts)
    # A pattern for the whole type takes each of its kinds.
    kinds = builtins.ERROR_KINDS[head[1]]
    return Options(tuple(Ctor(("kind", head[1], word), parts) for word in kinds))


def _fields(body: Body, pattern: ast.StructPattern, known: object) -> tuple[list[str], Head]:
    """The names of all fields of what a struct pattern stands for, and its head."""
    checker = body.checker
    if isinstance(known, UnitVariant) and known.type is not None:
        fields = checker.enums[known.type.name].variants[known.variant].fields
        return [f.name for f in fields], ("variant", known.type.name, known.variant)
    if isinstance(known, TypePattern) and known.kind is not None:
        return list(builtins.records()[known.error][1]), ("kind", known.error, known.kind)
    name = str(pattern.path)
    struct = methods.named_type(checker, name)
    name = struct.name if isinstance(struct, t.Struct) else name
    if name in checker.structs:
        return [f.name for f in checker.structs[name].fields], ("struct", name)
    written = "LlmError" if name == "AgentError" else name
    return list(builtins.records().get(written, ("", {}))[1]), ("struct", written)


def _array(body: Body, items: tuple[ast.Pattern, ...]) -> Form:
    at = next((n for n, item in enumerate(items) if isinstance(item, ast.RestPattern)), None)
    kept = [item for item in items if not isinstance(item, ast.RestPattern)]
    parts = tuple(form_of(body, item) for item in kept)
    if at is None:
        return Ctor(array_head(len(parts), None), parts)
    return Ctor(array_head(at, len(parts) - at), parts)
