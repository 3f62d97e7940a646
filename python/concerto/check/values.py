"""Constants that are no numbers, texts, truth values or arrays of them."""

from __future__ import annotations

import json
from typing import Any

from concerto.records import record
from concerto.text import float_text


@record()
class VariantDefault:
    """A variant without data as a constant."""

    variant: int
    name: str
    enum: str | None = None


@record()
class MapConstant:
    """A map as a constant."""

    entries: tuple[tuple[Any, Any], ...]


@record()
class StructConstant:
    """A struct as a constant; the fields in declared order."""

    name: str
    origin: str
    names: tuple[str, ...]
    fields: tuple[Any, ...]


@record()
class OptionConstant:
    """`Some` of one value, or `None`, as a constant."""

    items: tuple[Any, ...]


NONE = OptionConstant(())


def plain(value: Any) -> Any:
    """A constant without `Some` around it; None for `None`."""
    while isinstance(value, OptionConstant):
        value = value.items[0] if value.items else None
    return value


def constant_text(value: Any) -> str:
    """The display form of a constant, bare."""
    return value if isinstance(value, str) else _inside(value)


def _inside(value: Any) -> str:
    match value:
        case None:
            return "nil"
        case bool():
            return "true" if value else "false"
        case float():
            return float_text(value)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case list():
            return f"[{_list(value)}]"
        case tuple():
            return f"({_list(value)}{',' if len(value) == 1 else ''})"
        case VariantDefault(name=name):
            return name
        case OptionConstant(items):
            return f"Some({_list(items)})" if items else "None"
        case MapConstant(entries):
            return (
                "{" + ", ".join(f"{_inside(key)}: {_inside(item)}" for key, item in entries) + "}"
            )
        case StructConstant(name=name, names=names, fields=fields):
            pairs = zip(names, fields, strict=True)
            shown = ", ".join(f"{field}: {_inside(item)}" for field, item in pairs)
            return f"{name.rpartition('::')[2]} {{ {shown} }}" if shown else f"{name} {{ }}"
        case _:
            return str(value)


def _list(values: Any) -> str:
    return ", ".join(map(_inside, values))
