"""Calls of the program's functions and methods: which argument goes where, and what type parameters stand for."""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.arguments import place_arguments
from concerto.check.bodies import Body
from concerto.check.called import CallFunction
from concerto.check.checked import FunctionInfo, Use
from concerto.check.decorators import warn_function
from concerto.check.generics import wrong_count
from concerto.check.literals import take_defaults
from concerto.check.methods import Method
from concerto.check.places import must_be_held
from concerto.check.types import Type
from concerto.syntax import ast


def call_function(
    body: Body,
    node: ast.Call,
    method: Method,
    expected: Type | None,
    receiver: ast.Expr | None = None,
) -> Type:
    """The type of a call. Type arguments are those written, else the arguments tell them, else the expected type."""
    function = method.function
    warn_function(body.checker, function, node.callee)
    name = node.callee.name if isinstance(node.callee, ast.FieldAccess) else node.callee
    body.checker.may_call(function, name)
    meaning: dict[str, Type] = {param.name: t.Var() for param in function.type_params}
    meaning |= method.meaning
    _state(body, node, function, meaning)
    slots = _slots(body, node, function, receiver)
    types = [t.substitute(param.type, meaning) for param in function.params]
    result = t.substitute(function.call_type, meaning)
    given = range(1 if receiver is not None else 0, len(slots))
    _check(body, [(slots[i], types[i]) for i in given], late=False)
    if expected is not None and function.type_params and t.undecided(result):
        t.assign(result, expected)
    # Closures last: by then the other arguments have told the types of their parameters.
    _check(body, [(slots[i], types[i]) for i in given], late=True)
    type_args = tuple(meaning[param.name] for param in function.type_params)
    body.checker.facts.calls[id(node)] = CallFunction(function, tuple(slots), type_args)
    if type_args:
        body.demands.use(Use(function, type_args, node))
    pairs = zip(function.params, slots, strict=True)
    taken = [p.computed for p, slot in pairs if slot is None and p.computed is not None]
    take_defaults(body, node, taken, type_args)
    if function.changes and slots[0] is not None:
        _must_be_place(body, node, slots[0], function)
    return t.decided(result)


def _state(body: Body, node: ast.Call, function: FunctionInfo, meaning: dict[str, Type]) -> None:
    """Type arguments that are written; they are those of the function itself."""
    from concerto.check.collect import written_type

    if not node.type_args:
        return
    own = function.type_params[len(function.type_params) - function.own :]
    if len(node.type_args) != len(own):
        wrong_count(body.checker, function.name, len(own), len(node.type_args), node)
        meaning |= {param.name: t.UNKNOWN for param in own}
        return
    for param, written in zip(own, node.type_args, strict=True):
        meaning[param.name] = written_type(body.checker, written)


def _slots(
    body: Body, node: ast.Call, function: FunctionInfo, receiver: ast.Expr | None
) -> list[ast.Expr | None]:
    """The argument of each parameter."""
    from concerto.check.calls import check_argument

    first = 0 if receiver is None else 1
    placed = place_arguments(body, node, function.name, function.params[first:])
    for value in placed.left:
        check_argument(body, value)
    return [receiver, *placed.slots] if first else placed.slots


def _check(body: Body, pairs: list[tuple[ast.Expr | None, Type]], *, late: bool) -> None:
    from concerto.check.exprs import check_expr

    for value, type_ in pairs:
        if value is not None and isinstance(t.resolve(type_), t.Function) is late:
            check_expr(body, value, type_)


def _must_be_place(body: Body, node: ast.Call, receiver: ast.Expr, function: FunctionInfo) -> None:
    """E2006: what a method changes must be held by somebody, also when it has ended."""
    before = len(body.checker.diagnostics)
    must_be_held(body, receiver, function.name)
    is_late = function.is_async and id(node) not in body.awaited
    if is_late and len(body.checker.diagnostics) == before:
        message = f"`{function.name}` changes its receiver when it runs: nobody holds it until then"
        body.checker.report("E2006", message, node, "await it where it is called")
