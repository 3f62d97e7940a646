"""Functions of the prelude as values: `xs.map(Some)` is `xs.map(|a| Some(a))`."""

from __future__ import annotations

from concerto.check import testing
from concerto.check import types as t
from concerto.check.bodies import Body
from concerto.check.closures import check_closure
from concerto.check.types import Type
from concerto.syntax import ast


def prelude_value(body: Body, node: ast.PathExpr, expected: Type | None) -> Type:
    """The type of a function of the prelude as a value: a closure stands for it."""
    name = str(node.path)
    if name in testing.NAMES:
        message = f"`{name}` is no value"
        body.checker.report("E3009", message, node, f"call it: `{name}(..)`")
        return t.UNKNOWN
    wanted = t.resolve(expected) if expected is not None else None
    if not isinstance(wanted, t.Function):
        message = f"which types `{name}` is for is not known here"
        help_ = f"write a closure, or say the type: `let f: fn(Int) -> .. = {name}`"
        body.checker.report("E3019", message, node, help_)
        return t.UNKNOWN
    closure = _closure(node, len(wanted.params))
    body.checker.facts.names[id(node)] = closure
    found = check_closure(body, closure, expected)
    body.checker.facts.types[id(closure)] = found
    return found


def _closure(node: ast.PathExpr, count: int) -> ast.Closure:
    span = node.span
    paths = [
        ast.Path(span=span, names=(ast.Name(span=span, text=f"a{at}"),)) for at in range(count)
    ]
    args = [
        ast.Argument(span=span, name=None, value=ast.PathExpr(span=span, path=path))
        for path in paths
    ]
    params = [
        ast.ClosureParam(
            span=span, pattern=ast.PathPattern(span=span, path=path), type=None, is_mut=False
        )
        for path in paths
    ]
    callee = ast.PathExpr(span=span, path=node.path)
    call = ast.Call(span=span, callee=callee, type_args=(), args=tuple(args))
    return ast.Closure(span=span, params=tuple(params), result=None, body=call, is_async=False)
