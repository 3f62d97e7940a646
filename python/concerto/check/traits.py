"""Who implements what: bounds, the `impl` that belongs to a type, and where a call through a trait goes (language reference 6.10, 6.11).

Nothing here depends on a place in the source, so the lowering asks the same questions once all types are known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from concerto.check import types as t
from concerto.check.checked import EnumInfo, FunctionInfo, ImplInfo, TraitInfo
from concerto.check.checker import Checker
from concerto.check.types import Type
from concerto.source import Span
from concerto.syntax import ast

_NEVER_EQUAL = (t.STREAM, t.BUILDER)
#: What a bound brings with it.
_IMPLIED = {"Ord": ("Eq",), "Hash": ("Eq",)}


class Declared(Protocol):
    """What is asked: a checker, or a checked program."""

    @property
    def impls(self) -> list[ImplInfo]:
        """All `impl` blocks."""

    @property
    def enums(self) -> dict[str, EnumInfo]:
        """All enums."""

    @property
    def library(self) -> dict[str, FunctionInfo]:
        """Functions of the library that are used."""


def matches(pattern: Type, type_: Type, meaning: dict[str, Type]) -> bool:
    """Whether a type is what an `impl` is written for; `meaning` gets its type parameters. What is not decided yet may become it."""
    pattern, type_ = t.resolve(pattern), t.resolve(type_)
    if isinstance(pattern, t.Opaque):
        known = meaning.setdefault(pattern.name, type_)
        return _may_equal(known, type_)
    if isinstance(type_, t.Var) or type_ == t.UNKNOWN:
        return True
    if pattern == t.STRING and isinstance(type_, t.Literals):
        return True
    if isinstance(pattern, t.Struct) and isinstance(type_, t.Struct) and pattern.name != type_.name:
        return False  # what most blocks are, without a look inside
    (head, parts), (other, others) = _shape(pattern), _shape(type_)
    return head == other and all(
        matches(part, each, meaning) for part, each in zip(parts, others, strict=True)
    )


def _shape(type_: Type) -> tuple[object, tuple[Type, ...]]:
    """What makes types different whatever is in them, and what is in them."""
    match type_:
        case t.Function(params, result):
            return ("fn", len(params)), (*params, result)
        case t.Struct(name, _, args) | t.Enum(name, args):
            return name, args
        case (
            t.Array()
            | t.Map()
            | t.Option()
            | t.Result()
            | t.Tuple()
            | t.Future()
            | t.Task()
            | t.Store()
        ):
            inside = tuple(t.parts(type_))
            return (type(type_), len(inside)), inside
        case _:
            return type_, ()


def _may_equal(left: Type, right: Type) -> bool:
    left, right = t.resolve(left), t.resolve(right)
    if isinstance(left, t.Var) or isinstance(right, t.Var) or t.UNKNOWN in (left, right):
        return True
    (head, parts), (other, others) = _shape(left), _shape(right)
    return head == other and all(map(_may_equal, parts, others))


def overlap(left: Type, right: Type) -> bool:
    """Whether a type may be what two `impl` blocks are written for."""
    left, right = t.resolve(left), t.resolve(right)
    if isinstance(left, t.Opaque) or isinstance(right, t.Opaque):
        return True
    (head, parts), (other, others) = _shape(left), _shape(right)
    return head == other and all(map(overlap, parts, others))


def candidates(
    program: Declared, trait: str, type_: Type
) -> Iterator[tuple[ImplInfo, dict[str, Type]]]:
    """The blocks that implement a trait for a type, whatever the arguments of the trait."""
    for impl in program.impls:
        meaning: dict[str, Type] = {}
        if impl.trait and impl.trait.name == trait and matches(impl.target, type_, meaning):
            yield impl, meaning


def implementation(
    program: Declared, ref: t.TraitRef, type_: Type
) -> tuple[ImplInfo, dict[str, Type]] | None:
    """The block that implements a trait for a type, with what its type parameters are."""
    for impl, meaning in candidates(program, ref.name, type_):
        assert impl.trait is not None
        args = zip(impl.trait.args, ref.args, strict=True)
        fits = all(matches(wanted, arg, meaning) for wanted, arg in args)
        if fits and bounds_hold(program, impl, meaning):
            return impl, meaning
    return None


def bounds_hold(program: Declared, impl: ImplInfo, meaning: dict[str, Type]) -> bool:
    """Whether the type parameters of a block, as far as they are known, meet their bounds."""
    return all(
        satisfies(program, meaning[param.name], substituted(bound, meaning))
        for param in impl.type_params
        if param.name in meaning
        for bound in param.bounds
    )


def substituted(ref: t.TraitRef, meaning: dict[str, Type]) -> t.TraitRef:
    """A bound with its type parameters replaced."""
    return t.TraitRef(ref.name, tuple(t.substitute(arg, meaning) for arg in ref.args))


def satisfies(program: Declared, type_: Type, ref: t.TraitRef) -> bool:
    """Whether a type meets a bound."""
    type_ = t.resolve(type_)
    if type_ in (t.UNKNOWN, t.NEVER):
        return True
    if isinstance(type_, t.Opaque) and _has_bound(type_, ref):
        return True
    match ref.name:
        case "Display":
            return type_ != t.STREAM
        case "Eq":
            return _is_comparable(type_)
        case "Ord":
            return is_ordered(type_)
        case "Hash":
            return type_ == t.ANY or is_key(program, type_)
        case "Error" if t.is_error(type_):
            return True
        case _:
            return implementation(program, ref, type_) is not None


def _has_bound(type_: t.Opaque, ref: t.TraitRef) -> bool:
    for bound in type_.bounds:
        same = bound.name == ref.name and all(map(_may_equal, bound.args, ref.args))
        if same or ref.name in _IMPLIED.get(bound.name, ()):
            return True
    return False


def _is_comparable(type_: Type) -> bool:
    type_ = t.resolve(type_)
    if isinstance(type_, t.Function | t.Opaque) or type_ in _NEVER_EQUAL:
        return False
    return all(_is_comparable(part) for part in t.parts(type_))


def is_ordered(type_: Type) -> bool:
    """Whether values can be compared with `<` (13.6)."""
    match t.resolve(type_):
        case t.Tuple(items):
            return all(is_ordered(item) for item in items)
        case t.Array(item):
            return is_ordered(item)
        case t.Opaque() as opaque:
            return _has_bound(opaque, t.TraitRef("Ord"))
        case t.Literals():
            return True
        case other:
            return other in (t.INT, t.FLOAT, t.STRING, t.BOOL, t.ANY)


def is_key(program: Declared, type_: Type) -> bool:
    """Whether values can be keys of a map: texts, whole numbers, truth values, variants without data, and tuples of those."""
    match t.resolve(type_):
        case t.Tuple(items):
            return all(is_key(program, item) for item in items)
        case t.Enum(name):
            return all(variant.form == "unit" for variant in program.enums[name].variants)
        case t.Opaque() as opaque:
            return _has_bound(opaque, t.TraitRef("Hash"))
        case t.Var() | t.Literals():
            return True
        case other:
            return other in (t.STRING, t.INT, t.BOOL, t.UNKNOWN)


def is_user_error(program: Declared, type_: Type) -> bool:
    """Whether a type is no built-in error and implements `Error`."""
    type_ = t.settled(type_)
    if t.is_error(type_) or type_ in (t.UNKNOWN, t.NEVER, t.ANY):
        return False
    return satisfies(program, type_, t.TraitRef("Error"))


def user_errors(program: Declared) -> list[Type]:
    """The types of the program that implement `Error`, those with type parameters left out."""
    blocks = [impl for impl in program.impls if impl.trait and impl.trait.name == "Error"]
    return [t.settled(impl.target) for impl in blocks if not impl.type_params]


def check_bounds(
    checker: Checker,
    params: tuple[t.Opaque, ...],
    args: tuple[Type, ...],
    at: ast.Node | Span,
    what: str,
) -> None:
    """E3018 for each type argument that does not meet a bound of its parameter."""
    meaning = t.meaning(params, args)
    for param in params:
        for bound in param.bounds:
            require(checker, meaning[param.name], substituted(bound, meaning), at, what)


def require(checker: Checker, type_: Type, ref: t.TraitRef, at: ast.Node | Span, what: str) -> bool:
    """E3018, unless a type meets a bound of `what`."""
    from concerto.check.generics import show_trait

    type_ = t.settled(type_)
    if satisfies(checker, type_, ref):
        return True
    shown, bound = t.show(type_), show_trait(ref)
    if type_ == t.ANY:
        help_ = "say which type it is: `x as T`"
    elif isinstance(type_, t.Opaque):
        help_ = f"give it the bound: `{shown}: {bound}`"
    elif ref.name in ("Eq", "Ord", "Hash"):
        help_ = _WHO[ref.name]
    else:
        help_ = f"write `impl {bound} for {shown} {{ .. }}`"
    message = f"`{shown}` does not implement `{bound}`, which `{what}` needs"
    checker.report("E3018", message, at, help_)
    return False


_WHO = {
    "Eq": "every type has it except functions and streams",
    "Ord": "Int, Float, String, Bool, and tuples and arrays of those have it",
    "Hash": "String, Int, Bool, enums without data, and tuples of those have it",
}


def dispatch(
    program: Declared, function: FunctionInfo, args: tuple[Type, ...]
) -> tuple[FunctionInfo, tuple[Type, ...]]:
    """The function that runs for a function of a trait, whose first argument is `Self`; other functions are themselves.

    Raises `LookupError` if the type has no `impl`, which a bound rules out.
    """
    owner = function.owner
    if not isinstance(owner, TraitInfo):
        return function, args
    assert function.node is not None
    first_own = 1 + len(owner.type_params)
    ref = t.TraitRef(owner.name, args[1:first_own])
    found = implementation(program, ref, args[0])
    if found is None:
        if owner.name == "Error" and t.is_error(args[0]):
            return program.library["methods::error_message#0"], ()
        raise LookupError(f"{t.show(args[0])} has no {ref.name}")
    impl, meaning = found
    method = impl.methods.get(function.node.name.text)
    if method is None:
        return function, args
    own = tuple(meaning[param.name] for param in impl.type_params)
    return method, (*own, *args[first_own:])
