"""What each instruction does: one function each, in the order of `docs/ir.md`. Those on parts of values are in `parts.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tests.oracle import dynamic as _dynamic  # noqa: F401  # enters its functions
from tests.oracle import natives
from tests.oracle.arithmetic import checked, floats, ints
from tests.oracle.machine import Failed, Machine, broken, panic
from tests.oracle.types import conform, is_of_type, written
from tests.oracle.values import (
    Array,
    Enum,
    Err,
    Function,
    Map,
    Nothing,
    Ok,
    Range,
    Some,
    Struct,
    Tuple,
    Value,
    display,
    equal,
    is_key,
    order,
    type_name,
)

INSTRUCTIONS: dict[str, Callable[..., None]] = {}
T = TypeVar("T")


def instruction(function: Callable[..., None]) -> Callable[..., None]:
    """Enters a function under its name, without the underscore that tells it from a word of Python."""
    INSTRUCTIONS[function.__name__.rstrip("_")] = function
    return function


def a(kind: type[T], value: Any) -> T:
    """A value of the expected kind."""
    if type(value) is not kind:
        broken(f"expected {kind.__name__}, found {value!r}")
    return value


def key(value: Value) -> Value:
    return value if is_key(value) else broken(f"no key: {value!r}")


# Loads


@instruction
def const(m: Machine, d: int, k: int) -> None:
    m.write(d, m.constant(k))


@instruction
def int_(m: Machine, d: int, i: int) -> None:
    m.write(d, i)


@instruction
def bool_(m: Machine, d: int, i: int) -> None:
    m.write(d, i != 0)


@instruction
def nil(m: Machine, d: int) -> None:
    m.write(d, None)


@instruction
def copy(m: Machine, d: int, r: int) -> None:
    m.write(d, m.read(r))


@instruction
def move(m: Machine, d: int, r: int) -> None:
    m.write(d, m.take(r))


@instruction
def drop(m: Machine, r: int) -> None:
    m.take(r)


# Int


@instruction
def add_int(m: Machine, d: int, x: int, y: int) -> None:
    m.write(d, ints("add", a(int, m.read(x)), a(int, m.read(y))))


@instruction
def sub_int(m: Machine, d: int, x: int, y: int) -> None:
    m.write(d, ints("sub", a(int, m.read(x)), a(int, m.read(y))))


@instruction
def mul_int(m: Machine, d: int, x: int, y: int) -> None:
    m.write(d, ints("mul", a(int, m.read(x)), a(int, m.read(y))))


@instruction
def div_int(m: Machine, d: int, x: int, y: int) -> None:
    m.write(d, ints("div", a(int, m.read(x)), a(int, m.read(y))))


@instruction
def rem_int(m: Machine, d: int, x: int, y: int) -> None:
    m.write(d, ints("rem", a(int, m.read(x)), a(int, m.read(y))))


@instruction
def neg_int(m: Machine, d: int, r: int) -> None:
    m.write(d, checked(-a(int, m.read(r))))


@instruction
def add_int_imm(m: Machine, d: int, r: int, i: int) -> None:
    m.write(d, checked(a(int, m.read(r)) + i))


# Float


@instruction
def add_float(m: Machine, d: int, x: int, y: int) -> None:
    m.write(d, floats("add", a(float, m.read(x)), a(float, m.read(y))))


@instruction
def sub_float(m: Machine, d: int, x: int, y: int) -> None:
    m.write(d, floats("sub", a(float, m.read(x)), a(float, m.read(y))))


@instruction
def mul_float(m: Machine, d: int, x: int, y: int) -> None:
    m.write(d, floats("mul", a(float, m.read(x)), a(float, m.read(y))))


@instruction
def div_float(m: Machine, d: int, x: int, y: int) -> None:
    m.write(d, floats("div", a(float, m.read(x)), a(float, m.read(y))))


@instruction
def rem_float(m: Machine, d: int, x: int, y: int) -> None:
    m.write(d, floats("rem", a(float, m.read(x)), a(float, m.read(y))))


@instruction
def neg_float(m: Machine, d: int, r: int) -> None:
    m.write(d, -a(float, m.read(r)))


@instruction
def int_to_float(m: Machine, d: int, r: int) -> None:
    m.write(d, float(a(int, m.read(r))))


@instruction
def float_to_int(m: Machine, d: int, r: int) -> None:
    number = a(float, m.read(r))
    whole = natives.whole(number)
    if whole is None:
        panic("ArithmeticOverflow", f"{display(number)} does not fit into an Int")
    m.write(d, whole)


# Comparison and logic


@instruction
def eq_int(m: Machine, d: int, x: int, y: int) -> None:
    m.write(d, a(int, m.read(x)) == a(int, m.read(y)))


@instruction
def lt_int(m: Machine, d: int, x: int, y: int) -> None:
    m.write(d, a(int, m.read(x)) < a(int, m.read(y)))


@instruction
def le_int(m: Machine, d: int, x: int, y: int) -> None:
    m.write(d, a(int, m.read(x)) <= a(int, m.read(y)))


@instruction
def eq_float(m: Machine, d: int, x: int, y: int) -> None:
    m.write(d, a(float, m.read(x)) == a(float, m.read(y)))


@instruction
def lt_float(m: Machine, d: int, x: int, y: int) -> None:
    m.write(d, a(float, m.read(x)) < a(float, m.read(y)))


@instruction
def le_float(m: Machine, d: int, x: int, y: int) -> None:
    m.write(d, a(float, m.read(x)) <= a(float, m.read(y)))


@instruction
def eq(m: Machine, d: int, x: int, y: int) -> None:
    m.write(d, equal(m.read(x), m.read(y)))


@instruction
def lt(m: Machine, d: int, x: int, y: int) -> None:
    found = order(m.read(x), m.read(y))
    m.write(d, found is not None and found < 0)


@instruction
def le(m: Machine, d: int, x: int, y: int) -> None:
    found = order(m.read(x), m.read(y))
    m.write(d, found is not None and found <= 0)


@instruction
def not_(m: Machine, d: int, r: int) -> None:
    m.write(d, not a(bool, m.read(r)))


@instruction
def jump(m: Machine, target: int) -> None:
    m.jump(target)


@instruction
def jump_if(m: Machine, r: int, target: int) -> None:
    if a(bool, m.read(r)):
        m.jump(target)


@instruction
def jump_unless(m: Machine, r: int, target: int) -> None:
    if not a(bool, m.read(r)):
        m.jump(target)


# Making values


@instruction
def concat(m: Machine, d: int, w: int, n: int) -> None:
    m.write(d, natives.sized("".join(map(display, m.window(w, n)))))


@instruction
def append_string(m: Machine, x: int, r: int) -> None:
    more = a(str, m.take(r))
    m.write(x, natives.sized(a(str, m.read(x)) + more))


@instruction
def array(m: Machine, d: int, w: int, n: int) -> None:
    m.write(d, Array(tuple(m.window(w, n))))


@instruction
def tuple_(m: Machine, d: int, w: int, n: int) -> None:
    m.write(d, Tuple(tuple(m.window(w, n))))


@instruction
def map_(m: Machine, d: int, w: int, n: int) -> None:
    parts = m.window(w, 2 * n)
    made = Map(())
    for own, value in zip(parts[::2], parts[1::2], strict=True):
        made = made.put(key(own), value)
    m.write(d, made)


@instruction
def struct(m: Machine, d: int, t: int, w: int, n: int) -> None:
    m.write(d, Struct(m.struct_type(t), tuple(m.window(w, n))))


@instruction
def variant(m: Machine, d: int, t: int, i: int, w: int, n: int) -> None:
    m.write(d, Enum(m.enum_type(t), i, tuple(m.window(w, n))))


@instruction
def range_(m: Machine, d: int, x: int, y: int) -> None:
    m.write(d, Range(a(int, m.read(x)), a(int, m.read(y)), inclusive=False))


@instruction
def range_inclusive(m: Machine, d: int, x: int, y: int) -> None:
    m.write(d, Range(a(int, m.read(x)), a(int, m.read(y)), inclusive=True))


# Option, Result, enums


@instruction
def some(m: Machine, d: int, r: int) -> None:
    m.write(d, Some(m.take(r)))


@instruction
def none(m: Machine, d: int) -> None:
    m.write(d, Nothing())


@instruction
def ok(m: Machine, d: int, r: int) -> None:
    m.write(d, Ok(m.take(r)))


@instruction
def err(m: Machine, d: int, r: int) -> None:
    m.write(d, Err(m.take(r)))


@instruction
def is_some(m: Machine, d: int, r: int) -> None:
    m.write(d, isinstance(m.read(r), Some))


@instruction
def is_ok(m: Machine, d: int, r: int) -> None:
    m.write(d, isinstance(m.read(r), Ok))


@instruction
def is_variant(m: Machine, d: int, r: int, i: int) -> None:
    m.write(d, a(Enum, m.read(r)).variant == i)


@instruction
def payload(m: Machine, d: int, r: int) -> None:
    match m.take(r):
        case Some(inner) | Ok(inner) | Err(inner):
            m.write(d, inner)
        case other:
            broken(f"no payload: {other!r}")


@instruction
def unwrap_or_jump(m: Machine, d: int, r: int, target: int) -> None:
    match m.read(r):
        case Some(inner) | Ok(inner):
            m.take(r)
            m.write(d, inner)
        case None | Nothing() | Err():
            m.jump(target)
        case other:
            broken(f"nothing to unwrap: {other!r}")


# Types, calls, ends


@instruction
def check_type(m: Machine, d: int, r: int, t: int) -> None:
    value = m.take(r)
    try:
        m.write(d, conform(m.document["types"], t, value))
    except TypeError as misfit:
        wanted = written(m.document["types"], t)
        panic("TypeMismatch", f"expected `{wanted}`, found `{misfit}`")


@instruction
def cast_type(m: Machine, d: int, r: int, t: int) -> None:
    value = m.take(r)
    whole = natives.whole(value) if isinstance(value, float) else None
    if m.document["types"][t] == ["int"] and whole is not None:
        m.write(d, whole)
        return
    try:
        m.write(d, conform(m.document["types"], t, value))
    except TypeError as misfit:
        shown = misfit
        if m.document["types"][t] == ["int"] and isinstance(value, float):
            shown = TypeError(display(value))
        wanted = written(m.document["types"], t)
        panic("CastFailed", f"`{shown}` cannot be cast to `{wanted}`")


@instruction
def is_type(m: Machine, d: int, r: int, t: int) -> None:
    m.write(d, is_of_type(m.document["types"], t, m.read(r)))


@instruction
def call(m: Machine, d: int, f: int, w: int, n: int) -> None:
    if len(m.frames) >= m.max_depth:
        panic("StackOverflow", f"more than {m.max_depth} active calls")
    m.enter(f, m.window(w, n), d)


@instruction
def closure(m: Machine, d: int, f: int, w: int, n: int) -> None:
    code = m.document["functions"][f]
    m.write(d, Function(f, code["name"], len(code["params"]), tuple(m.window(w, n))))


@instruction
def call_value(m: Machine, d: int, r: int, w: int, n: int) -> None:
    function = a(Function, m.read(r))
    if function.arity != n:
        broken(f"{n} arguments for {function.arity} parameters")
    if len(m.frames) >= m.max_depth:
        panic("StackOverflow", f"more than {m.max_depth} active calls")
    m.enter(function.index, [*m.window(w, n), *function.captures], d)


@instruction
def call_any(m: Machine, d: int, r: int, w: int, n: int) -> None:
    function, args = m.read(r), m.window(w, n)
    if not isinstance(function, Function):
        panic("TypeMismatch", f"`{type_name(function)}` cannot be called")
    if function.arity != n:
        plural = "s" if function.arity != 1 else ""
        panic("TypeMismatch", f"the function takes {function.arity} argument{plural}, found {n}")
    params = m.document["functions"][function.index]["params"]
    fitting = []
    for param, value in zip(params, args, strict=True):
        try:
            fitting.append(conform(m.document["types"], param["type"], value))
        except TypeError as misfit:
            wanted = written(m.document["types"], param["type"])
            panic("TypeMismatch", f"expected `{wanted}`, found `{misfit}`")
    if len(m.frames) >= m.max_depth:
        panic("StackOverflow", f"more than {m.max_depth} active calls")
    m.enter(function.index, [*fitting, *function.captures], d)


@instruction
def native(m: Machine, d: int, name: str, w: int, n: int) -> None:
    m.write(d, natives.PURE[name](m, *m.window(w, n)))


@instruction
def native_mut(m: Machine, d: int, name: str, x: int, w: int, n: int) -> None:
    receiver, result = natives.MUTATING[name](m, m.read(x), *m.window(w, n))
    m.write(x, receiver)
    m.write(d, result)


@instruction
def return_(m: Machine, r: int) -> None:
    m.leave(m.take(r))


@instruction
def return_nil(m: Machine) -> None:
    m.leave(None)


@instruction
def fail(m: Machine, r: int) -> None:
    raise Failed(m.take(r))


@instruction
def panic_(m: Machine, r: int) -> None:
    panic("Panic", a(str, m.read(r)))


@instruction
def no_match(m: Machine) -> None:
    panic("MatchFailed", "no arm matches the value")


# Effects


@instruction
def emit(m: Machine, r: int, value: int) -> None:
    channel = a(str, m.read(r))
    if channel == "":
        panic("InvalidArgument", "the name of a channel is empty")
    m.world.emit(channel, m.take(value))


@instruction
def print_(m: Machine, r: int, i: int) -> None:
    m.world.print(a(str, m.read(r)) + ("\n" if i else ""))


@instruction
def env(m: Machine, d: int, r: int) -> None:
    m.write(d, m.world.env(a(str, m.read(r))))
