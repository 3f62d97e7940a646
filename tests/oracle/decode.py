"""JSON that fits a type, as a value of it. Answers that do not fit belong to the tests of schemas."""

from __future__ import annotations

from typing import Any

from tests.oracle.machine import Machine, struct_type
from tests.oracle.values import Array, Map, Nothing, Some, Struct, Value


def decode(machine: Machine, index: int, data: Any) -> Value:
    match machine.document["types"][index]:
        case ["option", _] if data is None:
            return Nothing()
        case ["option", inner]:
            return Some(decode(machine, inner, data))
        case ["array", inner]:
            return Array(tuple(decode(machine, inner, item) for item in data))
        case ["map", _, inner]:
            return Map(tuple((key, decode(machine, inner, item)) for key, item in data.items()))
        case ["struct", inner]:
            fields = tuple(
                decode(machine, field["type"], data[field["json"]]) for field in inner["fields"]
            )
            return Struct(struct_type(inner), fields)
        case ["float"]:
            return float(data)
        case ["bool"] | ["int"] | ["string"] | ["literal", _]:
            return data  # type: ignore[no-any-return]  # what JSON and the language share
        case other:
            raise AssertionError(other)
