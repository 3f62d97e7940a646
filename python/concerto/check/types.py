"""The types of the language as values, and what may be assigned to what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from concerto.records import record


@record()
class Simple:
    """A type without parts."""

    name: str


ANY, NEVER, NIL = Simple("Any"), Simple("Never"), Simple("Nil")
BOOL, INT, FLOAT, STRING = Simple("Bool"), Simple("Int"), Simple("Float"), Simple("String")
RANGE, STREAM, MODEL = Simple("Range"), Simple("Stream"), Simple("ModelRef")
#: What all built-in errors have in common: `message` and `kind`.
ERROR = Simple("Error")
#: A model with settings for the calls made through it.
BUILDER = Simple("ModelBuilder")
#: A store whose types are forgotten, to be passed around.
HASHMAP_REF = Simple("HashMapRef")
#: What patterns see of a reply that no type was expected of; everywhere else it is Any.
REPLY = Simple("Any reply")
#: Of an expression that was reported already: fits everything, so that one mistake gives one message.
UNKNOWN = Simple("?")

SIMPLE = {
    t.name: t
    for t in (
        ANY,
        NEVER,
        NIL,
        BOOL,
        INT,
        FLOAT,
        STRING,
        RANGE,
        STREAM,
        ERROR,
        MODEL,
        BUILDER,
        HASHMAP_REF,
    )
}


@record()
class Array:
    """`Array<T>`."""

    item: Type


@record()
class Map:
    """`Map<K, V>`."""

    key: Type
    value: Type


@record()
class Collection:
    """`Set<T>`, `Queue<T>` or `Stack<T>`, by its name."""

    name: str
    item: Type


@record()
class Store:
    """`HashMap<K, V>`: a reference to a store."""

    key: Type
    value: Type


@record()
class Tuple:
    """`(A, B)`."""

    items: tuple[Type, ...]


@record()
class Option:
    """`Option<T>`."""

    item: Type


@record()
class Result:
    """`Result<T, E>`."""

    ok: Type
    err: Type


@record()
class Future:
    """`Future<T>`: a computation that has not begun, or goes on."""

    item: Type


@record()
class Task:
    """`Task<T>`: a computation beside the one that has it."""

    item: Type


@record()
class Pipeline:
    """`PipelineRef<In, Out>`."""

    input: Type
    output: Type


@record()
class Function:
    """`fn(A, B) -> R`."""

    params: tuple[Type, ...]
    result: Type


@record()
class TraitRef:
    """A trait with its type arguments, such as `From<Int>`."""

    name: str
    args: tuple[Type, ...] = ()


@record()
class Opaque:
    """A type parameter inside of what has it: of its values only the bounds are known."""

    name: str
    bounds: tuple[TraitRef, ...] = field(default=(), compare=False)


@record()
class Literals:
    """`"a" | "b"`."""

    values: tuple[str, ...]


@record()
class Union:
    """`A | B`."""

    members: tuple[Type, ...]


@record()
class Struct:
    """A struct, schema, built-in record or built-in error, by name. `origin` is `struct`, `schema`, `record` or `error`."""

    name: str
    origin: str = field(compare=False)
    args: tuple[Type, ...] = ()


@record()
class Enum:
    """An enum, by name."""

    name: str
    args: tuple[Type, ...] = ()


@dataclass(eq=False, slots=True)
class Var:
    """A type that a later use decides, such as that of the elements of `[]`."""

    bound: Type | None = None


Type: TypeAlias = (
    Simple
    | Array
    | Map
    | Collection
    | Store
    | Tuple
    | Option
    | Result
    | Future
    | Task
    | Pipeline
    | Function
    | Opaque
    | Literals
    | Union
    | Struct
    | Enum
    | Var
)


def resolve(type_: Type) -> Type:
    """The type behind a variable that was decided."""
    while isinstance(type_, Var) and type_.bound is not None:
        type_ = type_.bound
    return type_


def settled(type_: Type) -> Type:
    """The type with all variables replaced; undecided ones are Any."""
    match resolve(type_):
        case Var():
            return ANY
        case Array(item):
            return Array(settled(item))
        case Map(key, value):
            return Map(settled(key), settled(value))
        case Collection(name, item):
            return Collection(name, settled(item))
        case Store(key, value):
            return Store(settled(key), settled(value))
        case Tuple(items):
            return Tuple(tuple(settled(item) for item in items))
        case Option(item):
            return Option(settled(item))
        case Result(ok, err):
            return Result(settled(ok), settled(err))
        case Future(item):
            return Future(settled(item))
        case Task(item):
            return Task(settled(item))
        case Pipeline(a, b):
            return Pipeline(settled(a), settled(b))
        case Function(params, result):
            return Function(tuple(settled(param) for param in params), settled(result))
        case Struct(args=args) | Enum(args=args) as named if args:
            return replace(named, args=tuple(settled(arg) for arg in args))
        case Union(members):
            return Union(tuple(settled(member) for member in members))
        case other:
            return other


def decided(type_: Type) -> Type:
    """The type with its variables replaced as far as they are decided, so that equal types compare as equal."""
    return substitute(type_, {})


def substitute(type_: Type, meaning: dict[str, Type]) -> Type:
    """A type with its parameters replaced."""
    match resolve(type_):
        case Opaque(name):
            return meaning.get(name, type_)
        case Array(item):
            return Array(substitute(item, meaning))
        case Map(key, value):
            return Map(substitute(key, meaning), substitute(value, meaning))
        case Collection(name, item):
            return Collection(name, substitute(item, meaning))
        case Store(key, value):
            return Store(substitute(key, meaning), substitute(value, meaning))
        case Tuple(items):
            return Tuple(tuple(substitute(item, meaning) for item in items))
        case Option(item):
            return Option(substitute(item, meaning))
        case Result(ok, err):
            return Result(substitute(ok, meaning), substitute(err, meaning))
        case Future(item):
            return Future(substitute(item, meaning))
        case Task(item):
            return Task(substitute(item, meaning))
        case Pipeline(a, b):
            return Pipeline(substitute(a, meaning), substitute(b, meaning))
        case Function(params, result):
            inside = tuple(substitute(param, meaning) for param in params)
            return Function(inside, substitute(result, meaning))
        case Struct(args=args) | Enum(args=args) as named if args:
            return replace(named, args=tuple(substitute(arg, meaning) for arg in args))
        case Union(members):
            return union([substitute(member, meaning) for member in members])
        case other:
            return other


def union(types: list[Type]) -> Type:
    """`A | B`: without repetition, literals together; `Any | T` is Any, and `Nil | T` an Option."""
    parts: list[Type] = []
    words: list[str] = []
    for type_ in types:
        type_ = resolve(type_)
        for part in type_.members if isinstance(type_, Union) else (type_,):
            if isinstance(part, Option):
                parts += [NIL, resolve(part.item)]
            elif isinstance(part, Literals):
                words += [word for word in part.values if word not in words]
                # Their place is that of the first.
                parts += [] if any(isinstance(each, Literals) for each in parts) else [part]
            else:
                parts.append(part)
    if UNKNOWN in parts or ANY in parts:
        return UNKNOWN if UNKNOWN in parts else ANY
    whole = [Literals(tuple(words)) if isinstance(each, Literals) else each for each in parts]
    rest = [each for each in dict.fromkeys(whole) if each != NIL]
    found = NIL if not rest else rest[0] if len(rest) == 1 else Union(tuple(rest))
    return Option(found) if NIL in whole and rest else found


def meaning(params: tuple[Opaque, ...], args: tuple[Type, ...]) -> dict[str, Type]:
    """What type parameters stand for."""
    return dict(zip((param.name for param in params), args, strict=True))


def show(type_: Type) -> str:
    """As the language writes it."""
    match resolve(type_):
        case Struct(name, _, args) | Enum(name, args) if args:
            return f"{name}<{', '.join(show(arg) for arg in args)}>"
        case Simple("?"):
            return "_"
        case Simple(name) | Struct(name) | Enum(name) | Opaque(name):
            return name
        case Array(item):
            return f"Array<{show(item)}>"
        case Map(key, value):
            return f"Map<{show(key)}, {show(value)}>"
        case Collection(name, item):
            return f"{name}<{show(item)}>"
        case Store(key, value):
            return f"HashMap<{show(key)}, {show(value)}>"
        case Tuple(items):
            inner = ", ".join(show(item) for item in items)
            return f"({inner},)" if len(items) == 1 else f"({inner})"
        case Option(item):
            return f"Option<{show(item)}>"
        case Result(ok, err):
            return f"Result<{show(ok)}, {show(err)}>"
        case Future(item):
            return f"Future<{show(item)}>"
        case Task(item):
            return f"Task<{show(item)}>"
        case Pipeline(a, b):
            return f"PipelineRef<{show(a)}, {show(b)}>"
        case Function(params, result):
            shown = f"fn({', '.join(show(param) for param in params)})"
            return shown if resolve(result) == NIL else f"{shown} -> {show(result)}"
        case Literals(values):
            return " | ".join(f'"{value}"' for value in values)
        case Union(members):
            return " | ".join(show(member) for member in members)
        case _:
            return "_"


def is_error(type_: Type) -> bool:
    """Whether it is a built-in error, which converts to String and has a message."""
    type_ = resolve(type_)
    return type_ == ERROR or (isinstance(type_, Struct) and type_.origin == "error")


#: Steps that turn a value of one type into one of another, in order: `int_to_float`, `some`, `none`, `message`, `prompt`, or `check`.
Steps: TypeAlias = tuple[str, ...]


def assign(source: Type, target: Type) -> Steps | None:
    """How a value of `source` gets into a place of `target`; None if it does not fit. Decides type variables on the way."""
    source, target = resolve(source), resolve(target)
    if source == UNKNOWN and isinstance(target, Var):
        # So that nobody asks later what it is.
        target.bound = UNKNOWN
    if source is target or UNKNOWN in (source, target) or source == NEVER:
        return ()
    if isinstance(target, Var):
        target.bound = settled_literal(source)
        return ()
    if isinstance(source, Var):
        source.bound = target
        return ()
    if target == ANY:
        return ()
    if source == ANY:
        return ("check",)
    match source, target:
        case Option(a), Option(b):
            steps = _inside((a, b))
            wrapped = assign(source, b) if steps is None else None
            return steps if wrapped is None else (*wrapped, "some")
        case _, Option():
            if source == NIL:
                return ("none",)
            steps = assign(source, target.item)
            return None if steps is None else (*steps, "some")
        case Array(a), Array(b):
            return _inside((a, b))
        case (Map(k, a), Map(m, b)) | (Result(a, k), Result(b, m)):
            return _inside((k, m), (a, b))
        case Collection(name, a), Collection(other, b) if name == other:
            return _inside((a, b))
        case Store(), Simple("HashMapRef"):
            return ()
        case Tuple(xs), Tuple(ys) if len(xs) == len(ys):
            return _inside(*zip(xs, ys, strict=True))
        # What stands for values that do not exist yet, or that others share, cannot be checked.
        case (Future(a), Future(b)) | (Task(a), Task(b)):
            return () if assign(a, b) == () else None
        case Pipeline(a, b), Pipeline(c, d):
            return () if assign(c, a) == () and assign(b, d) == () else None
        case Store(k, a), Store(m, b):
            return () if assign(k, m) == () and assign(a, b) == () else None
        case Function(xs, r), Function(ys, s) if len(xs) == len(ys):
            fits = all(assign(y, x) == () for x, y in zip(xs, ys, strict=True))
            return () if fits and (resolve(s) == NIL or assign(r, s) == ()) else None
        case Literals(), Simple("String"):
            return ()
        case Literals(values), Literals(allowed):
            return () if set(values) <= set(allowed) else None
        case Union(members), _:
            return () if all(assign(member, target) == () for member in members) else None
        case _, Union(members):
            ways = [assign(source, member) for member in members]
            return () if () in ways else next((way for way in ways if way is not None), None)
        case Simple("Int"), Simple("Float"):
            return ("int_to_float",)
        case Literals() | Simple("String"), Struct("Prompt", "record"):
            return ("prompt",)
        case Struct(origin="error"), Simple("String"):
            return ("message",)
        case Simple("Error"), Simple("String"):
            return ("error_message",)
        case Struct(origin="error"), Simple("Error"):
            return ()
        case (Struct(a, _, xs), Struct(b, _, ys)) | (Enum(a, xs), Enum(b, ys)) if a == b:
            return () if all(is_same(x, y) for x, y in zip(xs, ys, strict=True)) else None
        case _:
            return () if source == target else None


def is_same(left: Type, right: Type) -> bool:
    """Whether two types are one, as type arguments have to be. Decides type variables on the way."""
    return assign(left, right) == () and assign(right, left) == ()


def settled_literal(type_: Type) -> Type:
    """What a variable becomes when a value of this type is its first use."""
    return type_


def _inside(*members: tuple[Type, Type]) -> Steps | None:
    """How a container that exists already gets into another: its members cannot be converted, but Any among them is checked, with the whole."""
    ways = [assign(source, target) for source, target in members]
    if all(way in ((), ("check",)) for way in ways):
        return ("check",) if ("check",) in ways else ()
    return None


def join(left: Type, right: Type) -> Type | None:
    """The common type of two branches or elements; None if there is none."""
    left, right = resolve(left), resolve(right)
    if left == right or right in (NEVER, UNKNOWN):
        return left
    if left in (NEVER, UNKNOWN):
        return right
    if ANY in (left, right):
        return ANY
    if {left, right} == {INT, FLOAT}:
        return FLOAT
    match left, right:
        case (Var(), _) | (_, Var()):
            assign(left, right)
            return resolve(right) if isinstance(left, Var) else left
        case Literals(a), Literals(b):
            return Literals(tuple(dict.fromkeys((*a, *b))))
        case (Literals(), Simple("String")) | (Simple("String"), Literals()):
            return STRING
        case (
            Struct(origin="error") | Simple("Error"),
            Struct(origin="error") | Simple("Error"),
        ):
            return ERROR
        case Option(a), Option(b):
            inner = join(a, b)
            return None if inner is None else Option(inner)
        case Option(), _:
            return left if assign(right, left) is not None else None
        case _, Option():
            return right if assign(left, right) is not None else None
        case Array(a), Array(b):
            inner = join(a, b)
            return None if inner is None else Array(inner)
        case Future(a), Future(b):
            inner = join(a, b)
            return None if inner is None else Future(inner)
        case Task(a), Task(b):
            inner = join(a, b)
            return None if inner is None else Task(inner)
        case Map(k, a), Map(m, b):
            key, value = join(k, m), join(a, b)
            return None if key is None or value is None else Map(key, value)
        case Collection(name, a), Collection(other, b) if name == other:
            inner = join(a, b)
            return None if inner is None else Collection(name, inner)
        case Store(k, a), Store(m, b):
            key, value = join(k, m), join(a, b)
            return None if key is None or value is None else Store(key, value)
        case Result(a, e), Result(b, f):
            ok, err = join(a, b), join(e, f)
            return None if ok is None or err is None else Result(ok, err)
        case Tuple(xs), Tuple(ys) if len(xs) == len(ys):
            items = [join(x, y) for x, y in zip(xs, ys, strict=True)]
            return None if None in items else Tuple(tuple(i for i in items if i is not None))
        case (Struct(), Struct()) | (Enum(), Enum()):
            return left if assign(left, right) == () else None
        case _:
            return None


def undecided(type_: Type) -> bool:
    """Whether a later use decides something in a type."""
    type_ = resolve(type_)
    if isinstance(type_, Function):
        return any(undecided(part) for part in (*type_.params, type_.result))
    return isinstance(type_, Var) or any(undecided(part) for part in parts(type_))


def contains(type_: Type, wanted: Type) -> bool:
    """Whether a type is another one or has it inside."""
    type_ = resolve(type_)
    return type_ == wanted or any(contains(part, wanted) for part in parts(type_))


def parts(type_: Type) -> Iterator[Type]:
    """The types directly inside."""
    match resolve(type_):
        case Array(item) | Option(item) | Future(item) | Task(item) | Collection(item=item):
            yield item
        case Map(key, value) | Store(key, value):
            yield key
            yield value
        case Tuple(items):
            yield from items
        case Result(ok, err):
            yield ok
            yield err
        case Union(members) | Struct(args=members) | Enum(args=members):
            yield from members
        case _:
            return
