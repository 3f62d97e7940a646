"""Warnings about expressions that are legal and hardly meant: each says what makes it look wrong."""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.bodies import Body
from concerto.check.branches import results_of
from concerto.check.types import Type
from concerto.diagnostics.model import Label, did_you_mean
from concerto.syntax import ast


def check_comparison(body: Body, node: ast.Binary, left: Type, right: Type) -> None:
    """W3001 for comparisons whose outcome is known, W3007 for a text that its literal type does not have."""
    outcome = _outcome(node, left)
    if outcome is not None:
        message = f"this is always {'true' if outcome else 'false'}"
        body.checker.report("W3001", message, node)
    if node.op not in ("==", "!="):
        return
    for union, other in ((left, node.right), (right, node.left)):
        if isinstance(union, t.Literals) and isinstance(other, ast.Literal):
            word = other.value
            if isinstance(word, str) and word not in union.values:
                message = f'`{t.show(union)}` is never `"{word}"`'
                help_ = did_you_mean(word, list(union.values))
                body.checker.report("W3007", message, other, help_)


def _outcome(node: ast.Binary, left: Type) -> bool | None:
    """What a comparison gives whatever the values are; None if that depends on them."""
    if node.left == node.right and isinstance(node.left, ast.PathExpr | ast.FieldAccess):
        # A Float may be NaN, which equals nothing.
        holds = node.op in ("==", "<=", ">=")
        return holds if left in (t.INT, t.STRING, t.BOOL) else None
    op, length = node.op, node.left
    if isinstance(node.left, ast.Literal):
        op = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(op, op)
        length = node.right
    number = node.right if length is node.left else node.left
    if not (_is_length(length) and isinstance(number, ast.Literal) and number.value == 0):
        return None
    return {"<": False, ">=": True}.get(op)


def _is_length(node: ast.Expr) -> bool:
    match node:
        case ast.Call(callee=ast.FieldAccess(name=ast.Name(text="len")), args=()):
            return True
        case ast.Call(callee=ast.PathExpr(path=path)):
            return str(path) == "len"
        case _:
            return False


def check_division(body: Body, node: ast.Expr) -> None:
    """W3013: a division of Int literals with a remainder whose result becomes a Float."""
    match node:
        case ast.Binary(
            op="/", left=ast.Literal(value=int() as a), right=ast.Literal(value=int() as b)
        ):
            if b and a % b:
                message = "a division of two Int drops the remainder"
                body.checker.report("W3013", message, node, f"write `{a}.0 / {b}.0`")


def check_keys(body: Body, node: ast.MapLiteral) -> None:
    """W3011: a literal key that stands twice."""
    first: dict[tuple[type, object], ast.Expr] = {}
    for entry in node.entries:
        if not isinstance(entry.key, ast.Literal):
            continue
        key = (type(entry.key.value), entry.key.value)
        if key in first:
            related = (Label(first[key].span, "first here"),)
            message, help_ = "the key stands twice", "the last value wins: remove the other"
            body.checker.report("W3011", message, entry.key, help_, related)
        first.setdefault(key, entry.key)


def check_empties(body: Body) -> None:
    """W3003, at the end of a function: empty literals of which nothing told the type."""
    for node, item in body.empties:
        if isinstance(t.resolve(item), t.Var):
            kind = "array" if isinstance(node, ast.ArrayLiteral) else "map"
            message = f"the type of what the empty {kind} holds is not known: it is `Any`"
            written = "Array<..>" if kind == "array" else "Map<.., ..>"
            body.checker.report("W3003", message, node, f"write `let x: {written} = ..`")


def check_tail(body: Body, node: ast.Block, found: Type) -> None:
    """W3006: the value at the end of a function that returns nothing."""
    if node.tail is None:
        return
    if isinstance(node.tail, ast.If | ast.Match | ast.TryCatch) and _is_whole(node.tail):
        # Branches whose value nobody wants need not fit together; if they do, a value was meant.
        found = _common(body, node.tail)
    found = t.resolve(found)
    fine = (t.NIL, t.ANY, t.NEVER, t.UNKNOWN, t.BUILDER)
    if found not in fine and not isinstance(found, t.Result):
        message = f"the function returns nothing, and drops this `{t.show(found)}`"
        help_ = f"write `-> {t.show(found)}` in its signature, or `;` behind the value"
        body.checker.report("W3006", message, node.tail, help_)


def check_dropped(body: Body, block: ast.Block) -> None:
    """W3006: the value of an `if` without `else`, if nothing but that value can be meant by it."""
    tail = block.tail
    if tail is None or not _does_nothing(tail):
        return
    found = t.resolve(body.checker.facts.types[id(tail)])
    if found in (t.NIL, t.NEVER, t.UNKNOWN) or isinstance(found, t.Var):
        return
    message = f"an `if` without `else` has no value, and drops this `{t.show(found)}`"
    body.checker.report("W3006", message, tail, "write `return ..`, or an `else`")


def _does_nothing(node: ast.Expr) -> bool:
    """Whether an expression does nothing but give its value."""
    match node:
        case ast.Literal() | ast.PathExpr():
            return True
        case ast.Binary(left=left, right=right):
            return _does_nothing(left) and _does_nothing(right)
        case ast.FieldAccess(object=inner) | ast.Unary(operand=inner):
            return _does_nothing(inner)
        case ast.Interpolated(values=values):
            return all(map(_does_nothing, values))
        case _:
            return False


def _is_whole(node: ast.Expr) -> bool:
    """Whether each way through branches ends with an expression."""
    match node:
        case ast.Block(tail=tail):
            return tail is not None and _is_whole(tail)
        case ast.If(then=then, other=other):
            return other is not None and _is_whole(then) and _is_whole(other)
        case ast.Match(arms=arms):
            return all(_is_whole(arm.body) for arm in arms)
        case ast.TryCatch(body=block, catches=catches) if catches:
            return all(map(_is_whole, (block, *(clause.body for clause in catches))))
        case _:
            return True


def _common(body: Body, node: ast.Expr) -> Type:
    """The type of all branches, Nil if they have none in common."""
    found: Type = t.NEVER
    for result in results_of(node):
        joined = t.join(found, t.resolve(body.checker.facts.types[id(result)]))
        if joined is None:
            return t.NIL
        found = joined
    return found
