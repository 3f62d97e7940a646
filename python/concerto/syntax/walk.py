"""All nodes below a node, without recursion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from concerto.syntax.ast import Node


def children(node: Node) -> Iterator[Node]:
    """The nodes directly inside, in order of the fields."""
    for item in fields(node):
        value = getattr(node, item.name)
        if isinstance(value, Node):
            yield value
        elif isinstance(value, tuple):
            yield from (each for each in value if isinstance(each, Node))
