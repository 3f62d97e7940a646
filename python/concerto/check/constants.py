"""Constant expressions: evaluated at compile time, to Python values (language reference 7).

Arrays are lists, tuples tuples, maps `MapConstant`, structs `StructConstant`, variants without data `VariantDefault`, Options `OptionConstant`; None is
`nil`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from concerto.check import types as t
from concerto.check.checker import Checker
from concerto.check.types import Type
from concerto.check.values import (
    NONE,
    MapConstant,
    OptionConstant,
    StructConstant,
    VariantDefault,
    constant_text,
    plain,
)
from concerto.diagnostics.model import did_you_mean
from concerto.syntax import ast

_LARGEST = 2**63 - 1

#: Looks for a constant of the blocks around: its value in a list, which is empty for a variable, or None.
Find = Callable[[str], list[Any] | None]


class _RefusedError(Exception):
    """An expression that has no constant value: the diagnostic about it."""

    def __init__(self, node: ast.Node, code: str, message: str, help_: str | None = None) -> None:
        super().__init__(message)
        self.node, self.code, self.message, self.help = node, code, message, help_


def constant_value(
    checker: Checker,
    node: ast.Expr,
    expected: Type,
    code: str = "E3001",
    find: Find = lambda _: None,
) -> Any:
    """The value of a constant expression, checked against a type. Reports what is not constant, fails or does not fit."""
    found = _evaluated(checker, node, t.resolve(expected), code, find)
    return None if found is REPORTED else found


def constant_or_none(
    checker: Checker, node: ast.Expr, expected: Type, find: Find
) -> list[Any] | None:
    """The value of an expression in a list, or None if it is no constant of that type. Reports what fails."""
    wanted = t.resolve(expected)
    try:
        found = _Evaluation(checker, find).value(node, wanted)
    except _RefusedError as refused:
        if refused.code != "E3022":
            return None
        checker.report(refused.code, refused.message, refused.node, refused.help)
        return [None]
    if found is REPORTED:
        return [None]
    return [_converted(found, wanted)] if _fits(found, wanted) and is_finite(found) else None


def is_finite(value: Any) -> bool:
    """Whether JSON has a form for a constant."""
    match value:
        case float():
            return math.isfinite(value)
        case list() | tuple():
            return all(map(is_finite, value))
        case MapConstant(entries):
            return all(is_finite(item) for _, item in entries)
        case StructConstant(fields=parts) | OptionConstant(parts):
            return all(map(is_finite, parts))
        case _:
            return True


def _evaluated(checker: Checker, node: ast.Expr, expected: Type, code: str, find: Find) -> Any:
    try:
        found = _Evaluation(checker, find).value(node, expected)
    except _RefusedError as refused:
        checker.report(refused.code, refused.message, refused.node, refused.help)
        return REPORTED
    if found is not REPORTED and not _fits(found, expected):
        message = f"expected `{t.show(expected)}`, found `{_type_name(found)}`"
        checker.report(code, message, node)
        return REPORTED
    return found if found is REPORTED else _converted(found, expected)


#: Of a constant that was reported where it is declared.
REPORTED = object()


def declared_constant(checker: Checker, name: str) -> tuple[Type, Any]:
    """A constant of the program; evaluated when it is first asked for, so that their order does not matter."""
    from concerto.check.collect import written_type

    node = checker.pending_constants.pop(name, None)
    if node is not None:
        type_ = written_type(checker, node.type)
        checker.evaluating.append(name)
        checker.constants[name] = (type_, REPORTED)
        value = _evaluated(checker, node.value, t.resolve(type_), "E3001", lambda _: None)
        checker.evaluating.pop()
        checker.constants[name] = (type_, value)
    elif name in checker.evaluating:
        start = checker.evaluating.index(name)
        circle = " -> ".join([*checker.evaluating[start:], name])
        checker.circular_constant(name, f"the constants form a circle: {circle}")
    return checker.constants[name]


class _Evaluation:
    def __init__(self, checker: Checker, find: Find) -> None:
        self.checker, self.find = checker, find

    def value(self, node: ast.Expr, wanted: Type) -> Any:
        """The value of an expression; the wanted type only helps to read it."""
        if isinstance(wanted, t.Option):
            wanted = t.resolve(wanted.item)
        match node:
            case ast.Literal(value=value):
                return value
            case ast.Interpolated(pieces=pieces, values=values):
                shown = [self.shown(each) for each in values]
                return pieces[0] + "".join(a + b for a, b in zip(shown, pieces[1:], strict=True))
            case ast.ArrayLiteral(items=items):
                item = wanted.item if isinstance(wanted, t.Array) else t.ANY
                return self.all(items, [t.resolve(item)] * len(items))
            case ast.TupleLiteral(items=()):
                return None
            case ast.TupleLiteral(items=items):
                types = wanted.items if isinstance(wanted, t.Tuple) else ()
                each = [*map(t.resolve, types), *[t.ANY] * len(items)][: len(items)]
                found = self.all(items, each)
                return found if found is REPORTED else tuple(found)
            case ast.MapLiteral():
                return self.map(node, wanted)
            case ast.StructLiteral():
                return self.struct(node)
            case ast.PathExpr():
                return self.name(node)
            case ast.Unary() | ast.Binary():
                return self.operation(node)
            case _:
                message = "this is no constant expression"
                raise _RefusedError(node, "E3021", message, "use literals and other constants")

    def shown(self, node: ast.Expr) -> str:
        """The display form of an interpolated constant."""
        return constant_text(self.value(node, t.ANY))

    def all(self, items: tuple[ast.Expr, ...], types: list[Type]) -> Any:
        found = [self.value(item, type_) for item, type_ in zip(items, types, strict=True)]
        return REPORTED if any(each is REPORTED for each in found) else found

    def map(self, node: ast.MapLiteral, wanted: Type) -> Any:
        key, value = (wanted.key, wanted.value) if isinstance(wanted, t.Map) else (t.ANY, t.ANY)
        entries = []
        for entry in node.entries:
            pair = self.value(entry.key, t.resolve(key)), self.value(entry.value, t.resolve(value))
            if REPORTED in pair:
                return REPORTED
            entries.append(pair)
        return MapConstant(tuple(entries))

    def struct(self, node: ast.StructLiteral) -> Any:
        from concerto.check.defaults import read_default

        info = self.checker.structs.get(str(node.path))
        if info is None or info.type_params:
            message = "this is no constant expression"
            raise _RefusedError(node, "E3021", message, "use literals and other constants")
        fields = {field.name: field for field in info.fields}
        found: dict[str, Any] = {}
        for given in node.fields:
            name = given.name.text
            if name not in fields or given.value is None:
                help_ = did_you_mean(name, list(fields))
                message = f"`{info.name}` has no field `{name}`"
                if name in fields:
                    raise _RefusedError(given, "E3021", "this is no constant expression")
                raise _RefusedError(given.name, "E3011", message, help_)
            type_ = t.resolve(fields[name].type)
            found[name] = self.value(given.value, type_)
            if found[name] is REPORTED:
                return REPORTED
            if not _fits(found[name], type_):
                message = f"expected `{t.show(type_)}`, found `{_type_name(found[name])}`"
                raise _RefusedError(given.value, "E3001", message)
        for field in info.fields:
            if field.name in found:
                continue
            read_default(self.checker, field)
            if field.computed is not None:
                message = f"the default of `{field.name}` is no constant expression"
                raise _RefusedError(node.path, "E3021", message, f"add `{field.name}: ..`")
            if not (field.has_default or field.optional):
                message = f"`{info.name}` lacks `{field.name}`"
                raise _RefusedError(node.path, "E3012", message, f"add `{field.name}: ..`")
        values = tuple(
            _converted(found.get(f.name, f.default), t.resolve(f.type)) for f in info.fields
        )
        names = tuple(field.name for field in info.fields)
        return StructConstant(info.name, info.origin, names, values)

    def name(self, node: ast.PathExpr) -> Any:
        text = str(node.path)
        local = self.find(text)
        if local:
            return local[0]
        if local is not None:
            raise _RefusedError(node, "E3021", f"`{text}` is a variable, no constant")
        if text == "None":
            return NONE
        checker = self.checker
        if text in checker.constants or text in checker.pending_constants:
            return declared_constant(checker, text)[1]
        enum = checker.enums.get(node.path.names[0].text) if len(node.path.names) == 2 else None
        for number, variant in enumerate(enum.variants if enum else ()):
            if enum and variant.name == node.path.names[1].text and variant.form == "unit":
                return VariantDefault(number, variant.name, enum.name)
        if text in checker.refused:
            return REPORTED
        message = f"`{text}` is no constant"
        raise _RefusedError(node, "E3021", message, "use literals and other constants")

    def operation(self, node: ast.Unary | ast.Binary) -> Any:
        if isinstance(node, ast.Unary):
            operand = self.value(node.operand, t.ANY)
            if operand is REPORTED:
                return REPORTED
            if node.op == "!" and isinstance(operand, bool):
                return not operand
            if node.op == "-" and _is_number(operand):
                return _in_range(node, -operand)
            message = f"`{node.op}` is not defined for `{_type_name(operand)}`"
            raise _RefusedError(node, "E3002", message)
        if node.op in ("..", "..=", "|>"):
            raise _RefusedError(node, "E3021", "this is no constant expression")
        left, right = self.value(node.left, t.ANY), self.value(node.right, t.ANY)
        return REPORTED if REPORTED in (left, right) else _operate(node, left, right)


def _operate(node: ast.Binary, left: Any, right: Any) -> Any:
    op = node.op
    if op == "??":
        if left is None or left == NONE:
            return right
        return left if isinstance(right, OptionConstant) else plain(left)
    left, right = plain(left), plain(right)
    if op in ("&&", "||") and isinstance(left, bool) and isinstance(right, bool):
        return (left and right) if op == "&&" else (left or right)
    if op in ("==", "!="):
        same = left == right and (
            type(left) is type(right) or (_is_number(left) and _is_number(right))
        )
        return same if op == "==" else not same
    numbers = _is_number(left) and _is_number(right)
    texts = isinstance(left, str) and isinstance(right, str)
    if op in ("<", ">", "<=", ">=") and (numbers or texts):
        order = {"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}
        return order[op]
    if op == "+" and texts:
        return left + right
    if not numbers:
        message = f"`{op}` is not defined for `{_type_name(left)}` and `{_type_name(right)}`"
        raise _RefusedError(node, "E3002", message)
    if isinstance(left, float) or isinstance(right, float):
        return _floats(op, float(left), float(right))
    if op in ("/", "%"):
        if right == 0:
            raise _RefusedError(node, "E3022", "the constant divides by zero", "change the divisor")
        whole = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        return _in_range(node, whole) if op == "/" else left - whole * right
    return _in_range(
        node, left + right if op == "+" else left - right if op == "-" else left * right
    )


def _floats(op: str, left: float, right: float) -> float:
    match op:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "%":
            return math.nan if right == 0 or math.isinf(left) else math.fmod(left, right)
        case _ if right != 0:
            return left / right
        case _ if left == 0 or math.isnan(left):
            return math.nan
        case _:
            return math.copysign(math.inf, left) * math.copysign(1, right)


def _in_range(node: ast.Node, number: float) -> float:
    if isinstance(number, int) and not -_LARGEST - 1 <= number <= _LARGEST:
        message = "the constant does not fit into 64 bits"
        raise _RefusedError(node, "E3022", message, "write it as a Float, or make it smaller")
    return number


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _fits(value: Any, type_: Type) -> bool:
    match type_:
        case t.Option(item):
            inner = value.items if isinstance(value, OptionConstant) else (value,)
            return value is None or all(_fits(each, t.resolve(item)) for each in inner)
        case t.Array(item):
            return isinstance(value, list) and all(_fits(v, t.resolve(item)) for v in value)
        case t.Tuple(items):
            same = isinstance(value, tuple) and len(value) == len(items)
            return same and all(map(_fits, value, map(t.resolve, items)))
        case t.Map(key, item):
            return isinstance(value, MapConstant) and all(
                _fits(k, t.resolve(key)) and _fits(v, t.resolve(item)) for k, v in value.entries
            )
        case t.Struct(name):
            return isinstance(value, StructConstant) and value.name == name
        case t.Enum(name):
            return isinstance(value, VariantDefault) and value.enum in (None, name)
        case t.Literals(values):
            return value in values
        case t.Union(members):
            return any(_fits(value, t.resolve(member)) for member in members)
        case t.Simple(name):
            if name in ("?", "Any"):
                return True
            kinds = {"Int": (int,), "Float": (int, float), "String": (str,), "Bool": (bool,)}
            if name == "Nil":
                return value is None
            return type(value) in kinds.get(name, ())
        case _:
            return False


def _converted(value: Any, type_: Type) -> Any:
    """A value that fits, with Int as Float where a Float is wanted."""
    match type_, value:
        case t.Simple("Float"), int():
            return float(value)
        case t.Option(), None:
            return NONE
        case t.Option(item), _:
            inner = value.items if isinstance(value, OptionConstant) else (value,)
            return OptionConstant(tuple(_converted(each, t.resolve(item)) for each in inner))
        case t.Array(item), list():
            return [_converted(each, t.resolve(item)) for each in value]
        case t.Tuple(items), tuple():
            return tuple(_converted(v, t.resolve(i)) for v, i in zip(value, items, strict=True))
        case t.Map(_, item), MapConstant(entries):
            return MapConstant(tuple((k, _converted(v, t.resolve(item))) for k, v in entries))
        case _:
            return value


def _type_name(value: Any) -> str:
    match value:
        case StructConstant(name=name):
            return name
        case VariantDefault(enum=str() as enum):
            return enum
        case MapConstant():
            return "Map"
        case OptionConstant():
            return "Option"
        case tuple():
            return "tuple"
    names = {bool: "Bool", int: "Int", float: "Float", str: "String", list: "Array"}
    return names.get(type(value), "Nil")
