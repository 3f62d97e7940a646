"""Type parameters with their bounds, and types with type arguments (language reference 6.11; generic schemas are rule SC-5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from concerto.check import builtins
from concerto.check import types as t
from concerto.check.checked import EnumInfo, StructInfo, schema_name
from concerto.check.checker import Checker
from concerto.check.types import Type
from concerto.diagnostics.model import Label, did_you_mean
from concerto.records import record
from concerto.source import Span
from concerto.syntax import ast

#: Longer names come from a type that uses itself with ever larger arguments.
LONGEST = 300

#: Bounds that every program knows; `Error` is a trait besides, which types may implement.
BUILT_IN_BOUNDS = ("Eq", "Ord", "Hash", "Display")


@record()
class Applied:
    """A type that is written with arguments."""

    type: t.Struct | t.Enum
    node: ast.NamedType


@contextmanager
def scope(checker: Checker, names: dict[str, Type]) -> Iterator[None]:
    """Type parameters, and `Self`, for what is read meanwhile."""
    kept = checker.opaque
    checker.opaque = {**kept, **names}
    yield
    checker.opaque = kept


def type_params(checker: Checker, nodes: tuple[ast.TypeParam, ...]) -> tuple[t.Opaque, ...]:
    """Type parameters as they are declared; their bounds may name one another."""
    found: dict[str, t.Opaque] = {}
    for node in nodes:
        name = node.name.text
        if name in found or name in checker.opaque:
            checker.report("E2004", f"the type parameter `{name}` is declared twice", node.name)
        elif builtins.is_reserved_type(name):
            checker.report(
                "E2003", f"`{name}` is a built-in type", node.name, "choose another name"
            )
        found[name] = t.Opaque(name)
    with scope(checker, dict(found)):
        for node in nodes:
            bounds = [trait_ref(checker, bound) for bound in node.bounds]
            known = tuple(bound for bound in bounds if bound is not None)
            found[node.name.text] = t.Opaque(node.name.text, known)
    return tuple(found.values())


def trait_ref(checker: Checker, node: ast.TypeExpr) -> t.TraitRef | None:
    """The trait that a bound or an `impl` names; None if there is none, which is reported."""
    from concerto.check.collect import written_type

    if not isinstance(node, ast.NamedType):
        checker.report("E2002", "this is no trait", node, "name a trait, such as `Display`")
        return None
    name = str(node.path)
    args = tuple(written_type(checker, arg) for arg in node.args)
    if name in BUILT_IN_BOUNDS and name not in checker.traits:
        wanted = 0
    elif name in checker.traits:
        wanted = len(checker.traits[name].type_params)
    else:
        if name not in checker.refused:
            names = [*checker.traits, *BUILT_IN_BOUNDS]
            help_ = did_you_mean(name, names)
            checker.report("E2002", f"there is no trait `{name}`", node.path, help_)
        return None
    if len(args) != wanted:
        wrong_count(checker, name, wanted, len(args), node)
        return None
    return t.TraitRef(name, args)


def wrong_count(checker: Checker, name: str, wanted: int, found: int, at: ast.Node) -> None:
    """E3017."""
    plural = "s" if wanted != 1 else ""
    message = f"`{name}` takes {wanted} type argument{plural}, found {found}"
    help_ = (
        "the second is the type of its errors: `Result<Int, String>`" if name == "Result" else None
    )
    checker.report("E3017", message, at, help_)


def show_trait(ref: t.TraitRef) -> str:
    """As the language writes it."""
    args = ", ".join(t.show(arg) for arg in ref.args)
    return f"{ref.name}<{args}>" if args else ref.name


def fresh(params: tuple[t.Opaque, ...]) -> tuple[Type, ...]:
    """Arguments that later uses decide."""
    return tuple(t.Var() for _ in params)


def apply(checker: Checker, type_: t.Struct | t.Enum, node: ast.NamedType) -> Type:
    """A written type with arguments, whose arguments are checked when all declarations are known."""
    if t.UNKNOWN in type_.args:
        return t.UNKNOWN
    if type_.args:
        checker.applied.append(Applied(type_, node))
        if checker.is_collected:
            check_applied(checker)
    return type_


def check_declared(checker: Checker) -> None:
    """The rules that need all declarations: each generic type by itself, then all its uses so far."""
    growing: set[str] = set()
    declared: list[StructInfo | EnumInfo] = [*checker.structs.values(), *checker.enums.values()]
    for info in declared:
        if info.type_params and _grows(checker, _itself(checker, info.name)):
            growing.add(info.name)
            code = "E4039" if _is_schema(checker, info.name) else "E3013"
            message = f"`{info.name}` contains itself with ever larger type arguments"
            checker.report(code, message, info.span, "use the same arguments inside")
    checker.applied = [each for each in checker.applied if each.type.name not in growing]
    checker.is_collected = True
    check_applied(checker)


def _is_schema(checker: Checker, name: str) -> bool:
    return name in checker.structs and checker.structs[name].origin == "schema"


def _itself(checker: Checker, name: str) -> t.Struct | t.Enum:
    if name in checker.structs:
        info = checker.structs[name]
        return t.Struct(name, info.origin, info.type_params)
    return t.Enum(name, checker.enums[name].type_params)


def inside(checker: Checker, type_: t.Struct | t.Enum) -> list[Type]:
    """The types of all fields of a declared type."""
    if isinstance(type_, t.Enum):
        enum = checker.enums[type_.name]
        numbers = range(len(enum.variants))
        return [field.type for n in numbers for field in enum.fields_of(n, type_)]
    info = checker.structs.get(type_.name)
    return [field.type for field in info.fields_of(type_)] if info else []


def _named_in(type_: Type) -> Iterator[t.Struct | t.Enum]:
    """The structs and enums that a type mentions, with arguments first."""
    for part in t.parts(type_):
        yield from _named_in(part)
    if isinstance(type_, t.Function):
        for part in (*type_.params, type_.result):
            yield from _named_in(part)
    if isinstance(type_, t.Struct | t.Enum):
        yield type_


def _grows(checker: Checker, start: t.Struct | t.Enum) -> bool:
    seen: set[Type] = {start}
    pending = [start]
    while pending:
        here = pending.pop()
        if len(t.show(here)) > LONGEST:
            return True
        for type_ in inside(checker, here):
            for named in _named_in(type_):
                if named not in seen:
                    seen.add(named)
                    pending.append(named)
    return False


def check_applied(checker: Checker) -> None:
    """Checks the arguments of written types: their bounds, and of schemas whether JSON can carry them."""
    from concerto.check.traits import check_bounds

    pending, checker.applied = checker.applied, []
    for each in pending:
        name = each.type.name
        declared = checker.structs[name] if name in checker.structs else checker.enums[name]
        check_bounds(checker, declared.type_params, each.type.args, each.node, name)
        if isinstance(each.type, t.Struct) and _is_schema(checker, name):
            _expressible(checker, each)
        for used in [each.type, *_reached(checker, each.type)]:
            add_schema(checker, used, each.node)


def _expressible(checker: Checker, each: Applied) -> None:
    from concerto.check.schemas import inexpressible

    written = each.node.args
    for number, arg in enumerate(each.type.args):
        bad = inexpressible(checker, arg)
        if bad is not None:
            message = f"`{t.show(bad)}` cannot be expressed as JSON Schema"
            # Behind an alias the arguments are elsewhere.
            place = written[number] if len(written) == len(each.type.args) else each.node
            checker.report("E4035", message, place)


def _reached(checker: Checker, start: t.Struct | t.Enum) -> list[t.Struct | t.Enum]:
    """The types with arguments in the fields of a type, and in theirs."""
    found: list[t.Struct | t.Enum] = []
    pending = [start]
    while pending:
        here = pending.pop()
        if len(t.show(here)) > LONGEST:
            return found
        for type_ in inside(checker, here):
            for named in _named_in(type_):
                if named.args and named not in found and named != start:
                    found.append(named)
                    pending.append(named)
    return found


def add_schema(checker: Checker, type_: Type, at: ast.Node | Span) -> None:
    """Files a generic schema with its arguments; E2004 if its JSON Schema has the name of another."""
    if not (isinstance(type_, t.Struct) and _is_schema(checker, type_.name) and type_.args):
        return
    if type_ in checker.schemas or mentions_parameter(type_):
        return
    own = schema_name(t.show(type_))
    taken = [*checker.structs, *checker.enums, *map(t.show, checker.schemas)]
    if own in map(schema_name, taken):
        message = f"the JSON Schema of `{t.show(type_)}` is `{own}`, as another's"
        names = [name for name in taken if schema_name(name) == own]
        first = checker.structs.get(names[0]) or checker.enums.get(names[0])
        related = (Label(first.span, "the other"),) if first else ()
        checker.report("E2004", message, at, "rename one of them", related)
    checker.schemas.append(type_)


def mentions_parameter(type_: Type) -> bool:
    """Whether a type depends on a type parameter or on a type that is not known."""
    type_ = t.resolve(type_)
    if isinstance(type_, t.Opaque | t.Var) or type_ == t.UNKNOWN:
        return True
    if isinstance(type_, t.Function):
        return any(mentions_parameter(part) for part in (*type_.params, type_.result))
    return any(mentions_parameter(part) for part in t.parts(type_))


def written_struct(name: str, expected: Type | None) -> t.Struct | None:
    """The type that a pattern or literal `Name { .. }` means where this type is expected; None if another one is."""
    wanted = t.resolve(expected) if expected is not None else None
    while isinstance(wanted, t.Option):
        wanted = t.resolve(wanted.item)
    for type_ in wanted.members if isinstance(wanted, t.Union) else (wanted,):
        if isinstance(type_, t.Struct) and type_.name == name:
            return type_
    return None
