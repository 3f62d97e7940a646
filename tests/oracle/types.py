"""Types of the document: how they are written, and values that enter a typed place (reference 6.2)."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.oracle.values import (
    Array,
    Collection,
    Enum,
    Err,
    Function,
    Map,
    Nothing,
    Ok,
    Range,
    Some,
    Store,
    Struct,
    Tuple,
    Value,
    type_name,
)

Types = list[list[Any]]


def written(types: Types, index: int) -> str:
    """A type as the language writes it."""

    def all_of(items: list[int], separator: str = ", ") -> str:
        return separator.join(written(types, item) for item in items)

    match types[index]:
        case ["array", item]:
            return f"Array<{written(types, item)}>"
        case ["option", item]:
            return f"Option<{written(types, item)}>"
        case ["set" | "queue" | "stack" as kind, item]:
            return f"{kind.capitalize()}<{written(types, item)}>"
        case ["hashmap", k, v]:
            return f"HashMap<{all_of([k, v])}>"
        case ["map", k, v]:
            return f"Map<{all_of([k, v])}>"
        case ["result", ok, err]:
            return f"Result<{all_of([ok, err])}>"
        case ["tuple", items]:
            return f"({all_of(items)})"
        case ["function", params, result]:
            return f"fn({all_of(params)}) -> {written(types, result)}"
        case ["literal", values]:
            return " | ".join(json.dumps(value) for value in values)
        case ["union", items]:
            return all_of(items, " | ")
        case ["struct" | "enum", inner]:
            return re.sub(r"(?<![\w>])::", "", str(inner["name"]))
        case ["model"]:
            return "ModelRef"
        case ["builder"]:
            return "ModelBuilder"
        case [simple]:
            return str(simple).capitalize()
        case other:
            raise AssertionError(other)


def conform(types: Types, index: int, value: Value) -> Value:
    """The value as one of a type: checked in depth, Int to Float where one is wanted. Raises `TypeError` with the name of what does not fit."""

    def each(index: int, items: tuple[Value, ...]) -> tuple[Value, ...]:
        return tuple(conform(types, index, item) for item in items)

    match types[index], value:
        case (["any"], _):
            return value
        case (["nil"], None) | (["bool"], bool()) | (["string"], str()) | (["range"], Range()):
            return value
        case (["option", _], None | Nothing()):
            return Nothing()
        case (["option", inner], Some(held)):
            return Some(conform(types, inner, held))
        case (["option", inner], _):
            return Some(conform(types, inner, value))
        case (["int"], int()) if not isinstance(value, bool):
            return value
        case (["float"], int() | float()) if not isinstance(value, bool):
            return float(value)
        case (["literal", values], str()) if value in values:
            return value
        case (["array", inner], Array(items)):
            return Array(each(inner, items))
        case (["tuple", inners], Tuple(items)) if len(inners) == len(items):
            return Tuple(
                tuple(
                    conform(types, inner, item) for inner, item in zip(inners, items, strict=True)
                )
            )
        case (["map", k, v], Map(entries)):
            return Map(
                tuple((conform(types, k, own), conform(types, v, item)) for own, item in entries)
            )
        case (["result", inner, _], Ok(held)):
            return Ok(conform(types, inner, held))
        case (["result", _, inner], Err(held)):
            return Err(conform(types, inner, held))
        case (["set" | "queue" | "stack" as kind, inner], Collection(name, items)) if (
            name.lower() == kind
        ):
            return Collection(name, each(inner, items))
        case (["hashmap", k, v], Store(types=own)) if own == (k, v) or types[k] == types[v] == [
            "any"
        ]:
            return value
        case (["struct" | "enum", inner], Struct() | Enum()) if inner["name"] == value.type.name:
            return value
        case (["function", params, _], Function()) if value.arity == len(params):
            return value
        case (["union", members], _):
            for member in members:
                try:
                    conform(types, member, value)
                except TypeError:
                    continue
                return value
    raise TypeError(type_name(value))


def is_of_type(types: Types, index: int, value: Value) -> bool:
    """Whether a clause that names the type takes the error; types of containers are not told apart."""
    match types[index]:
        case ["any"]:
            return True
        case ["union", members]:
            return any(is_of_type(types, member, value) for member in members)
        case ["literal", words]:
            return value in words
        case ["struct" | "enum", inner]:
            return isinstance(value, (Struct, Enum)) and value.type.name == inner["name"]
        case [kind, *_]:
            return type_name(value) == str(kind).capitalize()
    return False
