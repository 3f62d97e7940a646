"""Values of the language as Python has them, none of which can change: so assignment copies without further ado.

`Nil`, `Bool`, `Int`, `Float` and `String` are `None`, `bool`, `int`, `float` and `str`. Written from sections 13 of the language
reference and 1.6 of the library reference.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias

INT_MIN, INT_MAX = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Array:
    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Tuple:
    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Map:
    """Entries in order of insertion, keys without repetition."""

    entries: tuple[tuple[Value, Value], ...]

    def find(self, key: Value) -> int | None:
        """The position of a key."""
        return next((at for at, (own, _) in enumerate(self.entries) if same_key(own, key)), None)

    def put(self, key: Value, value: Value) -> Map:
        """Overwriting keeps the place."""
        at = self.find(key)
        if at is None:
            return Map((*self.entries, (key, value)))
        return Map((*self.entries[:at], (self.entries[at][0], value), *self.entries[at + 1 :]))

    def remove(self, key: Value) -> Map:
        return Map(tuple(entry for entry in self.entries if not same_key(entry[0], key)))

    def merge(self, other: Map) -> Map:
        merged = self
        for key, value in other.entries:
            merged = merged.put(key, value)
        return merged


@dataclass(frozen=True, slots=True)
class Collection:
    """A set, queue or stack by its name; a set has no value twice."""

    name: str
    items: tuple[Value, ...]


@dataclass(slots=True, eq=False)
class Entries:
    """What a store holds, and who wants to know of changes: key, whether there is one, prefix, function."""

    map: Map = field(default_factory=lambda: Map(()))
    listeners: list[tuple[Value, bool, str, Value]] = field(default_factory=list)
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Store:
    """A reference to a store, or to the entries whose keys begin with a prefix."""

    name: str
    entries: Entries
    prefix: str = ""
    #: The indices of the types of its keys and values.
    types: tuple[int, int] = (0, 0)

    def full(self, key: Value) -> Value:
        """A key as the whole store has it."""
        return self.prefix + key if isinstance(key, str) else key

    def own(self, key: Value) -> Value:
        """A key of the whole store as this reference has it; None if it is not in it."""
        if not self.prefix:
            return key
        if isinstance(key, str) and key.startswith(self.prefix):
            return key.removeprefix(self.prefix)
        return None

    def shown(self) -> Map:
        """The entries that this reference sees."""
        pairs = ((self.own(key), value) for key, value in self.entries.map.entries)
        return Map(tuple((key, value) for key, value in pairs if key is not None))


@dataclass(frozen=True, slots=True)
class StructType:
    name: str
    origin: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Struct:
    type: StructType
    fields: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class EnumType:
    """Name, form and field names of each variant."""

    name: str
    variants: tuple[tuple[str, str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Enum:
    type: EnumType
    variant: int
    fields: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Nothing:
    """`None` of the language."""


@dataclass(frozen=True, slots=True)
class Some:
    inner: Value


@dataclass(frozen=True, slots=True)
class Ok:
    inner: Value


@dataclass(frozen=True, slots=True)
class Err:
    inner: Value


@dataclass(frozen=True, slots=True)
class Range:
    start: int
    end: int
    inclusive: bool

    @property
    def stop(self) -> int:
        """The end, exclusive."""
        return self.end + 1 if self.inclusive else self.end

    @property
    def length(self) -> int:
        """How many numbers it has, which may be too many for `len`."""
        return max(self.stop - self.start, 0)


@dataclass(frozen=True, slots=True)
class Function:
    """A function value, with copies of what it uses."""

    index: int
    name: str
    arity: int
    captures: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """A model, or one with settings of its own."""

    index: int
    name: str
    settings: tuple[tuple[str, Value], ...] = ()


@dataclass(slots=True, eq=False)
class Stream:
    """The one value that is a reference: its chunks that are still to come, what it breaks with after them, and what it says at its end."""

    chunks: list[Struct]
    failure: Value
    response: Value
    text: str = ""
    is_over: bool = False
    end: Value = None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline, with the names of its stages and the function that runs it."""

    name: str
    stages: tuple[str, ...]
    function: int


@dataclass(slots=True, eq=False)
class Handle:
    """A future (number 0) or a task, which are references: what it is to compute, or who computes it, or its value."""

    number: int
    state: str  # cold, running, done, cancelled
    function: Function | None = None
    task: object = None
    value: Value = None
    is_observed: bool = False


Value: TypeAlias = (
    bool | int | float | str | Array | Tuple | Map | Struct | Enum | Nothing | Some | Ok | Err | Range | Function | Model | Stream
    | Handle | Collection | Store | Pipeline | None
)  # fmt: skip


def option(value: Value, found: bool = True) -> Value:
    """`Some(value)` if it was found."""
    return Some(value) if found else Nothing()


def same_key(left: Value, right: Value) -> bool:
    """Keys are equal only to keys of their own type."""
    if isinstance(left, Tuple) and isinstance(right, Tuple):
        return len(left.items) == len(right.items) and all(map(same_key, left.items, right.items))
    return type(left) is type(right) and left == right


def is_key(value: Value) -> bool:
    """String, Int, Bool, a variant without data, or a tuple of those."""
    match value:
        case Tuple(items):
            return all(map(is_key, items))
        case Enum(_, _, fields):
            return not fields
        case _:
            return type(value) in (str, int, bool)


def equal(left: Value, right: Value) -> bool:
    """Reference 13.5."""
    match left, right:
        case (None | Nothing(), None | Nothing()):
            return True
        case (bool(), bool()) | (str(), str()) | (Range(), Range()):
            return left == right
        case (bool(), _) | (_, bool()) if not isinstance(left, Some) and not isinstance(
            right, Some
        ):
            return False
        case (int() | float(), int() | float()):
            return left == right  # Python compares the exact values
        case (Array(a), Array(b)) | (Tuple(a), Tuple(b)):
            return _all_equal(a, b)
        case Map(), Map():
            return len(left.entries) == len(right.entries) and all(
                (at := right.find(key)) is not None and equal(value, right.entries[at][1])
                for key, value in left.entries
            )
        case Struct(), Struct():
            return left.type.name == right.type.name and _all_equal(left.fields, right.fields)
        case Enum(), Enum():
            return (
                left.type.name == right.type.name
                and left.variant == right.variant
                and _all_equal(left.fields, right.fields)
            )
        case Collection("Set", a), Collection("Set", b):
            return len(a) == len(b) and all(any(same_key(x, y) for y in b) for x in a)
        case Collection(), Collection():
            return left.name == right.name and _all_equal(left.items, right.items)
        case Store(), Store():
            return left.entries is right.entries and left.prefix == right.prefix
        case (Some(a), Some(b)) | (Ok(a), Ok(b)) | (Err(a), Err(b)):
            return equal(a, b)
        case (Some(), None | Nothing()) | (None | Nothing(), Some()):
            return False
        case (Some(a), b) | (b, Some(a)):
            return equal(a, b)  # by wrapping
        case Handle(), Handle():
            return left is right
        case Pipeline(), Pipeline():
            return left == right
        case _:
            return False


def _all_equal(left: tuple[Value, ...], right: tuple[Value, ...]) -> bool:
    return len(left) == len(right) and all(map(equal, left, right))


def order(left: Value, right: Value) -> int | None:
    """Reference 13.6: negative, 0 or positive; None where there is no order."""
    match left, right:
        case (bool(), bool()):
            return int(left) - int(right)
        case (bool(), _) | (_, bool()):
            return None
        case (int() | float(), int() | float()):
            if left != left or right != right:
                return None
            return (left > right) - (left < right)
        case (str(), str()):
            return (left > right) - (left < right)  # Python compares by scalar value, too
        case (Array(a), Array(b)) | (Tuple(a), Tuple(b)):
            for x, y in zip(a, b, strict=False):
                found = order(x, y)
                if found != 0:
                    return found
            return (len(a) > len(b)) - (len(a) < len(b))
        case _:
            return None


def sort_order(left: Value, right: Value) -> int:
    """The order of sorting, which is total: NaN comes after all other numbers."""
    match left, right:
        case (Array(a), Array(b)) | (Tuple(a), Tuple(b)):
            for x, y in zip(a, b, strict=False):
                found = sort_order(x, y)
                if found != 0:
                    return found
            return len(a) - len(b)
        case _:
            found_order = order(left, right)
            return (left != left) - (right != right) if found_order is None else found_order


def declared_name(name: str) -> str:
    """The name that a type is declared with: `Page` of `shop::Page<Hit>`."""
    return name.partition("<")[0].rpartition("::")[2]


def type_name(value: Value) -> str:
    """The name of the type; of a generic one with its arguments."""
    match value:
        case None:
            return "Nil"
        case bool():
            return "Bool"
        case int():
            return "Int"
        case float():
            return "Float"
        case str():
            return "String"
        case Struct() | Enum():
            return value.type.name.removeprefix("::")
        case Nothing() | Some():
            return "Option"
        case Pipeline():
            return "PipelineRef"
        case Handle(number):
            return "Task" if number else "Future"
        case Model():
            return "ModelBuilder" if value.settings else "ModelRef"
        case Ok() | Err():
            return "Result"
        case Collection(name):
            return name
        case Store():
            return "HashMapRef"
        case _:
            return type(value).__name__


def display(value: Value) -> str:
    """The text form: library reference 1.6."""
    match value:
        case str():
            return value
        case Struct(StructType("Response"), fields):
            return display(fields[0])
        case Struct(StructType(_, "error"), fields):
            return display(fields[0])
        case _:
            return _nested(value, 0)


def _nested(value: Value, depth: int) -> str:
    if depth > 64:
        return "..."

    def all_of(items: Iterable[Value]) -> str:
        return ", ".join(_nested(item, depth + 1) for item in items)

    def named(names: tuple[str, ...], items: tuple[Value, ...]) -> str:
        pairs = zip(names, items, strict=True)
        return ", ".join(f"{name}: {_nested(item, depth + 1)}" for name, item in pairs)

    match value:
        case None:
            return "nil"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return float_text(value)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case Array(items):
            return f"[{all_of(items)}]"
        case Collection(name, items):
            return f"Set{{{all_of(items)}}}" if name == "Set" else f"{name}[{all_of(items)}]"
        case Store(name):
            return f"<hashmap {name}>"
        case Tuple(items):
            return f"({all_of(items)}{',' if len(items) == 1 else ''})"
        case Map(entries):
            shown = (f"{_nested(k, depth + 1)}: {_nested(v, depth + 1)}" for k, v in entries)
            return "{" + ", ".join(shown) + "}"
        case Struct(StructType(_, "error"), fields):
            return _nested(fields[0], depth + 1)
        case Struct(type_, fields):
            inside = named(type_.fields, fields)
            declared = declared_name(type_.name)
            return f"{declared} {{ {inside} }}" if inside else f"{declared} {{ }}"
        case Enum(type_, variant, fields):
            name, form, names = type_.variants[variant]
            if form == "unit":
                return name
            return (
                f"{name}({all_of(fields)})"
                if form == "tuple"
                else f"{name} {{ {named(names, fields)} }}"
            )
        case Nothing():
            return "None"
        case Some(inner) | Ok(inner) | Err(inner):
            return f"{type(value).__name__}({_nested(inner, depth + 1)})"
        case Range(start, end, inclusive):
            return f"{start}..{'=' if inclusive else ''}{end}"
        case Function():
            return f"<fn {value.name}>"
        case Model():
            return f"<model {value.name}>"
        case Pipeline():
            return f"<pipeline {value.name}>"
        case Handle(number):
            return f"<task {number}>" if number else "<future>"
        case Stream():
            return "<Stream>"


def float_text(number: float) -> str:
    """The shortest digits that read back; decimal for 1e-4 <= |x| < 1e16, else with an exponent: reference 13.7."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "inf" if number > 0 else "-inf"
    sign = "-" if math.copysign(1.0, number) < 0 else ""
    size = abs(number)
    digits = "".join(map(str, Decimal(repr(size)).as_tuple().digits)).rstrip("0") or "0"
    if size != 0 and not 1e-4 <= size < 1e16:
        power = Decimal(repr(size)).adjusted()
        digits = digits.lstrip("0")
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{rest}e{power}"
    text = f"{Decimal(repr(size)):f}"
    whole, _, rest = text.partition(".")
    return f"{sign}{whole}.{rest.rstrip('0') or '0'}"


def to_host(value: Value, *, whole_errors: bool = False) -> Any:
    """As a Python host sees it (`concerto.values`): built-in errors are their message, unless they are wanted with their fields."""
    from concerto import values as host

    def inside(value: Value) -> Any:
        return to_host(value, whole_errors=whole_errors)

    match value:
        case Nothing():
            return None
        case Array(items):
            return [inside(item) for item in items]
        case Tuple(items):
            return tuple(inside(item) for item in items)
        case Map(entries):
            return {inside(key): inside(item) for key, item in entries}
        case Struct(StructType(origin="error")) if not whole_errors:
            return display(value)
        case Struct(type_, fields):
            return host.Record(
                declared_name(type_.name),
                dict(zip(type_.fields, map(inside, fields), strict=True)),
            )
        case Enum(type_, variant, fields):
            name, form, names = type_.variants[variant]
            if form == "unit":
                return name
            data = tuple(map(inside, fields))
            return host.Variant(
                name, data if form == "tuple" else dict(zip(names, data, strict=True))
            )
        case Some(inner):
            return inside(inner)
        case Ok(inner):
            return host.Ok(inside(inner))
        case Err(inner):
            return host.Err(inside(inner))
        case Range():
            return range(value.start, value.stop)
        case Collection("Set", items):
            return host.OrderedSet(map(inside, items))
        case Collection(_, items):
            return [inside(item) for item in items]
        case Function() | Model() | Stream() | Handle() | Store() | Pipeline():
            return display(value)
        case _:
            return value
