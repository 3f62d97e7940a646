"""Constant expressions: evaluated at compile time, to Python values."""

from __future__ import annotations

from typing import Any

from concerto.check import types as t
from concerto.check.checker import Checker
from concerto.check.types import Type
from concerto.syntax import ast

_NONE = object()


def constant_value(checker: Checker, node: ast.Expr, expected: Type, code: str = "E3001") -> Any:
    """The value of a literal, another constant, or an array of those, checked against a type. Reports what is not constant or does not fit."""
    found = _value(checker, node)
    if found is _NONE:
        message = "this is no constant expression"
        checker.report("E3021", message, node, "use literals and other constants")
        return None
    if not _fits(found, t.resolve(expected)):
        message = f"expected `{t.show(expected)}`, found `{_type_name(found)}`"
        checker.report(code, message, node)
        return None
    if t.resolve(expected) == t.FLOAT and isinstance(found, int):
        return float(found)
    return found


def _value(checker: Checker, node: ast.Expr) -> Any:
    match node:
        case ast.Literal(value=value):
            return value
        case ast.ArrayLiteral(items=items):
            values = [_value(checker, item) for item in items]
            return _NONE if any(value is _NONE for value in values) else values
        case ast.MapLiteral(entries=()):
            return {}
        case ast.PathExpr(path=path) if str(path) in checker.constants:
            return checker.constants[str(path)][1]
        case ast.PathExpr(path=path) if str(path) == "None":
            return None
        case ast.Unary(op="-", operand=operand):
            value = _value(checker, operand)
            return -value if type(value) in (int, float) else _NONE
        case ast.Binary(op=op, left=left, right=right) if op in "+-*":
            a, b = _value(checker, left), _value(checker, right)
            numbers = type(a) in (int, float) and type(b) in (int, float)
            if not numbers and not (op == "+" and isinstance(a, str) and isinstance(b, str)):
                return _NONE
            return a + b if op == "+" else a - b if op == "-" else a * b
        case _:
            return _NONE


def _fits(value: Any, type_: Type) -> bool:
    match type_:
        case t.Option(item):
            return value is None or _fits(value, t.resolve(item))
        case t.Array(item):
            return isinstance(value, list) and all(_fits(v, t.resolve(item)) for v in value)
        case t.Map():
            return value == {} and isinstance(value, dict)
        case t.Literals(values):
            return value in values
        case t.Simple(name):
            if name in ("?", "Any"):
                return True
            kinds = {"Int": (int,), "Float": (int, float), "String": (str,), "Bool": (bool,)}
            if name == "Nil":
                return value is None
            return type(value) in kinds.get(name, ())
        case _:
            return False


def _type_name(value: Any) -> str:
    names = {bool: "Bool", int: "Int", float: "Float", str: "String", list: "Array", dict: "Map"}
    return names.get(type(value), "Nil")
