"""JSON as a value of a type. What is wrong with answers that do not fit belongs to the tests of schemas."""

from __future__ import annotations

from typing import Any

from tests.oracle.machine import Machine, struct_type
from tests.oracle.values import Array, Enum, Map, Nothing, Some, Struct, Tuple, Value


def decode(machine: Machine, index: int, data: Any) -> Value:
    """Raises `TypeError` for JSON of another shape."""

    def inside(index: int, data: Any) -> Value:
        return decode(machine, index, data)

    match machine.document["types"][index], data:
        case ["any"], _:
            return _plain(data)
        case (["option", _], None):
            return Nothing()
        case ["option", inner], _:
            return Some(inside(inner, data))
        case ["array", inner], list():
            return Array(tuple(inside(inner, item) for item in data))
        case ["tuple", inners], list() if len(inners) == len(data):
            return Tuple(tuple(map(inside, inners, data)))
        case ["map", _, inner], dict():
            return Map(tuple((key, inside(inner, item)) for key, item in data.items()))
        case ["struct", inner], dict():
            fields = inner["fields"]
            return Struct(struct_type(inner), tuple(_field(machine, f, data) for f in fields))
        case ["enum", inner], str():
            names = [variant["name"] for variant in inner["variants"]]
            if data in names:
                return Enum(machine.enum_type(index), names.index(data), ())
        case ["float"], int() | float() if not isinstance(data, bool):
            return float(data)
        case ["int"], int() if not isinstance(data, bool):
            return data
        case (["bool"], bool()) | (["string"], str()) | (["nil"], None):
            return _plain(data)
        case ["literal", words], str() if data in words:
            return _plain(data)
        case ["union", members], _:
            for member in members:
                try:
                    return inside(member, data)
                except TypeError:
                    continue
    raise TypeError(f"{data!r} is of another type")


def _field(machine: Machine, field: dict[str, Any], data: dict[str, Any]) -> Value:
    given = data.get(field["json"])
    if given is None and field["default"] is not None:
        return decode(machine, field["type"], _constant(*field["default"]))
    if given is None and field["optional"]:
        return Nothing()
    return decode(machine, field["type"], given)


def _constant(kind: str, value: Any = None) -> Any:
    """A constant as JSON."""
    match kind:
        case "array":
            return [_constant(*each) for each in value]
        case "map":
            return {key: _constant(*each) for key, each in value}
        case _:
            return value


def _plain(data: Any) -> Value:
    match data:
        case list():
            return Array(tuple(map(_plain, data)))
        case dict():
            return Map(tuple((key, _plain(item)) for key, item in data.items()))
        case _:
            shared: Value = data
            return shared
