"""What `std` has besides functions in the language: a function that takes a type, and the types of `std::collections`."""

from __future__ import annotations

from concerto.check import builtins
from concerto.check import types as t
from concerto.check.arguments import place_arguments
from concerto.check.bodies import Body
from concerto.check.called import CallNative, ParseAs
from concerto.check.checker import Checker
from concerto.check.traits import is_key
from concerto.check.types import Type
from concerto.diagnostics.model import did_you_mean
from concerto.syntax import ast

PARSE_AS = ("json", "parse_as")
_MAKERS = ("new", "from")
JSON_ERROR = t.Struct("JsonError", "error")


def check_parse_as(body: Body, node: ast.Call, expected: Type | None) -> Type:
    """`std::json::parse_as<T>(text)`: JSON as a value of a type (library reference 4.1)."""
    from concerto.check.calls import check_all
    from concerto.check.exprs import check_expr

    if len(node.args) != 1 or (node.args[0].name and node.args[0].name.text != "s"):
        message = f"`parse_as` takes 1 argument (s), found {len(node.args)}"
        body.checker.report("E3032", message, node)
        check_all(body, node)
        return t.UNKNOWN
    text = node.args[0].value
    check_expr(body, text, t.STRING)
    wanted = _wanted(body, node, expected)
    body.checker.facts.calls[id(node)] = ParseAs(wanted, text)
    return t.Result(wanted, JSON_ERROR)


def _wanted(body: Body, node: ast.Call, expected: Type | None) -> Type:
    """The type argument, else the expected type."""
    from concerto.check.collect import written_type
    from concerto.check.schemas import inexpressible

    checker = body.checker
    if len(node.type_args) > 1:
        checker.report("E3017", "`parse_as` takes 1 type argument", node)
    if node.type_args:
        wanted = t.resolve(written_type(checker, node.type_args[0]))
    else:
        around = t.resolve(expected) if expected is not None else None
        wanted = t.resolve(around.ok) if isinstance(around, t.Result) else t.Var()
        if isinstance(wanted, t.Var):
            help_ = "write `parse_as<Type>(..)`"
            checker.report("E4038", "the type of the value is missing", node, help_)
            return t.UNKNOWN
    bad = inexpressible(checker, wanted)
    if bad is not None:
        place = node.type_args[0] if node.type_args else node
        checker.report("E4037", f"`{t.show(bad)}` has no form in JSON", place)
        return t.UNKNOWN
    return wanted


def collection_type(checker: Checker, name: str) -> str | None:
    """`Set` of `std::collections::Set`; the library itself writes the last name only."""
    *module, last = name.split("::")
    is_there = module == ["std", "collections"] or (checker.is_library and not module)
    return last if is_there and last in builtins.COLLECTIONS else None


def check_maker(
    body: Body, node: ast.Call, path: ast.Path, names: tuple[str, ...], expected: Type | None
) -> Type:
    """`std::collections::Set::new()` and `::from(array)`."""
    from concerto.check.calls import check_all
    from concerto.check.exprs import check_expr

    checker, (_, kind, *rest) = body.checker, names
    if len(rest) != 1 or rest[0] not in _MAKERS:
        check_all(body, node)
        shown = "::".join((kind, *rest))
        help_ = did_you_mean(rest[0], list(_MAKERS)) if rest else f"write `{kind}::new()`"
        checker.report("E2001", f"there is no function `{shown}`", path, help_)
        return t.UNKNOWN
    count = _MAKERS.index(rest[0])
    wanted = t.resolve(expected) if expected is not None else None
    is_same = isinstance(wanted, t.Collection) and wanted.name == kind
    item: Type = wanted.item if isinstance(wanted, t.Collection) and is_same else t.Var()
    params = [("array", False)] * count
    if not place_arguments(body, node, f"{kind}::{rest[0]}", params).is_right:
        check_all(body, node)
        return t.UNKNOWN
    for arg in node.args:
        check_expr(body, arg.value, t.Array(item))
    # Of a written type it is said there.
    if kind == "Set" and not is_same and not is_key(checker, item):
        checker.report("E3036", f"`{t.show(item)}` cannot be in a set", node)
    args = tuple(arg.value for arg in node.args)
    checker.facts.calls[id(node)] = CallNative(f"{kind.lower()}.{rest[0]}", None, args, False)
    made = t.Collection(kind, item)
    if isinstance(t.resolve(item), t.Var):
        body.undecided.append((node, made))
    return made
