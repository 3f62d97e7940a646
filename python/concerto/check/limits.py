"""Limits of fields: `@range`, `@length`, `@items` and `@pattern` (rules SC-11 and SC-12).

Patterns are compiled and tried by the runtime's own engine: what is accepted here is what the validator will search for, to the letter.
"""

from __future__ import annotations

from typing import Any

from concerto.check import types as t
from concerto.check.checker import Checker
from concerto.check.constants import constant_value
from concerto.check.decorators import text_argument
from concerto.check.types import Type
from concerto.check.values import plain
from concerto.syntax import ast

LIMITS = frozenset(("range", "length", "items", "pattern"))
_FOR = {
    "range": "Int and Float",
    "length": "String, also as elements of an array",
    "items": "Array and Map",
    "pattern": "String, also as elements of an array",
}


def read_limit(
    checker: Checker, decorator: ast.Decorator, type_: Type, checks: dict[str, Any]
) -> None:
    """Adds one limit of a field of this type, in the form that the IR has."""
    name = decorator.name.text
    base = limited_type(name, type_)
    if base == t.UNKNOWN:
        return
    if base is None:
        message = f"`@{name}` cannot limit `{t.show(type_)}`"
        checker.report("E2018", message, decorator, f"it is for fields of type {_FOR[name]}")
    elif name == "pattern":
        text = text_argument(checker, decorator)
        problem = _pattern_error(text) if text is not None else None
        if problem is not None:
            checker.report("E4051", f"this pattern is wrong: {problem}", decorator.args[0])
        elif text is not None:
            checks["pattern"] = text
    else:
        ends = _ends(checker, decorator, base if name == "range" else t.INT)
        if ends is not None:
            checks[name] = ends


def limited_type(name: str, type_: Type) -> Type | None:
    """The type inside that a limit holds for; None if there is none."""
    type_ = t.resolve(type_)
    while isinstance(type_, t.Option) or (
        isinstance(type_, t.Array) and name in ("length", "pattern")
    ):
        type_ = t.resolve(type_.item)
    if name == "range":
        fits = type_ in (t.INT, t.FLOAT)
    elif name == "items":
        fits = isinstance(type_, t.Array | t.Map)
    else:
        fits = type_ == t.STRING
    return type_ if fits or type_ == t.UNKNOWN else None


def _ends(checker: Checker, decorator: ast.Decorator, base: Type) -> list[Any] | None:
    name, node = decorator.name.text, decorator.args[0].value
    start: ast.Expr | None
    end: ast.Expr | None
    match node:
        case ast.Binary(op="..=" | ".." as op, left=start, right=end):
            inclusive = op == "..="
        case ast.OpenRange(start=start, end=end, inclusive=inclusive):
            pass
        case _:
            help_ = f"write `@{name}(a..=b)`, `@{name}(a..)` or `@{name}(..=b)`"
            checker.report("E3032", f"`@{name}` takes a range", node, help_)
            return None
    low = constant_value(checker, start, base, "E3032") if start is not None else None
    high = constant_value(checker, end, base, "E3032") if end is not None else None
    if (start is not None and low is None) or (end is not None and high is None):
        return None  # reported
    problem = None
    if low is None and high is None:
        problem = "the range has no end"
    elif end is not None and not inclusive:
        problem = "the last value of the range is not included"
    elif low is not None and high is not None and low > high:
        problem = "the range is empty"
    elif name != "range" and min(each for each in (low, high) if each is not None) < 0:
        problem = "a number of parts is never negative"
    if problem is not None:
        checker.report("E3032", problem, node, f"write `@{name}(a..=b)` with a <= b")
        return None
    return [low, high]


def broken_limit(checks: dict[str, Any], value: Any) -> str | None:
    """What is wrong with a constant; None if it keeps all limits."""
    match value := plain(value):
        case bool() | None:
            return None
        case int() | float() if "range" in checks:
            return _outside(checks["range"], value, "")
        case str():
            problem = _outside(checks.get("length"), len(value), "its length ")
            if problem is None and "pattern" in checks:
                fits = _pattern_matches(checks["pattern"], value)
                problem = None if fits else f"it does not match `{checks['pattern']}`"
            return problem
        case list():
            problem = _outside(checks.get("items"), len(value), "its number of elements ")
            inner = (broken_limit({**checks, "items": None}, each) for each in value)
            return problem or next((each for each in inner if each), None)
        case _:
            return None


def _outside(ends: list[Any] | None, value: float, what: str) -> str | None:
    low, high = ends or (None, None)
    if low is not None and value < low:
        return f"{what}{value} is less than {low}"
    if high is not None and value > high:
        return f"{what}{value} is more than {high}"
    return None


def _pattern_error(pattern: str) -> str | None:
    from concerto import _native

    return _native.pattern_error(pattern)


def _pattern_matches(pattern: str, text: str) -> bool:
    from concerto import _native

    return _native.pattern_matches(pattern, text)
