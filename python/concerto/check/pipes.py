"""The pipe: `x |> f(a)` is the call `f(x, a)`, with `x` evaluated first (language reference 10.4)."""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.bodies import Body
from concerto.check.checked import Local, PipeInfo
from concerto.check.types import Type
from concerto.syntax import ast


def check_pipe(body: Body, node: ast.Binary, expected: Type | None) -> Type:
    """The type of a pipe. The call that it means is recorded for the lowering."""
    from concerto.check.exprs import check_expr

    found = check_expr(body, node.left, None)
    # No program can write this name.
    local = Local("|>", found, node.left.span, False, used=True)
    name = ast.Name(span=node.left.span, text=local.name)
    value = ast.PathExpr(span=name.span, path=ast.Path(span=name.span, names=(name,)))
    call = _call(node, node.right, value)
    if call is None:
        help_ = "write a call, a function or a closure behind it"
        body.checker.report("E1021", "the right side of `|>` cannot be called", node.right, help_)
        check_expr(body, node.right, None)
        return t.UNKNOWN
    body.scopes.append({local.name: local})
    result = check_expr(body, call, expected)
    body.scopes.pop()
    body.checker.facts.pipes[id(node)] = PipeInfo(local, call)
    return result


def _call(node: ast.Binary, right: ast.Expr, value: ast.Expr) -> ast.Expr | None:
    """The right side with the value as its first argument; of `emit` as the second, behind the channel. A `?` is applied to the call."""
    argument = ast.Argument(span=value.span, name=None, value=value)
    match right:
        case ast.Try(operand=operand):
            inner = _call(node, operand, value)
            return None if inner is None else ast.Try(span=node.span, operand=inner)
        case ast.Await(operand=operand):
            inner = _call(node, operand, value)
            return None if inner is None else ast.Await(span=node.span, operand=inner)
        case ast.Call(callee=callee, type_args=type_args, args=args):
            is_emit = isinstance(callee, ast.PathExpr) and str(callee.path) == "emit"
            given = (*args[:1], argument, *args[1:]) if is_emit else (argument, *args)
            return ast.Call(span=node.span, callee=callee, type_args=type_args, args=given)
        case ast.PathExpr() | ast.Closure() | ast.FieldAccess() | ast.Block() | ast.If():
            return ast.Call(span=node.span, callee=right, type_args=(), args=(argument,))
        case _:
            return None
