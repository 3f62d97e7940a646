"""Futures and tasks: `await`, `spawn`, `parallel for`, `race` and `first_ok` (library reference 6)."""

from __future__ import annotations

from concerto.check import types as t
from concerto.check.bodies import Body, check_unused
from concerto.check.branches import results_of
from concerto.check.called import FORMS, CallModel, CallPipeline, CallStream, CallTool
from concerto.check.checked import ElementInfo, FormInfo, ModelName, Raise
from concerto.check.emits import asked, check_ask
from concerto.check.patterns import bind, is_refutable
from concerto.check.types import Type
from concerto.syntax import ast
from concerto.syntax.walk import children

_ALL = 0


def check_task(body: Body, node: ast.Await | ast.Spawn, expected: Type | None) -> Type:
    """The type of `await x`, `x.await` and `spawn x`."""
    if isinstance(node, ast.Spawn):
        return _spawn(body, node)
    return _await(body, node, expected)


def _await(body: Body, node: ast.Await, expected: Type | None) -> Type:
    operand = node.operand
    if isinstance(operand, ast.TupleLiteral) and len(operand.items) > 1:
        return _await_all(body, node, operand.items, expected)
    from concerto.check.exprs import infer_operand

    checker = body.checker
    allowed = body.can_await or checker.is_library
    if not allowed:
        where = "add `async` to the function"
        checker.report("E3033", "`await` needs an `async` function", node, where)
    call = asked(body, operand)
    if call is not None:
        return check_ask(body, node, call, expected)
    body.awaited.add(id(operand))
    found = t.resolve(infer_operand(body, operand, expected))
    checker.facts.awaits.add(id(operand))
    if not allowed:
        return item_of(found)
    match found:
        case t.Future(item) | t.Task(item):
            return item
        case t.Tuple(items) if any(isinstance(t.resolve(i), t.Future) for i in items):
            message = "a tuple of futures cannot be awaited as a whole"
            help_ = "name its parts: `await (x.0, x.1)`"
            checker.report("E3033", message, node, help_)
            return t.UNKNOWN
        case _:
            if found not in (t.UNKNOWN, t.ANY, t.STREAM) and not _may_wait(body, operand):
                message = f"`{t.show(found)}` is no future: there is nothing to await"
                checker.report("W3012", message, node, "remove the `await`")
            return found


def _may_wait(body: Body, node: ast.Expr) -> bool:
    """Whether an expression is a call that waits, though it gives no future."""
    while isinstance(node, ast.Try):
        node = node.operand
    waiting = CallModel | CallStream | CallPipeline | CallTool
    return isinstance(body.checker.facts.calls.get(id(node)), waiting)


def item_of(type_: Type) -> Type:
    """A type without one layer of future."""
    type_ = t.resolve(type_)
    return type_.item if isinstance(type_, t.Future | t.Task) else type_


def _await_all(
    body: Body, node: ast.Await, items: tuple[ast.Expr, ...], expected: Type | None
) -> Type:
    wanted = t.resolve(expected) if expected is not None else None
    parts = wanted.items if isinstance(wanted, t.Tuple) and len(wanted.items) == len(items) else ()
    elements = []
    for position, item in enumerate(items):
        if asked(body, item):
            item = ast.Await(span=item.span, operand=item)
        elements.append(_element(body, item, parts[position] if parts else None))
    _enter(body, node, _ALL, elements)
    return t.Tuple(tuple(element.type for element in elements))


def check_race(body: Body, node: ast.Call, name: str, expected: Type | None) -> Type:
    """The type of `race(..)` and `first_ok(..)`."""
    checker = body.checker
    for arg in node.args:
        if arg.name is not None:
            checker.report("E3032", f"`{name}` has no named parameters", arg.name)
    if not node.args:
        checker.report("E3032", f"`{name}` takes at least 1 argument, found 0", node)
        return t.UNKNOWN
    wanted = expected
    if name == "first_ok":
        given = t.resolve(expected) if expected is not None else None
        errors = t.resolve(given.err) if isinstance(given, t.Result) else None
        err = errors.item if isinstance(errors, t.Array) else t.Var()
        wanted = t.Result(given.ok, err) if isinstance(given, t.Result) else None
    elements = [_element(body, arg.value, wanted) for arg in node.args]
    found = wanted if wanted is not None else _joined(body, elements)
    _enter(body, node, FORMS[name], elements)
    if name == "race":
        return found
    found = t.resolve(found)
    if isinstance(found, t.Result):
        return t.Result(found.ok, t.Array(found.err))
    if found != t.UNKNOWN:
        message = f"`first_ok` compares Results, found `{t.show(found)}`"
        checker.report("E3001", message, node.args[0], "use `race`")
    return t.UNKNOWN


def _joined(body: Body, elements: list[ElementInfo]) -> Type:
    """The common type of elements, to which each is converted."""
    if all(t.resolve(element.type) == t.UNKNOWN for element in elements):
        return t.UNKNOWN
    found: Type = t.NEVER
    for element in elements:
        joined = t.join(found, element.type)
        if joined is None:
            message = f"the elements are `{t.show(found)}` and `{t.show(element.type)}`"
            body.checker.report("E3008", message, element.node, "give all elements one type")
            return t.UNKNOWN
        found = joined
    for element in elements:
        element.steps, element.type = t.assign(element.type, found) or (), found
    return found


def check_parallel(body: Body, node: ast.For, expected: Type | None, discarded: bool) -> Type:
    """The type of `parallel for`: an array of the values of its body."""
    from concerto.check.exprs import check_expr
    from concerto.check.loops import item_type

    checker = body.checker
    most = _most(body, node)
    found = t.resolve(check_expr(body, node.iterable, None))
    if found == t.STREAM:
        message = "the chunks of a stream come one after the other"
        checker.report("E3024", message, node.iterable, "remove `parallel`")
        found = t.UNKNOWN
    item = item_type(body, node, found)
    wanted = t.resolve(expected) if expected is not None else None
    inside = wanted.item if isinstance(wanted, t.Array) else None
    label = node.label.text if node.label else None
    element = _element(
        body, node.body, inside, of=(node.pattern, item), label=label, discarded=discarded
    )
    _enter(body, node, _ALL, [element], most)
    return t.NIL if discarded else t.Array(element.type)


def _most(body: Body, node: ast.For) -> ast.Expr | None:
    from concerto.check.exprs import check_expr

    most = None
    for arg in node.parallel or ():
        if arg.name is None or arg.name.text != "max":
            body.checker.report(
                "E3032", "`parallel` takes `max` alone", arg, "write `parallel(max: 4)`"
            )
        else:
            most = arg.value
        check_expr(body, arg.value, t.INT)
    return most


def _spawn(body: Body, node: ast.Spawn) -> Type:
    from concerto.check.closures import leaves
    from concerto.check.exprs import infer_operand

    operand = node.operand
    inner = Body(
        body.checker, t.Var(), is_entry=False, at_top=False, outer=body, scopes=[{}],
        can_await=body.can_await, is_task=True,
    )  # fmt: skip
    raises = leaves(operand)
    if raises:
        inner.result = t.Result(t.Var(), t.Var())
    _await_results(inner, operand)
    found = infer_operand(inner, operand, None)
    check_unused(inner)
    wraps = raises and not isinstance(found, t.Result)
    if raises:
        assert isinstance(inner.result, t.Result)
        whole = t.Result(found, t.Var()) if wraps else found
        if t.assign(whole, inner.result) is None:
            body.checker.mismatch(inner.result, whole, operand)
        found = inner.result
    captures = tuple(inner.captures)
    element = ElementInfo(operand, captures, found, wraps=wraps)
    body.checker.facts.forms[id(node)] = FormInfo(_ALL, (element,), None, None, ())
    return t.Task(found)


def _element(
    body: Body,
    node: ast.Expr,
    wanted: Type | None,
    *,
    of: tuple[ast.Pattern, Type] | None = None,
    label: str | None = None,
    discarded: bool = False,
) -> ElementInfo:
    """An expression that is evaluated in a task of its own. `of` is the pattern of an element of `parallel for`, with its type."""
    from concerto.check.exprs import check_expr, infer_operand

    inner = Body(
        body.checker, body.result, is_entry=body.is_entry, at_top=body.at_top, outer=body, scopes=[{}],
        can_await=body.can_await, is_task=True, is_element=True, label=label,
    )  # fmt: skip
    inner.unset = body.unset
    if of is not None:
        pattern, item = of
        if is_refutable(inner, pattern, item):
            body.checker.report("E3020", "the pattern may fail", pattern)
        bind(inner, pattern, item)
    _await_results(inner, node)
    if discarded:
        check_expr(inner, node, None, discarded=True)
        found: Type = t.NIL
    else:
        found = infer_operand(inner, node, wanted)
    check_unused(inner)
    steps: t.Steps = ()
    if wanted is not None and not discarded:
        way = t.assign(found, wanted)
        if way is None:
            body.checker.mismatch(wanted, found, node)
        steps, found = way or (), wanted
    place = inner.leaving[0] if inner.leaving else None
    return ElementInfo(
        node, tuple(inner.captures), found, steps, place,
        pattern=of[0] if of else None, is_discarded=discarded,
    )  # fmt: skip


def _await_results(body: Body, node: ast.Expr) -> None:
    """A task awaits the future that is its result, whichever branch gives it, so that the future is no value of the place."""
    for result in results_of(node):
        body.awaited.add(id(result))
        body.checker.facts.awaits.add(id(result))


def is_async_function(body: Body, node: ast.Expr) -> bool:
    """Whether an expression is the name of an `async` function of the program."""
    if not isinstance(node, ast.PathExpr):
        return False
    name = str(node.path)
    function = None if body.find(name) else body.checker.functions.get(name)
    return function is not None and function.is_async


def _enter(
    body: Body,
    node: ast.Expr,
    form: int,
    elements: list[ElementInfo],
    most: ast.Expr | None = None,
) -> None:
    places = [element.place for element in elements if element.place is not None]
    place = _passed_on(places[0]) if places else None
    models: tuple[str, ...] = ()
    if isinstance(node, ast.For) and most is None:
        models = _models(body, node.body)
    body.checker.facts.forms[id(node)] = FormInfo(form, tuple(elements), place, most, models)


def _passed_on(place: Raise) -> Raise:
    """Where an error goes that an element has converted already."""
    inner = _passed_on(place.otherwise) if place.otherwise and place.to == "leave" else None
    return Raise(place.to, otherwise=inner)


def _models(body: Body, node: ast.Expr) -> tuple[str, ...]:
    """The models that a body names, in the functions that it calls by name as well."""
    checker = body.checker
    found: dict[str, None] = {}
    seen: set[str] = set()
    pending: list[ast.Node] = [node]
    while pending:
        here = pending.pop()
        if isinstance(here, ast.PathExpr):
            name = str(here.path)
            known = checker.facts.names.get(id(here))
            if isinstance(known, ModelName) or (known is None and name in checker.models):
                found[name] = None
            function = checker.functions.get(name)
            if function and function.node and function.node.body and name not in seen:
                seen.add(name)
                pending.append(function.node.body)
        pending.extend(children(here))
    return tuple(found)
