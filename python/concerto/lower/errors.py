"""What values of type `Error` say of themselves: built-in errors have fields for it, those of the program a method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from concerto.check import types as t
from concerto.check.traits import is_user_error, user_errors
from concerto.check.types import Type
from concerto.lower.functions import Builder, Label, finish_function
from concerto.source import Span
from concerto.syntax import ast

if TYPE_CHECKING:
    from concerto.lower.program import Tables

_FIELDS = ("message", "kind")
"""The first fields of every built-in error."""
_KIND = "custom"
"""The `kind` of the program's own errors, which have none."""


def load_error_part(
    builder: Builder, part: str, error: int, target: int, node: ast.Node | Span
) -> None:
    """The `message` or `kind` of a value of type `Error`, which keeps its register."""
    if not builder.tables.has_own_errors:
        builder.emit("field", target, error, _FIELDS.index(part))
        return
    window = builder.temporary()
    builder.emit("copy", window, error)
    builder.emit("call", target, builder.tables.error_part(part), window, 1, at=node)


def message_function(tables: Tables, type_: Type) -> int | None:
    """The index of `message` of a type of the program that implements `Error`."""
    if not tables.has_own_errors or not is_user_error(tables.checked, type_):
        return None
    return tables.function(tables.checked.traits["Error"].methods["message"], (type_,))


def lower_error_parts(tables: Tables) -> None:
    """The functions behind `message` and `kind`, when all types are known that a value of type `Error` may have."""
    known: list[Type] = []
    while tables.error_parts and known != (known := _own_errors(tables)):
        for type_ in known:
            message_function(tables, type_)
        tables.lower_waiting()
    for part, place in tables.error_parts.items():
        builder = Builder(tables)
        error, found, holds = builder.temporary(), builder.temporary(), builder.temporary()
        for type_ in known:
            following = Label()
            builder.emit("is_type", holds, error, tables.type(type_))
            builder.emit("jump_unless", holds, following)
            if part == "message":
                builder.emit("move", found, error)
                index = message_function(tables, type_)
                builder.emit("call", found, index, found, 1, at=_PLACE)
            else:
                builder.emit("const", found, tables.constant(_KIND))
            builder.emit("return", found)
            builder.place(following)
        builder.emit("field", found, error, _FIELDS.index(part))
        builder.emit("return", found)
        params = [{"name": "error", "type": tables.type(t.ERROR), "default": None}]
        tables.hidden[place] = finish_function(
            builder, f"Error::{part}", _PLACE, False, None, params, t.STRING
        )


_PLACE = Span(0, 0)


def _own_errors(tables: Tables) -> list[Type]:
    caught = [member for type_ in tables.errors for member in _members(type_)]
    found = [*user_errors(tables.checked), *caught]
    return [each for each in dict.fromkeys(found) if is_user_error(tables.checked, each)]


def _members(type_: Type) -> tuple[Type, ...]:
    type_ = t.settled(type_)
    return type_.members if isinstance(type_, t.Union) else (type_,)
