"""Functions that are written in the language itself: methods that take functions in `library.conc`, the modules of `std` in `std/*.conc`.

So their callbacks are ordinary calls, which may suspend, raise and panic as everywhere. A function gets into a program when the program uses it; the
types that it is written for (`T` and the like) are opaque in it, and variables at its call. What the language cannot do itself, a function of the
library asks for by `native("name", ..)`, or of the world by `effect("name", ..)`.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from concerto.check import types as t
from concerto.check.arguments import place_arguments
from concerto.check.bodies import Body, check_function
from concerto.check.called import FORMS, CallEffect, CallJoin, CallLibrary, CallNative
from concerto.check.checked import FunctionInfo, ParamInfo
from concerto.check.checker import Checker
from concerto.check.traits import is_key
from concerto.check.types import Type
from concerto.source import Source
from concerto.syntax import ast

METHODS = "methods"
"""The file of methods; all others are modules of `std`."""

LETTERS = ("T", "U", "K", "V", "E")
_ALIASES = {"array_fold": "array_reduce"}
#: Methods that change their receiver, and whether they have a value besides.
_CHANGE = {"array_sort_by": False, "map_update": True}
_INTRINSICS = ("native", "effect", "join_each")


@cache
def source(file: str) -> Source:
    """The text of a file of the library."""
    path, name = (
        ("library.conc", "std") if file == METHODS else (f"std/{file}.conc", f"std::{file}")
    )
    return Source(name, files("concerto.check").joinpath(path).read_text(encoding="utf-8"))


@cache
def modules() -> tuple[str, ...]:
    """The names of the modules of `std`."""
    folder = files("concerto.check").joinpath("std")
    names = (entry.name for entry in folder.iterdir() if entry.name.endswith(".conc"))
    return tuple(sorted(name.removesuffix(".conc") for name in names))


@cache
def _places(file: str) -> dict[str, list[tuple[int, int]]]:
    """Where each function stands; one that is written for several types stands several times."""
    text = source(file).text
    found = [(match[1], match.start()) for match in re.finditer(r"^fn (\w+)", text, re.M)]
    ends = [start for _, start in found[1:]] + [len(text)]
    places: dict[str, list[tuple[int, int]]] = {}
    for (name, start), end in zip(found, ends, strict=True):
        places.setdefault(name, []).append((start, end))
    return places


def functions(file: str) -> list[str]:
    """The functions of a file; those that begin with `_` are its own."""
    return [name for name in _places(file) if not name.startswith("_")]


def intrinsics() -> set[tuple[str, str]]:
    """Kind and name of all natives and effects that the library asks for."""
    texts = (source(file).text for file in (METHODS, *modules()))
    return {pair for text in texts for pair in re.findall(r'\b(native|effect)\("([^"]+)"', text)}


def method_names(table: str) -> list[str]:
    """The methods of a built-in type that stand here."""
    prefix = f"{table.lower()}_"
    names = [*_places(METHODS), *_ALIASES]
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]


def find(checker: Checker, table: str, name: str) -> list[FunctionInfo]:
    """A method in all its forms, checked at its first use; none if there is no such method."""
    key = f"{table.lower()}_{name}"
    return load(checker, METHODS, _ALIASES.get(key, key))


def load(checker: Checker, file: str, name: str) -> list[FunctionInfo]:
    """A function in all its forms, checked at its first use; none if there is no such function."""
    found = []
    for number, place in enumerate(_places(file).get(name, ())):
        key = f"{file}::{name}#{number}"
        if key not in checker.library:
            _load(checker, file, key, place)
        found.append(checker.library[key])
    return found


@cache
def _parsed(file: str, place: tuple[int, int]) -> tuple[Source, ast.Module]:
    """One function of a file, as a text and as a tree. Trees do not change, so all compilations share it."""
    from concerto.syntax.parser import parse

    start, end = place
    whole = source(file)
    # Spaces in front keep the positions.
    text = Source(whole.path, " " * start + whole.text[start:end])
    module, problems = parse(text)
    assert not problems, problems
    return text, module


def _load(checker: Checker, file: str, key: str, place: tuple[int, int]) -> None:
    from concerto.check.defaults import read_defaults
    from concerto.check.functions import declare_function

    text, module = _parsed(file, place)
    node = module.items[0]
    assert isinstance(node, ast.Function)
    own = Checker(text, module)
    own.facts, own.library, own.kept = checker.facts, checker.library, checker.kept
    own.is_library = True
    # Whoever calls it answers for what can be compared and be a key.
    bounds = (t.TraitRef("Hash"), t.TraitRef("Ord"))
    own.opaque = {letter: t.Opaque(letter, bounds) for letter in LETTERS}
    declare_function(own, node)
    read_defaults(own)
    assert not own.computed, "defaults of the library are constants"
    function = own.functions[node.name.text]
    function.library = file
    function.direct = _direct(node)
    if file != METHODS:
        function.name = f"std::{file}::{function.name}"
    checker.library[key] = function
    checker.kept.append(module)
    check_function(own, function, node)
    assert not own.diagnostics, own.diagnostics


def _direct(node: ast.Function) -> tuple[str, str] | None:
    """What a function does whose body only hands its parameters on: `native` or `effect`, and its name."""
    body = node.body
    if body is None or body.statements or not isinstance(body.tail, ast.Call):
        return None
    call = body.tail
    callee = call.callee
    if not isinstance(callee, ast.PathExpr) or str(callee.path) not in _INTRINSICS:
        return None
    name, *args = (arg.value for arg in call.args)
    handed = [str(arg.path) for arg in args if isinstance(arg, ast.PathExpr)]
    if handed != [param.name.text for param in node.params] or len(handed) != len(args):
        return None
    assert isinstance(name, ast.Literal)
    return str(callee.path), str(name.value)


def is_intrinsic(checker: Checker, name: str) -> bool:
    """Whether a call is one of those that only the library may write."""
    return checker.is_library and name in _INTRINSICS


def check_intrinsic(body: Body, node: ast.Call, kind: str, expected: Type | None) -> Type:
    """`native("name", args)` and `effect("name", args)`: the place says what comes back."""
    from concerto.check.exprs import check_expr

    name, *args = (arg.value for arg in node.args)
    assert isinstance(name, ast.Literal)
    for arg in args:
        check_expr(body, arg, None)
    call: CallNative | CallEffect | CallJoin = CallEffect(str(name.value), tuple(args))
    if kind == "native":
        call = CallNative(str(name.value), None, tuple(args), False)
    elif kind == "join_each":
        call = CallJoin(FORMS[str(name.value)], tuple(args))
    body.checker.facts.calls[id(node)] = call
    return t.NIL if expected is None else expected


def meanings(function: FunctionInfo) -> tuple[list[Type], Type]:
    """The types of the parameters and of the result for one use, with variables for its letters."""
    meaning: dict[str, Type] = {letter: t.Var() for letter in LETTERS}
    params = [t.substitute(param.type, meaning) for param in function.params]
    return params, t.substitute(function.result, meaning)


def bind_arguments(
    body: Body, node: ast.Call, name: str, params: list[ParamInfo], types: list[Type]
) -> list[ast.Expr | None]:
    """The argument of each parameter, checked: functions after the others, which tell the types of their parameters."""
    from concerto.check.exprs import check_expr

    placed = place_arguments(body, node, name, params)
    slots = placed.slots
    for extra in placed.left:
        check_expr(body, extra, None)
    for late in (False, True):
        for type_, value in zip(types, slots, strict=True):
            if value is not None and isinstance(t.resolve(type_), t.Function) is late:
                check_expr(body, value, type_)
    return slots


def changes(function: FunctionInfo) -> bool:
    """Whether a method changes its receiver."""
    return function.name in _CHANGE


def call_method(
    body: Body, node: ast.Call, receiver: ast.Expr, found: Type, forms: list[FunctionInfo]
) -> Type:
    """The type of a call of a method on a receiver of a type, in the first form that is written for it."""
    from concerto.check.calls import check_all

    for function in forms:
        types, result = meanings(function)
        if t.assign(found, types[0]) is not None:
            return _method(body, node, receiver, function, types, result)
    check_all(body, node)
    method = forms[0].name.split("_", 1)[1]
    wanted = " or ".join(f"`{t.show(form.params[0].type)}`" for form in forms)
    message = f"`{method}` is a method of {wanted}, found `{t.show(found)}`"
    body.checker.report("E3011", message, node.callee)
    return t.UNKNOWN


def _method(
    body: Body,
    node: ast.Call,
    receiver: ast.Expr,
    function: FunctionInfo,
    types: list[Type],
    result: Type,
) -> Type:
    from concerto.check.places import must_be_held
    from concerto.check.stores import check_update

    method = function.name.split("_", 1)[1]
    slots = bind_arguments(body, node, method, function.params[1:], types[1:])
    if changes(function):
        must_be_held(body, receiver, method)
    has_value = _CHANGE.get(function.name, True)
    if function.name in ("hashmap_update", "hashmapref_update"):
        check_update(body, node)
    for key in _keys(result):
        if not is_key(body.checker, key):
            body.checker.report("E3036", f"`{t.show(key)}` cannot be a map key", node.callee)
    call = CallLibrary(function, (receiver, *slots), changes(function), has_value)
    body.checker.facts.calls[id(node)] = call
    if not call.changes:
        return result
    return t.resolve(result).items[1] if has_value else t.NIL  # type: ignore[union-attr]  # a pair


def _keys(type_: Type) -> list[Type]:
    """The types of keys of the maps inside of a type."""
    type_ = t.resolve(type_)
    own = [t.resolve(type_.key)] if isinstance(type_, t.Map) else []
    own += (
        [t.resolve(type_.item)] if isinstance(type_, t.Collection) and type_.name == "Set" else []
    )
    return own + [key for part in t.parts(type_) for key in _keys(part)]
