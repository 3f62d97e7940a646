"""Operators and casts (language reference 9)."""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.bodies import Body
from concerto.check.branches import as_truth, condition
from concerto.check.lints import check_comparison, check_division
from concerto.check.traits import is_ordered
from concerto.check.types import Type
from concerto.syntax import ast

NUMBERS = (t.INT, t.FLOAT)


def check_binary(body: Body, node: ast.Binary) -> Type:
    """The type of a binary operation."""
    from concerto.check.exprs import check_expr

    op = node.op
    if op == "??":
        return _coalesce(body, node)
    if op in ("&&", "||"):
        condition(body, node.left)
        condition(body, node.right)
        return t.BOOL
    if op in ("..", "..="):
        check_expr(body, node.left, t.INT)
        check_expr(body, node.right, t.INT)
        return t.RANGE
    left = t.decided(check_expr(body, node.left, None))
    right = t.decided(check_expr(body, node.right, None))
    if t.UNKNOWN in (left, right):
        return t.BOOL if op in ("==", "!=", "<", ">", "<=", ">=") else t.UNKNOWN
    if t.ANY in (left, right) and op not in ("==", "!="):
        return t.BOOL if op in ("<", ">", "<=", ">=") else t.ANY
    if op in ("==", "!=", "<", ">", "<=", ">="):
        check_comparison(body, node, left, right)
    if op in ("==", "!="):
        return _equality(body, node, left, right)
    return _arithmetic(body, node, left, right)


def check_span(body: Body, node: ast.Expr) -> Type:
    """The type of an index, or of what a `for` goes through: the places where a range may be open."""
    from concerto.check.exprs import check_expr

    if not isinstance(node, ast.OpenRange):
        return check_expr(body, node, None)
    _check_ends(body, node)
    body.checker.facts.types[id(node)] = t.RANGE
    return t.RANGE


def check_open_range(body: Body, node: ast.OpenRange) -> Type:
    """E3039: a range without an end or a start, where a value is needed."""
    _check_ends(body, node)
    message = "a range without a start or an end is no value"
    help_ = "write both ends: open ranges stand in `x[..]` and behind the `in` of a `for`"
    body.checker.report("E3039", message, node, help_)
    return t.UNKNOWN


def _check_ends(body: Body, node: ast.OpenRange) -> None:
    from concerto.check.exprs import check_expr

    for end in (node.start, node.end):
        if end is not None:
            check_expr(body, end, t.INT)


def _equality(body: Body, node: ast.Binary, left: Type, right: Type) -> Type:
    numeric = left in NUMBERS and right in NUMBERS
    if (
        not numeric
        and t.assign(left, right) is None
        and t.assign(right, left) is None
        and t.ANY not in (left, right)
    ):
        message = f"`{t.show(left)}` and `{t.show(right)}` cannot be compared"
        body.checker.report("E3004", message, node)
    elif isinstance(left, t.Function) or isinstance(right, t.Function):
        body.checker.report("E3004", "functions cannot be compared", node)
    elif isinstance(left, t.Future) or isinstance(right, t.Future):
        body.checker.report("E3004", "futures cannot be compared", node, "await them")
    elif t.STREAM in (left, right):
        body.checker.report("E3004", "streams cannot be compared", node)
    elif t.BUILDER in (left, right):
        body.checker.report("E3004", "builders of models cannot be compared", node)
    return t.BOOL


def _arithmetic(body: Body, node: ast.Binary, left: Type, right: Type) -> Type:
    op = node.op
    known = (*NUMBERS, t.STRING)
    if (isinstance(left, t.Var) and right in known) or (isinstance(right, t.Var) and left in known):
        # The first use of what an empty literal holds tells its type.
        t.assign(left, right)
        left, right = t.resolve(left), t.resolve(right)
    comparing = op in ("<", ">", "<=", ">=")
    if left in NUMBERS and right in NUMBERS:
        if left != right:
            mixed = node.left if left == t.INT else node.right
            body.checker.facts.steps[id(mixed)] = (("int_to_float",), t.FLOAT)
            check_division(body, mixed)
        return t.BOOL if comparing else t.FLOAT if t.FLOAT in (left, right) else t.INT
    texts = {t.STRING: True}
    left_text = isinstance(left, t.Literals) or left in texts
    right_text = isinstance(right, t.Literals) or right in texts
    if comparing and ((left_text and right_text) or (left == right and is_ordered(left))):
        return t.BOOL
    if op == "+" and (left_text or t.is_error(left)) and (right_text or t.is_error(right)):
        for side, type_ in ((node.left, left), (node.right, right)):
            if t.is_error(type_):
                body.checker.facts.steps[id(side)] = (t.assign(type_, t.STRING) or (), t.STRING)
        return t.STRING
    message = f"`{op}` is not defined for `{t.show(left)}` and `{t.show(right)}`"
    help_ = (
        'write values into a string: `"n: ${n}"`'
        if (op == "+" and (left_text or right_text)) or (op == "%" and left_text)
        else None
    )
    if op == "*" and left_text and right == t.INT:
        help_ = "use `.repeat(n)`"
    if comparing and isinstance(left, t.Opaque) and left == right:
        help_ = f"give it the bound: `{t.show(left)}: Ord`"
    if op == "+" and isinstance(left, t.Array) and isinstance(right, t.Array):
        help_ = "use `.concat(..)`"
    if op == "+" and isinstance(left, t.Map) and isinstance(right, t.Map):
        help_ = "use `.merge(..)`"
    if isinstance(left, t.Future) or isinstance(right, t.Future):
        help_ = "await the future: `(await x)`"
    elif any(isinstance(each, t.Option) for each in (left, right)):
        help_ = "an Option may be nil: take the value out with `?? ..` or `match`"
    elif any(isinstance(each, t.Result) for each in (left, right)):
        help_ = "add `?` to take the value out of the `Result`"
    body.checker.report("E3002", message, node, help_)
    return t.BOOL if comparing else t.UNKNOWN


def _coalesce(body: Body, node: ast.Binary, *, is_last: bool = True) -> Type:
    from concerto.check.exprs import check_expr

    checker = body.checker
    left = t.resolve(_coalesced(body, node.left))
    match left:
        case t.Option(item):
            check = check_expr(body, node.right, None) if is_last else _coalesced(body, node.right)
            right = t.resolve(check)
            if isinstance(right, t.Option):
                joined = t.join(left, right)
            else:
                steps = t.assign(right, item)
                if steps:
                    checker.facts.steps[id(node.right)] = (steps, item)
                joined = item if steps is not None else None
                joined = t.join(item, right) if joined is None else joined
            if joined is None:
                checker.mismatch(item, right, node.right)
                return t.UNKNOWN
            return joined
        case t.Result():
            check_expr(body, node.right, None)
            checker.report("E3010", "`??` on a `Result`", node, "use `.unwrap_or(..)`, or `?`")
            return t.UNKNOWN
        case t.Simple("?") | t.Simple("Nil"):
            return check_expr(body, node.right, None)
        case t.Simple("Any"):
            check_expr(body, node.right, None)
            return t.ANY
        case _:
            check_expr(body, node.right, left)
            checker.report(
                "W3004", "the left side of `??` is never nil", node.left, "remove the `??`"
            )
            return left


def _coalesced(body: Body, node: ast.Expr) -> Type:
    """An operand of `??` with another behind it: a missing variable is None there instead of an error (C-24)."""
    from concerto.check.exprs import check_expr

    if isinstance(node, ast.Binary) and node.op == "??":
        found = _coalesce(body, node, is_last=False)
        body.checker.facts.types[id(node)] = found
        return found
    body.unset.add(id(node))
    return check_expr(body, node, None)


def check_unary(body: Body, node: ast.Unary, op: str, operand: ast.Expr) -> Type:
    """The type of `!x` or `-x`."""
    from concerto.check.exprs import check_expr

    found = t.resolve(check_expr(body, operand, None))
    if op == "!" and found == t.ANY:
        body.checker.facts.steps[id(operand)] = (("check",), t.BOOL)
        return t.BOOL
    if found == t.ANY:
        return t.ANY
    if op == "!":
        if found not in (t.BOOL, t.UNKNOWN):
            message = f"`!` is not defined for `{t.show(found)}`"
            _, negated = as_truth(found) or ("", None)
            body.checker.report("E3002", message, node, negated)
        return t.BOOL
    if found not in (*NUMBERS, t.UNKNOWN):
        body.checker.report("E3002", f"`-` is not defined for `{t.show(found)}`", node)
        return t.UNKNOWN
    return found


def check_cast(body: Body, node: ast.Cast, operand: ast.Expr, written: ast.TypeExpr) -> Type:
    """The type of `x as T`: E3005 where no conversion exists."""
    from concerto.check.collect import written_type
    from concerto.check.exprs import check_expr

    found = t.resolve(check_expr(body, operand, None))
    target = t.resolve(written_type(body.checker, written))
    if found == target and found != t.UNKNOWN:
        message = f"this is `{t.show(target)}` already"
        body.checker.report("W3002", message, node, "remove the `as`")
    if (found, target) in ((t.INT, t.FLOAT), (t.FLOAT, t.INT)) or t.UNKNOWN in (found, target):
        return target
    steps = t.assign(found, target)
    if steps is not None and "check" not in steps:
        body.checker.facts.steps[id(operand)] = (steps, target)
        return target
    if steps is not None or _is_narrower(target, found):
        return target
    help_ = 'use `.to_string()` or `"${x}"`' if target == t.STRING else None
    if found == t.STRING and target in NUMBERS:
        help_ = "use `.parse_int()` or `.parse_float()`"
    body.checker.report(
        "E3005", f"`{t.show(found)}` cannot be cast to `{t.show(target)}`", node, help_
    )
    return target


def _is_narrower(target: Type, found: Type) -> bool:
    """Whether a value of a wider type may be one of another: a union one of its members, a String one of some literals."""
    is_wide = isinstance(found, t.Union | t.Literals) or found == t.STRING
    return is_wide and t.assign(target, found) == ()
