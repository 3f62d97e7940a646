"""Values as the language displays them: a text bare outside and quoted inside other values."""

from __future__ import annotations

import json
import math
from typing import Any

from concerto.text import float_text
from concerto.values import Err, Ok, OrderedSet, Record, Variant

#: Longer ranges are written as their text.
LONGEST_RANGE = 1_000_000


def display(value: Any) -> str:
    """The display form of a value that came from a program."""
    return value if isinstance(value, str) else _nested(value)


def _nested(value: Any) -> str:
    match value:
        case None:
            return "nil"
        case bool():
            return "true" if value else "false"
        case int():
            return str(int(value))
        case float():
            return float_text(value)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case list():
            return "[" + ", ".join(map(_nested, value)) + "]"
        case tuple():
            return "(" + ", ".join(map(_nested, value)) + (",)" if len(value) == 1 else ")")
        case OrderedSet():
            return "Set{" + ", ".join(map(_nested, value)) + "}"
        case Record():
            fields = ", ".join(f"{name}: {_nested(item)}" for name, item in value.items())
            return f"{value._type} {{ {fields} }}" if fields else f"{value._type} {{ }}"
        case dict():
            return "{" + ", ".join(f"{_nested(k)}: {_nested(v)}" for k, v in value.items()) + "}"
        case Variant(name, data):
            if isinstance(data, dict):
                return (
                    f"{name} {{ " + ", ".join(f"{k}: {_nested(v)}" for k, v in data.items()) + " }"
                )
            return f"{name}(" + ", ".join(map(_nested, data)) + ")"
        case Ok(inner):
            return f"Ok({_nested(inner)})"
        case Err(inner):
            return f"Err({_nested(inner)})"
        case range():
            return f"{value.start}..{value.stop}"
        case _:
            return str(value)


def to_json(value: Any) -> Any:
    """The JSON form of a value that came from a program."""
    match value:
        case Record() | dict():
            return {str(key): to_json(item) for key, item in value.items()}
        case range() if value.stop - value.start > LONGEST_RANGE:
            return display(value)
        case list() | tuple() | range() | OrderedSet():
            return [to_json(item) for item in value]
        case Variant(name, data):
            return {"variant": name, "data": to_json(data)}
        case Ok(inner):
            return {"ok": to_json(inner)}
        case Err(inner):
            return {"err": to_json(inner)}
        case float() if not math.isfinite(value):
            return None
        case _:
            return value
