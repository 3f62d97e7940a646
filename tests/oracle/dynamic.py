"""The native functions on values whose type is only known at run time, from section 6.4 of the language reference."""

from __future__ import annotations

import functools
import math
from typing import NoReturn

from tests.oracle.arithmetic import checked, floats, ints
from tests.oracle.machine import panic
from tests.oracle.natives import out_of_bounds, plain
from tests.oracle.values import (
    Array,
    Collection,
    Map,
    Nothing,
    Range,
    Some,
    Struct,
    Tuple,
    Value,
    display,
    is_key,
    order,
    type_name,
)


def _mismatch(wanted: str, found: Value) -> NoReturn:
    panic("TypeMismatch", f"expected {wanted}, found `{type_name(found)}`")


def _no_member(whole: str, name: str) -> NoReturn:
    panic("NoSuchMember", f"{whole} has no field `{name}`")


def _number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _arithmetic(name: str, left: Value, right: Value) -> Value:
    if name == "add" and isinstance(left, str | Struct) and isinstance(right, str | Struct):
        for part in (left, right):
            if isinstance(part, Struct) and part.type.origin != "error":
                _mismatch("`String`", part)
        return display(left) + display(right)
    for side in (left, right):
        if not _number(side):
            _mismatch("a number", side)
    assert isinstance(left, int | float)
    assert isinstance(right, int | float)
    if isinstance(left, int) and isinstance(right, int):
        return ints(name, left, right)
    return floats(name, float(left), float(right))


def _negative(value: Value) -> Value:
    if not _number(value):
        _mismatch("a number", value)
    assert isinstance(value, int | float)
    return checked(-value) if isinstance(value, int) else -value


def _compare(or_equal: bool, left: Value, right: Value) -> Value:
    found = order(left, right)
    if found is None:
        if any(isinstance(side, float) and math.isnan(side) for side in (left, right)):
            return False
        panic("TypeMismatch", f"`{type_name(left)}` and `{type_name(right)}` have no order")
    return found <= 0 if or_equal else found < 0


def _field(value: Value, name: str) -> Value:
    match value:
        case Map(entries):
            at = value.find(name)
            return None if at is None else entries[at][1]
        case Struct(type_, fields):
            if name not in type_.fields:
                _no_member(f"`{type_.name}`", name)
            return fields[type_.fields.index(name)]
        case _:
            _no_member(f"a value of type `{type_name(value)}`", name)


def _slice(range_: Range) -> slice:
    """Clamped; negative bounds count as 0."""
    start = max(range_.start, 0)
    return slice(start, max(range_.stop, start))


def _index(value: Value, at: Value) -> Value:
    match value:
        case Map(entries):
            if not is_key(at):
                _mismatch("a key", at)
            found = value.find(at)
            return None if found is None else entries[found][1]
        case Array(items) if isinstance(at, Range):
            return Array(items[_slice(at)])
        case str() if isinstance(at, Range):
            return value[_slice(at)]
        case Array() | Tuple() | str() if isinstance(at, int) and not isinstance(at, bool):
            parts = value if isinstance(value, str) else value.items
            if not 0 <= at < len(parts):
                out_of_bounds(at, len(parts))
            return parts[at]
        case Array() | str():
            _mismatch("an index", at)
        case _:
            _mismatch("an array, a map or a string", value)


def _set_field(value: Value, name: str, new: Value) -> Value:
    match value:
        case Map():
            return value.put(name, new)
        case Struct(type_, fields) if name in type_.fields:
            at = type_.fields.index(name)
            return Struct(type_, (*fields[:at], new, *fields[at + 1 :]))
        case _:
            return _field(value, name)


def _set_index(value: Value, at: Value, new: Value) -> Value:
    match value:
        case Map():
            if not is_key(at):
                _mismatch("a key", at)
            return value.put(at, new)
        case Array(items) | Tuple(items) if isinstance(at, int) and not isinstance(at, bool):
            if not 0 <= at < len(items):
                out_of_bounds(at, len(items))
            return type(value)((*items[:at], new, *items[at + 1 :]))
        case Array() | Tuple():
            _mismatch("an index", at)
        case _:
            _mismatch("an array, a map or a tuple", value)


def _no_method(value: Value, name: str) -> NoReturn:
    panic("NoSuchMember", f"a value of type `{type_name(value)}` has no such method `{name}`")


def _option(value: Value) -> Value:
    if value is None or isinstance(value, Nothing):
        return Nothing()
    return value if isinstance(value, Some) else Some(value)


def _items(value: Value) -> Value:
    match value:
        case Array():
            return value
        case Range():
            if value.stop - value.start > 100_000_000:
                panic("LimitExceeded", "the array would have more than 100,000,000 elements")
            return Array(tuple(range(value.start, value.stop)))
        case Map(entries):
            return Array(tuple(Tuple(pair) for pair in entries))
        case Collection(_, items):
            return Array(items)
        case _:
            _mismatch("something to iterate", value)


plain(
    {
        f"any.{name}": functools.partial(_arithmetic, name)
        for name in ("add", "sub", "mul", "div", "rem")
    }
)
plain(
    {
        "any.lt": functools.partial(_compare, False),
        "any.le": functools.partial(_compare, True),
        "any.neg": _negative,
        "any.field": _field,
        "any.index": _index,
        "any.set_field": _set_field,
        "any.set_index": _set_index,
        "any.no_method": _no_method,
        "any.option": _option,
        "any.items": _items,
    }
)
