"""Expressions of a wanted type.

`expr` writes one for a place that says its type, so that `None`, `[]` and conversions are fine there; `known` one whose type is seen from itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from concerto.check import builtins
from concerto.check import types as t
from concerto.check.types import Type, show

from tests.oracle.generator import Generator, is_ordered
from tests.oracle.generic import through
from tests.oracle.patterns import match_arms
from tests.oracle.std_calls import library_calls

INTS = (
    "0", "1", "2", "3", "5", "7", "10", "(-1)", "(-3)", "100", "2147483647", "2147483648", "(-2147483649)", "9007199254740993",
    "9223372036854775807", "(-9223372036854775808)", "0x1F", "1_000",
)  # fmt: skip
FLOATS = (
    "0.0", "1.0", "1.5", "2.25", "(-0.5)", "(-2.0)", "0.1", "3.75", "1e10", "1e-7", "1e300", "123456.789", "(0.0 / 0.0)", "(1.0 / 0.0)", "(-0.0)",
    "9007199254740993.0", "1e16", "0.0001", "2.5e-5",
)  # fmt: skip
STRINGS = (
    '""', '"a"', '"b"', '"ab"', '"hello"', '"1"', '"-7"', '"a,b,"', '"x\\ny"', '"héllo"', '" pad "', '"2.5"', '"日本"', '"\\"q\\""', '"A b\\tC"', '"straße"',
    'r"raw\\n"', '"""\n    many\n      lines\n    """', '"\\u{1F600}!"', '"9223372036854775808"', '"1e5"', '"$5 {x}"',
)  # fmt: skip

ORDER_METHODS = {"sorted", "sort", "min", "max"}
#: Results that depend on more than their arguments' types allow to keep small, or that are made from `Any`.
LEFT_OUT = {"pow"}
#: What panics without its precondition.
RISKY = {"unwrap", "expect", "unwrap_err", "remove", "insert"}
SIZED = {
    *(
        "pad_left",
        "pad_right",
        "truncate",
        "char_at",
        "std::fmt::pad_left",
        "std::fmt::pad_right",
        "std::fmt::truncate",
        "std::fmt::fixed",
    ),
    *("std::fmt::indent", "std::string::repeat", "std::time::format", "std::math::checked_pow"),
}
COUNTED = {"repeat", "to_fixed", "take", "skip", "slice", "substring", "get", "insert", "remove"}


def literal(g: Generator, wanted: Type, depth: int) -> str:
    """A value written out."""
    less = depth - 1
    match wanted:
        case t.INT:
            return g.one(INTS if g.chance(3) else INTS[:10])
        case t.FLOAT:
            return g.one(FLOATS if g.chance(2) else FLOATS[:8])
        case t.STRING:
            return g.one(STRINGS if g.chance(2) else STRINGS[:9])
        case t.BOOL:
            return g.one(("true", "false"))
        case t.NIL:
            return g.one(("nil", "()"))
        case t.RANGE:
            return f"({g.pick(5) - 2}..{g.one(('', '='))}{g.pick(6) - 1})"
        case t.ANY:
            anything: tuple[Type, ...] = (t.INT, t.STRING, t.FLOAT, t.Array(t.INT))
            return expr(g, g.one(anything), less)
        case t.Array(item):
            return "[" + ", ".join(expr(g, item, less) for _ in range(g.pick(4))) + "]"
        case t.Map(key, value):
            count = g.pick(4)
            pairs = (f"{_key(g, key)}: {expr(g, value, less)}" for _ in range(count))
            return "({ " + ", ".join(pairs) + " })" if count else "({})"
        case t.Tuple(items):
            inside = ", ".join(expr(g, item, less) for item in items)
            return f"({inside},)" if len(items) == 1 else f"({inside})"
        case t.Option(item):
            form = g.one(("None", "Some", "plain", "nil"))
            if form in ("None", "nil"):
                return form
            return f"Some({expr(g, item, less)})" if form == "Some" else expr(g, item, less)
        case t.Result(ok, err):
            name, inner = g.one((("Ok", ok), ("Err", err)))
            return f"{name}({expr(g, inner, less)})"
        case t.Struct(name):
            return _struct(g, name, less)
        case t.Enum(name):
            return _variant(g, name, less)
        case _:
            raise AssertionError(wanted)


def _key(g: Generator, key: Type) -> str:
    text = literal(g, key, 0)
    return f"({text})" if isinstance(key, t.Enum) else text


def _struct(g: Generator, name: str, depth: int) -> str:
    fields = list(g.structs[name])
    if g.chance(3):
        fields.reverse()
    # Fields whose names end in `d` have defaults.
    given = [f for f in fields if not (f[0].endswith("d") and g.chance(2))]
    if not given:
        return (
            f"({name} {{ }})"
            if not fields
            else f"({name} {{ {fields[0][0]}: {expr(g, fields[0][1], depth)} }})"
        )
    return f"({name} {{ " + ", ".join(f"{n}: {expr(g, ty, depth)}" for n, ty in given) + " })"


def _variant(g: Generator, name: str, depth: int) -> str:
    shape = g.one(g.enums[name])
    path = f"{name}::{shape.name}"
    if shape.form == "unit":
        return path
    if shape.form == "tuple":
        return f"{path}(" + ", ".join(expr(g, ty, depth) for _, ty in shape.fields) + ")"
    return (
        f"({path} {{ " + ", ".join(f"{n}: {expr(g, ty, depth)}" for n, ty in shape.fields) + " })"
    )


def leaf(g: Generator, wanted: Type) -> str:
    """The shortest expression: a variable if there is one."""
    found = [text for text, type_ in g.reads() if type_ == wanted]
    if found and not g.chance(3):
        return g.one(found)
    return literal(g, wanted, 0) if _is_shallow(wanted) else _empty(g, wanted)


def _is_shallow(wanted: Type) -> bool:
    return wanted in (t.INT, t.FLOAT, t.STRING, t.BOOL, t.NIL, t.RANGE)


def _empty(g: Generator, wanted: Type) -> str:
    match wanted:
        case t.Array():
            return "[]"
        case t.Map():
            return "({})"
        case t.Option():
            return "None"
        case t.Enum(name) if any(v.form == "unit" for v in g.enums[name]):
            return f"{name}::" + next(v.name for v in g.enums[name] if v.form == "unit")
        case _:
            return literal(g, wanted, 1)


def expr(g: Generator, wanted: Type, depth: int) -> str:
    """An expression for a place of this type."""
    g.size -= 1
    if depth <= 0 or g.size <= 0:
        return leaf(g, wanted)
    makers: list[Callable[[Generator, Type, int], str]] = [
        lambda g, w, d: leaf(g, w),
        literal,
        operation,
        call,
        method,
        library,
        method,
        lambda g, w, d: known(g, w, d),
        unwrapped,
        caught,
        branches,
        block,
    ]
    # The last ones have others inside, and cost more.
    return g.one(makers if g.chance(3) else makers[:9])(g, wanted, depth)


def known(g: Generator, wanted: Type, depth: int) -> str:
    """An expression whose type is `wanted` without help from its place."""
    g.size -= 1
    found = [text for text, type_ in g.reads() if type_ == wanted]
    if found and g.pick(5) < 3:
        return g.one(found)
    less = depth - 1
    if depth > 0 and g.size > 0:
        if g.has_generics and g.chance(4):
            return through(g, wanted, less)
        calls = [f for f in g.functions if f.result == wanted]
        if calls and g.chance(3):
            return _call(g, g.one(calls).name, depth)
        if wanted in (t.INT, t.STRING, t.BOOL, t.FLOAT) and g.pick(3):
            # An Int would convert where a Float is wanted, but not show it.
            return method(g, wanted, depth) if g.chance(3) else operation(g, wanted, depth, False)
    match wanted:
        case t.Array(item) if not g.chance(4):
            return "[" + ", ".join(known(g, item, less) for _ in range(1 + g.pick(2))) + "]"
        case t.Tuple(items):
            inside = ", ".join(known(g, item, less) for item in items)
            return f"({inside},)" if len(items) == 1 else f"({inside})"
        case t.Option(item) if not g.chance(3):
            return f"Some({known(g, item, less)})"
        case t.Map(key, value) if not g.chance(4):
            return f"({{ {_key(g, key)}: {known(g, value, less)} }})"
        case t.Array() | t.Map() | t.Option() | t.Result():
            name = g.name("k")
            return f"({{ let {name}: {show(wanted)} = {expr(g, wanted, less)}; {name} }})"
        case _:
            return literal(g, wanted, depth)


def operation(g: Generator, wanted: Type, depth: int, converts: bool = True) -> str:
    """Operators, indexes, casts, interpolation."""
    less = depth - 1
    match wanted:
        case t.INT:
            return _int_operation(g, less)
        case t.FLOAT:
            return _float_operation(g, less, converts)
        case t.STRING:
            return _string_operation(g, less)
        case t.BOOL:
            return _bool_operation(g, less)
        case t.Array() if g.chance(2):
            return f"{known(g, wanted, less)}[{_bounds(g)}]"
        case t.Option() if g.chance(2):
            return f"({known(g, wanted, less)} ?? {known(g, wanted, less)})"
        case _:
            return indexed(g, wanted, depth)


def _bounds(g: Generator) -> str:
    start, end = f"{g.pick(4) - 1}", f"{g.pick(5)}"
    return g.one(
        (f"{start}..{end}", f"{start}..={end}", f"{start}..", f"..{end}", f"..={end}", "..")
    )


def _int_operation(g: Generator, depth: int) -> str:
    left = known(g, t.INT, depth)
    match g.pick(12):
        case 0:
            return f"({left} + {g.one(INTS[:7])})"
        case 1 | 9 | 10 | 11:
            return f"({left} {g.one(('+', '-'))} {known(g, t.INT, depth)})"
        case 2:
            return f"({left} * {known(g, t.INT, depth)})"
        case 3:
            return f"({left} {g.one(('/', '%'))} {g.one(('3', '7', '(-2)', '10'))})"
        case 4:
            return f"({left} {g.one(('/', '%'))} {known(g, t.INT, depth)})"
        case 5:
            return f"(-{left})"
        case 6:
            return f"({known(g, t.FLOAT, depth)} as Int)"
        case 7:
            item = g.type(1)
            measured: tuple[Type, ...] = (t.STRING, t.Array(item), t.Map(g.key(), item), t.RANGE)
            return f"len({known(g, g.one(measured), depth)})"
        case _:
            return indexed(g, t.INT, depth)


def _float_operation(g: Generator, depth: int, converts: bool) -> str:
    left, right = known(g, t.FLOAT, depth), known(g, t.FLOAT, depth)
    op = g.one(("+", "-", "*", "/", "%"))
    match g.pick(6 if converts else 5):
        case 0:
            return f"({left} {op} {right})"
        case 1:
            return f"({left} {op} {known(g, t.INT, depth)})"
        case 2:
            return f"({known(g, t.INT, depth)} {op} {right})"
        case 3:
            return f"(-{left})"
        case 4:
            return f"({known(g, t.INT, depth)} as Float)"
        case _:
            return expr(g, t.INT, depth)  # converts


def _string_operation(g: Generator, depth: int) -> str:
    match g.pick(6):
        case 0:
            return f"({known(g, t.STRING, depth)} + {known(g, t.STRING, depth)})"
        case 1:
            pieces = "".join(
                f"{g.one(('', 'a ', ': '))}${{{known(g, g.type(2), depth)}}}"
                for _ in range(1 + g.pick(2))
            )
            return f'"{pieces}{g.one(("", "!", " é"))}"'
        case 2:
            return f"{known(g, t.STRING, depth)}[{_bounds(g)}]"
        case 3:
            return g.one(('"ab"', '"héllo"', '"日本"')) + f"[{g.pick(2)}]"
        case 4:
            return f"{known(g, g.type(2), depth)}.to_string()"
        case _:
            return f"typeof({known(g, g.type(2), depth)})"


def _bool_operation(g: Generator, depth: int) -> str:
    kind: Type
    match g.pick(7):
        case 0:
            op = g.one(("==", "<", "<=", ">", ">=", "!="))
            kind = g.one((t.INT, t.FLOAT, t.STRING, t.BOOL))
            return f"({known(g, kind, depth)} {op} {known(g, kind, depth)})"
        case 1:
            op = g.one(("==", "!="))
            kind = g.type(2)
            return f"({known(g, kind, depth)} {op} {known(g, kind, depth)})"
        case 2:
            return f"({expr(g, t.BOOL, depth)} {g.one(('&&', '||'))} {expr(g, t.BOOL, depth)})"
        case 3:
            return f"(!{expr(g, t.BOOL, depth)})"
        case 4:
            op = g.one(("==", "<", "<=", ">", ">=", "!="))
            kinds = g.one(((t.INT, t.FLOAT), (t.FLOAT, t.INT)))
            return f"({known(g, kinds[0], depth)} {op} {known(g, kinds[1], depth)})"
        case 5:
            ordered: tuple[Type, ...] = (t.Array(g.simple()), t.Tuple((g.simple(), g.simple())))
            kind = g.one(ordered)
            return (
                f"({known(g, kind, depth)} {g.one(('<', '<=', '>', '>='))} {known(g, kind, depth)})"
            )
        case _:
            item = g.simple()
            return f"({known(g, t.Option(item), depth)} == {g.one(('None', 'nil', known(g, item, depth)))})"


def indexed(g: Generator, wanted: Type, depth: int) -> str:
    """An element, which now and then is missing."""
    is_map, is_risky = g.chance(3), g.chance(12)
    if is_map:
        key = g.key()
        if is_risky:
            return f"{known(g, t.Map(key, wanted), depth)}[{known(g, key, 0)}]"
        at = literal(g, key, 0)
        written = f"({at})" if isinstance(key, t.Enum) else at
        return f"({{ {written}: {known(g, wanted, depth)} }})[{at}]"
    if is_risky:
        return f"{known(g, t.Array(wanted), depth)}[{g.pick(3)}]"
    items = [known(g, wanted, depth) for _ in range(1 + g.pick(2))]
    return f"[{', '.join(items)}][{g.pick(len(items))}]"


def call(g: Generator, wanted: Type, depth: int) -> str:
    found = [f.name for f in g.functions if f.result == wanted]
    return _call(g, g.one(found), depth) if found else leaf(g, wanted)


def _call(g: Generator, name: str, depth: int) -> str:
    function = next(f for f in g.functions if f.name == name)
    return f"{name}(" + ", ".join(expr(g, param, depth - 1) for param in function.params) + ")"


def method(g: Generator, wanted: Type, depth: int) -> str:
    """A call of a method of a built-in type."""
    item = g.simple()
    receivers: list[Type] = [
        t.STRING,
        t.INT,
        t.FLOAT,
        t.RANGE,
        t.Array(item),
        t.Map(g.key(), item),
        t.Option(item),
        t.Result(item, t.STRING),
    ]
    receivers += [t.Array(wanted), t.Map(g.key(), wanted), t.Map(t.INT, t.STRING)]
    if not isinstance(wanted, t.Option):
        receivers += [t.Option(wanted), t.Result(wanted, t.INT), t.Result(t.INT, wanted)]
    match wanted:
        case t.Array(inner):
            keys = inner in (t.STRING, t.INT, t.BOOL)
            receivers += [wanted, wanted, t.Map(inner, t.INT)] if keys else [wanted, wanted]
        case t.Option(inner):
            receivers += [t.Array(inner), t.Array(inner), t.Result(inner, t.STRING)]
        case t.Map():
            receivers += [wanted, wanted]
    options = [
        (receiver, found)
        for receiver in receivers
        for found in methods(receiver)
        if found.result == wanted and not found.mutates
    ]
    if not options:
        return leaf(g, wanted)
    receiver, found = g.one(options)
    if found.name in RISKY and not g.chance(4):
        return leaf(g, wanted)
    return f"{known(g, receiver, depth - 1)}.{found.name}({arguments(g, found, depth - 1)})"


def library(g: Generator, wanted: Type, depth: int) -> str:
    """A call of a function or method of the library."""
    options = [found for found in library_calls() if found.result == wanted]
    if not options:
        return method(g, wanted, depth)
    found = g.one(options)
    # Widths and lengths stay small.
    args = [
        f"{g.pick(12) - 1}" if type_ == t.INT and found.name in SIZED else expr(g, type_, depth - 1)
        for type_ in found.params
    ]
    if not found.is_method:
        return f"{found.name}({', '.join(args)})"
    return f"{known(g, found.params[0], depth - 1)}.{found.name}({', '.join(args[1:])})"


@dataclass(frozen=True, slots=True)
class Method:
    name: str
    params: tuple[Type, ...]
    result: Type
    mutates: bool


@cache
def methods(receiver: Type) -> tuple[Method, ...]:
    """The methods of a built-in type that its elements allow."""
    made = []
    for name in builtins.method_names(receiver):
        found = builtins.method(receiver, name)
        assert found is not None
        unordered = isinstance(receiver, t.Array) and not is_ordered(receiver.item)
        if name not in LEFT_OUT and not (unordered and name in ORDER_METHODS):
            made.append(Method(name, found.params, found.result, found.mutates))
    return tuple(made)


def arguments(g: Generator, method: Method, depth: int) -> str:
    """Arguments of a method: positions and counts stay small."""
    small = method.name in COUNTED
    return ", ".join(
        f"{g.pick(4) - (1 if g.chance(8) else 0)}"
        if small and param == t.INT
        else expr(g, param, depth)
        for param in method.params
    )


def branches(g: Generator, wanted: Type, depth: int) -> str:
    """`if`, `match` and `loop` as values."""
    less = depth - 1
    match g.pick(3):
        case 0:
            return f"(if {expr(g, t.BOOL, less)} {{ {expr(g, wanted, less)} }} else {{ {expr(g, wanted, less)} }})"
        case 1:
            subject = g.type(2)
            arms = match_arms(
                g, subject, lambda: expr(g, wanted, less), lambda: expr(g, t.BOOL, less - 1)
            )
            return f"(match {known(g, subject, less)} {{ {arms} }})"
        case _:
            return f"(loop {{ if {expr(g, t.BOOL, less)} {{ break {expr(g, wanted, less)}; }} break {expr(g, wanted, less)}; }})"


def unwrapped(g: Generator, wanted: Type, depth: int) -> str:
    """`?` where it may stand, else `??`."""
    less = depth - 1
    match g.result:
        case t.Result(_, err) if not g.is_main or g.is_try:
            if err == t.STRING and wanted == t.INT and g.chance(2):
                return f"{known(g, t.STRING, less)}.parse_int()?"
            return f"{known(g, t.Result(wanted, err), less)}?"
        case t.Option() if not g.is_main and not isinstance(wanted, t.Option):
            return f"{known(g, t.Option(wanted), less)}?"
        case _ if g.is_main and g.chance(3):
            return f"{known(g, t.Result(wanted, t.STRING), less)}?"
        case _ if wanted == t.STRING and g.chance(2):
            return _variable(g, less)
        case _ if isinstance(wanted, t.Option):
            return leaf(g, wanted)
        case _:
            return f"({known(g, t.Option(wanted), less)} ?? {expr(g, wanted, less)})"


def caught(g: Generator, wanted: Type, depth: int) -> str:
    """`try` with clauses; what may be raised inside is a String, an Int or a built-in error."""
    less = depth - 1
    kind = g.one((t.STRING, t.INT))
    outside = g.result, g.is_try, g.loops
    g.result, g.is_try, g.loops = t.Result(wanted, kind), True, []
    match g.pick(3):
        case 0:
            inside = f"{known(g, t.Result(wanted, kind), less)}?"
        case 1:
            inside = f"if {expr(g, t.BOOL, less)} {{ throw {known(g, kind, less)}; }} {expr(g, wanted, less)}"
        case _:
            inside = f"{known(g, t.STRING, less)}.parse_int()?; {expr(g, wanted, less)}"
    g.result, g.is_try, g.loops = outside
    name = g.name("e")
    clauses = []
    if g.chance(2):
        clauses.append(f"catch {show(kind)}({name}) {{ {expr(g, wanted, less)} }}")
    if g.chance(2):
        clauses.append(
            f'catch ParseError({name}) {{ emit("caught", {name}.kind); {expr(g, wanted, less)} }}'
        )
    clauses.append(f"catch {{ {expr(g, wanted, less)} }}")
    return f"(try {{ {inside} }} {' '.join(clauses)})"


def _variable(g: Generator, depth: int) -> str:
    name = g.one(('"SET"', '"EMPTY"', '"UNSET"', '""'))
    return f"(env({name}) ?? {expr(g, t.STRING, depth)})"


def block(g: Generator, wanted: Type, depth: int) -> str:
    """A block with variables of its own."""
    from tests.oracle.statements import statements

    kept = len(g.scope)
    inside = statements(g, 1 + g.pick(2), depth - 1, indent="")
    tail = expr(g, wanted, depth - 1)
    del g.scope[kept:]
    return "{ " + " ".join(inside) + f" {tail} }}"
