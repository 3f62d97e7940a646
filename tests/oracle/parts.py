"""Instructions on the parts of values: fields, elements, slices, and iteration over them."""

from __future__ import annotations

from tests.oracle.instructions import a, instruction, key
from tests.oracle.machine import Machine, broken, panic
from tests.oracle.values import (
    INT_MAX,
    Array,
    Collection,
    Enum,
    Map,
    Range,
    Store,
    Struct,
    Tuple,
    Value,
    display,
)


def _part(items: tuple[Value, ...], i: int) -> Value:
    return items[i] if 0 <= i < len(items) else broken(f"no part {i}")


def _with(items: tuple[Value, ...], i: int, value: Value) -> tuple[Value, ...]:
    _part(items, i)
    return (*items[:i], value, *items[i + 1 :])


@instruction
def variant_field(m: Machine, d: int, r: int, i: int) -> None:
    m.write(d, _part(a(Enum, m.read(r)).fields, i))


@instruction
def field(m: Machine, d: int, r: int, i: int) -> None:
    m.write(d, _part(a(Struct, m.read(r)).fields, i))


@instruction
def set_field(m: Machine, x: int, i: int, r: int) -> None:
    value = m.take(r)
    match m.read(x):
        case Tuple(items):
            m.write(x, Tuple(_with(items, i, value)))
        case whole:
            held = a(Struct, whole)
            m.write(x, Struct(held.type, _with(held.fields, i, value)))


@instruction
def take_field(m: Machine, d: int, x: int, i: int) -> None:
    match m.read(x):
        case Tuple(items):
            m.write(x, Tuple(_with(items, i, None)))
            m.write(d, items[i])
        case whole:
            held = a(Struct, whole)
            m.write(x, Struct(held.type, _with(held.fields, i, None)))
            m.write(d, held.fields[i])


@instruction
def tuple_field(m: Machine, d: int, r: int, i: int) -> None:
    m.write(d, _part(a(Tuple, m.read(r)).items, i))


def within(i: int, length: int) -> int:
    """An index that must be in bounds."""
    if not 0 <= i < length:
        panic("IndexOutOfBounds", f"index {i} is out of bounds: the length is {length}")
    return i


@instruction
def index_array(m: Machine, d: int, r: int, x: int) -> None:
    items = a(Array, m.read(r)).items
    m.write(d, items[within(a(int, m.read(x)), len(items))])


@instruction
def set_index_array(m: Machine, x: int, r: int, value: int) -> None:
    new = m.take(value)
    items = a(Array, m.read(x)).items
    m.write(x, Array(_with(items, within(a(int, m.read(r)), len(items)), new)))


@instruction
def take_index_array(m: Machine, d: int, x: int, r: int) -> None:
    items = a(Array, m.read(x)).items
    at = within(a(int, m.read(r)), len(items))
    m.write(x, Array(_with(items, at, None)))
    m.write(d, items[at])


def _found(whole: Map, own: Value) -> int:
    at = whole.find(key(own))
    if at is None:
        panic("KeyNotFound", f"the map has no key {display(Array((own,)))[1:-1]}")
    return at


@instruction
def index_map(m: Machine, d: int, r: int, x: int) -> None:
    whole = a(Map, m.read(r))
    m.write(d, whole.entries[_found(whole, m.read(x))][1])


@instruction
def set_index_map(m: Machine, x: int, r: int, value: int) -> None:
    new = m.take(value)
    m.write(x, a(Map, m.read(x)).put(key(m.read(r)), new))


@instruction
def take_index_map(m: Machine, d: int, x: int, r: int) -> None:
    whole = a(Map, m.read(x))
    own = m.read(r)
    value = whole.entries[_found(whole, own)][1]
    m.write(x, whole.put(own, None))
    m.write(d, value)


@instruction
def index_string(m: Machine, d: int, r: int, x: int) -> None:
    text = a(str, m.read(r))
    m.write(d, text[within(a(int, m.read(x)), len(text))])


def _slice(range_: Range) -> slice:
    """Clamped; negative bounds count as 0: reference 13.3."""
    return slice(max(range_.start, 0), max(range_.stop, 0))


@instruction
def slice_string(m: Machine, d: int, r: int, x: int) -> None:
    m.write(d, a(str, m.read(r))[_slice(a(Range, m.read(x)))])


@instruction
def slice_array(m: Machine, d: int, r: int, x: int) -> None:
    m.write(d, Array(a(Array, m.read(r)).items[_slice(a(Range, m.read(x)))]))


@instruction
def len_(m: Machine, d: int, r: int) -> None:
    match m.read(r):
        case str() as text:
            m.write(d, len(text))
        case Array(items) | Tuple(items) | Map(items) | Collection(_, items):
            m.write(d, len(items))
        case Store() as store:
            m.write(d, len(store.shown().entries))
        case Range() as range_:
            m.write(d, min(range_.length, INT_MAX))
        case other:
            broken(f"no length: {other!r}")


# Iteration


@instruction
def range_bounds(m: Machine, d: int, r: int) -> None:
    range_ = a(Range, m.read(r))
    m.write(d, range_.start)
    # Behind the largest number there is none: nil stands for that.
    m.write(d + 1, range_.stop if range_.stop <= INT_MAX else None)


@instruction
def range_next(m: Machine, d: int, x: int, r: int, target: int) -> None:
    number, end = a(int, m.read(x)), m.read(r)
    if end is None and number == INT_MAX:
        m.write(r, -INT_MAX - 1)
        m.write(d, number)
    elif end is not None and number >= a(int, end):
        m.jump(target)
    else:
        m.write(x, number + 1)
        m.write(d, number)


@instruction
def array_next(m: Machine, d: int, r: int, x: int, target: int) -> None:
    items, at = a(Array, m.read(r)).items, a(int, m.read(x))
    if not 0 <= at < len(items):
        m.jump(target)
    else:
        m.write(x, at + 1)
        m.write(d, items[at])


@instruction
def map_next(m: Machine, d: int, r: int, x: int, target: int) -> None:
    entries, at = a(Map, m.read(r)).entries, a(int, m.read(x))
    if not 0 <= at < len(entries):
        m.jump(target)
    else:
        m.write(x, at + 1)
        m.write(d, entries[at][0])
        m.write(d + 1, entries[at][1])
