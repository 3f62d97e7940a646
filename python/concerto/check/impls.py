"""Traits and `impl` blocks as they are declared (language reference 6.10)."""

from __future__ import annotations

from functools import cache

from concerto.check import types as t
from concerto.check.checked import EnumInfo, FunctionInfo, ImplInfo, TraitInfo
from concerto.check.checker import Checker
from concerto.check.decorators import check_deprecated, read_decorators
from concerto.check.function_decorators import LAYERS
from concerto.check.functions import signature
from concerto.check.generics import scope, show_trait, trait_ref, type_params
from concerto.check.model_calls import MODEL_METHODS
from concerto.check.offered import check_told
from concerto.check.traits import overlap
from concerto.check.types import Type
from concerto.diagnostics.model import Label, did_you_mean
from concerto.source import Source
from concerto.syntax import ast

#: Traits that are always there.
_PRELUDE = (
    "trait From<A> { fn from(value: A) -> Self; } trait Error { fn message(self) -> String; } "
    "enum ToolErrorAction { ReportToLLM, Retry(Int), Fail }"
)
BUILT_IN_TRAITS = ("From", "Error", "Eq", "Ord", "Hash", "Display")


@cache
def _prelude() -> tuple[ast.Trait | ast.Enum, ...]:
    from concerto.syntax.parser import parse

    module, _ = parse(Source("std", _PRELUDE))
    return tuple(item for item in module.items if isinstance(item, ast.Trait | ast.Enum))


def declare_built_in(checker: Checker) -> None:
    """Files `From`, `Error` and `ToolErrorAction`."""
    from concerto.check.collect import read_variant

    traits = [node for node in _prelude() if isinstance(node, ast.Trait)]
    for node in traits:
        declare_trait(checker, node)
    for node in traits:
        read_trait(checker, node)
    for other in _prelude():
        if isinstance(other, ast.Enum):
            enum = EnumInfo(other.name.text, [], other.name.span)
            enum.variants += [read_variant(checker, each, enum) for each in other.variants]
            checker.enums[enum.name] = enum


def declare_trait(checker: Checker, node: ast.Trait) -> None:
    """Files a trait under its name; its bounds and methods are read later."""
    params = tuple(t.Opaque(param.name.text) for param in node.type_params)
    checker.traits.setdefault(node.name.text, TraitInfo(node.name.text, params, {}, node.name.span))


def read_trait(checker: Checker, node: ast.Trait) -> None:
    """The methods of a trait."""
    info = checker.traits[node.name.text]
    if info.span != node.name.span:
        return
    info.type_params = type_params(checker, node.type_params)
    self_type = t.Opaque("Self", (info.ref,))
    outer = (self_type, *info.type_params)
    for method in node.methods:
        name = method.name.text
        found = signature(checker, method, f"{info.name}::{name}", info, outer, self_type)
        # Tools that implement the trait are offered to models.
        _decorators(checker, method, ("describe", "param"))
        check_told(checker, method)
        if _is_new(checker, method, info.methods):
            info.methods[name] = found


def _decorators(checker: Checker, method: ast.Function, more: tuple[str, ...] = ()) -> None:
    """Layers are read when all signatures are known; a method without a body has nothing that they could be around."""
    layers = LAYERS if method.body is not None else ()
    for decorator in read_decorators(
        checker, method.decorators, frozenset(("deprecated", *layers, *more))
    ):
        if decorator.name.text == "deprecated":
            check_deprecated(checker, decorator)


def _is_new(
    checker: Checker, method: ast.Function, methods: dict[str, FunctionInfo], of: str = ""
) -> bool:
    """E2004 for a second method of a name."""
    name = method.name.text
    if name not in methods:
        return True
    first = methods[name].node
    related = (Label(first.name.span, "declared here first"),) if first else ()
    message = f"the method `{name}` is declared twice{of}"
    checker.report("E2004", message, method.name, related=related)
    return False


def read_impl(checker: Checker, node: ast.Impl) -> None:
    """An `impl` block: what it is for, and its methods. Reports those that cannot be."""
    from concerto.check.collect import written_type

    params = type_params(checker, node.type_params)
    names: dict[str, Type] = {param.name: param for param in params}
    model = _model(checker, node.type)
    with scope(checker, names):
        target = t.MODEL if model else t.resolve(written_type(checker, node.type))
        with scope(checker, {"Self": target}):
            ref = trait_ref(checker, node.trait) if node.trait is not None else None
    info = ImplInfo(params, target, ref, {}, node, model)
    for method in node.methods:
        name = f"{model or t.show(target)}::{method.name}"
        found = signature(checker, method, name, info, params, target)
        _decorators(checker, method)
        if method.body is None:
            help_ = "write `{ .. }` behind the signature"
            checker.report("E1017", f"`{method.name}` has no body", method.name, help_)
        if _is_new(checker, method, info.methods):
            info.methods[method.name.text] = found
    if target == t.UNKNOWN or (node.trait is not None and ref is None):
        return
    if not _is_constrained(checker, info):
        return
    if model is not None:
        _check_model(checker, info, model)
    elif ref is not None and ref.name in checker.traits:
        check_trait(checker, info, ref, checker.traits[ref.name])
    elif ref is not None:
        message = f"`{ref.name}` is not for programs to implement"
        checker.report("E2010", message, node.trait or node, "types have it by themselves")
        return
    else:
        _check_own(checker, info)
    checker.impls.append(info)


def _is_constrained(checker: Checker, info: ImplInfo) -> bool:
    """E3019 for a type parameter that no use of the block could tell."""
    args = info.trait.args if info.trait else ()
    types = (info.target, *args)
    for param, node in zip(info.type_params, info.node.type_params, strict=False):
        if not any(_mentions(type_, param) for type_ in types):
            message = f"the type parameter `{param.name}` is not in `{t.show(info.target)}`"
            checker.report("E3019", message, node, "use it there, or give it to the methods")
            return False
    return True


def _mentions(type_: Type, param: t.Opaque) -> bool:
    if isinstance(type_, t.Function):
        return any(_mentions(part, param) for part in (*type_.params, type_.result))
    return type_ == param or any(_mentions(part, param) for part in t.parts(type_))


def _model(checker: Checker, node: ast.TypeExpr) -> str | None:
    """The model that an `impl` is written for, if it is one."""
    models = [item.name.text for item in checker.module.items if isinstance(item, ast.Model)]
    if not isinstance(node, ast.NamedType) or node.args:
        return None
    return str(node.path) if str(node.path) in models else None


def _check_model(checker: Checker, info: ImplInfo, model: str) -> None:
    """Rule CA-9: E2010, and E2004 for a method that the model has already."""
    if info.trait is not None:
        message = f"`{model}` is a model, which has no type of its own"
        help_ = (
            f"write `impl {show_trait(info.trait)} for ModelRef {{ .. }}`, which all models have"
        )
        checker.report("E2010", message, info.node.type, help_)
        return
    if checker.is_foreign(model, info.node):
        message = f"`{model}` is declared in another module"
        checker.report("E2010", message, info.node.type, "write the block there")
        return
    for other in checker.impls:
        if other.model == model:
            _refuse_second(checker, info, other)
    for name, method in list(info.methods.items()):
        if name in MODEL_METHODS and method.node is not None:
            message = f"every model has a method `{name}`"
            checker.report("E2004", message, method.node.name, "choose another name")
            del info.methods[name]
        elif method.changes and method.node is not None:
            message = f"`{name}` would change its receiver, but a model stays what it is"
            checker.report("E2006", message, method.node.name, "remove `mut`")


def _refuse_second(checker: Checker, info: ImplInfo, other: ImplInfo) -> None:
    """E2004 for a method that another block has."""
    of = info.model or t.show(info.target)
    for method in info.methods.values():
        assert method.node is not None
        _is_new(checker, method.node, other.methods, f" for `{of}`")


def _check_own(checker: Checker, info: ImplInfo) -> None:
    """E2010, and E2004 for a method that another block has or a variant's name."""
    target, node = info.target, info.node
    if not isinstance(target, t.Struct | t.Enum) or not _is_declared(checker, target):
        shown = t.show(target)
        what = "a type parameter" if isinstance(target, t.Opaque) else "no type of this program"
        help_ = f"declare a trait with the methods and write `impl Trait for {shown} {{ .. }}`"
        checker.report("E2010", f"`{shown}` is {what}", node.type, help_)
        return
    if checker.is_foreign(target.name, node):
        message = f"`{target.name}` is declared in another module"
        help_ = "write the block there, or declare a trait here and implement it"
        checker.report("E2010", message, node.type, help_)
        return
    for other in checker.impls:
        if other.trait is None and overlap(other.target, target):
            _refuse_second(checker, info, other)
    if isinstance(target, t.Enum):
        variants = {variant.name for variant in checker.enums[target.name].variants}
        for name, method in info.methods.items():
            if name in variants and method.node is not None:
                message = f"`{target.name}::{name}` is a variant already"
                checker.report("E2004", message, method.node.name, "choose another name")


def _is_declared(checker: Checker, type_: t.Struct | t.Enum) -> bool:
    return type_.name in checker.structs or type_.name in checker.enums


def check_trait(checker: Checker, info: ImplInfo, ref: t.TraitRef, trait: TraitInfo) -> None:
    """E3014, E2007, E3015, and E2004 for a second block."""
    shown, target, node = show_trait(ref), t.show(info.target), info.node
    for other in checker.impls:
        theirs = other.trait
        if theirs is None or theirs.name != ref.name or not overlap(other.target, info.target):
            continue
        if all(map(overlap, theirs.args, ref.args)):
            related = (Label(other.node.type.span, "the first one"),)
            message = f"`{shown}` is implemented twice for `{target}`"
            checker.report("E2004", message, node.type, related=related)
            return
    missing = [
        name
        for name, method in trait.methods.items()
        if name not in info.methods and (method.node is None or method.node.body is None)
    ]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        places = tuple([] if ref.name in BUILT_IN_TRAITS else [Label(trait.span, "the trait")])
        message = f"`{target}` lacks {names} of `{shown}`"
        help_ = f"add `{_head(info, trait.methods[missing[0]])} {{ .. }}`"
        checker.report("E3014", message, node.type, help_, places)
    for name, method in info.methods.items():
        assert method.node is not None
        if name not in trait.methods:
            message = f"`{shown}` has no method `{name}`"
            known = did_you_mean(name, list(trait.methods))
            known = known or f"move it to `impl {target} {{ .. }}`"
            checker.report("E2007", message, method.node.name, known)
        else:
            _check_signature(checker, info, method, trait.methods[name])


def _wanted(
    info: ImplInfo, wanted: FunctionInfo, own: tuple[t.Opaque, ...] | None = None
) -> dict[str, Type]:
    """What the type parameters of a trait's function are in a block."""
    assert isinstance(wanted.owner, TraitInfo)
    assert info.trait is not None
    meaning: dict[str, Type] = {"Self": info.target}
    meaning |= t.meaning(wanted.owner.type_params, info.trait.args)
    theirs = wanted.type_params[len(wanted.type_params) - wanted.own :]
    return meaning | t.meaning(theirs, own if own is not None else theirs)


def _head(info: ImplInfo, wanted: FunctionInfo) -> str:
    """The signature that a method of a block must have, as the language writes it."""
    meaning = _wanted(info, wanted)
    assert wanted.node is not None
    params = []
    for param in wanted.params:
        if param.name == "self":
            params.append("mut self" if param.local.is_mut else "self")
        else:
            params.append(f"{param.name}: {t.show(t.substitute(param.type, meaning))}")
    result = t.substitute(wanted.result, meaning)
    arrow = "" if t.resolve(result) == t.NIL else f" -> {t.show(result)}"
    word = "async fn" if wanted.node.is_async else "fn"
    return f"{word} {wanted.node.name}({', '.join(params)}){arrow}"


def _check_signature(
    checker: Checker, info: ImplInfo, method: FunctionInfo, wanted: FunctionInfo
) -> None:
    """E3015. Names of parameters may differ."""
    assert method.node is not None
    assert wanted.node is not None
    own = method.type_params[len(method.type_params) - method.own :]
    same = (
        method.own == wanted.own
        and len(method.params) == len(wanted.params)
        and method.is_method == wanted.is_method
        and method.changes == wanted.changes
        and method.node.is_async == wanted.node.is_async
    )
    if same:
        meaning = _wanted(info, wanted, own)
        pairs = [(m.type, w.type) for m, w in zip(method.params, wanted.params, strict=True)]
        pairs.append((method.result, wanted.result))
        same = all(_is_same(found, t.substitute(type_, meaning)) for found, type_ in pairs)
    if not same:
        assert info.trait is not None
        place = Label(wanted.node.name.span, "in the trait")
        related = tuple([] if info.trait.name in BUILT_IN_TRAITS else [place])
        message = f"`{method.node.name}` differs from the trait"
        help_ = f"write `{_head(info, wanted)}`"
        checker.report("E3015", message, method.node.name, help_, related)


def _is_same(found: Type, wanted: Type) -> bool:
    found, wanted = t.settled(found), t.settled(wanted)
    return found == wanted or t.UNKNOWN in (found, wanted)
