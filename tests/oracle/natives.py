"""The native functions, from section 3 of the library reference. A mutating one gives the new receiver and the result."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

from tests.oracle.machine import Machine, panic
from tests.oracle.values import (
    INT_MAX,
    INT_MIN,
    Array,
    Enum,
    Err,
    Map,
    Model,
    Nothing,
    Ok,
    Range,
    Some,
    Struct,
    Tuple,
    Value,
    declared_name,
    display,
    equal,
    option,
    order,
    sort_order,
    type_name,
)

Native = Callable[..., Any]

PURE: dict[str, Native] = {}
MUTATING: dict[str, Native] = {}

#: Unicode `White_Space`, which is less than what Python strips.
WHITE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"


def pure(name: str) -> Callable[[Native], Native]:
    """Enters a function that takes the machine and all arguments."""

    def enter(function: Native) -> Native:
        PURE[name] = function
        return function

    return enter


def plain(table: dict[str, Callable[..., Value]]) -> None:
    """Enters functions that do not need the machine."""
    for name, function in table.items():
        PURE[name] = functools.partial(lambda function, _, *args: function(*args), function)


def mutating(table: dict[str, Callable[..., tuple[Value, Value]]]) -> None:
    for name, function in table.items():
        MUTATING[name] = functools.partial(lambda function, _, *args: function(*args), function)


def fits(number: int, what: str = "result") -> int:
    if not INT_MIN <= number <= INT_MAX:
        panic("ArithmeticOverflow", f"the {what} does not fit into 64 bits")
    return number


def texts(parts: Iterable[str]) -> Array:
    return Array(tuple(parts))


# Every value


def _assert(condition: bool, message: str) -> None:
    if not condition:
        panic("Assertion", f"assertion failed: {message}")


def _same(wanted: bool, left: Value, right: Value) -> None:
    if equal(left, right) == wanted:
        return
    shown = tuple(display(Array((side,)))[1:-1] for side in (left, right))
    if not wanted:
        panic("Assertion", f"assertion failed: {shown[0]} == {shown[1]} (expected not equal)")
    panic("Assertion", f"assertion failed: {shown[0]} != {shown[1]}")


@pure("error.timeout")
def _timeout(m: Machine, ms: int) -> Value:
    message = f"the time limit of {display(ms / 1000)} s was exceeded"
    return Struct(m.builtin_type("TimeoutError"), (message, "timeout", ms / 1000, Nothing()))


def _kind(error: Value) -> str:
    if isinstance(error, Struct) and "kind" in error.type.fields:
        kind = error.fields[error.type.fields.index("kind")]
        return kind if isinstance(kind, str) else ""
    return ""


plain(
    {
        "error.kind": _kind,
        "error.of": lambda value: Some(value.inner) if isinstance(value, Err) else Nothing(),
    }
)
plain(
    {
        "task.is_done": lambda task: task.state in ("done", "cancelled"),
        "task.id": lambda task: task.number,
    }
)
plain(
    {
        "any.to_string": display,
        "any.typeof": lambda value: declared_name(type_name(value)),
        "core.assert": _assert,
    }
)
plain({f"core.assert_{n}": functools.partial(_same, n == "eq") for n in ("eq", "ne")})


# String


def _split(text: str, separator: str) -> Array:
    return texts(text.split(separator) if separator else text)


def _find(text: str, part: str) -> Value:
    at = text.find(part)
    return option(at, at >= 0)


def _lines(text: str) -> Array:
    lines = text.split("\n")
    ended = lines[:-1]
    return texts([line.removesuffix("\r") for line in ended] + ([lines[-1]] if lines[-1] else []))


def sized(text: str) -> str:
    """A text that is not too large."""
    if len(text) > 64 << 20 and len(text.encode()) > 256 << 20:
        panic("LimitExceeded", "the text is larger than 256 MiB")
    return text


def _repeat(text: str, times: int) -> str:
    if len(text.encode()) * max(times, 0) > 256 << 20:
        panic("LimitExceeded", "the repeated text is larger than 256 MiB")
    return text * max(times, 0)


def escaped(text: str) -> str:
    """How messages show what cannot be read."""
    named = {
        "\t": "\\t",
        "\r": "\\r",
        "\n": "\\n",
        "\0": "\\0",
        "'": "\\'",
        '"': '\\"',
        "\\": "\\\\",
    }
    return "".join(named.get(c, c if c.isprintable() else f"\\u{{{ord(c):x}}}") for c in text[:40])


def unreadable(m: Machine, wanted: str, kind: str, text: str) -> Err:
    message = f"`{escaped(text)}` is no {wanted}"
    return Err(Struct(m.builtin_type("ParseError"), (message, kind, text)))


@pure("string.parse_int")
def parse_int(m: Machine, text: str) -> Value:
    trimmed = text.strip(WHITE)
    if not trimmed:
        return unreadable(m, "Int", "empty", text)
    if not re.fullmatch(r"[+-]?[0-9]+", trimmed):
        return unreadable(m, "Int", "invalid", text)
    number = int(trimmed)
    if not INT_MIN <= number <= INT_MAX:
        return unreadable(m, "Int", "overflow", text)
    return Ok(number)


@pure("string.parse_float")
def parse_float(m: Machine, text: str) -> Value:
    trimmed = text.strip(WHITE)
    if not trimmed:
        return unreadable(m, "Float", "empty", text)
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", trimmed):
        return unreadable(m, "Float", "invalid", text)
    number = float(trimmed)
    if math.isinf(number):
        return unreadable(m, "Float", "overflow", text)
    return Ok(number)


plain(
    {
        "string.len": len,
        "string.byte_len": lambda text: len(text.encode()),
        "string.is_empty": lambda text: text == "",
        "string.contains": lambda text, part: part in text,
        "string.starts_with": lambda text, part: text.startswith(part),
        "string.ends_with": lambda text, part: text.endswith(part),
        "string.find": _find,
        "string.split": _split,
        "string.split_whitespace": lambda text: texts(
            part for part in re.split(f"[{WHITE}]+", text) if part
        ),
        "string.lines": _lines,
        "string.chars": texts,
        "string.trim": lambda text: text.strip(WHITE),
        "string.trim_start": lambda text: text.lstrip(WHITE),
        "string.trim_end": lambda text: text.rstrip(WHITE),
        "string.strip_prefix": lambda text, part: option(
            text.removeprefix(part), text.startswith(part)
        ),
        "string.strip_suffix": lambda text, part: option(
            text.removesuffix(part), text.endswith(part)
        ),
        "string.replace": lambda text, old, new: sized(text.replace(old, new)),
        "string.to_upper": lambda text: text.upper(),
        "string.to_lower": lambda text: text.lower(),
        "string.repeat": _repeat,
        "string.substring": lambda text, start, end: text[max(start, 0) : max(end, 0)],
    }
)


# Numbers


def _pow(base: int, exponent: int) -> int:
    if exponent < 0:
        panic("ArithmeticOverflow", "the exponent is negative")
    if abs(base) > 1 and exponent > 64:
        fits(INT_MAX + 1)
    # The other bases come back after two steps.
    return fits(base ** (exponent if abs(base) > 1 else min(exponent, 2 + exponent % 2)))


def whole(number: float) -> int | None:
    """Truncated toward zero; None for what does not fit."""
    return int(number) if -(2.0**63) <= number < 2.0**63 else None


def _rounded(number: float, how: Callable[[float], int]) -> float:
    """A whole Float, the sign of a zero kept."""
    return math.copysign(float(how(number)), number) if math.isfinite(number) else number


def _half_away(number: float) -> int:
    inside = math.trunc(number)
    return inside + int(math.copysign(1, number)) if abs(number - inside) >= 0.5 else inside


def _min_float(left: float, right: float) -> float:
    return right if left != left or right < left else left


def _max_float(left: float, right: float) -> float:
    return right if left != left or right > left else left


def _to_fixed(number: float, decimals: int) -> str:
    if not 0 <= decimals <= 17:
        panic("InvalidArgument", "decimals must be 0 to 17")
    if not math.isfinite(number):
        return display(number)
    with localcontext() as context:
        context.prec = 400
        shown = Decimal(number).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN)
        return f"{shown:f}"


def _to_array(range_: Range) -> Array:
    if range_.stop - range_.start > 100_000_000:
        panic("LimitExceeded", "the array would have more than 100,000,000 elements")
    return Array(tuple(range(range_.start, range_.stop)))


plain(
    {
        "int.abs": lambda number: fits(abs(number)),
        "int.pow": _pow,
        "int.min": lambda left, right: min(left, right),
        "int.max": lambda left, right: max(left, right),
        "int.to_float": float,
        "float.abs": abs,
        "float.floor": lambda number: _rounded(number, math.floor),
        "float.ceil": lambda number: _rounded(number, math.ceil),
        "float.round": lambda number: _rounded(number, _half_away),
        "float.trunc": lambda number: _rounded(number, math.trunc),
        "float.sqrt": lambda number: math.nan if number < 0 else math.sqrt(number),
        "float.min": _min_float,
        "float.max": _max_float,
        "float.is_nan": math.isnan,
        "float.to_int": lambda number: option(whole(number), whole(number) is not None),
        "float.to_fixed": _to_fixed,
        "range.len": lambda range_: min(max(range_.stop - range_.start, 0), INT_MAX),
        "range.contains": lambda range_, number: range_.start <= number < range_.stop,
        "range.to_array": _to_array,
    }
)


# Array


def out_of_bounds(at: int, length: int) -> None:
    panic("IndexOutOfBounds", f"index {at} is out of bounds: the length is {length}")


def _sorted(array: Array) -> Array:
    return Array(tuple(sorted(array.items, key=functools.cmp_to_key(sort_order))))


def _index_of(array: Array, wanted: Value) -> Value:
    at = next((at for at, item in enumerate(array.items) if equal(item, wanted)), None)
    return option(at, at is not None)


def _extreme(array: Array, sign: int) -> Value:
    """Ties take the first."""
    if not array.items:
        return Nothing()
    best = array.items[0]
    for item in array.items[1:]:
        found = order(item, best)
        if found is not None and found * sign > 0:
            best = item
    return Some(best)


def _unique(array: Array) -> Array:
    kept: list[Value] = []
    for item in array.items:
        if not any(equal(item, other) for other in kept):
            kept.append(item)
    return Array(tuple(kept))


def _sum_int(array: Array) -> int:
    total = 0
    for item in array.items:
        assert isinstance(item, int)
        total = fits(total + item, "sum")
    return total


def _count(number: int) -> int:
    """Library reference 1.5."""
    if number < 0:
        panic("InvalidArgument", "the count is negative")
    return number


def _insert(array: Array, at: int, value: Value) -> tuple[Value, Value]:
    if not 0 <= at <= len(array.items):
        out_of_bounds(at, len(array.items))
    return Array((*array.items[:at], value, *array.items[at:])), None


def _remove(array: Array, at: int) -> tuple[Value, Value]:
    if not 0 <= at < len(array.items):
        out_of_bounds(at, len(array.items))
    return Array((*array.items[:at], *array.items[at + 1 :])), array.items[at]


plain(
    {
        "array.len": lambda array: len(array.items),
        "array.is_empty": lambda array: not array.items,
        "array.get": lambda array, at: option(
            array.items[at] if 0 <= at < len(array.items) else None, 0 <= at < len(array.items)
        ),
        "array.first": lambda array: Some(array.items[0]) if array.items else Nothing(),
        "array.last": lambda array: Some(array.items[-1]) if array.items else Nothing(),
        "array.contains": lambda array, wanted: any(equal(item, wanted) for item in array.items),
        "array.index_of": _index_of,
        "array.concat": lambda array, other: Array(array.items + other.items),
        "array.reversed": lambda array: Array(array.items[::-1]),
        "array.sorted": _sorted,
        "array.slice": lambda array, start, end: Array(array.items[max(start, 0) : max(end, 0)]),
        "array.take": lambda array, n: Array(array.items[: _count(n)]),
        "array.skip": lambda array, n: Array(array.items[_count(n) :]),
        "array.join": lambda array, between: sized(between.join(map(display, array.items))),
        "array.enumerate": lambda array: Array(
            tuple(Tuple((at, item)) for at, item in enumerate(array.items))
        ),
        "array.zip": lambda array, other: Array(
            tuple(Tuple(pair) for pair in zip(array.items, other.items, strict=False))
        ),
        "array.sum_int": _sum_int,
        "array.sum_float": lambda array: functools.reduce(lambda x, y: x + y, array.items, 0.0),
        "array.min": lambda array: _extreme(array, -1),
        "array.max": lambda array: _extreme(array, 1),
        "array.unique": _unique,
    }
)
mutating(
    {
        "array.push": lambda array, value: (Array((*array.items, value)), None),
        "array.pop": lambda array: (
            Array(array.items[:-1]),
            Some(array.items[-1]) if array.items else Nothing(),
        ),
        "array.insert": _insert,
        "array.remove": _remove,
        "array.extend": lambda array, other: (Array(array.items + other.items), None),
        "array.clear": lambda array: (Array(()), None),
        "array.reverse": lambda array: (Array(array.items[::-1]), None),
        "array.sort": lambda array: (_sorted(array), None),
    }
)


# Map


def _get(map_: Map, key: Value) -> Value:
    at = map_.find(key)
    return Nothing() if at is None else Some(map_.entries[at][1])


def _get_or(map_: Map, key: Value, otherwise: Value) -> Value:
    at = map_.find(key)
    return otherwise if at is None else map_.entries[at][1]


plain(
    {
        "map.len": lambda map_: len(map_.entries),
        "map.is_empty": lambda map_: not map_.entries,
        "map.get": _get,
        "map.get_or": _get_or,
        "map.has": lambda map_, key: map_.find(key) is not None,
        "map.keys": lambda map_: Array(tuple(key for key, _ in map_.entries)),
        "map.values": lambda map_: Array(tuple(value for _, value in map_.entries)),
        "map.entries": lambda map_: Array(tuple(Tuple(entry) for entry in map_.entries)),
        "map.merge": lambda map_, other: map_.merge(other),
    }
)
mutating(
    {
        "map.set": lambda map_, key, value: (map_.put(key, value), None),
        "map.delete": lambda map_, key: (map_.remove(key), map_.find(key) is not None),
        "map.take": lambda map_, key: (map_.remove(key), _get(map_, key)),
        "map.clear": lambda map_: (Map(()), None),
        "map.extend": lambda map_, other: (map_.merge(other), None),
    }
)


# Option and Result


def _unwrap_option(value: Value, message: str = "`unwrap` on `None`") -> Value:
    return value.inner if isinstance(value, Some) else panic("UnwrapNone", message)


def _unwrap_result(value: Ok | Err, message: str = "`unwrap` on `Err`") -> Value:
    if isinstance(value, Ok):
        return value.inner
    return panic("UnwrapErr", f"{message}: {display(value.inner)}")


def _unwrap_err(value: Ok | Err) -> Value:
    if isinstance(value, Err):
        return value.inner
    return panic("UnwrapErr", f"`unwrap_err` on `Ok`: {display(value.inner)}")


plain(
    {
        "option.is_some": lambda value: isinstance(value, Some),
        "option.is_none": lambda value: not isinstance(value, Some),
        "option.unwrap": _unwrap_option,
        "option.expect": _unwrap_option,
        "option.unwrap_or": lambda value, other: value.inner if isinstance(value, Some) else other,
        "option.ok_or": lambda value, error: (
            Ok(value.inner) if isinstance(value, Some) else Err(error)
        ),
        "result.is_ok": lambda value: isinstance(value, Ok),
        "result.is_err": lambda value: isinstance(value, Err),
        "result.unwrap": _unwrap_result,
        "result.expect": _unwrap_result,
        "result.unwrap_err": _unwrap_err,
        "result.unwrap_or": lambda value, other: value.inner if isinstance(value, Ok) else other,
        "result.ok": lambda value: Some(value.inner) if isinstance(value, Ok) else Nothing(),
        "result.err": lambda value: Some(value.inner) if isinstance(value, Err) else Nothing(),
    }
)


# Built-in errors


@pure("error.llm")
def _custom(m: Machine, message: str) -> Value:
    """`LlmError::new`: kind `custom`, all else empty."""
    from concerto.check import builtins
    from concerto.check.types import show

    empty: dict[str, Value] = {"String": "", "Int": 0, "Float": 0.0, "Bool": False}
    fields = builtins.records()["LlmError"][1]
    values = {
        name: Array(()) if show(type_).startswith("Array") else empty.get(show(type_), Nothing())
        for name, type_ in fields.items()
    }
    values |= {"message": message, "kind": "custom"}
    return Struct(m.builtin_type("LlmError"), tuple(values.values()))


plain(
    {
        "error.to_map": lambda error: (
            Map(())
            if isinstance(error, Enum)
            else Map(tuple(zip(error.type.fields, error.fields, strict=True)))
        )
    }
)


# Prompts and models


def _with(prompt: Struct, field: str, value: Value) -> Struct:
    pairs = zip(prompt.type.fields, prompt.fields, strict=True)
    return Struct(prompt.type, tuple(Some(value) if own == field else old for own, old in pairs))


def _setting(name: str) -> Callable[[Model, Value], Model]:
    def with_setting(model: Model, value: Value) -> Model:
        others = tuple(pair for pair in model.settings if pair[0] != name)
        return Model(model.index, model.name, (*others, (name, value)))

    return with_setting


plain(
    {
        f"prompt.with_{n}": functools.partial(lambda n, p, v: _with(p, n, v), n)
        for n in ("model", "temperature", "max_tokens")
    }
)
plain({"prompt.text": lambda prompt: prompt.fields[0]})
plain(
    {
        f"model.with_{name}": _setting(name)
        for name in (
            "base",
            "system_prompt",
            "temperature",
            "top_p",
            "max_tokens",
            "stop",
            "seed",
            "timeout",
            "context",
            "retry_message",
        )
    }
)


def _with_tools(model: Model, added: Value) -> Model:
    before = dict(model.settings).get("tools")
    if isinstance(before, Array) and isinstance(added, Array):
        added = Array((*before.items, *added.items))
    return _setting("tools")(model, added)


plain({"model.with_tools": _with_tools})
plain({"model.without_tools": lambda model: _setting("without_tools")(model, True)})
