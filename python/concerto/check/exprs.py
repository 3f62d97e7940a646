"""Types of expressions: `check_expr` against an expected type where there is one, else by inference."""

from __future__ import annotations

from concerto.check import builtins
from concerto.check import types as t
from concerto.check.bodies import Body, statements
from concerto.check.branches import check_if, check_match, result_of
from concerto.check.calls import check_call, check_field
from concerto.check.closures import check_closure
from concerto.check.lints import check_division
from concerto.check.listening import check_listen
from concerto.check.literals import check_array, check_literal, check_map, check_struct, check_tuple
from concerto.check.loops import check_leave, check_loop
from concerto.check.names import check_name
from concerto.check.operators import check_binary, check_cast, check_open_range, check_unary
from concerto.check.pipes import check_pipe
from concerto.check.places import check_assign, check_index, check_tuple_part
from concerto.check.tasks import check_task, item_of
from concerto.check.tries import check_question, check_try, discard
from concerto.check.types import Type
from concerto.syntax import ast


def check_expr(
    body: Body,
    node: ast.Expr,
    expected: Type | None,
    *,
    discarded: bool = False,
    is_body: bool = False,
) -> Type:
    """The type of an expression. With an expected type, records how the value gets into it, or reports that it does not fit.

    `discarded` values need no common type of branches; `is_body` is the body of a function, whose missing tail the caller reports.
    """
    found = _typed(body, node, expected, discarded)
    if discarded and not _passes_inward(node):
        discard(body, node, found)
    if expected is None or (is_body and isinstance(node, ast.Block) and node.tail is None):
        return found
    steps = t.assign(found, expected)
    if steps is None:
        end = result_of(node)
        body.checker.mismatch(expected, found, end, _hint(expected, found, end))
        return t.UNKNOWN
    if steps and not _passes_inward(node):
        body.checker.facts.steps[id(node)] = (steps, expected)
        if "int_to_float" in steps:
            check_division(body, node)
        return expected
    return found


def infer_operand(body: Body, node: ast.Expr, wanted: Type | None) -> Type:
    """The type of the operand of `?`: an expected type helps it but need not be met here."""
    return _typed(body, node, wanted, False)


def _typed(body: Body, node: ast.Expr, expected: Type | None, discarded: bool) -> Type:
    found = _infer(body, node, expected, discarded)
    body.checker.facts.types[id(node)] = found
    return item_of(found) if id(node) in body.checker.facts.awaits else found


def _passes_inward(node: ast.Expr) -> bool:
    """Blocks and branches convert in their tails, which were checked against the same type."""
    branches = isinstance(node, ast.Block | ast.If | ast.Match)
    return branches or (isinstance(node, ast.TryCatch) and bool(node.catches))


def _hint(expected: Type, found: Type, node: ast.Node) -> str | None:
    expected, found = t.resolve(expected), t.resolve(found)
    if expected == t.Array(builtins.MESSAGE) and found == t.STRING:
        return "write `[Message::user(..)]`"
    if isinstance(node, ast.Literal) and node.value is None:
        return f"only an `Option<{t.show(expected)}>` can be `nil`"
    if isinstance(found, t.Future) and t.assign(found.item, expected) is not None:
        return "await it: write `await` before it"
    if isinstance(found, t.Array) and isinstance(t.resolve(found.item), t.Future):
        return "await all at once: write `parallel for x in xs { f(x) }`"
    if isinstance(expected, t.Store) and isinstance(found, t.Map):
        return "write `Map<.., ..>`: a `HashMap` is a store, which `hashmap` declares"
    if isinstance(found, t.Result) and t.assign(found.ok, expected) is not None:
        return "add `?` to take the value out of the `Result`"
    if isinstance(expected, t.Result) and t.assign(found, expected.ok) is not None:
        return "write `Ok(..)`"
    if isinstance(found, t.Result) and isinstance(expected, t.Result):
        fits = [t.assign(found.ok, expected.ok), t.assign(found.err, expected.err)]
        return "write `Ok(..?)`: it converts the error" if None not in fits else None
    if isinstance(expected, t.Literals) and found == t.STRING:
        return f"write `as ({t.show(expected)})`, which is checked when the program runs"
    if isinstance(found, t.Option) and t.assign(found.item, expected) is not None:
        return "add `?? ..` for the case of `None`"
    if expected == t.STRING and found in (t.INT, t.FLOAT, t.BOOL):
        return 'write it into a string: `"${..}"`'
    if (expected, found) == (t.INT, t.FLOAT):
        return "write `as Int`, which leaves out the fraction, or call `.round()`"
    is_word = isinstance(node, ast.Literal) and not str(node.value).strip("+-")[:1].isdigit()
    if expected in (t.INT, t.FLOAT) and found == t.STRING and not is_word:
        return f"read it: `.parse_{t.show(expected).lower()}()?`"
    return None


def _interpolated(body: Body, values: tuple[ast.Expr, ...]) -> None:
    for value in values:
        found = check_expr(body, value, None)
        _displayable(body, value, found)
        if t.resolve(found) == t.ERROR:
            # One of the program would show as the struct that it is.
            body.checker.facts.steps[id(value)] = (("error_message",), t.STRING)


def _infer(body: Body, node: ast.Expr, expected: Type | None, discarded: bool) -> Type:
    match node:
        case ast.Literal(value=value):
            return check_literal(value, expected)
        case ast.Interpolated(values=values):
            _interpolated(body, values)
            return t.STRING
        case ast.PathExpr() | ast.SelfExpr():
            return check_name(body, node, expected)
        case ast.Binary(op="|>"):
            return check_pipe(body, node, expected)
        case ast.Binary():
            return check_binary(body, node)
        case ast.Unary(op=op, operand=operand):
            return check_unary(body, node, op, operand)
        case ast.Assign():
            return check_assign(body, node)
        case ast.Try():
            return check_question(body, node, expected)
        case ast.TryCatch():
            return check_try(body, node, expected, discarded)
        case ast.FieldAccess():
            return check_field(body, node)
        case ast.TupleAccess(object=object_, index=index):
            return check_tuple_part(body, node, check_expr(body, object_, None), index)
        case ast.Index():
            return check_index(body, node)
        case ast.Call():
            return check_call(body, node, expected)
        case ast.StructLiteral():
            return check_struct(body, node, expected)
        case ast.TupleLiteral(items=()):
            return t.NIL
        case ast.TupleLiteral(items=items):
            return check_tuple(body, items, expected)
        case ast.ArrayLiteral():
            return check_array(body, node, expected)
        case ast.MapLiteral():
            return check_map(body, node, expected)
        case ast.Block():
            return _block(body, node, expected, discarded)
        case ast.If():
            return check_if(body, node, expected, discarded)
        case ast.Match():
            return check_match(body, node, expected, discarded)
        case ast.Await() | ast.Spawn():
            return check_task(body, node, expected)
        case ast.Loop() | ast.While() | ast.For():
            return check_loop(body, node, expected, discarded)
        case ast.Return() | ast.Throw() | ast.Break() | ast.Continue():
            return check_leave(body, node)
        case ast.Closure():
            return check_closure(body, node, expected)
        case ast.OpenRange():
            return check_open_range(body, node)
        case ast.Cast(operand=operand, type=type_):
            return check_cast(body, node, operand, type_)
        case ast.Listen():
            return check_listen(body, node)
        case _:
            raise AssertionError(node)


def _displayable(body: Body, node: ast.Expr, type_: Type) -> None:
    if isinstance(t.resolve(type_), t.Future):
        body.checker.report("E3002", "a future has no text form", node, "await it")
    if t.resolve(type_) == t.STREAM:
        body.checker.report("E3002", "a stream has no text form", node, "read it in a `for` loop")


def _block(body: Body, node: ast.Block, expected: Type | None, discarded: bool) -> Type:
    body.scopes.append({})
    reached = statements(body, node.statements, node.tail)
    found: Type = t.NIL if reached else t.NEVER
    if node.tail is not None:
        found = check_expr(body, node.tail, expected, discarded=discarded)
        if not reached:
            found = t.NEVER
    body.scopes.pop()
    return found
