"""Which method a name means: own ones first, then those of traits (language reference 6.10)."""

from __future__ import annotations

from concerto.check import builtins
from concerto.check import types as t
from concerto.check.checked import FunctionInfo, TraitInfo
from concerto.check.checker import Checker
from concerto.check.generics import fresh
from concerto.check.traits import bounds_hold, candidates, matches, satisfies, substituted
from concerto.check.types import Type
from concerto.records import record
from concerto.syntax import ast


@record()
class Method:
    """A method or associated function of a type, with what is known of its type parameters."""

    function: FunctionInfo
    meaning: dict[str, Type]


def own(checker: Checker, type_: Type, name: str) -> Method | None:
    """A function of an `impl` of the type itself."""
    for impl in checker.impls:
        meaning: dict[str, Type] = {}
        is_own = impl.trait is None and impl.model is None
        if is_own and name in impl.methods and matches(impl.target, type_, meaning):
            t.assign(type_, t.substitute(impl.target, meaning))
            return Method(impl.methods[name], meaning)
    return None


def of_traits(checker: Checker, type_: Type, name: str, trait: str | None = None) -> list[Method]:
    """A function of each trait that a type implements, or of one of them."""
    found = []
    for info in checker.traits.values():
        if name in info.methods and trait in (None, info.name):
            method = _of_trait(checker, info, t.resolve(type_), name)
            if method is not None:
                found.append(method)
    return found


def _of_trait(checker: Checker, info: TraitInfo, type_: Type, name: str) -> Method | None:
    declared = info.methods[name]
    if isinstance(type_, t.Opaque):
        bounds = [bound for bound in type_.bounds if bound.name == info.name]
        if bounds:
            args = bounds[0].args if len(bounds) == 1 else fresh(info.type_params)
            return Method(declared, {"Self": type_, **t.meaning(info.type_params, args)})
    if info.name == "Error" and t.is_error(type_):
        return Method(declared, {"Self": type_})
    blocks = [
        (impl, meaning)
        for impl, meaning in candidates(checker, info.name, type_)
        if bounds_hold(checker, impl, meaning)
    ]
    if not blocks:
        return None
    if len(blocks) > 1:
        # Its arguments tell which.
        args = fresh(info.type_params)
        return Method(declared, {"Self": type_, **t.meaning(info.type_params, args)})
    impl, meaning = blocks[0]
    meaning = {param.name: t.Var() for param in impl.type_params} | meaning
    if name in impl.methods:
        return Method(impl.methods[name], meaning)
    assert impl.trait is not None
    args = substituted(impl.trait, meaning).args
    return Method(declared, {"Self": type_, **t.meaning(info.type_params, args)})


def find(
    checker: Checker, type_: Type, name: str, at: ast.Node, *, called: bool = False
) -> Method | None:
    """A function of a type, or a method if it is `called` on a value; E2009 if two traits have it."""
    method = own(checker, type_, name)
    if method is not None and (method.function.is_method or not called):
        return method
    found = [
        each for each in of_traits(checker, type_, name) if each.function.is_method or not called
    ]
    if len(found) > 1:
        traits = sorted(_trait_of(each) for each in found)
        shown = " and ".join(f"`{trait}`" for trait in traits)
        message = f"`{t.show(type_)}` has `{name}` of {shown}"
        first = f"{t.show(type_).partition('<')[0]}::{traits[0]}::{name}"
        checker.report("E2009", message, at, f"write `{first}(..)`")
    return found[0] if found else None


def _trait_of(method: Method) -> str:
    owner = method.function.owner
    if isinstance(owner, TraitInfo):
        return owner.name
    assert owner is not None
    assert owner.trait is not None
    return owner.trait.name


def names(checker: Checker, type_: Type, *, methods: bool = True) -> list[str]:
    """The methods, or associated functions, that a type has from the program, for hints."""
    found: list[str] = []
    for impl in checker.impls:
        if impl.model is None and matches(impl.target, type_, {}):
            found += [name for name, f in impl.methods.items() if f.is_method or not methods]
    for info in checker.traits.values():
        if satisfies(checker, type_, t.TraitRef(info.name, fresh(info.type_params))):
            found += [name for name, f in info.methods.items() if f.is_method or not methods]
    return list(dict.fromkeys(found))


def named_type(checker: Checker, name: str) -> Type | None:
    """The type that a word in a path means, such as `T` of `T::f`; its type arguments are left open."""
    if name in checker.opaque:
        return checker.opaque[name]
    if name in checker.structs:
        info = checker.structs[name]
        return t.Struct(name, info.origin, fresh(info.type_params))
    if name in checker.enums:
        return t.Enum(name, fresh(checker.enums[name].type_params))
    if name in checker.aliases:
        return _alias(checker, name)
    if name in builtins.GENERIC:
        return builtins.generic(name, [t.Var() for _ in range(builtins.GENERIC[name])])
    return builtins.TYPES.get(name)


def _alias(checker: Checker, name: str) -> Type:
    from concerto.check.collect import written_type
    from concerto.check.generics import scope

    alias = checker.aliases[name]
    params: dict[str, Type] = {param.name.text: t.Var() for param in alias.type_params}
    with scope(checker, params):
        return t.resolve(written_type(checker, alias.type))
