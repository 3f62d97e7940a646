"""Closures, functions as values, and calls of them (language reference 10.2)."""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.bodies import Body, check_unused
from concerto.check.called import CallValue
from concerto.check.checked import ClosureInfo, Local
from concerto.check.flow import check_flow
from concerto.check.patterns import bind_whole
from concerto.check.types import Type
from concerto.syntax import ast
from concerto.syntax.walk import children


def check_closure(body: Body, node: ast.Closure, expected: Type | None) -> Type:
    """The type of a closure. What it does not say about its parameters, the expected type does."""
    from concerto.check.collect import written_type

    checker = body.checker
    wanted = t.resolve(expected) if expected is not None else None
    hints: tuple[Type, ...] = ()
    result: Type = t.Var()
    if isinstance(wanted, t.Function):
        hints, result = wanted.params, wanted.result
        if node.is_async:
            inside = t.resolve(result)
            result = inside.item if isinstance(inside, t.Future) else t.Var()
        if len(hints) != len(node.params):
            message = f"the closure takes {_count(len(node.params))}, expected {len(hints)}"
            checker.report("E3001", message, node)
            hints = (t.UNKNOWN,) * len(node.params)
    if node.result is not None:
        result = written_type(checker, node.result)
    inner = Body(
        checker, result, is_entry=False, at_top=False, outer=body, scopes=[{}],
        can_await=node.is_async,
    )  # fmt: skip
    params = []
    for position, param in enumerate(node.params):
        hint = hints[position] if position < len(hints) else None
        params.append(_param(inner, param, hint))
    result = _result(inner, node, result)
    check_unused(inner)
    check_flow(inner, node.body)
    captures = tuple(inner.captures)
    checker.facts.closures[id(node)] = ClosureInfo(tuple(params), captures, result)
    if node.is_async:
        result = t.Future(result)
    # A wrong number of parameters was reported.
    return t.Function(tuple(params), result) if t.UNKNOWN not in hints else t.UNKNOWN


def _count(params: int) -> str:
    return f"{params} parameter{'s' if params != 1 else ''}"


def _param(inner: Body, param: ast.ClosureParam, hint: Type | None) -> Type:
    from concerto.check.collect import written_type

    type_ = written_type(inner.checker, param.type) if param.type else hint
    if type_ is None or isinstance(t.resolve(type_), t.Var):
        message = "the type of the parameter is not known"
        inner.checker.report("E3007", message, param, "write it: `|x: Int|`")
        type_ = t.UNKNOWN
    elif hint is not None and param.type is not None and t.assign(hint, type_) is None:
        inner.checker.mismatch(hint, type_, param)
    first = len(inner.locals)
    bind_whole(inner, param.pattern, type_, is_mut=param.is_mut)
    for local in inner.locals[first:]:
        local.is_param = True
    return type_


def _result(inner: Body, node: ast.Closure, result: Type) -> Type:
    """Checks the body; gives the type of what the closure returns."""
    from concerto.check.exprs import check_expr

    if isinstance(t.resolve(result), t.Var) and leaves(node.body):
        # `?` leaves the closure, so its result can carry an error.
        inner.result = t.Option(t.Var()) if _is_option(node.body) else t.Result(t.Var(), t.Var())
        t.assign(inner.result, result)
    wanted = t.resolve(inner.result)
    if wanted == t.NIL:
        check_expr(inner, node.body, None, discarded=True)
        return t.NIL
    if isinstance(wanted, t.Var):
        found = check_expr(inner, node.body, None)
        # What a `return` said first, the tail must fit.
        decided = t.resolve(inner.result)
        if isinstance(decided, t.Var):
            t.assign(found, decided)
            return found
        if t.resolve(found) != t.NEVER and t.assign(found, decided) is None:
            inner.checker.mismatch(decided, found, node.body)
        return decided
    inner.tail = node.body.tail if isinstance(node.body, ast.Block) else node.body
    check_expr(inner, node.body, wanted)
    return inner.result


def leaves(node: ast.Node) -> bool:
    """Whether a `?` or `throw` stands in a body, outside of closures and `try` inside of it."""
    if isinstance(node, ast.Try | ast.Throw):
        return True
    if isinstance(node, ast.Closure | ast.Spawn):
        return False
    inside = node.catches if isinstance(node, ast.TryCatch) else children(node)
    return any(leaves(child) for child in inside)


def _is_option(node: ast.Expr) -> bool:
    """Whether the value of a body is written as an Option."""
    while isinstance(node, ast.Block) and node.tail is not None:
        node = node.tail
    match node:
        case ast.Call(callee=ast.PathExpr(path=path)) | ast.PathExpr(path=path):
            return str(path) in ("Some", "None")
        case _:
            return False


def check_value_call(body: Body, node: ast.Call, callee: Type) -> Type:
    """The type of a call of a value; its callee was checked."""
    from concerto.check.exprs import check_expr

    callee = t.resolve(callee)
    if not isinstance(callee, t.Function):
        for arg in node.args:
            check_expr(body, arg.value, None)
        if callee == t.ANY:
            # Whether it is a function of so many parameters, the run shows.
            _no_names(body, node)
            args = tuple(arg.value for arg in node.args)
            body.checker.facts.calls[id(node)] = CallValue(node.callee, args)
            return t.ANY
        if callee != t.UNKNOWN:
            message = f"`{t.show(callee)}` cannot be called"
            body.checker.report("E3009", message, node.callee)
        return t.UNKNOWN
    if len(node.args) != len(callee.params):
        count = len(callee.params)
        plural = "s" if count != 1 else ""
        message = f"the function takes {count} argument{plural}, found {len(node.args)}"
        body.checker.report("E3032", message, node)
    else:
        _no_names(body, node)
    for position, arg in enumerate(node.args):
        fits = position < len(callee.params)
        check_expr(body, arg.value, callee.params[position] if fits else None)
    args = tuple(arg.value for arg in node.args)
    body.checker.facts.calls[id(node)] = CallValue(node.callee, args)
    return callee.result


def capture(body: Body, name: str) -> Local | None:
    """A variable of the function around, as the closure's own copy of it (10.2)."""
    if body.outer is None:
        return None
    outer = body.outer.find(name)
    if outer is None:
        return None
    outer.used = True
    if outer.constant is not None:
        return outer
    own = Local(name, outer.type, outer.span, False, is_param=True, is_captured=True, used=True)
    own.is_reply = outer.is_reply
    # The outermost scope holds what belongs to the closure as a whole.
    body.scopes[0][name] = own
    body.captures.append((outer, own))
    return own


def mark_changed(body: Body, local: Local) -> None:
    """A variable that somebody tried to change needs its `mut`, in whichever function it is declared."""
    here: Body | None = body
    while here is not None:
        for outer, own in here.captures:
            if own is local:
                outer.mutated, local = True, outer
                break
        here = here.outer


def _no_names(body: Body, node: ast.Call) -> None:
    """E3032 where a function value is given arguments by name."""
    named = next((arg.name for arg in node.args if arg.name is not None), None)
    if named is not None:
        message = "a function value has no named parameters"
        body.checker.report("E3032", message, named, "give the arguments in their order")
