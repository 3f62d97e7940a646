"""Patterns."""

from __future__ import annotations

from concerto.records import record
from concerto.syntax.ast.node import Name, Node, Path


@record(kw_only=True)
class Pattern(Node):
    """Base of patterns."""


@record(kw_only=True)
class PathPattern(Pattern):
    """`name`, `_`, or a variant without data: the checker tells them apart."""

    path: Path


@record(kw_only=True)
class LiteralPattern(Pattern):
    """A number, string, truth value or nil."""

    value: int | float | str | bool | None


@record(kw_only=True)
class RangePattern(Pattern):
    """`a..b` or `a..=b`."""

    start: int | float
    end: int | float
    inclusive: bool


@record(kw_only=True)
class BindPattern(Pattern):
    """`name @ pattern`."""

    name: Name
    inner: Pattern


@record(kw_only=True)
class VariantPattern(Pattern):
    """`Some(p)`, `E::V(p, q)`."""

    path: Path
    items: tuple[Pattern, ...]


@record(kw_only=True)
class FieldPattern(Node):
    """`name` or `name: pattern` in a struct pattern."""

    name: Name
    pattern: Pattern | None


@record(kw_only=True)
class StructPattern(Pattern):
    """`S { a, b: p, .. }`."""

    path: Path
    fields: tuple[FieldPattern, ...]
    has_rest: bool


@record(kw_only=True)
class TuplePattern(Pattern):
    """`(p, q)`; `()` has none."""

    items: tuple[Pattern, ...]


@record(kw_only=True)
class ArrayPattern(Pattern):
    """`[p, ..rest, q]`."""

    items: tuple[Pattern, ...]


@record(kw_only=True)
class RestPattern(Pattern):
    """`..` or `..name` inside an array pattern."""

    name: Name | None


@record(kw_only=True)
class OrPattern(Pattern):
    """`p | q`, at least two."""

    options: tuple[Pattern, ...]
