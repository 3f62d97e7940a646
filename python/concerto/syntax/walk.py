"""All nodes below a node, without recursion."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import Field, fields
from typing import Any

from concerto.syntax import ast
from concerto.syntax.ast import Node


def children(node: Node) -> list[Node]:
    """The nodes directly inside, in order of the fields."""
    kind = type(node)
    find = _FINDERS.get(kind)
    if find is None:
        find = _FINDERS[kind] = _finder(kind)
    return find(node)


#: Walks are a large part of a check: so each kind of node gets a function of its own, made when the first of the kind is met.
_FINDERS: dict[type[Node], Callable[[Any], list[Node]]] = {}


def _finder(kind: type[Node]) -> Callable[[Any], list[Node]]:
    lines = [line for each in fields(kind) for line in _lines(each)]
    text = "\n ".join(["def find(node):", "found = []", *lines, "return found"])
    scope: dict[str, Any] = {}
    exec(text, scope)
    find: Callable[[Any], list[Node]] = scope["find"]
    return find


def _lines(each: Field[Any]) -> Iterator[str]:
    """What adds the nodes of a field, by its type as it is written."""
    type_ = str(each.type)
    many = re.fullmatch(r"tuple\[(.*), \.\.\.\]( \| None)?", type_)
    names = (many[1] if many else type_).split(" | ")
    if not any(_is_node(name) for name in names):
        return
    if not all(_is_node(name) or name == "None" for name in names):
        raise AssertionError(f"a field holds nodes and something else: `{each.name}: {type_}`")
    value = f"node.{each.name}"
    if many:
        yield f"if {value}: found += {value}"
    elif "None" in names:
        yield f"if {value} is not None: found.append({value})"
    else:
        yield f"found.append({value})"


def _is_node(name: str) -> bool:
    found = getattr(ast, name, None)
    return isinstance(found, type) and issubclass(found, Node)
