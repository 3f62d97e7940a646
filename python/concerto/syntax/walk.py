"""All nodes below a node, without recursion."""

from __future__ import annotations

from dataclasses import fields
from functools import cache

from concerto.syntax.ast import Node


def children(node: Node) -> list[Node]:
    """The nodes directly inside, in order of the fields."""
    found: list[Node] = []
    for name in _fields(type(node)):  # type: ignore[arg-type]  # a class can be hashed
        value = getattr(node, name)
        if isinstance(value, Node):
            found.append(value)
        elif value and isinstance(value, tuple):
            found += [each for each in value if isinstance(each, Node)]
    return found


@cache
def _fields(kind: type[Node]) -> tuple[str, ...]:
    """Names of the fields that may hold nodes."""
    plain = ("Span", "str", "bool", "int", "str | None")
    return tuple(field.name for field in fields(kind) if field.type not in plain)
