"""What `std` has besides functions in the language: a function that takes a type."""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.bodies import Body
from concerto.check.checked import ParseAs
from concerto.check.types import Type
from concerto.syntax import ast

PARSE_AS = ("json", "parse_as")
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
