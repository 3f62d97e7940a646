"""What all nodes of the tree share."""

from __future__ import annotations

from dataclasses import field

from concerto.records import record
from concerto.source import Span


@record(kw_only=True)
class Node:
    """Base of the syntax tree. A node is a value: equal to any node that says the same thing, wherever it stands."""

    span: Span = field(compare=False, repr=False)


@record(kw_only=True)
class Name(Node):
    """A word with a place of its own, such as a declared name or a field name."""

    text: str

    def __str__(self) -> str:
        return self.text


@record(kw_only=True)
class Path(Node):
    """`a::b::c`, at least one name."""

    names: tuple[Name, ...]

    def __str__(self) -> str:
        return "::".join(name.text for name in self.names)
